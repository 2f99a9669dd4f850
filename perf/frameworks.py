"""What each framework costs: size, install, import, overrun of a budget, the harness's own share.

    .venv/bin/python perf/frameworks.py --budget 60 optuna flaml      # all of tiers 1 and 2 without

Prints a Markdown table. Environments are built into a folder of their own, which is removed, from
the packages that uv has in its cache (a first call also downloads). Each framework is run once on
each of three data sets, or of those that `--dataset` names, on two cores; overrun is the largest of
`fit_s` less the budget, and the share is the median of the wall time without fit, predict, the
adapter's own set-up and the timing of inference, after a first task that paid for the interpreter's
start.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from figures import figure  # noqa: E402

from benchmark.config.cache import CACHE_VARIABLE  # noqa: E402
from benchmark.config.loading import Config  # noqa: E402
from benchmark.errors import BenchmarkError  # noqa: E402
from benchmark.execution.runner import Runner  # noqa: E402
from benchmark.frameworks import environments, registry  # noqa: E402
from benchmark.runs.plan import draft, plan  # noqa: E402
from benchmark.store import open_store  # noqa: E402

DATASETS = ("credit-g", "penguins", "auto-mpg")
HEAD = (
    "| framework | version | Python | MB | install s | import s | overrun s | share s | same seed |"
)


@dataclass(frozen=True)
class Costs:
    """One row of the table. Seconds; None where nothing was measured."""

    version: str
    python: str
    size_mb: float
    install_s: float
    import_s: float
    overrun_s: float | None
    share_s: float | None
    failures: int


def measured(
    framework: registry.Framework, budget_s: float, datasets: list[str], folder: str
) -> Costs:
    environment = environments.ensure(framework)
    import_s = environments.verify(framework, environment)
    overruns, shares, failures = [], [], 0
    if budget_s:
        config = Config(
            frameworks=[{"name": framework.name}],  # type: ignore[list-item]
            studies=["embedded"],
            seeds=1,
            cores=2,
            memory=3500,
            runtime=max(budget_s, framework.minimum_runtime),
            hard_limit=max(budget_s, framework.minimum_runtime) * 4,
        )
        made = plan(open_store(folder), draft(config, datasets=datasets))
        with Runner(made.run) as runner:
            for task in made.tasks:
                begin = time.perf_counter()
                record = runner.execute(task)
                wall = time.perf_counter() - begin
                if record.fit_s is None or record.predict_s is None:
                    failures += 1
                    print(f"{record.task}: {record.cause}, {record.message}", file=sys.stderr)
                    continue
                overruns.append(record.fit_s - config.runtime)
                spent = [record.fit_s, record.predict_s, record.setup_s, record.inference_s]
                shares.append(wall - sum(part or 0.0 for part in spent))
    return Costs(
        version=str(environment.version),
        python=environment.folder.joinpath("pyvenv.cfg").read_text(encoding="utf-8"),
        size_mb=environment.size_mb,
        install_s=environment.build_s,
        import_s=import_s,
        overrun_s=max(overruns) if overruns else None,
        share_s=statistics.median(shares[1:] or shares) if shares else None,
        failures=failures,
    )


def row(framework: registry.Framework, costs: Costs) -> str:
    cells = [
        framework.name,
        costs.version,
        _minor(costs.python),
        f"{costs.size_mb:.0f}",
        f"{costs.install_s:.1f}",
        f"{costs.import_s:.1f}",
        "-" if costs.overrun_s is None else f"{costs.overrun_s:.1f}",
        "-" if costs.share_s is None else f"{costs.share_s:.2f}",
        "yes" if framework.deterministic else "no",
    ]
    return "| " + " | ".join(cells) + " |"


def _minor(settings: str) -> str:
    """The interpreter's minor version, from the environment's own settings."""
    for line in settings.splitlines():
        key, _, value = line.partition("=")
        if key.strip() in ("version_info", "version"):
            return ".".join(value.strip().split(".")[:2])
    return "?"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="frameworks (default: tiers 1 and 2)")
    parser.add_argument("--budget", type=float, default=60, help="seconds; 0 runs no task")
    parser.add_argument("--dataset", action="append", help=f"default: {', '.join(DATASETS)}")
    options = parser.parse_args()
    datasets = options.dataset or list(DATASETS)
    found = registry.scan().frameworks
    names = options.names or sorted(found, key=lambda name: (found[name].tier, name))
    print(HEAD)
    print("|---" * (HEAD.count("|") - 1) + "|")
    failed = False
    for name in names:
        with tempfile.TemporaryDirectory(prefix="frameworks-") as folder:
            os.environ[CACHE_VARIABLE] = str(Path(folder, "cache"))
            framework = registry.get(name)
            try:
                costs = measured(framework, options.budget, datasets, str(Path(folder, "store")))
            except BenchmarkError as error:
                print(error, file=sys.stderr)
                failed = True
                continue
            print(row(framework, costs), flush=True)
            figure(f"{name}, environment", costs.size_mb, "MB")
            if costs.share_s is not None:
                figure(f"{name}, the harness's share", costs.share_s, "s")
            failed = failed or costs.failures > 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
