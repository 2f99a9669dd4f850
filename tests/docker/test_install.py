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


def test_packages_that_the_harness_has_too_are_linked_to(install, tmp_path):
    places = "lib/python3.11/site-packages"
    files = {
        "same/__init__.py": "1",
        "same/tests/test_one.py": "a test",
        "other/__init__.py": "1",
        "same-1.0.dist-info/METADATA": "1",
        "module.py": "1",
    }
    for root in ("environment", "harness"):
        for name, text in files.items():
            file = tmp_path / root / places / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    environment, harness = (tmp_path / root / places for root in ("environment", "harness"))
    (environment / "other/__init__.py").write_text("2")
    (environment / "lacking").mkdir()
    (harness / "same/__pycache__").mkdir()
    (harness / "same/tests/test_one.py").unlink()
    install.share(tmp_path / "environment", tmp_path / "harness")
    links = {path.name: path.readlink() for path in environment.iterdir() if path.is_symlink()}
    assert links == {"same": harness / "same"}
    assert (environment / "other/__init__.py").read_text() == "2"


def test_nothing_is_linked_to_another_version_of_python(install, tmp_path):
    for root, minor in (("environment", "3.9"), ("harness", "3.11")):
        file = tmp_path / root / f"lib/python{minor}/site-packages/same/__init__.py"
        file.parent.mkdir(parents=True)
        file.touch()
    install.share(tmp_path / "environment", tmp_path / "harness")
    package = tmp_path / "environment/lib/python3.9/site-packages/same"
    assert package.is_dir()
    assert not package.is_symlink()


def test_packages_are_compiled_without_their_tests(install, tmp_path):
    place = tmp_path / "lib/python3.11/site-packages"
    (place / "mine/tests").mkdir(parents=True)
    for name in ("mine/part.py", "mine/tests/test_part.py"):
        (place / name).write_text("pass\n")
    (place / "mine/older.py").write_text("print 'of another version'\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").symlink_to(sys.executable)
    install._compile(tmp_path)
    (compiled,) = place.rglob("*.pyc")
    assert compiled.name.startswith("part.")
