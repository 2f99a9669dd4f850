"""Drivers of a study: ask, dispatch, tell, until a stop rule or the last trial.

`loop` drives through any dispatcher, `worker` and `local_workers` share one study without a
driver, `deployment` hands it to a flow, and `confirmation` repeats the best against the default.
`control` is how another process pauses, resumes or stops a study.
"""
