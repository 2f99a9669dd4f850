"""The errors that users see: one sentence with the value, the place and the mend."""

import re

LONGEST_TEXT = 2000
# Tabs and ends of lines are left; a lone surrogate has no UTF-8 form.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class BenchmarkError(Exception):
    """Base of all errors that end a command with one sentence and exit code 2."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows, by IPython's own hook: the sentence, and no traceback."""
        return [f"error: {self}"]


class ConfigError(BenchmarkError):
    """A configuration key or its value is wrong."""


class StoreError(BenchmarkError):
    """The store cannot be reached, read or written."""


class NewerRecordError(StoreError):
    """A record in the store was written by a later version of the program, and stays as it is."""


class AbsentStoreError(StoreError):
    """The folder of a store is not there, so nothing is in it."""


class DataError(BenchmarkError):
    """A data set cannot be had or used; its tasks end with the cause `data`."""


class SetupError(BenchmarkError):
    """A framework's environment cannot be built; its tasks end with the cause `setup`."""


class MethodError(BenchmarkError):
    """A compute method cannot be loaded; its tasks end without a result, the others go on."""


class ConditionsDifferError(BenchmarkError):
    """A run exists with results under other conditions."""


def plain_text(text: str, most: int = LONGEST_TEXT) -> str:
    """The text without control characters and lone surrogates, cut after `most` characters."""
    cut = text if len(text) <= most else text[:most] + "…"
    return _CONTROL.sub("\ufffd", cut)
