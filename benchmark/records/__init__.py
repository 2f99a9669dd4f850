"""Tasks, runs with their manifests, attempts and records, and their places in a store.

`tasks` defines what is evaluated and under which conditions, `record` the outcome, `results`
starts and settles attempts, `packed_records` copies many records into one object. Only `layout`
builds the paths of a run in its store.
"""
