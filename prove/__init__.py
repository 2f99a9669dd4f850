"""The promises of the program, each broken into on purpose, and what came of it.

.venv/bin/python -m prove --seed 1 --kills 24

A module per kind of fault; what tests use as well (a proxy with faults, servers, a playground whose
processes are killed by role) stands beside them.
"""
