"""The statistics of one task type: ranks, tests, ratings and their sensitivity.

`statistics` computes all of them once; `comparable` selects the results that can be compared and
`imputation` says what stands in for a missing one. Pure functions on frames.
"""
