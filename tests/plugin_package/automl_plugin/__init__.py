"""A framework and a dispatcher for the benchmark."""
