"""Runs that stop when their question is answered (`--until`).

`until` is what the manifest holds, `tracking` follows the records, `waves` starts tasks.
"""
