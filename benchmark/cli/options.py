"""Shorthands for the options of commands, and the types of their values."""

from __future__ import annotations

import ipaddress
import math
import re
from argparse import ArgumentParser, ArgumentTypeError, _ArgumentGroup
from collections.abc import Callable, Sequence
from typing import Any

from benchmark.files.numbers import vanishes
from benchmark.files.spelling import not_a_choice

Options = ArgumentParser | _ArgumentGroup


def flag(command: Options, name: str, text: str) -> None:
    """Add an option without a value."""
    command.add_argument(name, action="store_true", help=text)


def value(command: Options, name: str, metavar: str, text: str, **how: Any) -> None:
    """Add an option with a value; an empty one, as of "$UNSET", is refused."""
    how = {"type": _filled, **how}
    command.add_argument(name, metavar=metavar, help=text, **how)


def each(command: Options, name: str, metavar: str, text: str, **how: Any) -> None:
    """Add an option that may be repeated."""
    how = {"type": _filled, **how}
    command.add_argument(name, action="append", metavar=metavar, help=text, **how)


def choice(
    command: Options,
    *names: str,
    choices: Sequence[Any],
    type: Callable[[str], Any] = str,  # as argparse has it
    **how: Any,
) -> None:
    """Add an argument with one of these values; any other is refused with a suggestion."""

    def parse(text: str) -> Any:
        found = type(text)
        if found not in choices:
            raise ArgumentTypeError(not_a_choice(text, found, choices))
        return found

    command.add_argument(*names, choices=choices, type=parse, **how)


def _filled(text: str) -> str:
    if not text:
        raise ArgumentTypeError("it is empty; write a value, or omit the option")
    return text


def _whole(name: str, fix: str, low: int, high: float = math.inf) -> Callable[[str], int]:
    """The type of a whole number within bounds."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and low <= int(text) <= high):
            raise ArgumentTypeError(f"'{text}' is not {name}; write {fix}")
        return int(text)

    return parse


def integer(text: str) -> int:
    """Parse a whole number of any sign."""
    if not re.fullmatch(r"[-+]?[0-9]{1,4000}", text):
        raise ArgumentTypeError(f"'{text}' is not a whole number")
    return int(text)


def number(text: str) -> float:
    """Parse a number; what it may be is for the command to check."""
    try:
        found = float(text)
    except ValueError:
        found = math.inf
    lost = math.isinf(found) and "inf" not in text.lower()
    if "_" in text or lost or vanishes(text, found):
        raise ArgumentTypeError(f"'{text}' is not a number")
    return found


port = _whole("a port", "a number from 0 to 65535", 0, 65535)
trial_number = _whole("a trial's number", "0 or more", 0)
count = _whole("a count", "a whole number of 1 or more", 1)
connections = _whole("a number of connections", "a whole number from 4 to 1000", 4, 1000)


def rate(text: str) -> float:
    """Parse a rate; below 1 request a second the token bucket would never hold a token."""
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not rate >= 1:
        raise ArgumentTypeError(f"'{text}' is not a rate; write requests a second, 1 or more")
    return rate


def network(text: str) -> str:
    """Parse an IP address or network."""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise ArgumentTypeError(
            f"'{text}' is not an address; write one like 10.0.0.7, or a network like 10.0.0.0/8"
        ) from None
