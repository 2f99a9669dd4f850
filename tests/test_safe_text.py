"""Text that others supply: no control character is printed or stored, no cell is a formula."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.files.safe_text import (
    for_terminal,
    guarded_cell,
    plain_text,
    safe_row,
    unguarded_cell,
)

HOSTILE = "a\x1b[2Jb\x00c\u202ed\u2066e\x9bf\r\ud800"


def test_no_control_character_is_printed_or_stored() -> None:
    shown = "a\\u001b[2Jb\\u0000c\\u202ed\\u2066e\\u009bf\\u000d\\ud800"
    assert for_terminal(HOSTILE) == shown
    assert plain_text(HOSTILE) == "a\ufffd[2Jb\ufffdc\ufffdd\ufffde\ufffdf\ufffd\ufffd"
    assert for_terminal("two\tcells\nÄ 好 🙂") == plain_text("two\tcells\nÄ 好 🙂")


def test_escapes_inside_json_keep_their_meaning() -> None:
    text = json.dumps({"name": HOSTILE}, ensure_ascii=False)
    assert json.loads(for_terminal(text)) == {"name": HOSTILE}


@pytest.mark.parametrize(
    "text", ["=1+1", "+cmd|' /C calc'!A0", "-a", "@SUM(A1)", "\t=1", "\r=1", " =1", " 5"]
)
def test_a_formula_is_guarded(text: str) -> None:
    assert guarded_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["-0.5", "+1e5", "-inf", -0.5, None, "", "a=b", "'quoted'", "é"])
def test_numbers_and_other_text_stay(value: object) -> None:
    assert guarded_cell(value) == value


@given(st.text(st.sampled_from("'=+-@\t\r a1.")))
def test_a_guarded_cell_is_read_back_exactly(text: str) -> None:
    guarded = guarded_cell(text)
    assert unguarded_cell(guarded) == text
    assert guarded[:1] not in ("=", "@", "\t", "\r", " ", "+", "-") or float(guarded) is not None


def test_a_row_of_hostile_texts_is_one_line_of_plain_cells() -> None:
    sink = io.StringIO()
    csv.writer(sink, lineterminator="\n").writerow(safe_row([1, -0.5, None, "=\x1bx", "b\ufeff"]))
    assert sink.getvalue() == "1,-0.5,,'=\ufffdx,b\ufeff\n"
