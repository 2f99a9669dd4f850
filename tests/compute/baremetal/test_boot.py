"""What a machine unpacks."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from benchmark.compute.baremetal.scripts import boot


def bundle(*names: str) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 1
            tar.addfile(member, io.BytesIO(b"x"))
    return data.getvalue()


def test_no_member_climbs_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "root"
    root.mkdir()
    monkeypatch.setattr(boot, "ROOT", str(root))
    boot.unpack(bundle("main.py", f"own{tmp_path}/mine/adapter.py"))
    assert (root / "bundle" / "main.py").read_text() == "x"
    assert (tmp_path / "mine" / "adapter.py").read_text() == "x"
    with pytest.raises(tarfile.OutsideDestinationError):
        boot.unpack(bundle("../../climbed"))
    assert not (tmp_path / "climbed").exists()


def test_a_python_without_filters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boot, "ROOT", str(tmp_path))
    unpacked = tarfile.TarFile.extractall

    def without(self: tarfile.TarFile, path: str) -> None:
        unpacked(self, path, filter="data")

    monkeypatch.delattr(tarfile, "data_filter")
    monkeypatch.setattr(tarfile.TarFile, "extractall", without)
    boot.unpack(bundle("main.py"))
    assert (tmp_path / "bundle" / "main.py").exists()


def test_scratch_is_on_the_root_disk_and_system_packages_are_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boot, "ROOT", str(tmp_path / "root"))
    monkeypatch.setenv("TMPDIR", "/tmp")
    boot.scratch()
    assert os.environ["TMPDIR"] == str(tmp_path / "root/scratch")
    assert (tmp_path / "root/scratch").stat().st_mode & 0o777 == 0o700
    for name in ("dnf", "apt-get"):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/said\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    packages = {"dnf": ["java"], "apt-get": ["jre"]}
    boot.install({"dnf": [], "apt-get": []})
    boot.install(packages)
    (tmp_path / "dnf").unlink()
    boot.install(packages)
    said = ["dnf -q install -y java", "apt-get -qq update", "apt-get -qq install -y jre"]
    assert (tmp_path / "said").read_text().splitlines() == said
