"""Install what the integration tests take from Debian; says what it could not.

    .venv/bin/python -m tests.support.system_packages

A test whose program is missing says so and does not run: make integration ends with a line on it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

# A file or program of each package, by which it is known to be there.
PACKAGES = {
    "docker.io": "dockerd",
    "mmdebstrap": "mmdebstrap",
    "docker-registry": "docker-registry",
    "slurm-wlm": "slurmctld",
    "munge": "munged",
    "slurmdbd": "slurmdbd",
    "mariadb-server": "mariadbd",
    "openmpi-bin": "mpirun",
    "libopenmpi-dev": "mpicc",
    "gcc": "gcc",
    "postgresql": "pgbench",
    "prometheus": "prometheus",
    "nginx-light": "nginx",
    "wrk": "wrk",
    "redis-server": "redis-server",
    "redis-tools": "redis-benchmark",
    "default-jdk-headless": "javac",
    "npm": "npm",
    "chromium": "chromium",
    "curl": "curl",
}
# What a package would start by itself is the tests' to start, each on ports of its own.
_NO_SERVICES = "#!/bin/sh\nexit 101\n"
_POLICY = Path("/usr/sbin/policy-rc.d")


def missing() -> list[str]:
    places = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    return [
        name for name, program in PACKAGES.items() if shutil.which(program, path=places) is None
    ]


def main() -> None:
    absent = missing()
    if not absent:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        print(f"Without root and apt-get these stay away: {', '.join(absent)}", file=sys.stderr)
        return
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    own = not _POLICY.exists()
    if own:
        _POLICY.write_text(_NO_SERVICES)
        _POLICY.chmod(0o755)
    try:
        subprocess.run(["apt-get", "-qq", "update"], check=False, env=quiet)
        install = ["apt-get", "-qq", "install", "--yes", "--no-install-recommends", *absent]
        subprocess.run(install, check=False, env=quiet, stdout=subprocess.DEVNULL)
    finally:
        if own:
            _POLICY.unlink()
    if still := missing():
        print(f"apt-get could not install {', '.join(still)}", file=sys.stderr)


if __name__ == "__main__":
    main()
