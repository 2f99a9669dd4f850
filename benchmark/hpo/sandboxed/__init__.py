"""Programs that run in the sandbox beside an objective, on its own interpreter.

`python_trial` calls a Python objective with Optuna's interface, `command_steps` runs a command
between its hooks. They are started by their file, import nothing of `benchmark` and leave their
answers as files in the work folder.
"""
