"""The report in a real browser: no script error, sorting, filters, search, narrow and wide."""

import pytest

from benchmark.analysis.processing import studies_of
from benchmark.analysis.report import write_report
from benchmark.analysis.results.table import read_results
from tests.support.browser import WATCH, document
from tests.support.browser import said as said_of
from tests.support.made_results import grid

pytestmark = pytest.mark.integration
ODD = '</script><b onclick="x">&odd'
TRY = """<script>(function () {
  var said = {};
  function all(selector) { return Array.from(document.querySelectorAll(selector)); }
  function shown(selector) {
    return all(selector).filter(function (row) { return !row.hidden; }).length;
  }
  function type(input, text) { input.value = text; input.dispatchEvent(new Event("input")); }
  said.boards = all("#board-classification tbody tr").length;
  var filter = document.querySelector("input[data-filters=board-classification]");
  type(filter, "tool-07");
  said.filtered = shown("#board-classification tbody tr");
  type(filter, "");
  var heads = all("#board-classification th");
  var byName = heads.find(function (head) { return head.textContent === "Framework"; });
  byName.click(); byName.click();
  said.firstByName = document.querySelector("#board-classification tbody td.name").textContent;
  said.sortMark = byName.getAttribute("aria-sort");
  var search = document.getElementById("search-records");
  function found() { return document.getElementById("found-records").textContent; }
  said.every = found();
  said.page = all("#all-records tbody tr").length;
  document.getElementById("next").click();
  said.second = found();
  type(search, "tool-03 d1");
  said.search = found();
  type(search, "");
  var select = document.querySelector("select[data-column]");
  said.options = Array.from(select.options).map(function (option) { return option.textContent; });
  select.value = JSON.stringify(said.options[1]);
  select.dispatchEvent(new Event("change"));
  said.chosen = found();
  said.drilled = (function () {
    document.querySelector("#grid-classification tbody tr").cells[2].click();
    return [found(), document.querySelector("select[aria-label='data set']").value];
  }());
  select.value = JSON.stringify(said.options[1]);
  document.querySelector("select[aria-label='data set']").value = "";
  select.dispatchEvent(new Event("change"));
  said.column = Array.from(new Set(all("#all-records tbody td.name")
    .map(function (cell) { return cell.textContent; })));
  var numbers = all("#all-records th.number");
  numbers[numbers.length - 1].click();
  said.wide = document.documentElement.scrollWidth - window.innerWidth;
  said.images = all("img").every(function (image) { return image.naturalWidth > 0; });
  said.errors = window.errors;
  document.body.dataset.said = JSON.stringify(said);
}());</script>"""


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What the report did when it was used, at the width of a desk and of a phone."""
    folder = tmp_path_factory.mktemp("browser")
    path = folder / "r.csv"
    names = ("constant", ODD, *(f"tool-{number:02}" for number in range(10)))
    grid(frameworks=names, datasets=12, failing=("tool-05",)).to_csv(path, index=False)
    frame = read_results(path)
    report = write_report(frame, studies_of(frame), {}, folder / "report.html", {})
    page = report.read_text(encoding="utf-8")
    tried = page.replace("<head>", f"<head>{WATCH}").replace("</body>", f"{TRY}</body>")
    report.write_text(tried, encoding="utf-8")
    return {width: said_of(document(report.as_uri(), folder, width)) for width in (1280, 500)}


@pytest.mark.parametrize("width", [1280, 500])
def test_no_script_error_and_nothing_wider_than_the_window(said, width):
    assert said[width]["errors"] == []
    assert said[width]["wide"] <= 0
    assert said[width]["images"]


def test_leaderboards_filter_and_sort(said):
    used = said[1280]
    assert (used["boards"], used["filtered"]) == (12, 1)
    assert used["firstByName"] == "tool-09"
    assert used["sortMark"] == "descending"


def test_records_are_paged_searched_and_filtered(said):
    used = said[1280]
    assert used["every"] == "144 of 144 records, page 1 of 3"
    assert used["page"] == 50
    assert used["second"].endswith("page 2 of 3")
    # d1, d10 and d11.
    assert used["search"] == "3 of 144 records, page 1 of 1"
    assert used["chosen"] == "12 of 144 records, page 1 of 1"
    assert used["drilled"] == ["1 of 144 records, page 1 of 1", '"d0"']
    assert used["column"] == [used["options"][1]]
    assert len(used["options"]) == 13
