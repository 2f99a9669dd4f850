"""What the tests of a failing store share: the operations, one sentence, waiting."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest

from benchmark.errors import StoreError
from benchmark.store import Store
from tests.support.services import SECRET

OPERATIONS: dict[str, Callable[[Store], object]] = {
    "read 'run/a'": lambda store: store.get("run/a"),
    "write 'run/a'": lambda store: store.put("run/a", b"x"),
    "write 'run/b'": lambda store: store.create("run/b", b"x"),
    "list 'run'": lambda store: store.list("run"),
    "delete 'run/a'": lambda store: store.delete(["run/a"]),
}


def until(true: Callable[[], object], what: str) -> None:
    end = time.monotonic() + 300
    while not true():
        if time.monotonic() > end:
            raise AssertionError(f"waited 300 s for {what}")
        time.sleep(0.01)


def refusal(action: Callable[[], object]) -> str:
    """The one sentence of a StoreError, checked for what must not stand in it."""
    with pytest.raises(StoreError) as caught:
        action()
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert re.fullmatch(r"[^<>{}]*\.", sentence), sentence
    assert "Traceback" not in sentence
    assert SECRET not in sentence
    assert "AKIA" not in sentence
    assert "Signature=" not in sentence
    return sentence
