"""Early stops: the questions, sequential inference on a finite grid, and what a stop may claim.

`question` parses `--until`, `standing` says what is open and due, `sequential` has the tests,
`claims` and `stopped` state the results, and `replay` measures all of it on complete results.
"""
