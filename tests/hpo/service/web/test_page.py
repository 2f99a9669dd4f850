"""The page at `/` in a real browser: experiments, plots, progress, pause, stop and delete."""

from __future__ import annotations

import html
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.responses import HTMLResponse

from benchmark.hpo import Client
from benchmark.hpo.service.app import make_app
from benchmark.hpo.service.core.service import Service
from benchmark.hpo.service.web import pages
from tests.support.browser import document, said

pytestmark = pytest.mark.integration
TUNABLES = [{"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1}]
NAME = "<img src=x onerror=alert(1)>"


# Uses the page as somebody would, in steps that wait for what they have caused.
STEPS = """<script>{  // with names of its own
window.errors = [];
addEventListener("error", event => errors.push(event.message));
addEventListener("unhandledrejection", event => errors.push(String(event.reason)));
confirm = text => { asked.push(text); return true; };
const asked = [], said = {errors, asked};
const rows = () => Array.from(document.querySelectorAll("#experiments tbody tr"));
const row = name => rows().find(one => one.cells[0].textContent.trim() === name);
const shows = (name, text) => row(name) && row(name).textContent.includes(text);
const button = (name, verb) => Array.from(row(name).querySelectorAll("button"))
  .find(one => one.textContent === verb);
const press = (name, verb) => button(name, verb).click();
async function until(what, seen) {
  for (let look = 0; look < 200; look++) {
    if (seen()) return;
    await new Promise(wake => setTimeout(wake, 100));
  }
  throw new Error("not seen: " + what + ": " + document.body.innerText);
}
const state = async name => (await (await fetch("/v1/experiments/" + name)).json()).state;
const post = async (name, path, body) => (await fetch("/v1/experiments/" + name + path, {
  method: "POST", headers: {"content-type": "application/json"}, body: JSON.stringify(body),
})).json();
async function tellOne(name, result) {
  const [trial] = (await post(name, "/ask", {})).trials;
  await post(name, "/trials/" + trial.number + "/tell", result);
}
"""
USED = """
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
  await tellOne("one", {value: 0.015625});
  await until("progress", () => shows("one", "3 / 4") && shows("one", "0.015625"));
  said.bar = row("one").querySelector("progress").value;
  const frame = document.querySelector("#detail").getBoundingClientRect();
  const list = document.querySelector("#experiments").getBoundingClientRect();
  said.beside = frame.left >= list.right && frame.top <= list.top + 20;
  const cells = row("one").cells;
  said.apart = [4, 5, 6].map(place => cells[place].textContent);
  const heads = document.querySelectorAll("th[data-by] button");
  const names = () => rows().map(one => one.cells[0].textContent.trim())
    .filter(name => name.length === 3);
  heads[0].click();
  await until("sorted", () => names().join() === "one,two");
  heads[0].click();
  await until("sorted the other way", () => names().join() === "two,one");
  document.querySelector("#search").value = "TWO";
  document.querySelector("#search").dispatchEvent(new Event("input"));
  await until("a search", () => rows().length === 1 && row("two"));
  document.querySelector("#search").value = "";
  document.querySelector("#search").dispatchEvent(new Event("input"));
  await until("all again", () => rows().length === 3);
  press("one", "Stop");
  await until("stopped", () => shows("one", "stopped"));
  said.stopped = await state("one");
  press("two", "Delete");
  await until("deleted", () => rows().length === 2);
  document.querySelector("#state").value = "stopped";
  document.querySelector("#state").dispatchEvent(new Event("change"));
  await until("a state", () => rows().length === 1 && row("one"));
  said.left = (await (await fetch("/v1/experiments")).json()).total;
  said.wide = document.documentElement.scrollWidth > document.documentElement.clientWidth;
}
"""
# Looks at plots while results come in.
WATCHED = """
const frame = document.querySelector("iframe");
async function watched() {
  await until("the list", () => row("one") && row("pair"));
  said.kept = [];
  for (const [name, kind] of [["one", "optimization_history"], ["one", "tunable_importance"],
                              ["one", "parallel_coordinate"], ["pair", "pareto_front"]]) {
    document.querySelector("#kind").value = kind;
    row(name).querySelector("button.name").click();
    await until(kind, () => frame.srcdoc.includes("Plotly.newPlot") && frame.dataset.draws === "1");
    const page = frame.srcdoc, other = row("other").cells[0];
    const stop = button(name, "Stop");
    scrollTo(0, 150);
    getSelection().selectAllChildren(other);
    stop.focus({preventScroll: true});
    const before = scrollY, told = row(name).cells[3].textContent;
    await tellOne(name, name === "pair" ? {values: [1, 2]} : {value: 3});
    await until(kind + " again", () => frame.dataset.draws === "2");
    const now = document.activeElement;
    said.kept.push([
      kind, frame.srcdoc === page, scrollY === before && before > 0, getSelection().toString(),
      row("other").cells[0] === other, row(name).cells[3].textContent !== told,
      now.textContent + " " + now.closest("tr").cells[0].textContent.trim(),
    ]);
  }
  // A look that finds nothing new is answered without a body, and draws nothing.
  const seen = [], fetched = window.fetch;
  window.fetch = async (...all) => {
    const answer = await fetched(...all);
    seen.push(answer.status);
    return answer;
  };
  await until("nothing new", () => seen.length > 1);
  said.seen = [...new Set(seen)];
  said.draws = frame.dataset.draws;
}
"""


def script(function: str, text: str) -> str:
    return f"""{STEPS}{text}
{function}().catch(error => errors.push(String(error)))
  .finally(() => {{ document.body.dataset.said = JSON.stringify(said); }});
}}</script></body>"""


class Trying:
    """The application, whose page at `/` uses itself."""

    def __init__(self, app: Any, script: str) -> None:
        self._app = app
        self._script = script

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope.get("path") == "/":
            page = pages.home().replace("</body>", self._script)
            await HTMLResponse(page, headers=pages.POLICY)(scope, receive, send)
            return
        await self._app(scope, receive, send)


@pytest.fixture
def trying(service: Service, request: pytest.FixtureRequest) -> Iterator[str]:
    tried = script(*request.param)
    config = uvicorn.Config(Trying(make_app(service), tried), port=0, log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        thread.join(0.05)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.mark.parametrize("trying", [("used", USED)], indirect=True, ids=["used"])
@pytest.mark.parametrize("width", [1400, 420])
def test_its_buttons_and_its_progress(trying: str, tmp_path: Path, width: int) -> None:
    client = Client(trying)
    for name in ("one", "two", NAME):
        experiment = client.create(name, direction="minimize", tunables=TUNABLES, trials=4)
        for value, trial in zip((0.5, 0.25), experiment, strict=False):
            trial.tell(value)
        if name == "one":
            results = [{"params": {"x": 0.5}, "status": s} for s in ("failure", "prune")]
            experiment.post("/trials", {"results": results})
    found = said(document(trying, tmp_path, width))
    assert found["errors"] == []
    assert found == {
        "errors": [],
        "asked": [
            "Stop the experiment 'one' for good? It gives out no more trials.",
            "Delete the experiment 'two' with all its results?",
        ],
        "beside": width > 1280,
        "apart": ["1", "1", "2"],
        "images": 0,
        "paused": "paused",
        "bar": 3,
        "stopped": "stopped",
        "left": 2,
        "wide": False,
    }


@pytest.mark.parametrize("trying", [("watched", WATCHED)], indirect=True, ids=["watched"])
def test_plots_follow_the_results(trying: str, tmp_path: Path) -> None:
    client = Client(trying)
    declared: dict[str, Any] = {"tunables": TUNABLES, "trials": 20, "algorithm": "random"}
    for name in ("one", *(f"filler{place:02}" for place in range(8)), "other"):
        client.create(name, direction="minimize", **declared)
    client.create("pair", directions=["minimize", "maximize"], **declared)
    for value in (1.0, 2.0, 3.0):
        client.experiment("one").ask()[0].tell(value)
        client.experiment("pair").ask()[0].tell(value, value)
    found = said(document(trying, tmp_path, 1400))
    assert found["errors"] == []
    assert found["kept"] == [
        [kind, True, True, "other", True, True, f"Stop {name}"]
        for kind, name in (
            ("optimization_history", "one"),
            ("tunable_importance", "one"),
            ("parallel_coordinate", "one"),
            ("pareto_front", "pair"),
        )
    ]
    assert (found["seen"], found["draws"]) == ([304], "2")


def test_the_page_shows_the_experiments(serve: Callable[..., Any], tmp_path: Path) -> None:
    server = serve("--no-grpc")
    client = Client(server.url)
    experiment = client.create(NAME, direction="minimize", tunables=TUNABLES, trials=4)
    for _, trial in zip(range(3), experiment, strict=False):
        trial.tell(0.125)
    page = document(f"{server.url}/#{experiment.study}", tmp_path)
    text = html.unescape(re.sub(r"<[^>]*>", " ", page))
    assert html.escape(NAME, quote=False) in page
    assert "<img src=x" not in page
    assert re.search(r'<iframe[^>]*srcdoc="[^"]*Optimization History', page)
    for wanted in ("running", "3 / 4", "0.125", "optuna_tpe", "Pause", "Stop", "Delete"):
        assert wanted in text
