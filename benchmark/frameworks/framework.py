"""A framework as described by its framework.toml, and the hashes of its code and environment."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import SetupError
from benchmark.files.input_files import read_bytes

FOLDER = Path(__file__).parent
SHARED = FOLDER / "shared"


@dataclass(frozen=True)
class Framework:
    """A framework as described by its framework.toml.

    `python` is a version specifier; `environment` names the framework whose requirements it shares,
    and `environment_folder` is where they are; `preload` are the modules that a server imports
    once; `packages` are Debian's that an image of it needs; `find_links` is a page of wheels that
    its lock needs beside the registry; `secrets` names variables that it gets although they hold a
    secret; a `deterministic` one promises the same predictions for the same seed unless a time
    limit ends it; `minimum_runtime` is in seconds; `version_of` is the distribution whose version
    is reported. `lock_file` and `pinned` are set if another version was requested
    ("h2o@3.44.0.3", see locks.py).
    """

    name: str
    folder: Path
    description: str
    version_of: str
    environment_folder: Path
    environment: str = ""
    aliases: tuple[str, ...] = ()
    python: str = ">=3.11"
    tier: int = 3
    preload: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    find_links: str = ""
    deterministic: bool = False
    minimum_runtime: float = 0.0
    lock_file: Path | None = None
    pinned: str | None = None

    @property
    def adapter(self) -> Path:
        """The file that the worker loads."""
        return self.folder / "adapter.py"

    @property
    def lock(self) -> Path:
        """The hashed requirements of its environment."""
        return self.lock_file or self.environment_folder / "requirements.lock"

    @property
    def adapter_hash(self) -> str:
        """sha256 (16 hex digits) of its modules, its environment's folder's, the shared.

        Raises:
            SetupError: a file cannot be read.
        """
        digest = hashlib.sha256()
        shared = [SHARED] if self.folder.parent == FOLDER else []
        for folder in dict.fromkeys((self.folder, self.environment_folder, *shared)):
            for file in _modules(folder):
                content, name = _content(file), file.relative_to(folder)
                digest.update(f"{folder.name}/{name} {len(content)}\n".encode() + content)
        return digest.hexdigest()[:16]

    @property
    def content_hash(self) -> str:
        """A hash of adapter and lock, which identifies a version of it, as 16 hex digits.

        Raises:
            SetupError: a file cannot be read.
        """
        content = self.adapter_hash.encode() + _content(self.lock)
        return hashlib.sha256(content).hexdigest()[:16]


def _modules(folder: Path, above: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """What an adapter can import from its folder: the Python files, and those of packages, also
    without `__init__.py`."""
    yield from sorted(folder.glob("*.py"))
    above |= {folder.resolve()}
    for package in sorted(folder.glob("*/")):
        if package.name.isidentifier() and package.resolve() not in above:
            yield from _modules(package, above)


def _content(file: Path) -> bytes:
    try:
        return read_bytes(file)
    except OSError as error:
        raise SetupError(
            f"{file} cannot be read: {error.strerror}; remove it, or write it again."
        ) from None
