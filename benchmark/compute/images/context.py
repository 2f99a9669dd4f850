"""What an image is made of: its tag, and the files that a build is given.

The same parts give the same bytes, so an image that carries their hash is known to be up to date.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from benchmark.config.extras import ROOT
from benchmark.config.loading import Config
from benchmark.errors import BenchmarkError, ConfigError, SetupError
from benchmark.files.input_files import expanded
from benchmark.frameworks import get, registry
from benchmark.frameworks.environments import environment_hash
from benchmark.frameworks.framework import Framework
from benchmark.frameworks.interpreters import lowest_minor
from benchmark.records.tasks import Manifest
from benchmark.store import Store

PACKAGE = ROOT / "benchmark"
HERE = "{}.{}".format(*sys.version_info[:2])
DEFAULT_BASE = f"python:{HERE}-slim-bookworm"
# A wheel carries the checkout's files inside the package (setup.py).
_CHECKOUT = ROOT if (ROOT / "pyproject.toml").is_file() else PACKAGE / "checkout"
_STEPS = (
    *("docker/Dockerfile", "docker/install.py", "docker/task-requirements.txt"),
    *("pre-requirements.txt", "requirements.txt"),
)
# All that the building of an environment imports, so that other changes leave its layer alone.
_BUILDERS = (
    "config/cache.py",
    "errors.py",
    *("files/input_files.py", "files/removal.py"),
    *(f"frameworks/{n}.py" for n in ("environments", "interpreters", "uv")),
)
_PACKAGES = tuple(f"{n}__init__.py" for n in ("", "config/", "files/", "frameworks/"))
# What of a framework's description is a place here, or says nothing about its environment.
_IRRELEVANT = (
    *("folder", "environment_folder", "lock_file", "description", "aliases", "tier"),
    "minimum_runtime",
)


@dataclass(frozen=True)
class Image:
    """The image of the frameworks that share an environment.

    `hash` is the environment's for the image's Python, `minor`; `owner` is the framework whose
    requirements they are; `packages` are Debian's; `own` are folders outside the program.
    """

    hash: str
    environment: str
    owner: Framework
    frameworks: tuple[str, ...]
    minor: str
    packages: tuple[str, ...]
    own: tuple[Path, ...]

    @property
    def tag(self) -> str:
        """The environment's hash; with the version where one was asked for ("h2o@3.44.0.3")."""
        return f"{self.hash}-{self.owner.pinned}" if self.owner.pinned else self.hash

    def context(self) -> bytes:
        """The files of the build as a tar archive.

        Raises:
            BenchmarkError: the program's files for images cannot be read.
        """
        files = _steps() | _code() | self._environment()
        for folder in self.own:
            files |= {f"own{path}": path.read_bytes() for path in _files(folder)}
        return _archive(files, ("own",))

    def _environment(self) -> dict[str, bytes]:
        files = {name: (PACKAGE / name).read_bytes() for name in _BUILDERS}
        files |= dict.fromkeys(_PACKAGES, b"")
        lock = self.owner.lock.read_bytes()
        facts = {
            field.name: getattr(self.owner, field.name)
            for field in fields(self.owner)
            if field.name not in _IRRELEVANT
        }
        facts |= {
            "name": self.environment,
            "environment": self.environment,
            "python": f"=={self.minor}.*",
            "minor": self.minor,
            "hash": self.hash,
            "kept_lock": self.owner.lock.name if self.owner.pinned else None,
        }
        return {
            "environment/requirements.lock": lock,
            "environment/framework.json": json.dumps(facts, sort_keys=True).encode(),
            **{f"environment/benchmark/{name}": data for name, data in files.items()},
        }


def image_tag(config: Config, name: str) -> str:
    """The tag of a framework's image; `name` is the registry's, "h2o@3.44" for a version.

    Raises:
        ConfigError: the framework can have no image.
    """
    framework = get(name, config.frameworks_path)
    found = registry.scan(config.frameworks_path).frameworks
    images, faults = images_of([framework], found, config.frameworks_path)
    if not images:
        raise ConfigError("; ".join(faults.values()) or f"{name} can have no image.")
    return images[0].tag


def full_name(manifest: Manifest, label: str) -> str:
    """The name with its version of a framework of a run; `label` is its name in the results."""
    facts = manifest.frameworks.get(label, {})
    name = str(facts.get("name", label))
    return f"{name}@{facts['version']}" if facts.get("version") else name


def images_of(
    frameworks: Iterable[Framework],
    found: Mapping[str, Framework],
    paths: Iterable[str | Path] = (),
) -> tuple[list[Image], dict[str, str]]:
    """The images of some frameworks, and a sentence for each framework that can have none.

    `found` is what the registry has and `paths` are the folders of own frameworks: an image's
    parts depend on its environment and these, not on which frameworks were asked for.
    """
    own = own_folders(found, paths)
    images: dict[tuple[str, str], Image] = {}
    faults: dict[str, str] = {}
    for framework in frameworks:
        name = f"{framework.name}@{framework.pinned}" if framework.pinned else framework.name
        if not framework.folder.is_relative_to(PACKAGE) and framework.folder not in own:
            faults[name] = (
                f"{name} comes with an installed package, which an image does not have; name its "
                f"folder {framework.folder} in 'frameworks_path'."
            )
            continue
        try:
            minor = image_minor(framework)
            digest = environment_hash(framework, minor)
        except SetupError as error:
            faults[name] = str(error)
            continue
        key = (framework.environment, digest)
        known = images.get(key)
        owner = framework if framework.pinned else found.get(framework.environment, framework)
        images[key] = Image(
            hash=digest,
            environment=framework.environment,
            owner=owner,
            frameworks=(*(known.frameworks if known else ()), name),
            minor=minor,
            packages=owner.packages,
            own=own,
        )
    return list(images.values()), faults


def image_minor(framework: Framework) -> str:
    """The Python of a framework in its image: the harness's own where it serves, else the oldest.

    The oldest because its lock was made for it, whatever this machine happens to have.
    """
    from packaging.specifiers import SpecifierSet

    serves = SpecifierSet(framework.python).contains("{}.{}.{}".format(*sys.version_info[:3]))
    return HERE if serves else lowest_minor(framework.python)


def own_folders(found: Mapping[str, Framework], paths: Iterable[str | Path]) -> tuple[Path, ...]:
    """The folders of frameworks that lie below the user's own `paths`."""
    absolute = [expanded(path).absolute() for path in paths]
    folders = {
        folder
        for framework in found.values()
        for folder in (framework.folder, framework.environment_folder)
        if any(folder.is_relative_to(path) for path in absolute)
    }
    return tuple(sorted(folders))


def content_hash(context: bytes, arguments: Mapping[str, str]) -> str:
    """sha256 (16 hex digits) over all that a build is given."""
    text = json.dumps(dict(arguments), sort_keys=True)
    return hashlib.sha256(text.encode() + b"\0" + context).hexdigest()[:16]


def _steps() -> dict[str, bytes]:
    try:
        return {name: (_CHECKOUT / name).read_bytes() for name in _STEPS}
    except OSError as error:
        raise BenchmarkError(
            f"The program's file {error.filename}, which images are built from, cannot be read "
            f"({error.strerror}); install the program again."
        ) from None


def _code() -> dict[str, bytes]:
    """The program as it stands here, and the entry point."""
    files = {f"code/{path.relative_to(ROOT)}": path for path in _files(PACKAGE)}
    files["code/entrypoint.py"] = _CHECKOUT / "docker/entrypoint.py"
    return {name: path.read_bytes() for name, path in files.items()}


def publish_code(store: Store, config: Config) -> tuple[str, bool]:
    """Put the program into the store unless it is there; returns its path, and whether it is new.

    What is not of the program (configuration, keys, results) is never in it.
    """
    found = registry.scan(config.frameworks_path).frameworks
    own = own_folders(found, config.frameworks_path)
    files = _steps() | _code()
    for folder in own:
        files |= {f"own{path}": path.read_bytes() for path in _files(folder)}
    archive = _archive(files, ("own",))
    path = f"code/{hashlib.sha256(archive).hexdigest()[:16]}.tar.gz"
    return path, store.create(path, gzip.compress(archive, 6, mtime=0))


def _files(folder: Path) -> list[Path]:
    """The files of a folder without what interpreters and tools leave there."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and "__pycache__" not in path.parts
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def _archive(files: Mapping[str, bytes], folders: Iterable[str]) -> bytes:
    """A tar archive with the same bytes for the same files: no times, no owners, one mode."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in folders:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        for name, data in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o644
            archive.addfile(entry, io.BytesIO(data))
    return sink.getvalue()
