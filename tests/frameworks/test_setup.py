"""Several environments at once, each proved to work, packed, counted, removed."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.compute.job_script import script
from benchmark.config.method_options import SlurmOptions
from benchmark.errors import SetupError
from benchmark.execution.sandbox.scratch import sweep
from benchmark.files.removal import clear
from benchmark.frameworks import Framework, ensure, get
from benchmark.frameworks.building import build_all
from benchmark.frameworks.disk import remove, stored
from benchmark.frameworks.environments import READY, verify
from benchmark.frameworks.packing import pack, unpacked

Make = Callable[..., Framework]
TOML = 'description = "{name}"\nversion_of = "{version_of}"\npreload = ["{preload}"]\n'


def one_package(package: str) -> str:
    """The part of the shipped lock that is one small package without others."""
    lines = get("random-forest").lock.read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"{package}=="))
    end = start + 1
    while end < len(lines) and lines[end].startswith(" "):
        end += 1
    return "\n".join(lines[start:end]) + "\n"


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Frameworks with one small package each, and an empty cache."""
    monkeypatch.setenv("AUTOML_BENCHMARK_CACHE", str(tmp_path / "cache"))

    def framework(
        name: str,
        package: str = "threadpoolctl",
        preload: str = "threadpoolctl",
        version_of: str = "",
    ) -> Framework:
        home = tmp_path / "own" / name
        home.mkdir(parents=True)
        text = TOML.format(name=name, version_of=version_of or package, preload=preload)
        (home / "framework.toml").write_text(text)
        (home / "adapter.py").write_text("pass\n")
        (home / "requirements.lock").write_text(one_package(package))
        return get(name, [home])

    return framework


@pytest.mark.slow
def test_all_are_built_and_a_bad_one_stops_none(make: Make) -> None:
    good, other = make("good"), make("other", "narwhals", "narwhals")
    no_import = make("no-import", preload="not_there_at_all")
    no_version = make("no-version", version_of="joblib")
    bad = make("bad")
    bad.lock.write_text("threadpoolctl==3.8.0 --hash=sha256:" + "0" * 64 + "\n")
    told: list[str] = []
    chosen = [good, other, no_import, no_version, bad]
    built = {one.framework.name: one for one in build_all(chosen, told.append)}
    assert set(built) == {"good", "other", "no-import", "no-version", "bad"}
    assert len(told) == 9
    for name in ("good", "other"):
        assert built[name].error is None
        assert built[name].environment == ensure(built[name].framework)
        assert (built[name].import_s or 0) > 0
    assert "not_there_at_all" in str(built["no-import"].error)
    assert "'version_of'" in str(built["no-version"].error)
    assert "hash" in str(built["bad"].error).lower()
    assert built["bad"].environment is None
    assert all("\n" not in str(one.error) for one in built.values())
    told.clear()
    again = list(build_all([good, other], told.append))
    assert [one.error for one in again] == [None, None]
    assert told == []


def test_two_processes_build_an_environment_once(make: Make) -> None:
    framework = make("good")
    program = (
        "import sys\nfrom benchmark.frameworks import ensure, get\n"
        "ensure(get('good', [sys.argv[1]]), print)"
    )
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", program, str(framework.folder)]
    pair = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root, env=os.environ)
        for _ in range(2)
    ]
    told = [process.communicate(timeout=500)[0] for process in pair]
    assert [process.returncode for process in pair] == [0, 0]
    assert sorted(text.count("Building") for text in told) == [0, 1]


def test_the_disk_is_counted_and_freed(make: Make) -> None:
    one, other = ensure(make("one")), ensure(make("other", "narwhals", "narwhals"))
    disk = stored()
    assert [(e.name, e.folder, e.built) for e in disk.environments] == [
        ("one", one.folder, True),
        ("other", other.folder, True),
    ]
    for environment in disk.environments:
        assert 0 < environment.own_mb <= environment.size_mb
        assert environment.size_mb <= disk.total_mb <= sum(e.size_mb for e in disk.environments)
    os.link(other.folder / READY, other.folder.parent / "linked-elsewhere")
    (other.folder / READY).unlink()
    assert [e.built for e in stored().environments] == [True, False]

    with pytest.raises(SetupError, match="no environment 'absent'"):
        remove(["one", "absent"])
    assert one.folder.exists()
    assert [e.folder for e in remove(["one"])] == [one.folder]
    assert not one.folder.exists()
    assert [e.name for e in stored().environments] == ["other"]
    with pytest.raises(SetupError, match="no environment 'one'; it has other"):
        remove(["one"])


def test_what_another_process_builds_is_not_removed(make: Make) -> None:
    folder = ensure(make("one")).folder
    with Path(f"{folder}.lock").open("a") as builder:
        fcntl.flock(builder, fcntl.LOCK_EX)
        with pytest.raises(SetupError, match="is being built by another process"):
            remove(["one"])
    assert folder.is_dir()


def test_hard_links_are_counted_once(make: Make) -> None:
    one = ensure(make("one"))
    before = stored()
    big = one.folder / "big"
    big.write_bytes(os.urandom(3_000_000))
    twin = one.folder.parent / "twin-0123456789abcdef"
    twin.mkdir()
    os.link(big, twin / "big")
    after = stored()
    assert after.total_mb == pytest.approx(before.total_mb + 3, abs=0.1)
    sizes = {e.name: (e.size_mb, e.own_mb) for e in after.environments}
    assert sizes["twin"] == (pytest.approx(3, abs=0.1), 0)
    assert sizes["one"][1] == before.environments[0].own_mb
    os.link(big, one.folder / "big-too")
    (twin / "big").unlink()
    own = {e.name: e.own_mb for e in stored().environments}["one"]
    assert own == pytest.approx(before.environments[0].own_mb + 3, abs=0.1)


def test_an_environment_in_use_is_not_removed(make: Make) -> None:
    environment = ensure(make("one"))
    with subprocess.Popen(
        [environment.python, "-c", "print('up', flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        with pytest.raises(SetupError, match=f"process {process.pid} runs in"):
            remove(["one"])
        process.communicate(b"\n")
    remove(["one"])


def test_verify_says_which_module(make: Make) -> None:
    framework = make("one")
    assert verify(framework, ensure(framework)) > 0


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a node has as its own disk."""
    folder = tmp_path / "node"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    return folder


def test_a_packed_environment_runs_where_it_is_unpacked(
    make: Make, node: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    framework = make("small")
    built = ensure(framework)
    file = tmp_path / "shared" / "environments.tar.gz"
    pack([built, built], file)
    clear(tmp_path / "cache")
    job = script(SlurmOptions(cache=str(file)), ["-m", "benchmark.frameworks.packing", str(file)])
    told = [
        subprocess.run(["bash"], input=job, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    sweep()  # as every runner does; it leaves them alone
    assert told[0] == told[1] == f"{unpacked(file)}\n"
    assert Path(told[0].strip()).is_dir()
    monkeypatch.setenv("AUTOML_BENCHMARK_CACHE", told[0].strip())
    found = ensure(framework, report=pytest.fail)
    assert found.folder.is_relative_to(node)
    assert found.hash == built.hash
    verify(framework, found)


@pytest.mark.usefixtures("node")
def test_what_cannot_be_unpacked_ends_the_job_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "cut.tar").write_bytes(b"nothing")
    with pytest.raises(SetupError, match=r"cut\.tar cannot be unpacked"):
        unpacked(tmp_path / "cut.tar")
    job = script(SlurmOptions(cache=f"{tmp_path}/none.tar.gz"), ["-c", "print('the task')"])
    done = subprocess.run(["bash"], input=job, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "none.tar.gz cannot be unpacked" in done.stderr


def test_setup_writes_one_file(
    make: Make, program: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    home = make("small").folder
    told = ("--set", f'frameworks_path=["{home}"]')
    done = program("setup", "small", "--to", "environments.tar", *told)
    assert done.returncode == 0, done.stderr
    file = tmp_path / "work" / "environments.tar"
    assert f'"cache": "{file}"' in done.stdout
    with tarfile.open(file) as archive:
        assert [name for name in archive.getnames() if name.endswith("/.ready")]


@pytest.mark.parametrize("place", ["environments.tar", "shared"])
def test_setup_offers_nothing_where_nothing_was_built(
    make: Make,
    program: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
    place: str,
) -> None:
    framework = make("bad")
    framework.lock.write_text("threadpoolctl==3.8.0 --hash=sha256:" + "0" * 64 + "\n")
    told = ("--set", f'frameworks_path=["{framework.folder}"]')
    done = program("setup", "bad", "--to", place, *told)
    assert done.returncode == 1, done.stderr
    assert "slurm" not in done.stdout
    assert not (tmp_path / "work" / "environments.tar").exists()
