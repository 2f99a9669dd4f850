"""Storages of a study's trials: a journal in a file or a database, or Optuna's own tables.

`storage.open_storage` opens any of them. Appends are atomic, several facts of a trial are one
write, and concurrent calls are committed together. Only this package and `samplers` use private
names of Optuna; each module states the version for which it was written.
"""
