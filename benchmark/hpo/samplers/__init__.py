"""Samplers: one ask/tell optimizer over Optuna, hyperopt and scikit-optimize.

`algorithms` maps the names of study files to samplers and pruners; `optimizer.Optimizer` is the
interface for the rest of the program. `study_sampler` shows samplers the failures
of a study as infeasible trials.
"""
