"""YAML from users, by the core schema of YAML 1.2: plain values only, and each key once.

    load("a: [1, 2]")                           # {"a": [1, 2]}
    load("[on, off, 0644, 12:30, 1_000]")       # texts, unchanged
    load("[true, 1e-5, 0o644, 0x1F, ~]")        # [True, 1e-05, 420, 31, None]

YAML 1.1, which PyYAML reads, turns `on` and `no` into booleans, `0644` into 420, `12:30` into 750
and `2026-01-31` into a date; here these are texts. A number with a superfluous leading 0 is
a text too, because its reader cannot know whether it is one (`0644` is 644 by the letter of 1.2).

A few lines of nested aliases can expand to billions of values, so the number of values after
expansion is limited.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable
from typing import Any

import yaml

from benchmark.files.json_text import BYTE_ORDER_MARK
from benchmark.files.numbers import vanished, vanishes

LARGEST = 1_000_000

_NULL = r"~|null|Null|NULL|"
_BOOL = r"true|True|TRUE|false|False|FALSE"
_INT = r"[-+]?(0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+"
_FLOAT = (
    r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)


def load(text: str, *, numbers: bool = True, rounded: bool = False) -> Any:
    """The values of a document; without `numbers`, numbers and booleans stay text as written.

    If `rounded`, 1e400 is infinite and 1e-400 is 0, for a caller that also has the text and refuses
    them elsewhere.

    Raises:
        yaml.YAMLError: it is not YAML, a key occurs twice, an alias contains itself, aliases
            expand to too many values, or a number is too large or too near to 0.
    """
    loader = (_Loader if numbers else _TextLoader)(text.removeprefix(BYTE_ORDER_MARK))
    loader.rounded = rounded
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        size = _unfolded(node, {})
        if size > LARGEST:
            why = ", because one contains itself" if math.isinf(size) else ""
            raise yaml.YAMLError(f"its aliases expand to more than {LARGEST:,} values{why}")
        return loader.construct_document(node)
    finally:
        loader.dispose()


def reason(error: Exception) -> str:
    """The error in one line, with line and column."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return " ".join(str(error).replace('in "<unicode string>", ', "at ").split())[:200]
    text = ", ".join(filter(None, (error.context, error.problem)))[:200]
    if "'\\t'" in text:
        text = "a tab where YAML takes spaces only; write spaces"
    mark = error.problem_mark or error.context_mark
    return f"{text} at line {mark.line + 1}, column {mark.column + 1}" if mark else text


class _Loader(yaml.SafeLoader):
    """PyYAML's parser with the scalars of YAML 1.2, and `<<` of 1.1."""

    rounded = False

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        if isinstance(node, yaml.MappingNode):  # A tag such as !!map may precede anything.
            self._check_keys(node)
        return super().construct_mapping(node, deep=deep)

    def _check_keys(self, node: yaml.MappingNode) -> None:
        """Refuse a duplicate key; explicit keys override those merged by `<<`."""
        seen: set[Any] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            # 1 and "1" would be the same key in the stored JSON; 1, 1.0 and true in the mapping.
            value = key.value if key.tag == _MERGE else self.construct_object(key)
            if seen & {key.value, str(value), value}:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key.value}' occurs twice", key.start_mark
                )
            seen |= {key.value, str(value), value}


class _TextLoader(_Loader):
    """Only null is read as a value; all other plain scalars are text."""


# Separate tables: the parent's are those of YAML 1.1.
_Loader.yaml_implicit_resolvers = {}
_TextLoader.yaml_implicit_resolvers = {}
_Loader.yaml_constructors = {}
_MERGE = "tag:yaml.org,2002:merge"


def _scalar(pattern: str, made: Callable[[str], Any]) -> Callable[[_Loader, yaml.Node], Any]:
    """The value of a scalar, checked against the pattern: a tag such as !!int fits any text."""

    def construct(loader: _Loader, node: yaml.Node) -> Any:
        text = str(node.value)
        problem = f"'{text[:40]}' is not {node.tag.rpartition(':')[2]}"
        if re.fullmatch(pattern, text) is not None:
            try:
                found = made(text)
                if loader.rounded or "inf" in text.lower():
                    return found
                if isinstance(found, float) and math.isinf(found):
                    problem = f"'{text[:40]}' is too large for a floating-point number"
                elif isinstance(found, float) and vanishes(text, found):
                    problem = vanished(text)
                else:
                    return found
            except ValueError:
                problem = f"'{text[:40]}…' has too many digits"
        raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)

    return construct


def _number(text: str) -> float:
    sign, _, name = text.lower().rpartition(".")
    return float(sign + name) if name in ("inf", "nan") else float(text)


def _text(loader: _Loader, node: yaml.ScalarNode) -> str:
    """A text; escapes such as "\\ud83d\\ude00", as JSON writes them, are one character."""
    text = str(loader.construct_scalar(node))
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise yaml.constructor.ConstructorError(
            None, None, "half of a surrogate pair is not text", node.start_mark
        ) from None


def _resolve(kind: str, pattern: str, first: str, made: Callable[[str], Any]) -> None:
    """Give plain scalars that start with one of `first` and match the pattern this tag."""
    tag = f"tag:yaml.org,2002:{kind}"
    whole = re.compile(rf"(?:{pattern})\Z")
    for loader in (_Loader, _TextLoader) if kind == "null" else (_Loader,):
        loader.add_implicit_resolver(tag, whole, [*first, *([""] if kind == "null" else [])])
    _Loader.add_constructor(tag, _scalar(pattern, made))


_resolve("null", _NULL, "~nN", lambda _: None)
_resolve("bool", _BOOL, "tTfF", lambda text: text.lower() == "true")
_resolve("int", _INT, "-+0123456789", lambda text: int(text, 0))
_resolve("float", _FLOAT, "-+.0123456789", _number)
for _loader in (_Loader, _TextLoader):
    _loader.add_implicit_resolver(_MERGE, re.compile(r"<<\Z"), ["<"])
_Loader.add_constructor("tag:yaml.org,2002:str", _text)
for _kind in ("seq", "map"):
    _tag = f"tag:yaml.org,2002:{_kind}"
    _Loader.add_constructor(_tag, yaml.SafeLoader.yaml_constructors[_tag])
_Loader.add_constructor(None, yaml.SafeLoader.yaml_constructors[None])


def _unfolded(node: yaml.Node, known: dict[int, float]) -> float:
    """The number of values of a node with its aliases expanded; infinite if it holds itself."""
    if id(node) not in known:
        known[id(node)] = float("inf")
        total = 1.0
        if isinstance(node, yaml.MappingNode):
            total += sum(_unfolded(one, known) for pair in node.value for one in pair)
        elif isinstance(node, yaml.SequenceNode):
            total += sum(_unfolded(one, known) for one in node.value)
        known[id(node)] = total
    return known[id(node)]
