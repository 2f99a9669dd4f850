"""The doctor: finds what is wrong, says how to mend it, leaves nothing and never hangs."""

from __future__ import annotations

import email.utils
import json
import os
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from benchmark.compute.slurm import checks
from benchmark.config.loading import Config, LoadedConfig
from benchmark.errors import ConfigError
from benchmark.execution.sandbox.scratch import scratch_root
from benchmark.frameworks import environments, locks, registry
from benchmark.frameworks.packing import is_packed
from benchmark.runs.doctor import cluster, configuration, examine, exit_code, machine, storage
from benchmark.runs.doctor.finding import fault, misconfigured, ok, warning
from tests.support.slurm_double import SlurmDouble

MakeConfig = Callable[..., Config]

SECRET = "wJalrXUtnFEMIsecretKEY"


def test_a_sound_machine(make_config: MakeConfig, tmp_path: Path) -> None:
    config = make_config(s3_bucket_root=str(tmp_path / "store"))
    findings = list(examine(LoadedConfig(values=config, quickstart=False, file="batch.config")))
    assert exit_code(findings) == 0, findings
    subjects = {finding.subject for finding in findings}
    assert {"configuration", "sandbox", "machine", "uv", "store", "constant"} <= subjects
    assert not (tmp_path / "store").exists()


def test_without_linux_it_says_what_is_not_bound(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "DEFAULT", "process-group")
    (found,) = machine.check_sandbox(make_config())
    assert (found.level, "cores are not bound" in found.message) == ("warning", True)
    monkeypatch.setenv("PATH", "")
    (found,) = machine.check_sandbox(make_config())
    assert (found.level, found.mend) == ("fault", "install ps")


def test_what_no_run_can_remove_is_named(
    make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    root = scratch_root()
    for name in ("a", "b", "c", "d"):
        (root / name).touch()
    (root / "abcdefgh").mkdir()
    found, *more = machine.check_sandbox(make_config())
    assert (found.level, found.subject) == ("warning", "sandbox")
    assert (
        f"leftovers that cannot be removed: {root}/a: it is not a folder of ours" in found.message
    )
    assert found.message.endswith(" and 1 more")
    assert more
    assert not (root / "abcdefgh").exists()
    for name in ("a", "b", "c", "d"):
        (root / name).unlink()
    root.rmdir()
    root.symlink_to(tmp_path)
    (fault,) = machine.check_sandbox(make_config())
    assert fault.level == "fault"
    assert f"The scratch folder {root} is a link; remove it" in fault.message


def test_a_cluster_without_a_configuration_is_reported_once(
    make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "sinfo"
    tool.write_text("#!/bin/sh\necho 'no configuration source' >&2\nexit 1\n")
    tool.chmod(0o755)
    for name in ("sbatch", "squeue", "sacct", "scontrol", "scancel"):
        (tmp_path / name).symlink_to(tool)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    config = make_config(compute={"*": "slurm"}, s3_bucket_root=str(tmp_path / "store"))
    findings = list(examine(LoadedConfig(values=config, quickstart=False, file="batch.config")))
    said = [found.message for found in findings if "no configuration source" in found.message]
    assert len(said) == 1, said


@pytest.mark.parametrize("name", ["kept", "kept.tar"])
def test_environments_of_nodes_are_looked_for_where_nodes_take_them(
    make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AUTOML_BENCHMARK_CACHE", str(tmp_path / "kept"))
    options = {"compute": {"*": "slurm"}, "slurm": {"cache": f"~/{name}"}}
    config = make_config(frameworks=["constant"], **options)
    chosen, _ = configuration.configured(config)
    caches = cluster.caches(config, chosen)
    assert caches == {"constant": f"{tmp_path}/{name}"}
    [found] = configuration.check_environments(chosen, caches=caches)
    assert (found.level, found.message) == (
        "warning",
        f"its environment is not in {tmp_path}/{name} ('cache' of 'slurm')",
    )
    digest = environments.environment_hash(chosen["constant"])
    folder = tmp_path / "kept" / "environments" / f"{chosen['constant'].environment}-{digest}"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").touch()
    (folder / environments.READY).write_text(
        json.dumps({"packages": {}, "build_s": 1, "size_mb": 1})
    )
    if is_packed(name):
        with tarfile.open(tmp_path / name, "w") as archive:
            archive.add(folder, f"environments/{folder.name}")
    [found] = configuration.check_environments(chosen, caches=caches)
    assert (found.level, found.message) == (
        "ok",
        f"its environment is in {tmp_path}/{name} ('cache' of 'slurm')",
    )
    monkeypatch.setenv("AUTOML_BENCHMARK_CACHE", str(tmp_path / "other"))
    [found] = configuration.check_environments(chosen, caches=caches)
    assert found.level == "ok"


def test_a_configuration_of_slurm_that_is_not_there_is_refused_at_once(
    make_config: MakeConfig, slurm_double: SlurmDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each command of Slurm waits a minute for such a file."""
    monkeypatch.setenv("SLURM_CONF", "/nowhere/slurm.conf")
    words = "SLURM_CONF is /nowhere/slurm.conf, and there is no such file"
    [found] = cluster.check_cluster(make_config())
    assert (found.level, found.message) == ("fault", words)
    with pytest.raises(ConfigError, match=words):
        checks.check(make_config(), cores=1, memory_mb=100)
    assert slurm_double.calls("sinfo") == []


def test_exit_codes() -> None:
    line = ("a", "b", "c")
    assert exit_code([ok("a", "b"), warning(*line)]) == 0
    assert exit_code([ok("a", "b"), fault(*line)]) == 1
    assert exit_code([fault(*line), misconfigured(*line)]) == 2


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[float], None]]:
    """An S3 endpoint that refuses everything, with a clock that can be set."""
    ahead_s = 0.0

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response_only(403)
            self.send_header("Date", email.utils.formatdate(time.time() + ahead_s, usegmt=True))
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            return

    def set_clock(seconds: float) -> None:
        nonlocal ahead_s
        ahead_s = seconds

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{running.server_port}")
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield set_clock
        running.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("ahead_s", "level"),
    [(0, "ok"), (-10, "ok"), (300, "warning"), (3600, "fault"), (-3600, "fault")],
)
def test_the_clock(server: Callable[[float], None], ahead_s: float, level: str) -> None:
    server(ahead_s)
    assert [finding.level for finding in storage.check_clock()] == [level]


@pytest.fixture
def no_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.mark.usefixtures("no_aws")
def test_credentials_are_named_by_their_source_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert [finding.level for finding in storage.check_credentials()] == ["fault"]
    keys = f"aws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = {SECRET}\n"
    (tmp_path / "credentials").write_text(f"[default]\n{keys}")
    [found] = storage.check_credentials()
    assert (found.level, "credentials file" in found.message) == ("ok", True)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    [found] = storage.check_credentials()
    assert (found.level, "environment" in found.message) == ("ok", True)
    assert SECRET not in found.message
    assert "AKIAEXAMPLE" not in found.message
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    [found] = storage.check_credentials()
    assert found.level == "fault"


def test_variables_are_named_and_their_values_not_shown(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOML_BENCHMARK_OPENML_API_KEY", SECRET)
    loaded = LoadedConfig(values=make_config(), quickstart=False, file="batch.config")
    [found] = configuration.check_layers(loaded)
    assert "batch.config, over it AUTOML_BENCHMARK_OPENML_API_KEY" in found.message
    assert SECRET not in found.message


def test_an_unknown_framework_is_a_fault_of_the_configuration(make_config: MakeConfig) -> None:
    config = make_config(frameworks=["constnt"])
    found, wrong = configuration.configured(config)
    assert found == {}
    assert exit_code(wrong) == 2
    assert "did you mean constant" in wrong[-1].message


def test_what_execute_compute_refuses_is_found(make_config: MakeConfig) -> None:
    config = make_config(memory=10**7, parallel=1)
    framework = registry.get("constant")
    found = list(configuration.check_plan(config, {"constant": framework}))
    assert exit_code(found) == 2
    assert "'memory'" in found[0].message
    assert "set 'memory'" in found[0].mend
    slow = {"slow": replace(framework, minimum_runtime=30)}
    found = list(configuration.check_plan(make_config(), slow))
    assert exit_code(found) == 2
    assert "needs at least 30 s" in found[0].message


@pytest.mark.slow
def test_an_interpreter_that_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AUTOML_BENCHMARK_CACHE", str(tmp_path))
    future = replace(registry.get("constant"), python=">=3.99")
    [found] = configuration.check_environments({"future": future})
    assert found.level == "fault"
    assert "3.99" in found.message


def test_java_where_it_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    constant = registry.get("constant")
    assert list(machine.check_java({"constant": constant})) == []
    search = machine.java_search()
    monkeypatch.setattr(search, "PLACES", (f"{tmp_path}/jvm/*/bin/java",))
    monkeypatch.setattr(machine, "java_search", lambda: search)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "new"))
    water = {"water": replace(constant, name="h2o")}
    for home, version, level, said in (
        ("new", "21.0.1", "fault", f"{tmp_path}/new/bin/java is 21"),
        ("jvm/old", "1.8.0_402", "ok", f"Java 8, {tmp_path}/jvm/old/bin/java, for water"),
    ):
        java = tmp_path / home / "bin" / "java"
        java.parent.mkdir(parents=True)
        java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
        java.chmod(0o755)
        [found] = machine.check_java(water)
        assert (found.level, said in found.message) == (level, True), found
        assert level == "ok" or "openjdk-17-jre-headless" in found.mend


def test_another_version_has_an_environment_of_its_own(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AUTOML_BENCHMARK_CACHE", str(tmp_path))
    chosen, wrong = configuration.configured(make_config(frameworks=["constant@0.0.1"]))
    assert wrong == []
    monkeypatch.setattr(locks, "resolve", lambda *_: "numpy==0.0.1\n")
    monkeypatch.setattr(environments, "is_ready", lambda one: one.environment.endswith("@0.0.1"))
    [found] = configuration.check_environments(chosen)
    assert (found.subject, "is built" in found.message) == ("constant@0.0.1", True), found
    monkeypatch.setattr(locks, "resolve", lambda *_: "numpy==0.0.2\n")
    chosen = {"constant@0.0.3": replace(chosen["constant@0.0.1"], pinned="0.0.3")}
    [found] = configuration.check_environments(chosen)
    assert (found.level, "0.0.3 has" in found.message) == ("fault", True), found


def test_a_scheduler_that_is_configured_and_not_there(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert list(machine.check_methods(["local"])) == []
    [found] = cluster.check_cluster(make_config())
    assert (found.level, "sinfo" in found.message) == ("fault", True)


def test_the_first_job_has_the_preamble_and_the_flags(
    make_config: MakeConfig, slurm_double: SlurmDouble, tmp_path: Path
) -> None:
    """Python of a module is on the node's PATH only after `module load`."""
    loaded = tmp_path / "module" / "own-python"
    loaded.parent.mkdir()
    loaded.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    loaded.chmod(0o755)
    srun = slurm_double.root / "bin" / "srun"
    srun.write_text(
        f"#!/bin/sh\necho srun $* >> {slurm_double.root}/calls\n"
        'while [ "$1" != bash ]; do shift; done\nexec "$@"\n'
    )
    srun.chmod(0o755)
    options = {"python": "own-python", "flags": ["--exclude=n9"], "cache": "mistyped"}
    without = list(cluster.check_cluster(make_config(slurm=options)))
    assert any("place mistyped ('cache') does not exist" in found.message for found in without)
    del options["cache"]
    assert any("does not see own-python" in found.message for found in without)
    options["preamble"] = ["echo loading", f"export PATH={loaded.parent}:$PATH"]
    found = list(cluster.check_cluster(make_config(slurm=options)))
    assert any("a node sees own-python" in one.message for one in found)
    assert {one.level for one in found} == {"ok", "warning"}  # a partition of the double is down
    assert "--exclude=n9 bash" in slurm_double.calls("srun")[-1]


@pytest.mark.parametrize("shared", [True, False])
def test_a_node_must_see_this_results_folder_and_not_another_of_its_name(
    make_config: MakeConfig,
    slurm_double: SlurmDouble,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    shared: bool,
) -> None:
    folder, elsewhere = tmp_path / "here" / "runs", tmp_path / "node" / "runs"
    folder.mkdir(parents=True)
    elsewhere.mkdir(parents=True)
    seen = folder if shared else elsewhere
    srun = slurm_double.root / "bin" / "srun"
    srun.write_text(
        '#!/bin/sh\nwhile [ "$1" != bash ]; do shift; done\n'
        f'exec bash -c "$(echo "$3" | sed "s#{folder}#{seen}#g")"\n'
    )
    srun.chmod(0o755)
    monkeypatch.setattr(cluster, "SEEN_S", 0.0)
    told = [one.message for one in cluster.check_cluster(make_config(s3_bucket_root=str(folder)))]
    words = "a node sees" if shared else "a node does not see"
    assert any(f"{words} the results' folder" in message for message in told), told
    assert [*folder.iterdir(), *elsewhere.iterdir()] == []


@pytest.mark.parametrize(("free_gb", "level"), [(100.0, "ok"), (0.9, "warning"), (0.01, "fault")])
def test_room_on_the_disks(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, free_gb: float, level: str
) -> None:
    usage = type("Usage", (), {"free": int(free_gb * 2**30)})
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: usage)
    found = list(machine.check_disks(make_config()))
    assert {finding.level for finding in found} == {level}
    assert all(f"has {free_gb:.1f} GiB free" in finding.message for finding in found)
