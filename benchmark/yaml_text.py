"""YAML from people: plain values only, and no more of them than a file's length promises.

    load("a: [1, 2]")            # {"a": [1, 2]}

An alias costs a word and stands for all that it names; a few lines of them unfold to billions of
values as soon as somebody walks over them. Who needs that many writes them down.
"""

from __future__ import annotations

from typing import Any

import yaml

LARGEST = 1_000_000


def load(text: str) -> Any:
    """The values of a document.

    Raises:
        yaml.YAMLError: it is none, an alias names what it stands in, or they unfold to too much.
    """
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _unfolded(node, {}) > LARGEST:
            raise yaml.YAMLError(f"its aliases unfold to more than {LARGEST:,} values")
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _unfolded(node: yaml.Node, known: dict[int, float]) -> float:
    """How many values a node has with its aliases unfolded; infinite where it holds itself."""
    if id(node) not in known:
        known[id(node)] = float("inf")
        total = 1.0
        if isinstance(node, yaml.MappingNode):
            total += sum(_unfolded(one, known) for pair in node.value for one in pair)
        elif isinstance(node, yaml.SequenceNode):
            total += sum(_unfolded(one, known) for one in node.value)
        known[id(node)] = total
    return known[id(node)]
