"""YAML by the core schema of 1.2, each key once, and no aliases that expand without end."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.data import Catalogue
from benchmark.files import yaml_text
from benchmark.hpo.spec.documents import StudyError, read_document

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


def test_aliases_are_read() -> None:
    assert yaml_text.load("a: &x {n: 1}\nb: *x\nc: {<<: *x}") == {
        **{"a": {"n": 1}, "b": {"n": 1}},
        "c": {"n": 1},
    }
    assert yaml_text.load("") is None


@pytest.mark.parametrize("text", [BOMB, "a: &a [*a]", "a: &a {b: *a}"])
def test_aliases_that_expand_without_end_are_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(yaml.YAMLError, match="its aliases expand to more than 1,000,000 values"):
        yaml_text.load(text)
    file = tmp_path / "bomb.yaml"
    file.write_text(text)
    with pytest.raises(
        StudyError, match="its aliases expand to more than 1,000,000 values"
    ) as raised:
        read_document(file)
    assert len(str(raised.value)) < 1000
    (fault,) = Catalogue([], [str(file)]).faults.values()
    assert "aliases expand" in fault


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system ['true']",
        *("!!timestamp 2026-01-31", "!!binary aGk=", "!!set {a, b}", "!!bool yes", "!!int 1_0"),
        *("!!float 12:30", "!!int [1]", "9" * 5000),
    ],
)
def test_tags_build_nothing_but_plain_values(text: str) -> None:
    with pytest.raises(yaml.YAMLError):
        yaml_text.load(text)


TEXTS = (
    *("on", "off", "yes", "no", "Yes", "OFF", "y", "n", "0644", "-0755", "007", "00.5", "12:30"),
    *("1:2:3", "190:20:30.15", "1_000", "0b101", "2026-01-31", "2026-01-31T10:00:00Z", "1.2.3"),
    *("=", "0o8", "0xG", "1e", ".", "tRUE", "nUll", "nan", "inf", "1 000", "0-1"),
)


@pytest.mark.parametrize("text", TEXTS)
def test_what_only_yaml_1_1_reads_otherwise_is_text(text: str) -> None:
    assert yaml_text.load(f"a: {text}") == {"a": text}
    assert yaml_text.load(f"{text}: 1") == {text: 1}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("1e-5", 1e-5), ("1e5", 1e5), ("-.5", -0.5), ("5.", 5.0), ("1.50", 1.5), ("+3", 3)),
        *(("0", 0), ("0.0", 0.0), ("0o644", 420), ("0x1F", 31), ("-12", -12), (".inf", math.inf)),
        *(("true", True), ("False", False), ("null", None), ("~", None), ("", None)),
        *(("'1'", "1"), ('"true"', "true"), ("!!str 12", "12"), ("12345678901234567890123",) * 2),
    ],
)
def test_core_schema(text: str, value: object) -> None:
    if text == value:
        value = int(text)
    (found,) = yaml_text.load(f"- {text}")
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize("text", ["1e400", "-1e999", "!!float 1e400", "9" * 400 + ".0"])
def test_a_number_that_no_float_holds_is_refused(text: str) -> None:
    with pytest.raises(yaml.YAMLError, match="is too large for a floating-point number"):
        yaml_text.load(f"a: {text}")


@pytest.mark.parametrize("text", ["1e-400", "-1e-999", "!!float .01e-330", f"0.{'0' * 400}1"])
def test_a_number_that_would_be_0_is_refused(text: str) -> None:
    with pytest.raises(yaml.YAMLError, match="is too near to 0 for a floating-point number"):
        yaml_text.load(f"a: {text}")
    assert yaml_text.load(f"a: {text}", rounded=True) == {"a": 0}
    assert yaml_text.load("[0.0, -0e-5, 5e-324]") == [0.0, 0.0, 5e-324]


@pytest.mark.parametrize(
    "text",
    [
        *("a: 1\na: 2", "x: {a: 1, b: 2, a: 1}", "{1: a, '1': b}", "{0x1: a, 1: b}", "on:\non:"),
        *("{1: a, 1.0: b}", "{true: a, 1: b}", "{0.0: a, false: b}"),
    ],
)
def test_a_key_stands_once(text: str, tmp_path: Path) -> None:
    with pytest.raises(yaml.YAMLError, match="occurs twice"):
        yaml_text.load(text)
    file = tmp_path / "s.yaml"
    file.write_text(text)
    with pytest.raises(StudyError, match="occurs twice"):
        read_document(file)
    # In a declaration of data, 1 and 1.0 are names of columns as they are written.
    numbers = "1: a, 1.0" in text or "0x1" in text or "true" in text or "0.0" in text
    (fault,) = Catalogue([], [str(file)]).faults.values()
    assert ("unknown key" if numbers else "occurs twice") in fault


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: s\nlimits:\n\ttime: 20\n", "a tab where YAML takes spaces only; write spaces at l"),
        ("name:\ts\n", "write spaces at line 1, column 6."),
        ("limits: &a {time: 20, memory: *a}\n", "1,000,000 values, because one contains itself."),
        ("limits: *none\n", "found undefined alias 'none' at line 1, column 9."),
        ("name: s\n---\nname: b\n", "found another document at line 2, column 1."),
        ("name: s\u00e9\n".encode("latin-1"), "cannot be read: it is not UTF-8; save it as UTF-8."),
        ("name: s\n".encode("utf-16"), "cannot be read: it is not UTF-8; save it as UTF-8."),
    ],
)
def test_a_file_that_is_not_yaml_is_refused_in_one_sentence(
    text: str | bytes, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "s.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(StudyError) as raised:
        read_document(file)
    assert said in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_a_byte_order_mark_change_nothing(
    ending: str, mark: str, tmp_path: Path
) -> None:
    file = tmp_path / "s.yaml"
    lines = ["name: s", "objective:", "  command: |", "    a", "    b", "limits: {time: 20}", ""]
    file.write_bytes((mark + ending.join(lines)).encode())
    assert read_document(file) == {
        "name": "s",
        "objective": {"command": "a\nb\n"},
        "limits": {"time": 20},
    }


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()


# YAML takes no longer key than 1,024 characters, of which JSON needs up to twelve for one.
KEYS = st.text(max_size=80)


@given(st.dictionaries(KEYS, SCALARS | st.lists(SCALARS, max_size=3), max_size=4))
@settings(max_examples=100)
def test_json_is_yaml(values: dict[str, object]) -> None:
    """JSON quotes every text, so that any reader of YAML reads the same."""
    text = json.dumps(values, allow_nan=False) if _is_finite(values) else "{}"
    assert repr(yaml_text.load(text)) == repr(json.loads(text))


def _is_finite(values: dict[str, object]) -> bool:
    return "Infinity" not in json.dumps(values)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    assert yaml_text.load("\ufeffa: 1") == {"a": 1}
    for name, text in (("s.yaml", "name: x"), ("s.json", '{"name": "x"}')):
        (tmp_path / name).write_text(text, encoding="utf-8-sig")
        assert read_document(tmp_path / name) == {"name": "x"}
