"""The user data of a machine: a shell script that holds boot.py and what it is to do."""

from __future__ import annotations

import base64
import json
import math
from pathlib import Path
from typing import Any

from benchmark.errors import BenchmarkError

_LARGEST = 16 * 1024
_SCRIPT = """#!/bin/sh
# The machine ends at its longest lifetime whatever becomes of the rest.
shutdown -h +{minutes} || true
root="${{AUTOML_ROOT:-/opt/automl-benchmark}}"
mkdir -p "$root"
cat > "$root/boot.py" <<'END_OF_BOOT'
{boot}END_OF_BOOT
cat > "$root/job.json" <<'END_OF_JOB'
{job}
END_OF_JOB
python3 "$root/boot.py" "$root/job.json"
shutdown -h now
"""


def user_data(job: dict[str, Any], lifetime_s: float) -> str:
    """As EC2 takes it, in base64.

    Raises:
        BenchmarkError: it is longer than EC2 takes.
    """
    boot = (Path(__file__).parent / "scripts/boot.py").read_text(encoding="utf-8")
    text = _SCRIPT.format(minutes=math.ceil(lifetime_s / 60), boot=boot, job=json.dumps(job))
    if len(text.encode()) > _LARGEST:
        raise BenchmarkError(
            f"The user data of the machines would have {len(text.encode())} bytes, and EC2 takes "
            f"{_LARGEST}; shorten 's3_folder' or the endpoint."
        )
    return base64.b64encode(text.encode()).decode()
