"""What is not audited is said, and what is vulnerable fails."""

from __future__ import annotations

import pytest

from tests.support import audit


def test_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    sound = {"name": "a", "version": "1", "vulns": []}
    vulnerable = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1"}]}
    unknown = {"name": "c", "skip_reason": "Dependency not found on PyPI"}
    assert audit.report([sound, unknown]) == 0
    assert "1 of 2 packages were not audited" in capsys.readouterr().out
    assert audit.report([sound, vulnerable]) == 1
    assert "b 2: PYSEC-1" in capsys.readouterr().out
    assert audit.report([unknown]) == 0
    assert "without a known" not in capsys.readouterr().out
