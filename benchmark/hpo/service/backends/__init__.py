"""Where experiments are kept: in memory, as journals in a store, or in a database.

A database on PostgreSQL serves several servers at once, with the leases in a table.
"""
