"""A secret in every place where one may stand; then none in what the program leaves or says.

Each has the word PLANTED in it. Looked at: what commands print, every file that they write (store,
cache, reports, logs, scratch), and the arguments of every process that they start.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmark.config.cache import cache_folder
from benchmark.hpo import Client
from benchmark.hpo.client import ClientError
from prove import processes
from prove.server import Server

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]
WORD = "PLANTED"
TABLE = "n,word,y\n" + "".join(f"{n},{'ab'[n % 2]},{n % 2}\n" for n in range(60))
VARIABLES = {
    "AWS_ACCESS_KEY_ID": f"AKIA{WORD}1",
    "AWS_SECRET_ACCESS_KEY": f"{WORD}-aws-secret",
    "AWS_SESSION_TOKEN": f"{WORD}-aws-session",
    "AUTOML_BENCHMARK_EC2_SSH_KEY": f"/keys/{WORD}-ec2",
    "OPENML_APIKEY": f"{WORD}-openml-env",
    "HPO_TOKEN": f"{WORD}-service-token",
    "PGPASSWORD": f"{WORD}-pg",
    "METAFLOW_SERVICE_AUTH_KEY": f"{WORD}-metaflow",
    "DATABASE_URL": f"postgresql://me:{WORD}-database@127.0.0.1:9/db",
    "WANDB_API_KEY": f"{WORD}-asked-for",
}
CONFIG: dict[str, Any] = {
    "frameworks": ["constant", "tells-all"],
    "frameworks_path": ["frameworks"],
    "datasets": ["sales.yaml"],
    "seeds": [75],
    "cores": 1,
    "memory": 1000,
    "runtime": 5,
    "hard_limit": 60,
    "max_attempts": 1,
    "compute": {"*": "local"},
    "parallel": 1,
    "openml_api_key": f"{WORD}-openml-config",
    "repo_ssh_key": f"/keys/{WORD}-repo",
    "slurm": {"preamble": [f"export PROXY_PASSWORD={WORD}-preamble"]},
}
# A framework that prints its environment, as libraries do when they fail.
ADAPTER = """
import os

def fit(train, problem, limits):
    print(dict(os.environ))
    raise RuntimeError("my environment: %s" % dict(os.environ))

def predict(model, frame, problem):
    return {}

def describe(model):
    return {}
"""
STUDY = {
    "name": "s",
    "direction": "minimize",
    "trials": 2,
    "secrets": ["WANDB_API_KEY"],
    "limits": {"time": 300, "memory": 300},
    "tunables": [{"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1}],
    "objective": {
        "command": ["sh", "-c", "set | grep -v WANDB >&2; test $WANDB_API_KEY; echo {x}"]
    },
}


class Guarded(BaseHTTPRequestHandler):
    """Gives the table to who has the password and the signature, and 403 to anybody else."""

    def do_GET(self) -> None:
        asked = base64.b64encode(f"user:{WORD}-url@1".encode()).decode()
        good = self.headers.get("Authorization") == f"Basic {asked}" and f"={WORD}" in self.path
        self.send_response(200 if good else 403)
        body = TABLE.encode() if good else b""
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on the test's standard error."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Guarded) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory, server: str) -> Path:
    """A folder with a secret in every file that may have one."""
    folder = tmp_path_factory.mktemp("planted")
    (folder / "work" / "frameworks" / "tells-all").mkdir(parents=True)
    framework = folder / "work" / "frameworks" / "tells-all"
    (framework / "adapter.py").write_text(ADAPTER)
    (framework / "framework.toml").write_text(
        'description = "prints its environment"\nversion_of = "numpy"\n'
        'environment = "random-forest"\n'
    )
    (folder / "work" / "batch.config").write_text(json.dumps(CONFIG))
    address = f"http://user:{WORD}-url%401@{server}/sales.csv?X-Amz-Signature={WORD}-signature"
    (folder / "work" / "sales.yaml").write_text(f"url: {address}\ntarget: y\n")
    (folder / "work" / "study.yaml").write_text(yaml.safe_dump(STUDY))
    return folder


@pytest.fixture(scope="module")
def run(planted: Path) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """A command in that folder; every argument of a process below it is looked at meanwhile."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith("AUTOML_BENCHMARK_")}
    for name in ("temporary", "home", "cache"):
        (planted / name).mkdir()
    # What is built already, so that only what this test brings can hold a secret.
    (planted / "cache" / "environments").symlink_to(cache_folder() / "environments")
    own = {
        "AUTOML_BENCHMARK_CACHE": str(planted / "cache"),
        "TMPDIR": str(planted / "temporary"),
        "HOME": str(planted / "home"),
    }
    seen: set[str] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            seen.update(processes.commands().values())

    watcher = threading.Thread(target=watch)
    watcher.start()

    def command(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, ROOT / "main.py", *arguments],
            cwd=planted / "work",
            env=kept | VARIABLES | own | more,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    try:
        yield command
    finally:
        over.set()
        watcher.join()
    assert any("benchmark.execution" in words for words in seen)
    # What the user types is seen in that command, and in no other.
    assert [words for words in seen if WORD in words and "--storage" not in words] == []


def said_nothing(ended: subprocess.CompletedProcess[str], code: int) -> None:
    assert ended.returncode == code, ended.stdout + ended.stderr
    assert WORD not in ended.stdout + ended.stderr


def written(folder: Path) -> list[str]:
    """Files with the word, but those that the user wrote."""
    own = {"batch.config", "wrong.config", "sales.yaml", "study.yaml", "database.yaml", "tokens"}
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in own]
    assert files
    word = WORD.encode()
    return [str(path) for path in files if word in path.read_bytes() or WORD in path.name]


def test_a_run_from_the_first_command_to_the_report(
    run: Callable[..., subprocess.CompletedProcess[str]], planted: Path
) -> None:
    said_nothing(run("download-data"), 0)
    said_nothing(run("execute-compute"), 0)
    log = b"".join(path.read_bytes() for path in (planted / "work/runs").rglob("*.log"))
    assert b"'HOME'" in log, "the framework printed its environment"
    for words in (
        ("status", "--json"),
        ("fetch-results",),
        ("run-analysis",),
        ("get-logs",),
        ("export-failures", "failures.jsonl"),
        ("frameworks", "--json"),
    ):
        said_nothing(run(*words), 0)
    assert written(planted) == []


def test_what_is_refused_or_cannot_be_had(
    run: Callable[..., subprocess.CompletedProcess[str]], planted: Path, server: str
) -> None:
    key = f"{WORD}-of-another-type"
    said_nothing(run("status", AUTOML_BENCHMARK_MEMORY="x", AUTOML_BENCHMARK_REPO_SSH_KEY=key), 2)
    config = planted / "work" / "wrong.config"
    for wrong in (
        {"openml_api_key": [key]},
        {"openml_apikey": key},
        {"s3_bucket_root": f"s3://AKIA:{key}@bucket/x"},
        {"s3_bucket_root": f"https://me:{key}@host/bucket"},
        {"slurm": {"preamble": {"export": key}}},
    ):
        config.write_text(json.dumps(CONFIG | wrong))
        said_nothing(run("status", "--config", "wrong.config"), 2)
    config.unlink()
    for place in (
        f"http://user:{key}@{server}/no.csv?signature={key}",
        f"http://user:{key}@127.0.0.1:x/no.csv",
        f"s3://user:{key}@bucket/no.csv?signature={key}",
        f"ftp://user:{key}@{server}/no.csv",
    ):
        (planted / "work" / "sales.yaml").write_text(f"url: {place}\ntarget: y\n")
        ended = run("download-data", AWS_ENDPOINT_URL="http://127.0.0.1:9", AWS_MAX_ATTEMPTS="1")
        assert ended.returncode in (1, 2)
        assert WORD not in ended.stdout + ended.stderr
    assert written(planted) == []


def test_a_study(run: Callable[..., subprocess.CompletedProcess[str]], planted: Path) -> None:
    said_nothing(run("tune", "study.yaml"), 0)
    for words in (("show", "s", "--json"), ("export", "s"), ("report", "s")):
        said_nothing(run("studies", *words), 0)
    storage = f"sqlite:///{planted}/work/no/such/folder.db?password={WORD}-storage"
    for place in (f"postgresql://me:{WORD}-storage@127.0.0.1:9/db", storage, f"x://a:{WORD}@b"):
        named = STUDY | {"name": "database", "storage": place}
        (planted / "work" / "database.yaml").write_text(yaml.safe_dump(named))
        ended = run("tune", "database.yaml")
        assert ended.returncode in (1, 2), ended.stdout
        assert WORD not in ended.stdout + ended.stderr
    assert written(planted) == []


def test_the_service(run: Callable[..., subprocess.CompletedProcess[str]], planted: Path) -> None:
    tokens = planted / "work" / "tokens"
    tokens.write_text(f"admin {WORD}-of-a-service\n")
    said_nothing(run("serve", "--port", "0", "--no-grpc", "--token-file", "tokens"), 2)
    place = f"postgresql://me:{WORD}-storage@127.0.0.1:9/db"
    said_nothing(run("serve", "--port", "0", "--no-grpc", "--storage", place), 2)
    tokens.write_text(f"write {WORD}-of-a-service\n")
    server = Server(planted / "work", "--token-file", "tokens")
    server.start()
    try:
        client = Client(server.url, token=f"{WORD}-of-a-service")
        experiment = client.create("e", direction="minimize", tunables=STUDY["tunables"], trials=1)
        for trial in experiment:
            trial.tell(1.0)
        with pytest.raises(ClientError):
            Client(server.url, token=f"{WORD}-guess").experiment("e")
    finally:
        server.kill(signal.SIGTERM)
    assert WORD not in server.said
    assert written(planted) == []
