"""One trial as a task: the request into the sandbox, and a record out of what it left.

`evaluation.TrialEvaluation` runs commands and Python functions,
`benchmark_evaluation.BenchmarkTrialEvaluation` a framework over data sets and seeds. Tasks in a
store name these classes by import path; a module that moves is entered in `benchmark.MOVED`.
"""
