"""estimate: forecast tasks, hours and cost before anything is started."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from benchmark.cli.output import notice, report
from benchmark.cli.progress import counted
from benchmark.cli.session import configuration, narrowing, stored
from benchmark.cli.setup.data import Downloads, with_name
from benchmark.compute import methods
from benchmark.config.loading import Config
from benchmark.data import Catalogue
from benchmark.errors import DataError, StoreError, as_config_errors
from benchmark.records.tasks import Run, generate_tests
from benchmark.runs import material
from benchmark.runs.costs.estimate import Estimate, Range, estimate
from benchmark.runs.costs.spending import spent
from benchmark.runs.plan import chosen_frameworks, narrowed
from benchmark.store import Store, open_store


def show_estimate(options: argparse.Namespace) -> int:
    """Estimate what the configuration asks for, without the tasks that have a result."""
    config = configuration(options)
    frameworks = {name: entry["name"] for name, entry in chosen_frameworks(config).items()}
    chosen = methods.methods_of(config, frameworks).methods
    with Downloads() as downloads:
        catalogue = Catalogue.of(config, downloads.hear)
        names = catalogue.names()
    if not names:
        raise DataError(material.why_none(catalogue))
    for name, reason in catalogue.faults.items():
        notice(f"warning: {with_name(name, reason)}")
    cells = generate_tests(list(frameworks), names, material.seeds(config))
    cells = narrowed(cells, narrowing(options))
    store = _store(config)
    present = _run(store, config.run)
    past = [
        Run.open(store or stored(config.model_copy(update={"run": name})), name)
        for name in options.past or ()
    ]
    already = spent(present) if present else 0.0
    found = estimate(config, cells, chosen, present, past, already)
    report(options, _facts(found) | {"faults": catalogue.faults}, _lines(found))
    return 1 if catalogue.faults else 0


def _store(config: Config) -> Store | None:
    """The store, or None if it does not exist yet."""
    if config.store_url.startswith("s3://"):
        with as_config_errors():
            return open_store(config.store_url)
    try:
        return stored(config)
    except StoreError:
        return None  # A folder that the first run will make.


def _run(store: Store | None, name: str) -> Run | None:
    if store is None or store.get(f"{name}/manifest.json") is None:
        return None
    return Run.open(store, name)


def _facts(found: Estimate) -> dict[str, Any]:
    return asdict(found) | {
        "tasks": found.tasks,
        "hours": asdict(found.hours),
        "cost": asdict(found.cost) if found.cost else None,
        "cost_with_machines": asdict(found.with_machines) if found.with_machines else None,
    }


def _lines(found: Estimate) -> Iterator[str]:
    has = "has a result" if found.have_results == 1 else "have results"
    had = f" ({found.have_results} more {has})" if found.have_results else ""
    yield f"Run '{found.run}' in {found.store}: {counted(found.tasks, 'task')} to run{had}"
    width = max((len(part.framework) for part in found.parts), default=0)
    for part in found.parts:
        basis = f"by {counted(part.known_from, 'result')}" if part.known_from >= 3 else "by limits"
        cost = f", {_usd(part.cost)}" if part.cost else ""
        yield (
            f"  {part.framework:{width}}  {counted(part.tasks, 'task')} on {part.method}, "
            f"{_range(part.hours)} h ({basis}){cost}"
        )
    for name, why in found.unused.items():
        yield f"  The times of the run '{name}' are not used: {why}"
    for method, words in found.rates.items():
        yield f"  {method}: {words}"
    yield f"Hours of tasks, run one after another: {_range(found.hours)}"
    if found.cost is None:
        yield "Cost: none known; no task runs on machines paid by the hour"
        return
    yield (
        f"Cost: {_usd(found.cost)} (likely; range from the minimum to every task at its hard limit)"
    )
    if found.with_machines:
        yield f"With boot and idle time, addresses, disks: likely {_usd(found.with_machines)}"
    for words in found.left_out:
        yield f"Not included: {words}"
    if found.spent:
        yield f"Spent so far: {found.spent:.2f} USD"
    if found.max_cost is None:
        yield "No cost limit is set; 'max_cost' (--max-cost USD) sets one."
    elif found.spent + found.cost.high > found.max_cost:
        yield f"'max_cost' is {found.max_cost:g} USD: the run may stop before its end."
    elif found.is_throttled:
        yield (
            f"'max_cost' is {found.max_cost:g} USD: fewer tasks run at once, because each may be "
            "alone on its machine."
        )


def _range(hours: Range) -> str:
    """Hours with as many digits as a small run needs."""
    digits = 1 if hours.likely >= 1 else 2
    return f"{hours.likely:.{digits}f} ({hours.low:.{digits}f} to {hours.high:.{digits}f})"


def _usd(cost: Range) -> str:
    return f"{cost.likely:.2f} USD ({cost.low:.2f} to {cost.high:.2f})"
