"""The published tables of AMLB 2019, recomputed by our rules; they run where the tables are.

PUBLISHED_TABLES names the folder that holds `amlb2019/`.
"""

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.analysis.results.amlb_form import to_amlb
from benchmark.analysis.results.table import read_results
from benchmark.analysis.statistics import imputation, ranking, scaling
from benchmark.analysis.statistics.comparable import compare
from benchmark.errors import BenchmarkError

ROOT = Path(__file__).parents[4] / "shared" / "oracles"
TABLES = Path(os.environ.get("PUBLISHED_TABLES", ROOT)) / "amlb2019" / "tables" / "1h"
BASELINES = ["constantpredictor", "randomforest"]

pytestmark = pytest.mark.skipif(
    not TABLES.is_dir(), reason=f"the published tables are not at {TABLES}"
)


@pytest.fixture(scope="module")
def raw():
    return pd.read_csv(TABLES / "all_results.csv")


@pytest.fixture(scope="module")
def gains():
    frame = read_results(TABLES / "all_results.csv")
    return compare(frame, "classification", all_rows=True).gains


def published(raw, column):
    return raw.pivot(index=["task", "fold"], columns="framework", values=column)


def summary(name, like):
    """A summary's cells, in the order of a table, without the imputed folds in brackets."""
    table = pd.read_csv(TABLES / name, dtype=str).set_index("task")
    texts = table.loc[like.index, like.columns].fillna("nan")
    return texts.map(lambda cell: float(re.sub(r" \(.*", "", cell)))


def test_every_row_is_read(raw, gains):
    assert gains.shape == (350, 7)
    expected = published(raw, "score")
    assert gains.isna().to_numpy().sum() == raw["result"].isna().sum() == 34
    assert np.nanmax((gains - expected).abs()) == 0


def test_every_imputed_row(raw, gains):
    found = imputation.by_amlb_2019(gains)
    expected = published(raw, "imp_score")
    assert (found.gains.isna() == expected.isna()).all(axis=None)
    assert np.nanmax((found.gains - expected).abs()) == 0
    assert found.filled == {"random-forest": 14}


def test_normalised_scores(raw, gains):
    found = scaling.amlb_2019(imputation.by_amlb_2019(gains).gains)
    expected = published(raw, "norm_score")
    assert (found.isna() == expected.isna()).all(axis=None)
    assert np.nanmax((found - expected).abs()) < 1e-4


def test_score_summary(gains):
    means = ranking.seed_means(imputation.by_amlb_2019(gains).gains)
    expected = summary("score_summary.csv", means)
    assert (means.isna() == expected.isna()).all(axis=None)
    # The published cells have six digits.
    assert np.nanmax((means / expected - 1).abs()) < 1e-5


def test_normalised_summary(gains):
    means = ranking.seed_means(scaling.amlb_2019(imputation.by_amlb_2019(gains).gains))
    expected = summary("norm_score_summary.csv", means)
    assert np.nanmax((means - expected).abs()) < 1e-4


def test_every_cell_of_the_leaderboard(gains):
    means = ranking.seed_means(imputation.by_amlb_2019(gains).gains).drop(columns=BASELINES)
    expected = summary("tasks_leaderboard.csv", means)
    assert ranking.ranks(means).equals(expected)


def test_every_cell_of_the_leaderboard_of_folds(gains):
    # That table has dense ranks, and of the scores that are there.
    found = gains.rank(axis=1, ascending=False, method="dense")
    table = pd.read_csv(TABLES / "folds_leaderboard.csv").set_index(["task", "fold"])
    expected = table.loc[found.index, found.columns].astype(float)
    assert found.equals(expected)


def test_mean_ranks(gains):
    means = ranking.seed_means(imputation.by_amlb_2019(gains).gains).drop(columns=BASELINES)
    assert ranking.ranks(means).mean().round(3).to_dict() == {
        **{"h2oautoml": 1.486, "autosklearn": 2.314, "tpot": 3.086},
        **{"tunedrandomforest": 3.286, "autoweka": 4.818},
    }


def test_what_is_read_is_written_as_it_was(raw, gains, tmp_path):
    frame = read_results(TABLES / "all_results.csv")
    written = to_amlb(frame)
    losses = written["metric"].str.startswith("neg_")
    assert set(written["metric"]) == {"auc", "neg_logloss"}
    assert written["result"].where(~losses, -written["result"]).equals(raw["result"])
    for column in ("id", "task", "framework", "fold", "type", "seed", "params", "version", "mode"):
        ours = written[column].astype(str).replace("", "nan")
        texts = pd.read_csv(TABLES / "all_results.csv", dtype=str)[column].fillna("nan")
        assert ours.tolist() == texts.tolist(), column
    written.to_csv(tmp_path / "results.csv", index=False)
    again = compare(read_results(tmp_path / "results.csv"), "classification", all_rows=True)
    assert again.gains.equals(gains)


def test_a_loss_is_read_the_same_with_its_name_its_sign_or_without_either(raw, gains, tmp_path):
    names = raw["type"].map({"binary": "auc", "multiclass": "logloss"})
    losses = names == "logloss"
    negated = raw.assign(
        metric=names.mask(losses, "neg_logloss"), result=raw["result"].mask(losses, -raw["result"])
    )
    for number, table in enumerate([raw.assign(metric=names), negated]):
        path = tmp_path / f"{number}.csv"
        table.to_csv(path, index=False)
        assert compare(read_results(path), "classification", all_rows=True).gains.equals(gains)
    wrong = tmp_path / "wrong.csv"
    negated.assign(metric=names).to_csv(wrong, index=False)
    with pytest.raises(BenchmarkError, match="a loss cannot be negative"):
        read_results(wrong)
