"""A Docker engine of the tests' own, a base image made without a registry, and a real registry.

All of it lives in one temporary folder and goes with it: nothing of this machine's Docker is used.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmark.compute.images.engine import Engine, connect
from benchmark.files.removal import clear
from prove.seaweed import free_ports

BASE = "automl-benchmark-base:bookworm"
PACKAGES = {
    "dockerd": "docker.io",
    "mmdebstrap": "mmdebstrap",
    "docker-registry": "docker-registry",
}
REGISTRY = """version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: 127.0.0.1:{port}}}
"""
START_S = 300
INCLUDED = "--include=python3,python3-venv,ca-certificates"


@dataclass(frozen=True)
class Docker:
    """The engine, its folder, and what a program needs to reach it."""

    engine: Engine
    folder: Path
    variables: dict[str, str]

    @property
    def client(self) -> Any:
        return self.engine.client


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker]:
    """dockerd with the base image, without network of its own (containers use the host's)."""
    if os.geteuid() != 0:
        pytest.skip("starting dockerd needs root")
    if sys.version_info[:2] != (3, 11):
        pytest.skip("the base image is made of Debian bookworm, whose Python is 3.11")
    _install()
    folder = Path(tempfile.mkdtemp(prefix="automl-docker-"))
    groups = _groups()
    try:
        subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=minbase", INCLUDED, "bookworm", "base.tar"],
            cwd=folder,
            check=True,
        )
        with _daemon(folder) as variables:
            found = connect(os.environ | variables)
            repository, tag = BASE.split(":")
            found.client.api.import_image_from_file(str(folder / "base.tar"), repository, tag)
            (folder / "base.tar").unlink()
            try:
                yield Docker(found, folder, variables)
            finally:
                for container in found.client.containers.list(all=True):
                    container.remove(force=True)
                found.client.close()
    finally:
        _unmount(folder)
        clear(folder)
        for group in _groups() - groups:
            for path in (*sorted(group.rglob("*/"), reverse=True), group):
                path.rmdir()


@pytest.fixture(scope="session")
def registry(docker: Docker) -> Iterator[str]:
    """HOST:PORT of a registry that holds nothing yet."""
    address = f"127.0.0.1:{free_ports(1)[0]}"
    file = docker.folder / "registry.yml"
    file.write_text(
        REGISTRY.format(folder=docker.folder / "registry", port=address.rpartition(":")[2])
    )
    with _process(
        ["docker-registry", "serve", str(file)], docker.folder / "registry.log"
    ) as served:
        _await(served, lambda: urllib.request.urlopen(f"http://{address}/v2/", timeout=5).close())
        yield address


def _install() -> None:
    missing = [package for name, package in PACKAGES.items() if shutil.which(name) is None]
    if not missing:
        return
    if shutil.which("apt-get") is None:
        pytest.skip(f"there is no apt-get to install {', '.join(missing)} with")
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "-qq", "update"], check=True, env=quiet)
    install = ["apt-get", "-qq", "install", "--yes", "--no-install-recommends", *missing]
    subprocess.run(install, check=True, env=quiet)


@contextmanager
def _daemon(folder: Path) -> Iterator[dict[str, str]]:
    url = f"unix://{folder}/docker.sock"
    command = ["dockerd", "-H", url, "--data-root", f"{folder}/data"]
    command += ["--exec-root", f"{folder}/exec", "--pidfile", f"{folder}/docker.pid"]
    command += ["--bridge=none", "--iptables=false", "--ip6tables=false"]
    variables = {"DOCKER_HOST": url, "DOCKER_CONFIG": str(folder / "config")}
    with _process(command, folder / "dockerd.log") as process:
        _await(process, lambda: _ping(variables))
        yield variables


def _ping(variables: dict[str, str]) -> None:
    connect(os.environ | variables).client.close()


@contextmanager
def _process(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(300)


def _await(process: subprocess.Popen[bytes], try_it: Callable[[], None]) -> None:
    """Until it answers; an error where it ends before, or does not answer in time."""
    for _ in range(START_S * 5):
        with suppress(Exception):
            return try_it()
        with suppress(subprocess.TimeoutExpired):
            raise RuntimeError(f"{process.args} ended with {process.wait(0.2)}")
    return try_it()


def _unmount(folder: Path) -> None:
    """Unmount what the engine has left mounted, such as the network of its containers."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in reversed([mount for mount in mounts if mount.startswith(f"{folder}/")]):
        subprocess.run(["umount", mount], check=True)


def _groups() -> set[Path]:
    """The control groups that a Docker engine makes for its containers."""
    root = Path("/sys/fs/cgroup")
    return {path for part in ("", "*/") for path in root.glob(f"{part}docker")}
