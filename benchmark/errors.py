"""The errors that users see: one sentence with the value, the place and the fix."""

import contextlib
import re
from collections.abc import Iterator

# No path has so many characters without a space; a number of thousands of digits has.
_LONG = re.compile(r"\S{300,}")
_KEPT = 60


class BenchmarkError(Exception):
    """Base of all errors that end a command with one sentence and exit code 2.

    Of a word of hundreds of characters the sentence has the start and the length.
    """

    def __str__(self) -> str:
        return _LONG.sub(lambda found: _shortened(found[0]), super().__str__())

    def _render_traceback_(self) -> list[str]:
        """Show the sentence without a traceback in a notebook (IPython's hook)."""
        return [f"error: {self}"]


def _shortened(word: str) -> str:
    end = word[len(word.rstrip(".,:;")) :]
    return f"{word[:_KEPT]}… ({len(word):,} characters){end}"


class ConfigError(BenchmarkError):
    """A configuration key or its value is wrong."""


@contextlib.contextmanager
def as_config_errors() -> Iterator[None]:
    """Raise any BenchmarkError of a check as a ConfigError: nothing was started."""
    try:
        yield
    except ConfigError:
        raise
    except BenchmarkError as error:
        raise ConfigError(str(error)) from None


class StoreError(BenchmarkError):
    """The store cannot be reached, read or written."""


class NewerRecordError(StoreError):
    """A record in the store was written by a later version of the program; it is not changed."""


class AbsentStoreError(StoreError):
    """The folder of a store does not exist."""


class DataError(BenchmarkError):
    """A data set is unavailable or unusable; its tasks end with the cause `data`."""


class SetupError(BenchmarkError):
    """A framework's environment cannot be built; its tasks end with the cause `setup`."""


class MethodError(BenchmarkError):
    """A compute method cannot be loaded; its tasks end without a result, the others continue."""


class ConditionsDifferError(BenchmarkError):
    """A run exists with results under other conditions."""
