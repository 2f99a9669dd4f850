"""Metrics out of what commands leave."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.hpo.objectives.metrics.measured_values import MeasureError
from benchmark.hpo.objectives.metrics.measuring import Measuring

CSV = "Throughput, response time ,name\n1.5,2,a\n3.25,4,b\n"


@pytest.mark.parametrize(
    ("measuring", "output", "found"),
    [
        (Measuring(), 'noise\n{"a": 1, "b": {"c": 0.1}}\n\n', {"a": 1.0, "b_c": 0.1}),
        (Measuring(), "12.123456789012345\n", {"value": 12.123456789012345}),
        (Measuring(csv="stdout"), CSV, {"Throughput": 3.25, "response_time": 4.0}),
        (Measuring(csv="stdout", row=2), CSV, {"Throughput": 1.5, "response_time": 2.0}),
        (Measuring(csv="stdout", delimiter="\t"), "a\tb\n1\t2\n", {"a": 1.0, "b": 2.0}),
        (Measuring(patterns={"tps": r"tps = ([\d.]+)"}), "tps = 1\ntps = 2.5", {"tps": 2.5}),
        (Measuring(), '{"a": 9}\n{\n  "a": 1,\n  "b": {\n    "c": 2\n  }\n}\n', {"a": 1, "b_c": 2}),
        (Measuring(), '9\n 10%\r 99%\r{"a": 1}\r\n', {"a": 1}),
        (Measuring(), '{"a": 1, "b": NaN, "c": "x"}', {"a": 1}),
        (Measuring(), '{INFO} done\n[INFO] bye\n{\n}}\n{"a": 1}\n\n \n', {"a": 1}),
        (Measuring(), '9\n{\n"a": 1}', {"a": 1}),
        (Measuring(csv="stdout"), "a,b\n1,\n", {"a": 1.0}),
        (Measuring(csv="stdout", columns=True), "a,a\n1,2\n", {"column_0": 1.0, "column_1": 2.0}),
    ],
)
def test_found(tmp_path: Path, measuring: Measuring, output: str, found: dict[str, float]) -> None:
    assert measuring.read(tmp_path, output) == found


@pytest.mark.parametrize(
    ("measuring", "output", "said"),
    [
        (Measuring(), "", "printed nothing"),
        (Measuring(), "garbage", "ends with 'garbage', which is neither"),
        (Measuring(), "0.1\nbye\n", "ends with 'bye'"),
        (Measuring(), '{"a": 1e-400}', "cannot be used: '1e-400' is too near to 0"),
        (Measuring(), "1e-400", "'1e-400' is too near to 0"),
        (Measuring(), '{"a": NaN}', "'{\"a\": NaN}', has no finite number"),
        (Measuring(json="r.json"), "", "left no file 'r.json'"),
        (Measuring(json="../r.json"), "", "left no file"),
        (Measuring(csv="stdout", row=9), CSV, "no line 9"),
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


@pytest.mark.parametrize(
    "last",
    [
        *("NaN", "nan", "-inf", "Infinity", "1e999", "null", "true", '"0.3"', "[0.3]", "{}", "1_0"),
        *('{"loss": NaN}', '{"loss": null}', '{"loss": 1e999}', '{"loss": nan}', '{"loss": 0.'),
        *('{"loss": "0.3"}', '{"loss": true}', '{"loss": [0.3]}', '{"error": "diverged"}'),
        *('{\n  "loss": nan\n}', '{\n  "loss": 0.3,', "[\n  0.3,\n  0.4\n]", '[\n{\n"a": 1\n}\n]'),
        *('{"loss": 0.3, "loss": 0.4}', '{"a": {"b": 1}, "a_b": 2}'),
        *("bye", '{"loss": 0.3}\nTraceback (most recent call last):', "0.3\n}", "0.3 # done"),
    ],
)
@pytest.mark.parametrize("source", [Measuring(), Measuring(json="stdout")])
def test_the_last_line_decides(tmp_path: Path, source: Measuring, last: str) -> None:
    """Whatever was printed before it."""
    with pytest.raises(MeasureError):
        source.read(tmp_path, f'0.1\n{{"loss": 0.2}}\n{last}\n')


@pytest.mark.parametrize(
    "text", ["NaN", "null", '{"loss": "0.3"}', '{"loss": 1}{"loss": 2}', "[1]"]
)
def test_a_file_holds_finite_numbers(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(MeasureError, match=r"'r\.json'"):
        Measuring(json="r.json").read(tmp_path, '{"loss": 0.2}')


@pytest.mark.parametrize("cell", ["nan", "inf", "", "x", "1_000", "٣", "true", "1e999", "1e-400"])
def test_the_last_row_and_the_last_match_decide(tmp_path: Path, cell: str) -> None:
    texts: dict[str, str] = {}
    source = Measuring(csv="stdout")
    assert source.read(tmp_path, f"n,loss\n1,0.5\n2,{cell}\n", texts) == {"n": 2.0}
    assert "loss" in texts
    with pytest.raises(MeasureError, match="is not a finite number"):
        Measuring(patterns={"loss": "loss=(.*)"}).read(tmp_path, f"loss=0.5\nloss={cell}\n")


@pytest.mark.parametrize(
    ("rate", "number"), [("900.6 MB/s", "900.6"), ("12 Mbps", "12"), ("7req/sec", "7")]
)
def test_a_rate_has_no_unit(tmp_path: Path, rate: str, number: str) -> None:
    source = Measuring(patterns={"rate": "rate: (.*)"})
    with pytest.raises(MeasureError, match=f"rates have no unit; .* only '{number}'"):
        source.read(tmp_path, f"rate: {rate}\n")


@pytest.mark.parametrize(
    ("pattern", "output", "said"),
    [
        (r"loss=([\d.]+)", "epoch 1 loss=0.5\nepoch 2 loss=nan\n", "nan"),
        (r"loss:\s+([\d.]+)", "loss: 0.5\nloss:    -inf\n", "-inf"),
        (r"^(?:step \d+ )?tps = ([\d.]+)", "step 1 tps = 5\nstep 2 tps = NaN\n", "NaN"),
        (r'"p99": ([\d.]+)', '{"p99": 5}\n{"p99": null}\n', "null"),
    ],
)
def test_what_a_pattern_does_not_see_decides_too(
    tmp_path: Path, pattern: str, output: str, said: str
) -> None:
    source = Measuring(patterns={"m": pattern})
    with pytest.raises(MeasureError, match=f"'{said}' for 'm' is not a finite number"):
        source.read(tmp_path, output)
    # Before the last match it counts for nothing.
    first, second = output.splitlines()
    harmless = "nan\nloss=nano\nerrors = none\nlossy: nan\nerror: none\n"
    found = source.read(tmp_path, f"{second}\n{first}\n{harmless}")
    assert found in ({"m": 0.5}, {"m": 5})


@pytest.mark.parametrize(
    ("measuring", "output", "name"),
    [
        (Measuring(csv="stdout"), "value,value\n1,2\n", "value"),
        (Measuring(csv="stdout"), "p 99,n,p-99\n1,2,3\n", "p_99"),
        (Measuring(csv="stdout"), "id,v,id\na,1,b\n", "id"),
        (Measuring(), '{"a": 1, "a": 2}', "a"),
        (Measuring(), '{"o": {"k": 1, "k": 1}}', "k"),
        (Measuring(), '{"a_b": 1, "a": {"b": 2}}', "a_b"),
        (Measuring(), '{"a": {"b_c": 1, "b": {"c": null}}}', "a_b_c"),
        (Measuring(json="stdout", csv="r.csv"), '{"a": 1}', "a"),
        (Measuring(json="stdout", patterns={"a": r"(\d)"}), '{"a": 1}', "a"),
    ],
)
def test_a_name_that_stands_twice_is_refused(
    tmp_path: Path, measuring: Measuring, output: str, name: str
) -> None:
    (tmp_path / "r.csv").write_text("a,b\n1,2\n")
    with pytest.raises(MeasureError, match="twice") as caught:
        measuring.read(tmp_path, output)
    assert f"'{name}'" in str(caught.value) or f'"{name}"' in str(caught.value)


@pytest.mark.parametrize("line", ["}", "{", "]", "["])
def test_brackets_without_end_take_no_time(tmp_path: Path, line: str) -> None:
    with pytest.raises(MeasureError, match="ends with"):
        Measuring().read(tmp_path, f"{line}\n" * 10**5)


def test_columns_tell_apart_what_has_one_name(tmp_path: Path) -> None:
    found = Measuring(csv="stdout", columns=True).read(tmp_path, "a,b,a\n1,2,3\n")
    assert found == {"b": 2.0, "column_0": 1.0, "column_1": 2.0, "column_2": 3.0}
    found = Measuring(csv="stdout", columns=True).read(tmp_path, "column_1,b\n1,2\n")
    assert found == {"b": 2.0, "column_0": 1.0, "column_1": 2.0}


def test_a_row_is_not_longer_than_its_header(tmp_path: Path) -> None:
    with pytest.raises(MeasureError, match="3 cells in a row and 2 in the header"):
        Measuring(csv="stdout").read(tmp_path, "n,tps\n1,1,234\n")
    assert Measuring(csv="stdout").read(tmp_path, "n,tps\n1,2,\n") == {"n": 1.0, "tps": 2.0}


@pytest.mark.parametrize(
    ("measuring", "text"),
    [
        (Measuring(csv="stdout"), "a,b\r\n1,2\r\n"),
        (Measuring(csv="r.csv"), "a,b\n1,2\n"),
        (Measuring(), '{"a": 1, "b": 2}'),
        (Measuring(json="r.json"), '{"a": 1, "b": 2}'),
        (Measuring(patterns={"a": "^a=(.)", "b": "b=(.)$"}), "a=1 b=2"),
    ],
)
def test_a_byte_order_mark_belongs_to_no_name(
    tmp_path: Path, measuring: Measuring, text: str
) -> None:
    for name in measuring.files:
        (tmp_path / name).write_text(text, encoding="utf-8-sig")
    assert measuring.read(tmp_path, "\ufeff" + text) == {"a": 1.0, "b": 2.0}


def test_a_link_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text('{"a": 1}')
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "r.json").symlink_to(tmp_path / "secret.json")
    with pytest.raises(MeasureError):
        Measuring(json="r.json").read(folder, "")


def test_a_file_with_two_byte_order_marks_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("\ufeffa,b\n1,2\n", encoding="utf-8-sig")
    with pytest.raises(MeasureError, match=r"'m\.csv' starts with two byte order marks; write"):
        Measuring(csv="m.csv").read(tmp_path, "")
