"""The known frameworks: a folder each, described by its framework.toml.

get("RandomForest").name                      # "random-forest"
for warning in scan(["~/my-frameworks"]).warnings:
    print(warning)
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from benchmark.config.plugins import FRAMEWORKS, extensions
from benchmark.errors import BenchmarkError
from benchmark.files.input_files import expanded, read_input
from benchmark.files.spelling import nearest
from benchmark.frameworks.framework import FOLDER, Framework

FILE = "framework.toml"
_NOT_KEYS = ("folder", "environment_folder", "lock_file", "pinned")


@dataclass(frozen=True)
class Scan:
    """The frameworks found, by name, and a sentence for each broken one."""

    frameworks: dict[str, Framework]
    warnings: tuple[str, ...]


def scan(extra_paths: Iterable[str | Path] = (), *, installed: bool = True) -> Scan:
    """Read the frameworks that ship with the program, the user's own, and installed packages'.

    A path is a framework's folder or a folder of such folders; so is what an entry point of the
    group "automl_benchmark.frameworks" names. A broken one, or one with a name that is taken,
    causes a warning and does not stop the others.
    """
    found: dict[str, Framework] = {}
    warnings: list[str] = []
    for path in (FOLDER, *(expanded(extra).absolute() for extra in extra_paths)):
        warnings += _add(path, found)
    for extension in extensions(FRAMEWORKS) if installed else ():
        try:
            more = _add(extension.folder(), found)
        except BenchmarkError as error:
            warnings.append(str(error))
        else:
            warnings += [f"{extension}: {warning}" for warning in more]
    return Scan(found, tuple(warnings))


def _add(path: Path, found: dict[str, Framework]) -> list[str]:
    """Add the frameworks of a folder to `found`; return a sentence for each broken one."""
    warnings: list[str] = []
    files = [path / FILE] if (path / FILE).is_file() else sorted(path.glob(f"*/{FILE}"))
    if not files:
        warnings.append(f"There is no {FILE} in {path} or in a folder in it.")
    environments = {name: framework.folder for name, framework in found.items()}
    environments |= {file.parent.name: file.parent for file in reversed(files)}
    for file in files:
        try:
            framework = _read(file, environments)
        except BenchmarkError as error:
            warnings.append(str(error))
            continue
        taken = _match(framework.name, found)
        if taken is None:
            found[framework.name] = framework
        elif taken.folder != framework.folder:
            warnings.append(f'{file}: the name "{framework.name}" is taken by {taken.folder}.')
    return warnings


def of_folder(folder: Path, *, needs_lock: bool = True) -> Framework:
    """The framework of a folder, also if another has its name.

    Raises:
        BenchmarkError: it is broken; without `needs_lock` a missing lock is not an error.
    """
    places = {name: f.folder for name, f in scan(installed=False).frameworks.items()}
    places |= {file.parent.name: file.parent for file in folder.parent.glob(f"*/{FILE}")}
    return _read(folder / FILE, places, needs_lock=needs_lock)


def get(
    name: str,
    extra_paths: Iterable[str | Path] = (),
    known_locks: Mapping[str, str] | None = None,
) -> Framework:
    """The framework of this name or alias; case, '-' and '_' do not matter.

    With "@" and a version it is that version: with its lock in `known_locks` (text by name),
    or with requirements that are resolved once on this machine.

    Raises:
        BenchmarkError: it is unknown; the message names the nearest, or what is broken.
        SetupError: there is no such version, or no compatible packages.
    """
    base, version = split_name(name)
    framework = _named(base, extra_paths)
    if version is None:
        return framework
    from benchmark.frameworks import locks

    return locks.pinned(framework, version, known_locks or {})


def entry_of(
    framework: Framework, params: dict[str, Any], paths: Sequence[str | Path] = ()
) -> dict[str, Any]:
    """The entry of a framework in a run's manifest; `of_entry` finds it again."""
    entry: dict[str, Any] = {
        "name": framework.name,
        "params": params,
        "environment": framework.content_hash,
    }
    if framework.pinned:
        lock = framework.lock.read_text(encoding="utf-8")
        entry |= {"version": framework.pinned, "lock": lock}
    if paths:
        entry["paths"] = [str(expanded(path).absolute()) for path in paths]
    return entry


def of_entry(entry: Mapping[str, Any]) -> Framework:
    """The framework of an entry in a run's manifest, in the planned version."""
    paths = entry.get("paths", ())
    if "lock" not in entry:
        return get(str(entry["name"]), paths)
    name = f"{entry['name']}@{entry['version']}"
    return get(name, paths, {name: str(entry["lock"])})


def split_name(name: str) -> tuple[str, str | None]:
    """'h2o@3.44.0.3' as ('h2o', '3.44.0.3'); without '@' the version is None."""
    base, at, version = name.partition("@")
    return base, version if at else None


def _named(name: str, extra_paths: Iterable[str | Path]) -> Framework:
    framework = _match(name, scan(extra_paths, installed=False).frameworks)
    if framework is not None:
        return framework
    result = scan(extra_paths)
    framework = _match(name, result.frameworks)
    if framework is not None:
        return framework
    names = {plain(n): f.name for f in result.frameworks.values() for n in (f.name, *f.aliases)}
    near = nearest(plain(name), names)
    hint = f"did you mean {names[near]}?" if near else f"there are {', '.join(result.frameworks)}."
    broken = "".join(f" {warning}" for warning in result.warnings if plain(name) in plain(warning))
    raise BenchmarkError(f'There is no framework "{name}"; {hint}{broken}')


def _match(name: str, found: dict[str, Framework]) -> Framework | None:
    wanted = plain(name)
    for framework in found.values():
        if wanted in (plain(framework.name), *map(plain, framework.aliases)):
            return framework
    return None


def plain(name: str) -> str:
    return re.sub(r"[-_\s]", "", name).casefold()


def _read(file: Path, environments: dict[str, Path], *, needs_lock: bool = True) -> Framework:
    try:
        status = file.stat()
    except OSError as error:
        raise BenchmarkError(f"{file} cannot be read: {error}.") from None
    values = _declared(file, status.st_ino, status.st_size, status.st_mtime_ns)
    folder = environments.get(values["environment"], file.parent)
    if values["environment"] == values["name"]:
        folder = file.parent
    elif values["environment"] not in environments:
        raise BenchmarkError(f'{file}: there is no framework "{values["environment"]}" to share.')
    framework = Framework(**values, folder=file.parent, environment_folder=folder)
    for needed in (framework.adapter, framework.lock) if needs_lock else (framework.adapter,):
        if not needed.is_file():
            raise BenchmarkError(f"{file} needs {needed}, which is missing.")
    return framework


@lru_cache(maxsize=256)
def _declared(file: Path, *_: int) -> Mapping[str, Any]:
    """The checked content of a file; kept until its identity, length or time changes.

    Each task looks its framework up, which reads all files of all frameworks.
    """
    try:
        values = tomllib.loads(read_input(file))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BenchmarkError(f"{file} cannot be read: {reason}.") from None
    values.setdefault("name", file.parent.name)
    values.setdefault("environment", values["name"])
    _check(values, file)
    for key in ("aliases", "preload", "packages", "secrets"):
        values[key] = tuple(values.get(key, ()))
    return values


def _check(values: dict[str, Any], file: Path) -> None:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    known = {field.name: str(field.type) for field in fields(Framework)}
    known = {key: kind for key, kind in known.items() if key not in _NOT_KEYS}
    for key, value in values.items():
        if key not in known:
            near = nearest(key, known)
            hint = f'; did you mean "{near}"?' if near else "."
            raise BenchmarkError(f'{file}: unknown key "{key}"{hint}')
        if not _is_a(value, known[key]):
            raise BenchmarkError(f'{file}: "{key}" is {value!r}; it must be {known[key]}.')
    for key in ("description", "version_of"):
        if key not in values:
            raise BenchmarkError(f'{file} lacks the key "{key}".')
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", values["name"]):
        raise BenchmarkError(
            f'{file}: "{values["name"]}" is not a valid name; use letters, digits, . _ -'
        )
    try:
        SpecifierSet(values.get("python", ""))
    except InvalidSpecifier:
        raise BenchmarkError(
            f'{file}: "python" is "{values["python"]}"; write a specifier such as ">=3.11,<3.14".'
        ) from None


def _is_a(value: Any, kind: str) -> bool:
    if kind.startswith("tuple"):
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if kind == "float":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return type(value).__name__ == kind
