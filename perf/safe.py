"""What `safe` costs and prevents, beside the same algorithm without it and random points.

    .venv/bin/python perf/safe.py
    .venv/bin/python perf/safe.py --seeds 2

A latency over four numbers and a choice, with 1 % noise, is tuned from a default within the range.
On the cliff it is several times higher where the sum of two numbers is large, as if the memory were
used up. A breach is a trial whose latency without noise is more than 10 % above the default's.
Values are told without the sandbox.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import optuna  # noqa: E402
import transfer  # noqa: E402
from figures import figure, heading  # noqa: E402

from benchmark.store import open_store  # noqa: E402

TRIALS, DEFAULT, MARGIN, NOISE = 60, 0.3, 0.1, 0.01
BEST = {"a": 0.65, "b": 0.5, "c": 0.2, "d": 0.7}
CHOICES = {"x": 0.0, "y": -4.0, "z": 40.0}
TUNABLES: list[dict[str, Any]] = [
    {"name": name, "value_type": "double", "lower_bound": 0, "upper_bound": 1, "default": DEFAULT}
    for name in BEST
]
TUNABLES.append(
    {"name": "mode", "value_type": "categorical", "choices": list(CHOICES), "default": "x"}
)


def latency(point: dict[str, Any], has_cliff: bool) -> float:
    value = 60 + 90 * sum((point[name] - place) ** 2 for name, place in BEST.items())
    beyond = has_cliff and point["a"] + point["b"] > 1.25
    return value + CHOICES[point["mode"]] + 300 * beyond


def tuned(seed: int, has_cliff: bool, **more: Any) -> tuple[int, float]:
    """The breaches, and the best latency as a share of the default's."""
    noise, found = random.Random(seed), []
    base = latency({**dict.fromkeys(BEST, DEFAULT), "mode": "x"}, has_cliff)

    def measured(point: dict[str, Any]) -> float:
        found.append(latency(point, has_cliff) / base)
        return base * found[-1] * (1 + noise.gauss(0, NOISE))

    with tempfile.TemporaryDirectory(prefix="safe-") as folder:
        store = open_store(folder)
        study = transfer.study_of(store, "s", seed, TRIALS, tunables=TUNABLES, **more)
        transfer.run(study, measured, TRIALS)
    return sum(value > 1 + MARGIN for value in found), min(found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=6)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    print(heading("optuna"))
    kinds: dict[str, dict[str, Any]] = {
        "safe: 10%": {"safe": "10%"},
        "safe, step 20%": {"safe": {"margin": "10%", "step": "20%"}},
        "without": {},
        "random": {"algorithm": "random"},
    }
    print(f"{'':>8} {'':>16} {'breaches':>9} {'best':>6}   (of {TRIALS} trials; of the default)")
    for has_cliff in (False, True):
        shape = "cliff" if has_cliff else "smooth"
        breaches = {}
        for kind, more in kinds.items():
            runs = [tuned(seed, has_cliff, **more) for seed in range(options.seeds)]
            breaches[kind] = statistics.mean(run[0] for run in runs)
            best = statistics.mean(run[1] for run in runs)
            print(f"{shape:>8} {kind:>16} {breaches[kind]:9.1f} {best:6.3f}", flush=True)
        what = f"unsafe of {TRIALS} trials, {shape}"
        figure(what, breaches["safe: 10%"], "", peer="without", peer_value=breaches["without"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
