"""Experiments: trials that are asked under leases and ended once, whatever the API.

`service.Service` holds the experiments of a server, `experiment.Experiment` is one of them: its
suggestions, assignments, counts, changes and records are modules of their own. Nothing here knows
HTTP, gRPC, or where experiments are kept.
"""
