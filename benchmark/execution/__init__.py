"""How one task runs: sandbox, worker processes, evaluation, metrics."""
