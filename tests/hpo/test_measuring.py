"""Metrics out of what commands leave."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.hpo.measuring import MeasureError, Measuring

CSV = "Throughput, response time ,name\n1.5,2,a\n3.25,4,b\n"


@pytest.mark.parametrize(
    ("measuring", "output", "found"),
    [
        (Measuring(), 'noise\n{"a": 1, "b": {"c": 0.1}}\nbye\n', {"a": 1.0, "b_c": 0.1}),
        (Measuring(), "12.123456789012345\n", {"value": 12.123456789012345}),
        (Measuring(csv="stdout"), CSV, {"Throughput": 3.25, "response_time": 4.0}),
        (Measuring(csv="stdout", row=2), CSV, {"Throughput": 1.5, "response_time": 2.0}),
        (Measuring(csv="stdout", delimiter="\t"), "a\tb\n1\t2\n", {"a": 1.0, "b": 2.0}),
        (Measuring(patterns={"tps": r"tps = ([\d.]+)"}), "tps = 1\ntps = 2.5", {"tps": 2.5}),
    ],
)
def test_found(tmp_path: Path, measuring: Measuring, output: str, found: dict[str, float]) -> None:
    assert measuring.read(tmp_path, output) == found


@pytest.mark.parametrize(
    ("measuring", "output", "said"),
    [
        (Measuring(), "", "printed nothing"),
        (Measuring(), "garbage", "the last is 'garbage'"),
        (Measuring(), '{"a": NaN}', "No line"),
        (Measuring(json="r.json"), "", "left no file 'r.json'"),
        (Measuring(json="../r.json"), "", "left no file"),
        (Measuring(csv="stdout", row=9), CSV, "no row 9"),
        (Measuring(csv="stdout"), "a,b\n", "1 lines"),
        (Measuring(csv="stdout"), "a;b\n1;2\n", 'the delimiter ";"'),
        (Measuring(csv="stdout"), "a,b\nx,y\n", "no number in line 2, 'x,y'"),
        (Measuring(patterns={"tps": "tps=(.*)"}), "", "matches 'tps="),
    ],
)
def test_not_found(tmp_path: Path, measuring: Measuring, output: str, said: str) -> None:
    with pytest.raises(MeasureError) as caught:
        measuring.read(tmp_path, output)
    assert said in str(caught.value)


def test_a_link_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text('{"a": 1}')
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "r.json").symlink_to(tmp_path / "secret.json")
    with pytest.raises(MeasureError):
        Measuring(json="r.json").read(folder, "")
