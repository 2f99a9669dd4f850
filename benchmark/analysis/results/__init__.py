"""Results as checked frames: compiled results and AMLB's form, and the metrics in them.

`table.read_results` reads files; `cells` checks them, `mixtures` keeps different conditions apart.
"""
