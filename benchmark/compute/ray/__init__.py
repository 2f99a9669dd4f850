"""Ray: workers of a running cluster that take one task after the other."""
