"""Commands that prepare where tasks run, images included: init-compute, refresh-compute."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchmark.cli.output import agreed, notice, report
from benchmark.cli.progress import counted
from benchmark.cli.session import configuration
from benchmark.compute import methods
from benchmark.compute.aws.clients import Aws
from benchmark.compute.aws.resources import Site
from benchmark.compute.images import Engine, Image
from benchmark.config.loading import Config
from benchmark.errors import BenchmarkError
from benchmark.frameworks import Framework, get, registry
from benchmark.runs.plan import chosen_frameworks

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
        images = _built_images(options, config, options.push)
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
    from benchmark.compute.batch.definition import definitions, repository

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
        found = _built_images(options, config, place)
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


@dataclass(frozen=True)
class _Images:
    """The outcome of each image as a dict, the lines to print, and the exit code."""

    facts: list[dict[str, Any]]
    lines: list[str]
    code: int


def _built_images(options: argparse.Namespace, config: Config, place: str | None) -> _Images:
    """Build the images of the configured frameworks; push them to a registry if one is given."""
    from benchmark.compute import images

    chosen = _chosen(options, config)
    found = registry.scan(config.frameworks_path).frameworks
    wanted, faults = images.images_of(chosen, found, config.frameworks_path)
    if place:
        images.repository_name(place)
    engine = images.connect()
    facts: list[dict[str, Any]] = [
        {"frameworks": [name], "error": fault} for name, fault in faults.items()
    ]
    for number, image in enumerate(wanted, 1):
        notice(f"[{number}/{len(wanted)}] {', '.join(image.frameworks)}")
        facts.append(_prepared(options, engine, image, place))
    failed = [one for one in facts if "error" in one]
    for one in failed:
        notice(f"{', '.join(one['frameworks'])}: {one['error']}")
    lines = [_line(one) for one in facts if "error" not in one]
    return _Images(facts, lines, 1 if failed else 0)


def _chosen(options: argparse.Namespace, config: Config) -> list[Framework]:
    """The frameworks that the command line names, else the configured ones."""
    names = options.framework
    if not names:
        entries = chosen_frameworks(config).values()
        names = [f"{e['name']}@{e['version']}" if "lock" in e else e["name"] for e in entries]
    return [get(str(name), config.frameworks_path) for name in dict.fromkeys(names)]


def _prepared(
    options: argparse.Namespace, engine: Engine, image: Image, place: str | None
) -> dict[str, Any]:
    """The outcome of one image; an error of one does not stop the others."""
    from benchmark.compute import images
    from benchmark.compute.aws.clients import registry_login

    facts: dict[str, Any] = {"frameworks": list(image.frameworks), "tag": image.tag}
    try:
        made = images.ensure_image(
            engine, image, options.base or images.DEFAULT_BASE, options.network, notice
        )
        facts |= {"image": made.name, "id": made.id, "size_mb": made.size_mb, "built": made.built}
        if place:
            notice(f"Pushing {made.name} to {place}.")
            facts["pushed"] = images.push(engine, image, place, registry_login(place))
    except BenchmarkError as error:
        facts["error"] = str(error)
    return facts


def _line(facts: dict[str, Any]) -> str:
    state = "built" if facts["built"] else "up to date"
    place = f", pushed as {facts['pushed']}" if "pushed" in facts else ""
    names = ", ".join(facts["frameworks"])
    return f"{names}: {facts['image']} ({facts['size_mb']:.0f} MB, {state}){place}"
