"""Commands on benchmark runs: execute and follow them, their task files, logs and results."""
