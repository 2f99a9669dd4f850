"""The page at `/` in a real browser: experiments, a plot, pause and delete."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.hpo import Client

pytestmark = pytest.mark.integration
TUNABLES = [{"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1}]
NAME = "<img src=x onerror=alert(1)>"


def shown(url: str, folder: Path) -> str:
    """The page's document after its scripts have run."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    ended = subprocess.run(
        [
            browser,
            *("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/chromium"),
            # A frame in a process of its own has no part in the virtual time.
            *("--disable-features=IsolateSandboxedIframes", "--disable-site-isolation-trials"),
            *("--virtual-time-budget=8000", "--dump-dom", url),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return ended.stdout


def test_the_page_shows_the_experiments(serve: Callable[..., Any], tmp_path: Path) -> None:
    server = serve("--no-grpc")
    client = Client(server.url)
    experiment = client.create(NAME, direction="minimize", tunables=TUNABLES, trials=4)
    for _, trial in zip(range(3), experiment, strict=False):
        trial.tell(0.125)
    page = shown(f"{server.url}/#{experiment.study}", tmp_path)
    text = html.unescape(re.sub(r"<[^>]*>", " ", page))
    assert html.escape(NAME, quote=False) in page
    assert "<img src=x" not in page
    assert re.search(r'<iframe[^>]*srcdoc="[^"]*Optimization History', page)
    for wanted in ("running", "3 / 4", "0.125", "optuna_tpe", "Pause", "Stop", "Delete"):
        assert wanted in text
