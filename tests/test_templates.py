"""Templates: values are escaped by the engine, and a missing one is an error."""

from __future__ import annotations

import subprocess
import sys

import pytest
from jinja2 import UndefinedError

from benchmark.templates import macros, render
from tests.support.documents import ROOT

ODD = "<b onclick='x'>&\"</script>"


def test_values_are_escaped_in_text_and_attributes() -> None:
    box = macros("report/parts.html").filter_box(ODD, ODD)
    assert "<b" not in box
    assert box.count("'") == 0
    assert macros("report/parts.html").listed([ODD, box]).count("<strong>") == 2


def test_the_result_of_a_macro_is_not_escaped_again() -> None:
    box = macros("report/parts.html").filter_box("a", "rows")
    assert box in render("report/page.html", title=ODD, places={ODD: ODD}, parts=[box])


def test_a_script_element_cannot_be_closed_by_its_data() -> None:
    section = macros("report/sections.html").records(1, 1, {}, {"words": [ODD, "<!--"]})
    assert section.count("</script>") == 1
    assert "<!--" not in section


def test_a_missing_value_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="names"):
        render("service/listing.html")


@pytest.mark.slow
def test_the_engine_is_loaded_on_first_use() -> None:
    modules = "benchmark.analysis.report, benchmark.hpo.service.web.pages, benchmark.notebook, sys"
    code = f"import {modules}; sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
