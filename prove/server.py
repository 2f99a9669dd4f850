"""`main.py serve` as a user starts it, killed and started anew on the same ports and data."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).parents[1]


class Server:
    """`main.py serve` in a folder; killed and started anew on the same ports and data.

    `before` stands before the command.
    """

    def __init__(self, folder: Path, *arguments: str, before: tuple[str, ...] = ()) -> None:
        self.folder, self._arguments, self._before = folder, arguments, before
        self.port, self.grpc_port, self.said = 0, 0, ""
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        ports = ["--port", str(self.port), "--grpc-port", str(self.grpc_port)]
        self.process = subprocess.Popen(
            [
                *self._before,
                sys.executable,
                str(ROOT / "main.py"),
                "serve",
                *ports,
                *self._arguments,
            ],
            cwd=self.folder,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        said = ""
        for line in self.process.stderr:
            said += line
            if line.startswith("gRPC: "):
                self.grpc_port = int(line.rsplit(":", 1)[1])
            if line.startswith("HTTP: "):
                self.port = int(line.rsplit(":", 1)[1].strip().rstrip("/"))
                # A pipe that nobody reads would hold up the server.
                threading.Thread(target=self._drain, args=(self.process,), daemon=True).start()
                return
        raise AssertionError(said)

    def _drain(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        with process.stderr:
            for line in process.stderr:
                self.said += line

    def kill(self, number: int = signal.SIGKILL) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(600)

    def end(self) -> None:
        """Kill it where it still runs."""
        if self.process is not None and self.process.poll() is None:
            self.kill()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"
