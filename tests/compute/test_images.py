"""What goes into an image, what names it, and what is said where it cannot be built."""

import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.compute import images
from benchmark.compute.images.context import content_hash
from benchmark.compute.images.engine import find_program
from benchmark.errors import BenchmarkError
from benchmark.frameworks import environment_hash, get, scan

TOML = 'description = "mine"\nversion_of = "numpy"\nenvironment = "random-forest"\n'


def found():
    return scan(installed=False).frameworks


def image_of(*names):
    wanted, faults = images.images_of([get(name) for name in names], found())
    assert not faults
    return wanted


def unpacked(context):
    with tarfile.open(fileobj=io.BytesIO(context)) as archive:
        return {
            member.name: archive.extractfile(member).read()
            for member in archive.getmembers()
            if member.isfile()
        }


@pytest.fixture
def own(tmp_path):
    """A folder with the user's own framework "mine"."""
    home = tmp_path / "own/mine"
    (home / "__pycache__").mkdir(parents=True)
    (home / "__pycache__/adapter.cpython-311.pyc").write_bytes(b"x")
    (home / "framework.toml").write_text(TOML)
    (home / "adapter.py").write_text("pass\n")
    return tmp_path / "own"


def test_frameworks_of_one_environment_share_an_image():
    both, other = image_of("constant", "optuna", "random-forest")
    assert both.frameworks == ("constant", "random-forest")
    assert both.tag == environment_hash(get("constant"))
    assert other.tag == environment_hash(get("optuna"))


def test_an_image_does_not_depend_on_what_else_was_asked_for():
    alone, together = image_of("constant")[0], image_of("random-forest", "constant")[0]
    assert alone.context() == together.context()


def test_another_python_is_the_oldest_that_the_framework_allows():
    framework = replace(get("constant"), name="old", environment="old", python=">=3.8,<3.10")
    (image,), faults = images.images_of([framework], found())
    assert (image.minor, faults) == ("3.8", {})
    assert image.tag != environment_hash(get("constant"))


def test_another_version_has_another_tag(tmp_path):
    lock = tmp_path / "a.lock"
    shutil.copy(get("constant").lock, lock)
    framework = replace(
        get("constant"), environment="random-forest@1", lock_file=lock, pinned="2.4.6"
    )
    (image,), _ = images.images_of([framework], found())
    assert image.tag == f"{environment_hash(framework)}-2.4.6"
    facts = json.loads(unpacked(image.context())["environment/framework.json"])
    assert (facts["environment"], facts["kept_lock"]) == ("random-forest@1", "a.lock")


def test_a_context_has_code_steps_and_lock_and_nothing_that_tools_leave():
    files = unpacked(image_of("optuna")[0].context())
    assert files["environment/requirements.lock"] == get("optuna").lock.read_bytes()
    assert "code/benchmark/frameworks/optuna/adapter.py" in files
    assert "code/entrypoint.py" in files
    assert "docker/Dockerfile" in files
    assert not [name for name in files if "__pycache__" in name or name.endswith(".pyc")]
    assert not [name for name in files if name.startswith("own")]


def test_what_builds_an_environment_needs_nothing_else(tmp_path):
    with tarfile.open(fileobj=io.BytesIO(image_of("constant")[0].context())) as archive:
        archive.extractall(tmp_path, filter="data")
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from benchmark.frameworks import environments\n"
        "print(environments.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, str(tmp_path / "environment")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path))


def test_what_the_building_asks_of_a_framework_is_in_the_context():
    files = unpacked(image_of("constant")[0].context())
    source = files["environment/benchmark/frameworks/environments.py"].decode()
    asked = set(re.findall(r"\bframework\.([a-z_]+)\b", source)) - {"toml"}
    assert "version_of" in asked
    assert asked <= {"lock", "folder", *json.loads(files["environment/framework.json"])}


def test_an_own_framework_comes_at_its_own_path(own):
    names = scan([own], installed=False).frameworks
    (image,), faults = images.images_of([names["mine"]], names, [own])
    assert not faults
    assert image.hash == environment_hash(get("constant"))
    files = unpacked(image.context())
    here = [name for name in files if name.startswith("own/")]
    assert here == [f"own{own}/mine/adapter.py", f"own{own}/mine/framework.toml"]


def test_another_adapter_is_another_image_of_the_same_environment(own):
    names = scan([own], installed=False).frameworks
    (image,), _ = images.images_of([names["mine"]], names, [own])
    before = image.context()
    (own / "mine/adapter.py").write_text("print()\n")
    after = image.context()
    assert content_hash(before, {}) != content_hash(after, {})
    assert content_hash(before, {}) != content_hash(before, {"BASE": "other"})
    same = [{n: d for n, d in unpacked(c).items() if n[0] == "e"} for c in (before, after)]
    assert same[0] == same[1]


def test_a_framework_of_an_installed_package_has_no_image(own):
    names = scan([own], installed=False).frameworks
    wanted, faults = images.images_of([names["mine"]], names)
    assert wanted == []
    assert "frameworks_path" in faults["mine"]


@pytest.mark.parametrize(
    ("registry", "repository"),
    [
        ("localhost:5000", "localhost:5000/automl-benchmark"),
        ("localhost:5000/team/images", "localhost:5000/team/images"),
        ("1.dkr.ecr.eu-west-1.amazonaws.com/automl", "1.dkr.ecr.eu-west-1.amazonaws.com/automl"),
    ],
)
def test_a_registry_alone_gets_a_name(registry, repository):
    assert images.repository_name(registry) == repository


@pytest.mark.parametrize("registry", ["", "a/B", "a/b:tag", "https://a/b", "a b/c"])
def test_an_impossible_repository_is_refused(registry):
    with pytest.raises(BenchmarkError, match="no repository"):
        images.repository_name(registry)


def test_init_compute_without_docker_is_one_sentence(program, tmp_path):
    socket = f"unix://{tmp_path}/no.sock"
    done = program("init-compute", "--framework", "constant", DOCKER_HOST=socket)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"error: Docker does not answer at {socket}: ")
    assert "No such file or directory" in last
    assert "DOCKER_HOST" in last
    assert done.stdout == ""


def test_init_compute_names_the_nearest_framework(command):
    done = command("init-compute", "--framework", "constnat")
    assert done.returncode == 2
    assert "did you mean constant?" in done.stderr


def told(folder: Path, version: str, buildx: int) -> Path:
    """A docker program that says its version, and whether it has buildx."""
    folder.mkdir()
    program = folder / "docker"
    program.write_text(
        f'#!/bin/sh\n[ "$1" = buildx ] && exit {buildx}\necho "Docker version {version}, build x"\n'
    )
    program.chmod(0o755)
    return program


def test_the_first_docker_that_can_build_is_taken(tmp_path):
    told(tmp_path / "a", "28.2.2", 1)
    for name, version, buildx in (("b", "20.10.24", 1), ("c", "28.2.2", 0)):
        program = told(tmp_path / name, version, buildx)
        assert find_program(f"{tmp_path}/a:{tmp_path}/{name}") == program


def test_a_docker_that_cannot_build_says_what_is_wanting(tmp_path):
    program = told(tmp_path / "a", "28.2.2", 1)
    with pytest.raises(BenchmarkError, match=f"^{program} has no buildx"):
        find_program(str(tmp_path / "a"))
    with pytest.raises(BenchmarkError, match="no docker program on PATH"):
        find_program(str(tmp_path))


def test_an_apptainer_definition_has_all_that_its_steps_are_given(
    program: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """Not built: there is no Apptainer here. The steps are those of the Dockerfile."""
    done = program("setup", "constant", "random-forest", "--apptainer", "image")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "work" / "image"
    assert f'"image": "{folder}/automl-benchmark.sif"' in done.stdout
    text = (folder / "automl-benchmark.def").read_text()
    listed = text.partition("for one in ")[2].partition(";")[0].split()
    there = sorted(path.name for path in (folder / "build" / "environments").iterdir())
    assert sorted(listed) == there
    for name in there:
        files = {path.name for path in (folder / "build" / "environments" / name).iterdir()}
        assert {"framework.json", "requirements.lock", "benchmark"} <= files
    steps = ("docker/install.py", "docker/task-requirements.txt")
    for name in (*steps, "requirements.txt", "pre-requirements.txt"):
        assert (folder / "build" / name).is_file()
    assert (folder / "build/code/entrypoint.py").is_file()
    steps = text.partition("%post")[2].partition("%runscript")[0]
    subprocess.run(["sh", "-n", "-c", steps], check=True)
