"""Machines of EC2 that pull tasks from a queue until it is dry, and then end themselves."""
