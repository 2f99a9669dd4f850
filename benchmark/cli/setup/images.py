"""The images of the frameworks: built, pushed, and a line on each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.cli.output import notice
from benchmark.errors import BenchmarkError
from benchmark.frameworks import Framework, get, registry
from benchmark.runs.plan import chosen_frameworks

if TYPE_CHECKING:
    import argparse

    from benchmark.compute.images import Engine, Image
    from benchmark.config.loading import Config


@dataclass(frozen=True)
class Images:
    """The outcome of each image as a dict, the lines to print, and the exit code."""

    facts: list[dict[str, Any]]
    lines: list[str]
    code: int


def built_images(options: argparse.Namespace, config: Config, place: str | None) -> Images:
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
    return Images(facts, lines, 1 if failed else 0)


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
