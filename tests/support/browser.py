"""Pages in Chromium: their document after the scripts have run, and pictures of them.

page = document(url, tmp_path, width=1280, dark=True)
said(page)                        # what a script left in `document.body.dataset.said`
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

# Catches every error from the first script on.
WATCH = """<script>window.errors = [];
window.addEventListener("error", function (event) { errors.push(event.message); });
window.addEventListener("unhandledrejection", function (event) {
  errors.push(String(event.reason)); });</script>"""


def document(url: str, folder: Path, width: int = 1280, *, dark: bool = False) -> str:
    """The page's document after its scripts have run; a window has at least 500 px."""
    return _run(folder, "--dump-dom", url, width=width, height=1000, dark=dark)


def picture(url: str, folder: Path, path: Path, size: tuple[int, int], *, dark: bool) -> None:
    """A PNG of the page's upper left part, with few colours, so that it is small."""
    from PIL import Image

    _run(folder, f"--screenshot={path}", url, width=size[0], height=size[1], dark=dark)
    with Image.open(path) as image:
        image.convert("RGB").quantize(48).save(path, optimize=True)


def said(page: str) -> Any:
    """The JSON that a script left in the body's data."""
    found = re.search(r'data-said="([^"]*)"', page)
    assert found is not None, page[-2000:]
    return json.loads(html.unescape(found[1]))


def _run(folder: Path, *arguments: str, width: int, height: int, dark: bool) -> str:
    names = ("chromium", "chromium-browser", "google-chrome")
    browser = next(filter(None, map(shutil.which, names)), None)
    if browser is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    return subprocess.run(
        [
            *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *(f"--user-data-dir={folder}/chromium", f"--window-size={width},{height}"),
            # A frame in a process of its own has no part in the virtual time.
            *("--disable-features=IsolateSandboxedIframes", "--disable-site-isolation-trials"),
            *("--virtual-time-budget=30000", f"--blink-settings=preferredColorScheme={1 - dark}"),
            *arguments,
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin"},
    ).stdout
