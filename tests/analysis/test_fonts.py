"""Names in any script are drawn in a font that has them, or it is said that none has."""

import pytest
from matplotlib import font_manager
from matplotlib.figure import Figure

from benchmark.analysis import process
from benchmark.analysis.figures import fonts, save
from tests.support.made_results import grid

USUAL = "DejaVu Sans"


def of_family(name):
    return [font for font in font_manager.fontManager.ttflist if font.name == name]


def characters(family):
    return fonts._characters(font_manager.findfont(family))


def test_another_font_serves_what_the_usual_one_lacks(tmp_path, recwarn):
    # Both ship with matplotlib.
    lacking = characters("DejaVu Serif") - characters(USUAL)
    only = next(chr(number) for number in sorted(lacking) if chr(number).isprintable())
    with fonts.covering(["tool", only]) as absent:
        figure = Figure()
        label = figure.text(0.5, 0.5, f"tool {only}")
        save(figure, tmp_path, "f")
    assert absent == ""
    assert len(label.get_fontfamily()) > 1
    assert not recwarn.list


@pytest.mark.slow
def test_what_no_font_has_is_said_once(tmp_path, monkeypatch, recwarn):
    monkeypatch.setattr(font_manager.fontManager, "ttflist", of_family(USUAL))
    grid(frameworks=("constant", "\u6846\u67b6", "a")).to_csv(tmp_path / "r.csv", index=False)
    done = process(tmp_path / "r.csv", tmp_path / "figures", tmp_path / "r.html")
    said = [note for note in done.notes if "no font" in note]
    assert len(said) == 1
    assert "\u67b6\u6846," in said[0]
    assert not recwarn.list
    assert "\u6846\u67b6" in done.report.read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ["", "plain", "na\u00efve \u0394"])
def test_usual_names_need_no_other_font(monkeypatch, text):
    monkeypatch.setattr(font_manager.fontManager, "ttflist", of_family(USUAL))
    with fonts.covering([text]) as absent:
        assert absent == ""
