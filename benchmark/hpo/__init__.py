"""Studies: a stream of trials that an optimizer proposes, each a task like any other."""
