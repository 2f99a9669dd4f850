"""Known vulnerabilities of the packages in requirements.txt: `python -m tests.support.audit`.

pip-audit asks PyPI's JSON API. Of a package that it does not find there it ends well all the same;
here that is said, so that no silence is taken for an audit. Exit code 1 where one is vulnerable.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).parents[2] / "requirements.txt"
PATIENCE_S = 120


def main() -> int:
    command = [sys.executable, "-m", "pip_audit", "-r", str(REQUIREMENTS), "--no-deps"]
    command += ["--disable-pip", "--progress-spinner", "off", "-f", "json"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        packages = json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError, KeyError):
        print("audit: did not run, PyPI's JSON API does not answer here.")
        return 0
    return report(packages)


def report(packages: list[dict[str, object]]) -> int:
    """Print what was found in pip-audit's answer; the exit code."""
    skipped = [package for package in packages if "skip_reason" in package]
    found = [package for package in packages if package.get("vulns")]
    for package in found:
        names = ", ".join(str(one["id"]) for one in package["vulns"])  # type: ignore[attr-defined]
        print(f"audit: {package['name']} {package['version']}: {names}")
    if skipped:
        print(
            f"audit: {len(skipped)} of {len(packages)} packages were not audited, for PyPI's JSON "
            "API is not reachable here."
        )
    if not found and len(skipped) < len(packages):
        print(f"audit: {len(packages) - len(skipped)} packages without a known vulnerability.")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
