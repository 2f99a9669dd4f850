"""The walk with curl of the document, taken as it stands there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.cli import main
from tests.support.documents import commands, section

DOCUMENT = Path(__file__).parents[3] / "docs" / "service.md"
# What is refused fails, and what was answered is kept; the events of a running experiment go on.
SHELL = """
set -e
curl() {
    case "$*" in */events)
            : > one; timeout 60 curl -sS "$@" > one &
            until grep -q "event: summary" one; do kill -0 $! || return 1; sleep 0.1; done
            kill $! ;;
        *) command curl -sS --fail-with-body -m 60 "$@" > one || { cat one >&2; return 1; } ;;
    esac
    { cat one; echo; } >> said; cat one
}
lease() { sed -n 's/.*"lease":"\\([^"]*\\)".*/\\1/p' said; }
"""


def walks() -> list[str]:
    """The blocks that a shell runs; what generates a client is run by its own test."""
    found = re.findall(r"```sh\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    return [block for block in found if not block.startswith("npm ")]


def taken(walk: str, port: int, folder: Path) -> str:
    """All that was answered on the way."""
    script = walk.replace(":8085", f":{port}").replace('"9f…"', "\"'$(lease)'\"")
    ended = subprocess.run(
        ["sh", "-c", SHELL + script], cwd=folder, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return (folder / "said").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_walks(serve: Callable[..., Any], tmp_path: Path) -> None:
    server = serve("--storage", "memory")
    modern, classic = walks()
    (tmp_path / "modern").mkdir()
    said = taken(modern, server.port, tmp_path / "modern")
    assert '"again":false}],"state":"running"}' in said
    assert '{"prune":false}' in said
    assert '"metrics":{"p99":80.0}' in said
    assert "event: summary" in said
    assert '"state":"paused"' in said
    (tmp_path / "classic").mkdir()
    said = taken(classic, server.port, tmp_path / "classic")
    posted = "Result posted successfully!"
    short = [line for line in said.splitlines() if 0 < len(line) <= len(posted)]
    assert short[:4] == ["0", posted, "1", posted]
    assert '[{"tunable_name":"cpu","tunable_value":' in said
    assert "<html>" in (tmp_path / "classic" / "slice.html").read_text()


@pytest.mark.slow
def test_the_client_s_walk(
    serve: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With the search space of the walk with curl, and one trial, so that there are no more."""
    server = serve("--storage", "memory")
    request = json.loads(walks()[1].partition("-d '")[2].partition("'")[0])
    request["search_space"]["total_trials"] = 1
    (tmp_path / "space.json").write_text(json.dumps(request))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HPO_PORT", str(server.grpc_port))
    (block,) = (one for one in section("docs/service.md", "The classic contract") if one.typed)
    said = []
    for words in commands(block.text):
        assert main(words) == 0, (words, capsys.readouterr())
        said.append(capsys.readouterr().out)
    assert "Trial Number: 0" in said[0]
    assert "cpu" in said[1]
    assert "-1" in said[3]
    assert "Optimal Value: 98.7" in said[4]


@pytest.mark.slow
@pytest.mark.skipif(
    None in (shutil.which("curl"), shutil.which("openssl")), reason="needs curl and openssl"
)
def test_tokens_are_made_and_asked_for(serve: Callable[..., Any], tmp_path: Path) -> None:
    (block,) = section("docs/service.md", "Tokens")
    make, start, ask = block.typed
    subprocess.run(["sh", "-ec", make], cwd=tmp_path, check=True)
    assert (tmp_path / "tokens").stat().st_mode & 0o777 == 0o600
    tokens = dict(line.split() for line in (tmp_path / "tokens").read_text().splitlines())
    assert set(tokens) == {"read", "write"}
    (words,) = commands(start)
    server = serve(*words[1:])
    here = ask.replace("HOST:8085", f"127.0.0.1:{server.port}").replace("curl", "curl -sS --fail")
    for token, is_taken in ((tokens["read"], True), ("x" * 48, False)):
        ended = subprocess.run(
            ["sh", "-c", here], env={"TOKEN": token}, capture_output=True, text=True, check=False
        )
        assert (ended.returncode == 0) == is_taken, ended.stderr
