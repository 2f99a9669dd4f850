"""The page at `/` in a real browser: experiments, plots, progress, pause, stop and delete."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.responses import HTMLResponse

from benchmark.hpo import Client
from benchmark.hpo.service import pages
from benchmark.hpo.service.rest import make_app
from benchmark.hpo.service.service import Service

pytestmark = pytest.mark.integration
TUNABLES = [{"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1}]
NAME = "<img src=x onerror=alert(1)>"


def shown(url: str, folder: Path, width: int = 1280) -> str:
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
            *(f"--window-size={width},1000", "--virtual-time-budget=30000", "--dump-dom", url),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return ended.stdout


# Uses the page as somebody would, in steps that wait for what they have caused.
TRY = """<script>
window.errors = [];
addEventListener("error", event => errors.push(event.message));
addEventListener("unhandledrejection", event => errors.push(String(event.reason)));
confirm = text => { asked.push(text); return true; };
const asked = [], said = {errors, asked};
const rows = () => Array.from(document.querySelectorAll("#experiments tbody tr"));
const row = name => rows().find(one => one.cells[0].textContent.trim() === name);
const shows = (name, text) => row(name) && row(name).textContent.includes(text);
const press = (name, verb) => Array.from(row(name).querySelectorAll("button"))
  .find(one => one.textContent === verb).click();
async function until(what, seen) {
  for (let look = 0; look < 200; look++) {
    if (seen()) return;
    await new Promise(wake => setTimeout(wake, 100));
  }
  throw new Error("not seen: " + what + ": " + document.body.innerText);
}
const state = async name => (await (await fetch("/v1/experiments/" + name)).json()).state;
const post = async (path, body) => (await fetch("/v1/experiments/one" + path, {
  method: "POST", headers: {"content-type": "application/json"}, body: JSON.stringify(body),
})).json();
async function used() {
  await until("the list", () => rows().length === 3);
  said.images = document.querySelectorAll("#experiments img").length;
  press("one", "Pause");
  await until("paused", () => shows("one", "paused"));
  said.paused = await state("one");
  press("one", "Resume");
  await until("running", () => shows("one", "running"));
  row("one").querySelector("button.name").click();
  await until("a plot", () => document.querySelector("iframe").srcdoc.includes("Plotly.newPlot"));
  const before = document.querySelector("iframe").srcdoc;
  const [trial] = (await post("/ask", {})).trials;
  await post("/trials/" + trial.number + "/tell", {value: 0.015625});
  await until("progress", () => shows("one", "3 / 4") && shows("one", "0.015625"));
  said.bar = row("one").querySelector("progress").value;
  await until("a new plot", () => document.querySelector("iframe").srcdoc !== before);
  press("one", "Stop");
  await until("stopped", () => shows("one", "stopped"));
  said.stopped = await state("one");
  press("two", "Delete");
  await until("deleted", () => rows().length === 2);
  said.left = (await (await fetch("/v1/experiments")).json()).total;
  said.wide = document.documentElement.scrollWidth > document.documentElement.clientWidth;
}
used().catch(error => errors.push(String(error)))
  .finally(() => { document.body.dataset.said = JSON.stringify(said); });
</script></body>"""


class Trying:
    """The application, whose page at `/` uses itself."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope.get("path") == "/":
            page = pages.HOME.replace("</body>", TRY)
            await HTMLResponse(page, headers=pages.POLICY)(scope, receive, send)
            return
        await self._app(scope, receive, send)


@pytest.fixture
def trying(service: Service) -> Iterator[str]:
    config = uvicorn.Config(Trying(make_app(service)), port=0, log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        thread.join(0.05)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.mark.parametrize("width", [1280, 500])
def test_its_buttons_and_its_progress(trying: str, tmp_path: Path, width: int) -> None:
    client = Client(trying)
    for name in ("one", "two", NAME):
        experiment = client.create(name, direction="minimize", tunables=TUNABLES, trials=4)
        for value, trial in zip((0.5, 0.25), experiment, strict=False):
            trial.tell(value)
    found = re.search(r'data-said="([^"]*)"', shown(trying, tmp_path, width))
    assert found is not None
    said = json.loads(html.unescape(found.group(1)))
    assert said["errors"] == []
    assert said == {
        "errors": [],
        "asked": ["Delete the experiment 'two' with all its results?"],
        "images": 0,
        "paused": "paused",
        "bar": 3,
        "stopped": "stopped",
        "left": 2,
        "wide": False,
    }


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
