"""What the methods on AWS share: calls and their faults, prices, and what init-compute makes."""
