"""Reading a large run in several processes.

It imports `execution` for its count of usable cores and its tie to the parent's life.
"""
