"""Objectives as they are declared: a command, a Python function, or a framework of the benchmark.

`objective_file` reads the declaration; `metrics` extracts metrics from JSON, CSV or printed
text; `rules` decides what counts as pruned or failed. Regular expressions of users are matched in
a process of their own, with a time limit. How a trial runs is in `benchmark.hpo.trials`.
"""
