"""Reading a large run in several processes.

`fork` runs part of a job in a forked process, `record_reader` uses it for the records of a run.
They import `execution` for its count of usable cores and its tie to the parent's life.
"""
