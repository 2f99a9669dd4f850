"""The steps of a build say in one sentence what went wrong, and no password."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "docker/install.py"


@pytest.fixture
def install():
    spec = importlib.util.spec_from_file_location("install", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_base_with_another_python_is_refused():
    done = subprocess.run(
        [sys.executable, FILE, "harness"],
        env=os.environ | {"PYTHON": "3.99"},
        capture_output=True,
        text=True,
        check=False,
    )
    here = "{}.{}".format(*sys.version_info[:2])
    assert done.returncode == 1
    assert done.stderr == (
        f"error: The base image has Python {here} and the harness that builds it 3.99; name a base "
        "with Python 3.99 (--base IMAGE).\n"
    )


def test_a_failure_tells_what_the_program_said_without_passwords(install):
    program = "print('first'); print('no https://me:secret@host/simple  here'); exit(3)"
    with pytest.raises(SystemExit) as raised:
        install._run([sys.executable, "-c", program])
    assert "first / no https://host/simple here" in str(raised.value)
    assert "secret" not in str(raised.value)


def test_what_works_says_nothing(install, capfd):
    install._run([sys.executable, "-c", "print('done')"])
    install.system([])
    assert capfd.readouterr().err == "done\n"


def test_own_folders_are_readable_by_everybody(install, tmp_path, monkeypatch):
    source = tmp_path / "build/own/srv/frameworks/mine"
    source.mkdir(parents=True)
    (source / "adapter.py").write_text("pass\n")
    top = tmp_path / "top"
    (top / "srv").mkdir(mode=0o700, parents=True)
    monkeypatch.setattr(install, "BUILD", tmp_path / "build")
    install.own(top)
    assert (top / "srv/frameworks/mine/adapter.py").read_text() == "pass\n"
    assert (top / "srv").stat().st_mode & 0o777 == 0o705
    assert (top / "srv/frameworks").stat().st_mode & 0o005 == 0o005
