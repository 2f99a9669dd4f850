"""The value of a metric that a pattern finds on standard output: whole, and the last one there.

    of_pattern("tps", r"tps = ([0-9.]+)", "tps = 5\\ntps = 6.5\\n", None)      # 6.5

A part of a number is refused (`1` of `1,234.5`, `3` of `3,14`), and so is what may be one (`1` of
`1 234`, which may be two columns or have a blank between thousands), and a value after which the
same label has another one that the pattern does not match (`tps = -1`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from benchmark.hpo.objectives.metrics.measured_values import (
    MeasureError,
    NotThereError,
    as_quantity,
    cell_number,
)
from benchmark.hpo.objectives.patterns import Found, last
from benchmark.hpo.space.units import Unit, unknown_unit

_NO_NUMBERS = "nan|inf|infinity|null|none|n/a|na|error|failed|undefined"
_LONGEST_LABEL = 80
# How many later values of a label are looked at; each takes a search with the pattern.
_MOST_LATER = 10
# What makes a number longer: digits, a fraction, an exponent; a whole part also thousands.
_MORE = re.compile(r"\d+|\.\d+|[eE][-+]?\d+")
_MARK = r"[,'\u2019_\u00a0\u2007\u2009\u202f]"
_THOUSANDS = re.compile(rf"{_MARK}\d{{3}}(?!\d)")
# A fraction behind a decimal comma; with more commas it is a list, and a row of two numbers begins
# its line.
_FRACTION = re.compile(r",\d{1,2}(?![\d.,]*\d)")
_LABELLED_FRACTION = re.compile(r",\d+(?![\d.,]*\d)")
_BEFORE_FRACTION = re.compile(r"(?<![\d.,])\d+,$")
_RATE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*[A-Za-z]\S{0,12}(?:/\S+|ps)\s*")
_WHOLE_PART = re.compile(rf"(?<![\d.,'])(?<!\d[eE])(?<!\d[eE][-+])\d+(?:{_MARK}\d{{3}})*$")
# One blank, as between thousands; dates, addresses and shares are no part of a number.
_BLANK_BEFORE = re.compile(r"(?<![\w.,'])[1-9]\d{0,2}(?: \d{3})* $")
_BLANK_AFTER = re.compile(r"(?: \d{3})+(?![\d:/-]|\.\d+\.)(?:[.,]\d+)?")


def of_pattern(name: str, pattern: str, stdout: str, unit: Unit | None) -> Any:
    """The number, or quantity, in the first group of the last match.

    Raises:
        MeasureError: there is no number, the group has only a part of one, a unit follows that the
            group leaves out, or a later value is not matched.
        PatternError: the pattern takes too long.
    """
    match = last(pattern, stdout)
    if match is None:
        lines = [line.strip() for line in stdout.splitlines() if line.strip()]
        shown = f"; its last line is '{lines[-1][:120]}'" if lines else ", which is empty"
        raise NotThereError(
            f"Standard output has nothing that matches '{pattern}' for '{name}'{shown}."
        )
    number = cell_number(match.text)
    value = as_quantity(match.text, unit) if number is None else number
    if value is None:
        rate = _RATE.fullmatch(match.text)
        fix = f": rates have no unit; let the group match only '{rate[1]}'" if rate else ""
        if not rate and (unknown := unknown_unit(match.text)):
            fix = f": {unknown}"
        raise MeasureError(f"'{match.text[:80]}' for '{name}' is not a finite number{fix}.")
    later = _later(pattern, stdout, match)
    if later is not None and re.fullmatch(f"[-+]?(?:{_NO_NUMBERS})", later, re.IGNORECASE):
        raise MeasureError(f"'{later[:80]}' for '{name}' is not a finite number.")
    if later is not None:
        raise MeasureError(
            f"'{later[:80]}' for '{name}' comes after the last match, '{match.text[:80]}', and is "
            "not matched by its pattern; let the group match every value, such as (\\S+)."
        )
    whole = _whole(stdout, match)
    if whole != match.text:
        raise MeasureError(
            f"'{match.text[:80]}' for '{name}' is a part of '{whole[:80]}'; let the group match "
            "all of the number, or let the pattern match what stands around the group."
        )
    blanks = _with_blanks(stdout, match)
    if blanks != match.text:
        raise MeasureError(
            f"'{match.text[:80]}' for '{name}' may be a part of '{blanks[:80]}', a number with "
            "blanks between its thousands; print it without them, or let the pattern match what "
            "stands around the group."
        )
    end = match.group_start + len(match.text)
    follows = re.compile(r"[A-Za-zµμ%]+").match(stdout, end)
    if number is not None and match.end == end and follows and unit is None:
        raise MeasureError(
            f"'{match.text}' for '{name}' is followed by '{follows[0][:20]}', which its pattern "
            f"leaves out; take the unit into the group, or match it behind the group."
        )
    return value


def _whole(stdout: str, match: Found) -> str:
    """The number that the group is in, by what the pattern leaves out around the group.

    Digits just before the group are looked at in any case: a `.*` takes them from it.
    """
    begin, end = match.group_start, match.group_start + len(match.text)
    text = match.text
    if match.end == end:
        more = _MORE.match(stdout, end)
        if more is None and _WHOLE_PART.search(text):
            more = _THOUSANDS.match(stdout, end)
        line = stdout[stdout.rfind("\n", 0, end) + 1 : end]
        if more is None and (part := _WHOLE_PART.search(line[-_LONGEST_LABEL:])):
            more = (_FRACTION if part[0] == line else _LABELLED_FRACTION).match(stdout, end)
        text += more[0] if more else ""
    before = stdout[max(0, begin - _LONGEST_LABEL) : begin]
    found = re.search(r"[\d.,']*\d\.?$", before)
    if found is None and match.start == begin:
        # A minus behind a word, a number or a bracket is a hyphen.
        found = re.search(r"(?<![\w.)\]])[-\u2212]\.?$", before)
        if re.match(r"\d{3}(?!\d)", match.text) and re.search(rf"{_MARK}$", before):
            found = found or (_WHOLE_PART.search(before[:-1]) and re.search(r"\d*.$", before))
        if re.match(r"\d+(?![\d.,]*\d)", stdout[begin:]):
            found = found or _BEFORE_FRACTION.search(before)
    return text if found is None else f"{found[0]}{text}"


def _with_blanks(stdout: str, match: Found) -> str:
    """The group, with digits in threes beside it at one blank that the pattern leaves out."""
    begin, end = match.group_start, match.group_start + len(match.text)
    text = match.text
    if match.end == end and re.fullmatch(r"[-+\u2212]?[1-9]\d{0,2}", text):
        more = _BLANK_AFTER.match(stdout, end)
        text += more[0] if more else ""
    if match.start == begin and re.match(r"\d{3}(?!\d)", match.text):
        before = _BLANK_BEFORE.search(stdout[max(0, begin - _LONGEST_LABEL) : begin])
        text = (before[0] if before else "") + text
    return text


def _later(pattern: str, stdout: str, match: Found) -> str | None:
    """What stands for the value after the last match, such as `nan` in `loss=nan` where
    loss=([0-9.]+) had matched before: a value is one that would match if it were the old one."""
    begin = max(match.start, match.group_start - _LONGEST_LABEL)
    label = re.search(r"(\w+)(\W*)$", stdout[begin : match.group_start])
    if label is None:
        return None
    tail = re.match(r"\S*", stdout[match.group_start : match.end])
    olds = dict.fromkeys([match.text, tail[0] if tail else match.text])
    for place, text in _values(stdout, label, match.end):
        if re.fullmatch(f"[-+]?(?:{_NO_NUMBERS})", text, re.IGNORECASE):
            return text
        for old in olds:
            found = last(pattern, stdout[:place] + old + stdout[place + len(text) :])
            if found is not None and (found.group_start, found.text) == (place, match.text):
                return text
    return None


def _values(stdout: str, label: re.Match[str], start: int) -> Iterator[tuple[int, str]]:
    """What stands later behind the same label, without and with what may close it.

    Only what looks like a number, or like none where one belongs: a word may be a part of a
    sentence.
    """
    marks = [re.escape(mark) for mark in label[2] if not mark.isspace()]
    gap = r"\s*" if "\n" in label[2] else r"[^\S\n]*"
    value = r"[-+\u2212]?[.,]?\d\S*"
    if set(label[2]) & set("=:"):
        value += r"|[-*?\u2013\u2014]+(?!\S)"
    head = gap.join([rf"\b{re.escape(label[1])}", *marks])
    wanted = rf"{head}(?:\s*([-+]?(?:{_NO_NUMBERS})\b)|{gap}({value}))"
    later = list(re.compile(wanted, re.IGNORECASE).finditer(stdout, start))
    for one in islice(reversed(later), _MOST_LATER):
        place, text = one.start(one.lastindex or 0), one[one.lastindex or 0]
        short = re.match(r"[^,;)\]}\"']+", text)
        yield from ((place, it) for it in dict.fromkeys([short[0] if short else text, text]))
