"""Commands that prepare where tasks run: init-compute, refresh-compute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmark.cli.output import agreed, notice, report
from benchmark.cli.progress import counted
from benchmark.cli.session import configuration
from benchmark.cli.setup.images import built_images
from benchmark.compute import methods
from benchmark.runs.plan import chosen_frameworks

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

    from benchmark.compute.aws.clients import Aws
    from benchmark.compute.aws.resources import Site
    from benchmark.config.loading import Config

_KEYS = {
    "repo_ssh_key": "The code goes to the store as a bundle, so no repository is cloned",
    "ec2_ssh_key": "No one logs in to the machines; their logs are in the store",
}


def init_compute(options: argparse.Namespace) -> int:
    """Prepare everything that tasks need where they run; on AWS also the data."""
    return _prepare(options, data=True)


def refresh_compute(options: argparse.Namespace) -> int:
    """Do the same without the data."""
    return _prepare(options, data=False)


def _prepare(options: argparse.Namespace, *, data: bool) -> int:
    config = configuration(options)
    used = _methods(config)
    cloud = bool(used & {"batch", "baremetal"}) or options.create or options.destroy
    if not cloud:
        images = built_images(options, config, options.push)
        report(options, images.facts, images.lines)
        return images.code
    for key, why in _KEYS.items():
        if getattr(config, key):
            notice(f"'{key}' is set and not used: {why}. The key stays on this machine.")
    return (
        _destroyed(options, config) if options.destroy else _in_cloud(options, config, used, data)
    )


def _in_cloud(options: argparse.Namespace, config: Config, used: set[str], data: bool) -> int:
    from benchmark.compute.aws.clients import Aws
    from benchmark.compute.batch.definition import definitions
    from benchmark.compute.batch.image import repository

    aws = Aws()
    _may(aws, config, options, used)
    facts: dict[str, Any] = {"made": [], "data": [], "images": [], "definitions": []}
    if options.create:
        facts["made"], config = _created(aws, config)
    code = 0
    if config.store_url.startswith("s3://"):
        if data:
            facts["data"], code = _data(config)
        facts["bundle"] = _bundle(config)
    if "batch" in used or options.push:
        place = options.push or repository(aws, config)
        found = built_images(options, config, place)
        facts["images"], code = found.facts, max(code, found.code)
        for line in found.lines:
            notice(line)
        if "batch" in used and not found.code:
            facts["definitions"] = definitions(aws, config)
    report(options, facts, _summary(facts))
    return code


def _methods(config: Config) -> set[str]:
    names = {label: str(entry["name"]) for label, entry in chosen_frameworks(config).items()}
    return set(methods.methods_of(config, names).methods.values())


def _may(aws: Aws, config: Config, options: argparse.Namespace, used: set[str]) -> None:
    from benchmark.compute.aws import permissions

    needed: tuple[str, ...] = permissions.STORE
    needed += permissions.BATCH + permissions.IMAGES if "batch" in used else ()
    needed += permissions.FLEET if "baremetal" in used else ()
    needed += permissions.CREATE if options.create or options.destroy else ()
    note = permissions.check(aws, config, needed)
    if note:
        notice(f"warning: {note}")


def _created(aws: Aws, config: Config) -> tuple[list[dict[str, Any]], Config]:
    """Create what is missing; return it and the configuration with the names of it."""
    from benchmark.compute.aws.resources import Site, create

    made: list[dict[str, Any]] = []
    named: dict[str, Any] = {}
    for step in create(Site(aws, config)):
        notice(step.line)
        made.append({"what": step.what, "done": step.done, "id": step.id})
        if step.key and not getattr(config, step.key):
            named[step.key] = step.id
    if named:
        notice("Put these into batch.config:")
        for key, value in named.items():
            notice(f'  "{key}": "{value}",')
    return made, config.model_copy(update=named)


def _destroyed(options: argparse.Namespace, config: Config) -> int:
    from benchmark.compute.aws.clients import Aws
    from benchmark.compute.aws.resources import FAILED, Site, destroy

    aws = Aws()
    _may(aws, config, options, set())
    site = Site(aws, config)
    if not options.yes and not agreed(_question(site)):
        notice("Nothing was removed.")
        return 1
    facts = []
    for step in destroy(site):
        facts.append({"what": step.what, "done": step.done, "id": step.id})
        notice(step.line)
    failed = sum(fact["done"].startswith(FAILED) for fact in facts)
    again = f"; {failed} could not be removed: run the command again" if failed else ""
    report(options, facts, [f"{counted(len(facts), 'resource')} looked at; see above{again}"])
    return 1 if failed else 0


def _question(site: Site) -> str:
    from benchmark.compute.aws.resources import all_of

    there = [one.title for one in all_of(site) if one.find() and one.is_ours()]
    return f"Remove {', '.join(there) or 'nothing'} in {site.aws.region}?"


def _data(config: Config) -> tuple[list[str], int]:
    """Put the data sets into the store; those present by their hash are not sent again."""
    from benchmark.cli.setup.data import Downloads
    from benchmark.data import Catalogue
    from benchmark.execution.published import publish
    from benchmark.store import open_store

    store = open_store(config.store_url)
    with Downloads() as downloads:
        catalogue = Catalogue.of(config, downloads.hear)
        entries = catalogue.ready(catalogue.names())
    for name, entry in entries.items():
        publish(store, name, entry)
    for name, reason in catalogue.faults.items():
        notice(f"warning: {name}: {reason}")
    return list(entries), 1 if catalogue.faults else 0


def _bundle(config: Config) -> dict[str, Any]:
    from benchmark.compute import images
    from benchmark.store import open_store

    path, new = images.publish_code(open_store(config.store_url), config)
    return {"path": path, "sent": new}


def _summary(facts: Mapping[str, Any]) -> Iterator[str]:
    made = [one for one in facts["made"] if one["done"] == "made"]
    if facts["made"]:
        yield f"{counted(len(made), 'resource')} created, {len(facts['made']) - len(made)} existed"
    if facts["data"]:
        yield f"{counted(len(facts['data']), 'data set')} in the store"
    if "bundle" in facts:
        state = "sent" if facts["bundle"]["sent"] else "up to date"
        yield f"Code: {facts['bundle']['path']} ({state})"
    if facts["images"]:
        yield f"{counted(len(facts['images']), 'image')}"
    if facts["definitions"]:
        yield f"Job definitions: {', '.join(facts['definitions'])}"
