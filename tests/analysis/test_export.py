"""Tables for papers."""

import errno
import math

import pandas as pd
import pytest
from matplotlib.figure import Figure

from benchmark.analysis import processing
from benchmark.analysis.export import export, latex, markdown, tidy
from benchmark.analysis.figures import style
from benchmark.analysis.processing import studies_of
from benchmark.analysis.results.amlb_form import COLUMNS, to_amlb
from benchmark.analysis.results.table import read_results
from benchmark.analysis.statistics.comparable import compare
from benchmark.analysis.type_statistics import overall
from benchmark.errors import BenchmarkError
from tests.support.made_results import grid, results

ODD = "50%_more & $x\\y$|z"


@pytest.fixture
def frame(tmp_path):
    path = tmp_path / "r.csv"
    grid(frameworks=("constant", "a", ODD), failing=("a",), seeds=2).to_csv(path, index=False)
    return read_results(path)


def test_files(frame, tmp_path):
    studies = studies_of(frame)
    written = export(frame, studies, tmp_path / "tables", overall(frame, studies))
    assert [path.name for path in written] == [
        *("leaderboard-classification.tex", "leaderboard-classification.md"),
        *("leaderboard-regression.tex", "leaderboard-regression.md"),
        *("leaderboard-all.tex", "leaderboard-all.md"),
        *("scores.parquet", "results.csv"),
    ]
    table = pd.read_parquet(written[-2])
    assert len(table) == 36
    lines = written[-3].read_text().splitlines()
    assert [line.split(" | ")[1] for line in lines[2:]] == [
        "50%\\_more & $x\\\\y$\\|z",
        "a",
        "constant",
    ]
    assert set(table["type"]) == {"classification", "regression"}


@pytest.mark.slow
@pytest.mark.parametrize("exported", [True, False])
def test_figures_are_pdfs_too(frame, tmp_path, monkeypatch, exported):
    monkeypatch.setattr(processing, "drawn", lambda *_: [(n, Figure()) for n in ("Own", "Rank")])
    monkeypatch.setattr(processing, "CLASSIC_NAMES", {"Rank"})
    folder = tmp_path / "tables" if exported else None
    found = processing.process(frame, tmp_path, tmp_path / "r.html", {}, export=folder)
    pdfs = {"Own.pdf", "Rank.pdf"} if exported else {"Rank.pdf"}
    assert {path.name for path in found.figures} == pdfs | {"Own.png", "Rank.png"}


def test_latex_escapes_names_and_has_a_row_each(frame):
    text = latex(studies_of(frame)["classification"])
    assert r"50\%\_more \& \$x\textbackslash{}y\$|z" in text
    body = text.split("\\midrule\n")[1].split("\\bottomrule")[0]
    assert body.count(r"\\" + "\n") == 3
    assert all(line.count(" & ") == 6 for line in body.strip().splitlines())


def test_infinite_ratings_and_one_data_set_in_latex():
    rows = [
        (name, "d0", seed, score)
        for name, score in (("a", 0.9), ("constant", 0.5))
        for seed in (1, 2)
    ]
    text = latex(studies_of(results(rows))["classification"])
    assert text.startswith("% classification, 1 data set; needs \\usepackage{booktabs}\n")
    assert r"& $-\infty$ &" in text
    assert r"-$" not in text


def test_markdown_escapes_what_would_end_a_cell(frame):
    lines = markdown(studies_of(frame)["regression"]).splitlines()
    assert len(lines) == 5
    assert any(r"50%\_more & $x\\y$\|z" in line for line in lines)
    assert lines[1].count("--:") == 6


def test_tidy_scores_say_what_was_imputed(frame):
    table = tidy(frame, studies_of(frame))
    failed = table[table["framework"] == "a"]
    assert failed["gain"].isna().all()
    assert failed["imputed_gain"].notna().all()
    assert (failed["scaled_score"] == 0).all()
    assert set(table["metric"]) == {"f1_weighted", "rmse"}
    assert table["fit_s"].notna().sum() == 24


@pytest.mark.parametrize("name", ["to_parquet", "to_csv"])
def test_a_full_disk_leaves_what_was_there(frame, tmp_path, monkeypatch, name):
    def half(_, path, **__):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    export(frame, studies_of(frame), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(pd.DataFrame, name, half)
    with pytest.raises(BenchmarkError, match="No space left on device"):
        export(frame, studies_of(frame), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("ending", ["png", "pdf"])
def test_a_figure_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch, ending):
    def half(_, path, **__):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / f"Elo.{ending}"
    path.write_bytes(b"before")
    monkeypatch.setattr(*((style, "_write_png") if ending == "png" else (Figure, "savefig")), half)
    with pytest.raises(BenchmarkError, match="No space left on device"):
        style.save(style.sheet("", "", 2, 2), tmp_path, "Elo")
    assert path.read_bytes() == b"before"
    assert not list(tmp_path.glob(".*"))


def test_an_unwritable_folder_is_told(frame, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchmarkError, match="tables cannot be written"):
        export(frame, studies_of(frame), tmp_path / "file")


def test_amlb_form_says_the_same(frame, tmp_path):
    frame.loc[frame["MODEL"] == "constant", "STATUS"] = ""
    amlb = read_results(export(frame, studies_of(frame), tmp_path)[-1])
    assert len(amlb) == 24
    assert set(amlb["CAUSE"]) == {"", "timeout"}
    kept = frame[frame["MODEL"] != "constant"]
    assert compare(amlb, "regression").counts.equals(compare(kept, "regression").counts)
    assert compare(amlb, "regression").metric_of["d1"] == "rmse"


def test_losses_turn_their_sign_and_budgets_have_names():
    frame = results([("a", "task-3", 1, 0.25), ("a", "task-3", 7, "memory")], metric="log_loss")
    frame = frame.assign(RUNTIME="3600", CORES="8", MESSAGE="Too much.", PROBLEM="multiclass")
    rows = to_amlb(frame).to_dict("records")
    assert list(rows[0]) == list(COLUMNS)
    assert (rows[0]["metric"], rows[0]["result"]) == ("neg_logloss", -0.25)
    assert (rows[0]["id"], rows[0]["constraint"]) == ("openml.org/t/3", "1h8c")
    assert [row["fold"] for row in rows] == [1, 7]
    assert rows[1]["info"] == "memory: Too much."
    assert math.isnan(rows[1]["result"])
