"""Numbers of the gRPC contract in the types of all its versions.

A parser keeps a field of another type than the declared one among the unknown ones, so that a
message may carry a number as each version wants it, and another message reads the same bytes.
"""

from __future__ import annotations

import struct
from typing import Any

from benchmark.hpo.service.classic import hpo_pb2 as pb

_INT32 = 2**31


def bound(tunable: Any, name: str) -> float:
    """`lower_bound` or `upper_bound` of a tunable, as exact as its client sent it."""
    return _number(tunable, name, pb.Int32Bounds, pb.DoubleBounds)


def result(reply: Any) -> float:
    """The value of a trial's result."""
    return _number(reply, "value", pb.DoubleResult)


def optimum(value: float, **texts: str) -> Any:
    """The best value, for clients of every version."""
    made = pb.RecommendedConfigReply.OptimalValue(value=value, exact_value=value, **texts)
    made.MergeFromString(pb.DoubleOptimum(value=value).SerializeToString())
    return made


def set_bounds(tunable: Any, low: float, high: float) -> None:
    """Give a tunable its bounds, for clients of every version."""
    tunable.lower_bound, tunable.exact_lower_bound = low, low
    tunable.upper_bound, tunable.exact_upper_bound = high, high
    whole = pb.Int32Bounds(lower_bound=_int32(low), upper_bound=_int32(high))
    tunable.MergeFromString(whole.SerializeToString())


def _number(message: Any, name: str, *others: Any) -> float:
    if message.HasField(f"exact_{name}"):
        return float(getattr(message, f"exact_{name}"))
    declared = getattr(message, name)
    if declared:
        return _shortest(declared)
    data = message.SerializeToString()
    # What a client left out is zero in every type.
    return float(next(filter(None, (getattr(one.FromString(data), name) for one in others)), 0))


def _shortest(value: float) -> float:
    """The decimal of fewest digits that is the same float of 32 bits: 98.7 comes as 98.69999695."""
    for digits in range(6, 9):
        short = float(f"{value:.{digits}g}")
        if _as_float32(short) == value:
            return short
    return value


def _as_float32(value: float) -> float:
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return float("inf")


def _int32(value: float) -> int:
    return max(-_INT32, min(_INT32 - 1, int(value)))
