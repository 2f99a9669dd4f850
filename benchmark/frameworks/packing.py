"""Environments as one file, for nodes whose shared disk has an inode quota or is slow to walk.

pack(environments, Path("environments.tar"))                     # on the build machine
python -m benchmark.frameworks.packing environments.tar          # on a node: prints the cache

A node unpacks a file once, into a folder of this user's below its temporary folder; other processes
wait. The file's content is not checked again: a different file gets a different folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import sys
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from benchmark.errors import SetupError
from benchmark.files.output_files import staged
from benchmark.files.removal import clear
from benchmark.frameworks.environments import Environment
from benchmark.frameworks.framework import Framework

_SUFFIXES = (".tar", ".tar.gz", ".tgz")


def is_packed(path: str | Path) -> bool:
    """Whether a path of environments is a file to unpack."""
    return str(path).endswith(_SUFFIXES)


def pack(environments: Iterable[Environment], file: Path) -> float:
    """Write environments into a tar file, gzipped if its name ends so; return its size in MB.

    Raises:
        SetupError: it cannot be written.
    """
    folders = dict.fromkeys(one.folder for one in environments)
    mode: Literal["w", "w:gz"] = "w" if file.suffix == ".tar" else "w:gz"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with staged(file) as place, tarfile.open(place, mode) as archive:
            for folder in folders:
                archive.add(folder, f"environments/{folder.name}")
    except OSError as error:
        raise SetupError(f"The file {file} cannot be written: {error.strerror}.") from None
    return round(file.stat().st_size / 1e6, 1)


def contains(file: Path, framework: Framework) -> bool:
    """Whether a framework's environment is in a file; False also if it cannot be read."""
    from benchmark.frameworks.environments import environment_hash, folder_name

    try:
        name = f"environments/{folder_name(framework, environment_hash(framework))}"
        with tarfile.open(file) as archive:
            return any(one.name == name for one in archive)
    except (OSError, tarfile.TarError, SetupError):
        return False


def unpacked(file: Path) -> Path:
    """The folder with a file's environments on this machine, unpacked if necessary.

    Raises:
        SetupError: the file cannot be read, or there is not enough disk space.
    """
    try:
        facts = file.stat()
        name = hashlib.sha256(f"{file.absolute()} {facts.st_mtime_ns} {facts.st_size}".encode())
        folder = _own_folder() / f"packed-{name.hexdigest()[:16]}"
        with Path(f"{folder}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.is_dir():
                staged = folder.with_suffix(".staged")
                clear(staged)
                with tarfile.open(file) as archive:
                    archive.extractall(staged, filter="tar")  # nosec B202 # filtered
                staged.rename(folder)
    except (OSError, tarfile.TarError) as error:
        raise SetupError(
            f"The environments in {file} cannot be unpacked: {error}; create it with `setup --to "
            f"{file.name}`, and name a disk with room in TMPDIR."
        ) from None
    return folder


def _own_folder() -> Path:
    """A folder that no other user can write to, because its content is executed.

    Not the runners' scratch root, which they sweep.
    """
    folder = Path(tempfile.gettempdir()) / f"automl-benchmark-{os.getuid()}-environments"
    folder.mkdir(mode=0o700, exist_ok=True)
    facts = folder.lstat()
    if facts.st_uid != os.getuid() or facts.st_mode & 0o022 or folder.is_symlink():
        raise OSError(f"{folder} is not this user's own")
    return folder


def main(file: str) -> int:
    try:
        sys.stdout.write(f"{unpacked(Path(file))}\n")
    except SetupError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
