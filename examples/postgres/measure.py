"""A PostgreSQL server with a trial's settings, started, loaded with pgbench, and stopped.

python measure.py TRIAL.json
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SECONDS, CLIENTS, SCALE = 5, 4, 2
USER = "bench"
NAMES = {
    "shared_buffers_mb": ("shared_buffers", "MB"),
    "work_mem_mb": ("work_mem", "MB"),
    "max_wal_size_mb": ("max_wal_size", "MB"),
}


def main(trial: str) -> None:
    settings = json.loads(Path(trial).read_text())["params"]
    programs = folder_of_programs()
    # A socket's path may have 107 characters, and a trial's folder can be deep.
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="pg-") as place:
        data, log = f"{place}/data", f"{place}/log"
        run(programs / "initdb", "-D", data, "-U", USER, "-A", "trust", "--no-sync")
        conf = [f"{key} = '{value}'" for key, value in as_postgres(settings).items()]
        conf += ["listen_addresses = ''", f"unix_socket_directories = '{place}'"]
        with Path(data, "postgresql.conf").open("a") as file:
            file.write("\n".join(conf) + "\n")
        run(programs / "pg_ctl", "-D", data, "-l", log, "-w", "start")
        try:
            reached = ["-h", place, "-U", USER, "postgres"]
            run(programs / "pgbench", "-i", "-q", "-s", str(SCALE), *reached)
            load = ["-b", "simple-update@100", "-f", "report.sql@1"]
            size = ["-n", "-c", str(CLIENTS), "-j", "1", "-T", str(SECONDS)]
            said = run(programs / "pgbench", *load, *size, *reached)
        finally:
            run(programs / "pg_ctl", "-D", data, "-m", "immediate", "stop")
    print(json.dumps(measured(said)))


def measured(said: str) -> dict[str, float]:
    """Throughput of both kinds together, mean latency, and failed transactions."""
    patterns = {
        "transactions_per_s": r"^tps = ([\d.]+)",
        "latency_ms": r"^latency average = ([\d.]+)",
        "failed": r"^number of failed transactions: (\d+)",
    }
    found = {key: re.search(text, said, re.MULTILINE) for key, text in patterns.items()}
    return {key: float(match.group(1)) if match else 0.0 for key, match in found.items()}


def as_postgres(settings: dict[str, object]) -> dict[str, str]:
    pairs = ((NAMES.get(name, (name, "")), value) for name, value in settings.items())
    return {name: f"{value}{unit}" for (name, unit), value in pairs}


def folder_of_programs() -> Path:
    """Where initdb is: on the path, or where Debian and others put it."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    for place in ("/usr/lib/postgresql", "/usr/local", "/opt"):
        for file in sorted(Path(place).glob("*/bin/initdb"), reverse=True):
            return file.parent
    sys.exit("PostgreSQL is not installed here: there is no initdb.")


def run(program: Path, *arguments: str) -> str:
    """Run a program; PostgreSQL refuses root, who runs it as another user of a namespace."""
    command = [str(program), *arguments]
    if os.geteuid() == 0:
        command = ["unshare", "--user", "--map-user=1000", "--map-group=1000", *command]
    # Files, not pipes: the server that pg_ctl leaves behind would keep a pipe open.
    with tempfile.TemporaryFile("w+") as output:
        ended = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)
        output.seek(0)
        said = output.read()
    if ended.returncode:
        sys.exit(f"{program.name} ended with {ended.returncode}: {said.strip()[-500:]}")
    return said


if __name__ == "__main__":
    main(sys.argv[1])
