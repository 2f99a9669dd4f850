"""How far a PromQL query looks back, by its ranges, subqueries and offsets.

    looked("max_over_time(rate(a[1m])[5m:10s] offset 1h)", 20).seconds      # 3960.0
    looked("increase(a[$window])", 20, window_s=60).text                    # "increase(a[60000ms])"

A subquery evaluates what is before it at each of its steps, so that both look back together.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

WINDOW = "$window"
_UNITS_S = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536e3}
_PART = re.compile(r"(\d+)(ms|[smhdwy])")
# Seconds, as Prometheus 3 reads a number without a unit.
_NUMBER = re.compile(r"\d+(\.\d*)?([eE][-+]?\d+)?|\.\d+([eE][-+]?\d+)?")
_TEXT = re.compile(r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`|#[^\n]*""")
_TOKEN = re.compile(
    r"(?P<labels>\{[^}]*\})|\[(?P<range>[^\]]*)\]|\boffset\s+(?P<offset>[-+]?\s*[$\w.]+|\()"
    r"|@\s*(?P<at>\w+|[-+.\d]+)|(?P<open>\()|(?P<close>\))"
    r"|(?P<operator>\b(?:and|or|unless|atan2)\b(?!:)|[-+*/%^<>=!,]+)|(?P<name>[\w:.]+)"
)

# What has no metric in it: matchers, ranges, and the labels after by (…) and its kin.
_LABELS = re.compile(
    r"\{[^}]*\}|\[[^\]]*\]|\boffset\s+[-+]?\s*[$\w.]+"
    r"|\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)",
    re.IGNORECASE,
)
_NAME = re.compile(r"(?<![\w.:$])(?P<name>[A-Za-z_:][\w:]*)\s*(?P<call>\()?")
_SELECTOR = re.compile(r"(?<![\w.:$\"'])(?P<metric>[A-Za-z_:][\w:]*)\s*(?P<labels>\{[^{}]*\})")
_MATCHER = re.compile(r"""([A-Za-z_]\w*)\s*(=~|!~|!=|=)\s*["'`]([^"'`\\]*)["'`]""")
_WORDS = {
    *("by", "without", "on", "ignoring", "group_left", "group_right", "bool", "offset"),
    *("and", "or", "unless", "atan2", "inf", "nan", "start", "end"),
}


@dataclass
class Looked:
    """How far a query looks back, in seconds; its text for a window; what cannot be read in it."""

    seconds: float = 0.0
    text: str = ""
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Selector:
    """A metric with matchers of labels, such as `{job="a", code=~"5.."}`.

    `equal` has the values of labels that are compared by `=`.
    """

    metric: str
    labels: str
    equal: dict[str, str]

    @property
    def text(self) -> str:
        return self.metric + self.labels


def duration_s(text: str) -> float | None:
    """A duration such as 1h30m, or a number of seconds; None if it is neither."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(int(number) * _UNITS_S[unit] for number, unit in parts)


def looked(query: str, selector_s: float, window_s: float = 0.0) -> Looked:
    """Read a query in which a selector without a range looks back by `selector_s`.

    `$window` becomes the window's length; as the range of a subquery it becomes shorter by what the
    expression before it looks back, so that both together are the window.
    """
    found = Looked()
    written, done = [], 0
    # For each open parenthesis: the longest of the finished operands, and the one being read.
    stack = [[0.0, 0.0]]
    bare = _TEXT.sub(lambda match: " " * len(match[0]), query)
    for token in _TOKEN.finditer(bare):
        kind, frame = token.lastgroup, stack[-1]
        if kind == "open":
            stack.append([0.0, 0.0])
        elif kind == "close" and len(stack) > 1:
            inner = max(stack.pop())
            stack[-1][1] = max(stack[-1][1], inner)
        elif kind == "operator":
            frame[:] = [max(frame), 0.0]
        elif kind == "range":
            length, colon, _ = token["range"].partition(":")
            inner = max(frame[1], selector_s) if colon else 0.0
            if length.strip() == WINDOW:
                # Where nothing is left of the window, both together are longer than it.
                left_ms = max(1, _whole_ms(window_s - inner))
                start = token.start("range")
                written += [query[done:start], f"{left_ms}ms"]
                done = start + len(length)
                seconds = left_ms / 1000
            else:
                seconds = _read(length, f"[{token['range']}]", found.faults)
            frame[1] = max(frame[1], inner + seconds)
        elif kind == "offset":
            frame[1] = (frame[1] or selector_s) + _offset_s(token["offset"], window_s, found.faults)
        elif kind == "at" and token["at"] not in ("start", "end"):
            found.faults.append(f"has '@ {token['at']}', a time outside of the window")
    written.append(query[done:])
    found.text = "".join(written).replace(WINDOW, f"{_whole_ms(window_s)}ms")
    found.seconds = max(map(max, stack))
    return found


def metrics_in(query: str) -> list[str]:
    """The names of metrics in a query, without functions, labels and numbers."""
    bare = _LABELS.sub(" ", _TEXT.sub(" ", query))
    found = (match for match in _NAME.finditer(bare) if not match["call"])
    return list(dict.fromkeys(one["name"] for one in found if one["name"].lower() not in _WORDS))


def selectors_in(query: str) -> list[Selector]:
    """Each metric with its labels in braces; one with a text that has a brace is left out."""
    found = []
    for match in _SELECTOR.finditer(query):
        metric, labels = match["metric"], match["labels"]
        matchers = _MATCHER.findall(labels)
        equal = {label: value for label, how, value in matchers if how == "=" and value}
        found.append(Selector(metric, labels, equal))
    return found


def _whole_ms(seconds: float) -> int:
    return math.floor(seconds * 1000 + 1e-3)


def _read(text: str, shown: str, faults: list[str]) -> float:
    seconds = duration_s(text)
    if seconds is None:
        faults.append(f"has '{shown}', whose length is unknown; write a duration such as 5m")
    return seconds or 0.0


def _offset_s(text: str, window_s: float, faults: list[str]) -> float:
    if text == WINDOW:
        return window_s
    if text.startswith("-"):
        faults.append(f"has 'offset {text}', which looks at samples from after the window")
        return 0.0
    return _read(text.removeprefix("+"), f"offset {text}", faults)
