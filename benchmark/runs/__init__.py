"""The driver of a benchmark run: plan, execute, compile, status."""
