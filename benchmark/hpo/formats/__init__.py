"""Ways to declare a study that other tools' users know.

`em_hpo_scripts` is `python -m benchmark.hpo` with the options of em-hpo-scripts, `project` reads
directories of config.json and objective_fn.py, `callables` turns a function of a notebook into an
objective. Each ends in a `StudyDefinition`. `gest` offers the optimizers themselves, as a generator
that libEnsemble drives.
"""
