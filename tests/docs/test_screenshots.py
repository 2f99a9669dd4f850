"""The site and a report in Chromium, on a desk and on a phone, light and dark.

`make screenshots` keeps the pictures in docs/images, where the home page shows them.
"""

from __future__ import annotations

import functools
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmark.analysis import process
from tests.support.browser import WATCH, document, picture, said
from tests.support.documents import ROOT
from tests.support.made_results import grid

pytestmark = pytest.mark.integration
WIDTHS = (1280, 390)
PAGES = (
    *("report.html", "index.html", "tutorials/benchmark/index.html", "user-guide/index.html"),
    *("studies/index.html", "reference/commands/index.html", "reference/configuration/index.html"),
)
# A window is never narrower than 500 px; a frame is.
FRAMES = """<!doctype html><body><script>
const found = [];
async function look(page, width) {
  const frame = document.createElement("iframe");
  frame.style = `border: 0; width: ${width}px; height: 900px`;
  frame.src = page;
  document.body.append(frame);
  await new Promise(wake => frame.addEventListener("load", wake));
  await new Promise(wake => setTimeout(wake, 500));
  const inner = frame.contentDocument, root = inner.documentElement;
  found.push({
    page, width,
    wide: root.scrollWidth - width,
    errors: frame.contentWindow.errors,
    dark: frame.contentWindow.matchMedia("(prefers-color-scheme: dark)").matches,
    small: Array.from(inner.querySelectorAll("figure img")).filter(
      image => width < 640 && image.offsetWidth < image.getAttribute("width")).map(one => one.alt),
    broken: Array.from(inner.images).filter(
      image => image.complete && !image.naturalWidth && image.offsetParent).map(one => one.src),
  });
  frame.remove();
}
(async () => {
  for (const page of PAGES) for (const width of WIDTHS) await look(page, width);
})().catch(error => found.push(String(error)))
  .finally(() => { document.body.dataset.said = JSON.stringify(found); });
</script></body>"""
PHONE = """<!doctype html><body style="margin: 0">
<iframe src="report.html" style="border: 0; width: 390px; height: 844px"></iframe></body>"""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The site as `make docs` builds it, and the report of generated results beside it."""
    folder = tmp_path_factory.mktemp("site")
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "--quiet", "build", "--site-dir", folder],
        cwd=ROOT,
        env={"NO_MKDOCS_2_WARNING": "1"},
        check=True,
    )
    names = ("constant", *(f"framework-{letter}" for letter in "abcdef"))
    results = folder / "results.csv"
    grid(frameworks=names, datasets=24, seeds=3).to_csv(results, index=False)
    process(results, folder / "figures", folder / "report.html")
    for page in PAGES:
        path = folder / page
        path.write_text(path.read_text().replace("<head>", f"<head>{WATCH}", 1))
    frames = FRAMES.replace("of PAGES", f"of {json.dumps(PAGES)}")
    (folder / "frames.html").write_text(frames.replace("of WIDTHS", f"of {json.dumps(WIDTHS)}"))
    (folder / "phone.html").write_text(PHONE)
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_pages_fit_and_their_scripts_run(served: str, tmp_path: Path, dark: bool) -> None:
    found = said(document(f"{served}/frames.html", tmp_path, dark=dark))
    assert [(one["page"], one["width"]) for one in found] == [
        (page, width) for page in PAGES for width in WIDTHS
    ]
    for one in found:
        assert (one["errors"], one["broken"], one["dark"]) == ([], [], dark), one
        assert one["wide"] <= 0, one
        assert one["small"] == [], one


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("page", "size", "place"),
    [("report.html", (1280, 1180), "desk"), ("phone.html", (390, 844), "phone")],
    ids=["desk", "phone"],
)
def test_pictures(
    served: str, tmp_path: Path, dark: bool, page: str, size: tuple[int, int], place: str
) -> None:
    name = f"report-{place}-{'dark' if dark else 'light'}.png"
    path = Path(os.environ.get("SCREENSHOTS") or tmp_path) / name
    picture(f"{served}/{page}", tmp_path, path, size, dark=dark)
    with Image.open(path) as image:
        assert image.size == size
        pixels = image.convert("L").get_flattened_data()
    middle = sorted(pixels)[len(pixels) // 2]
    assert middle < 64 if dark else middle > 192
    assert len(set(pixels)) > 8
