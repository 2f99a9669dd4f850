"""How long the analysis takes on generated records: statistics, figures and report, and memory.

    python perf/analysis.py                 # 26,000 records: aim < 12 s, statistics < 5 s, < 1 GB
                                            # and 100 frameworks x 100 data sets: aim < 120 s
    python perf/analysis.py --million       # and 1,000,000 records: statistics < 60 s, < 1 GB
    python perf/analysis.py --false-alarms  # only: how many unchanged releases fail, aim <= 5 %

The records have 13 frameworks, 100 data sets, 10 folds and 2 budgets, failures among them, and are
written as compiled results first; reading that file is part of the time. A plain pandas group-by of
the same file is measured in the same run: reading and statistics of 1,000,000 records should take
at most three times its processor time. So are the statistics of bencheval, TabArena's leaderboard,
of the same 26,000 scores: Elo with as many draws, ranks, shares of wins, and improvability.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import pandas as pd
from figures import figure

FRAMEWORKS = (
    *("constant", "random-forest", "tuned-random-forest", "autogluon", "autosklearn", "flaml"),
    *("gama", "h2o", "lightautoml", "mljar", "optuna", "tpot", "naive-bayes"),
)


def generated(frameworks: int, datasets: int, folds: int, budgets: int) -> pd.DataFrame:
    """Compiled results with plausible scores: skill, difficulty, noise, and 3 % failures."""
    random = np.random.default_rng(7)
    names = [*FRAMEWORKS, *(f"framework-{number}" for number in range(frameworks))][:frameworks]
    grid = pd.MultiIndex.from_product(
        [range(frameworks), range(datasets), range(folds), range(budgets)]
    )
    framework, dataset, fold, budget = (np.asarray(grid.get_level_values(n)) for n in range(4))
    size = len(grid)
    skill = np.linspace(0.0, 1.0, frameworks)[framework] + 0.03 * budget
    hard = random.uniform(0.4, 1.0, datasets)[dataset]
    noise = random.normal(0, 0.12, (frameworks, datasets))[framework, dataset]
    quality = np.clip(
        0.5 + 0.4 * hard * (skill + noise) + random.normal(0, 0.01, size), 0.01, 0.999
    )
    regression = dataset % 3 == 0
    failed = (random.random(size) < 0.03) & (framework > 2)
    cause = np.where(failed, random.choice(["framework", "timeout", "memory"], size), "")
    scale = 10 ** random.uniform(-2, 4, datasets)[dataset]
    rmse = scale * (1.05 - quality)
    runtime = np.where(budget == 0, 3600, 14400)
    fit = np.minimum(runtime * random.lognormal(-0.2, 0.5, size), runtime * 1.2)

    def where(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return np.where(mask & ~failed, values, np.nan)

    return pd.DataFrame(
        {
            "ID": np.arange(size),
            "MODEL": np.array(names)[framework],
            "DATASET_ID": np.array([f"task-{n}" for n in range(datasets)])[dataset],
            "TYPE": np.where(regression, "regression", "classification"),
            "SEED": fold,
            "MSE": where(rmse**2, regression),
            "R2_SCORE": where(2 * quality - 1, regression),
            "LOGLOSS": where(-np.log(quality), ~regression),
            "F1_SCORE": where(quality, ~regression),
            "PROBLEM": np.where(regression, "regression", "binary"),
            "STATUS": np.where(failed, "failure", "success"),
            "CAUSE": cause,
            "MESSAGE": np.where(failed, "It was ended after the hard limit of 4200 s.", ""),
            "METRIC": np.where(regression, "rmse", "auc"),
            "SCORE": np.where(failed, np.nan, np.where(regression, rmse, quality)),
            "RMSE": where(rmse, regression),
            "FIT_S": where(fit, np.ones(size, dtype=bool)),
            "PREDICT_S": where(random.lognormal(-3 + 3 * skill, 0.4), np.ones(size, dtype=bool)),
            "TOTAL_S": fit + 2,
            "LOG": np.where(failed, "default/logs/fail/some/where/1.log", ""),
            "HOST": np.array([f"host-{n}" for n in range(20)])[random.integers(0, 20, size)],
            "DATASET_HASH": np.array([f"{n:064x}" for n in range(datasets)])[dataset],
            "ROWS": np.logspace(2, 6, datasets).astype(int)[dataset],
            "FEATURES": np.logspace(0.5, 3.5, datasets).astype(int)[dataset],
            "RUN": np.where(budget == 0, "hour", "four-hours"),
            "RUNTIME": runtime,
            "HARD_LIMIT": runtime + 600,
        }
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--million", action="store_true", help="1,000,000 records as well")
    parser.add_argument("--false-alarms", action="store_true", help="of --fail-on-regression, only")
    options = parser.parse_args()
    if options.false_alarms:
        false_alarms()
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small = folder / "small.csv"
        generated(13, 100, 10, 2).to_csv(small, index=False)
        statistics(small, "26,000 records", 5)
        peer(small, "26,000 records")
        whole(small, folder, "26,000 records", 12)
        wide = folder / "wide.csv"
        generated(100, 100, 2, 1).to_csv(wide, index=False)
        statistics(wide, "100 frameworks x 100 data sets", 60)
        whole(wide, folder, "100 frameworks x 100 data sets", 120)
        print(f"{'peak memory':>40} {_peak_mb():8.0f} MB")
        figure("both, peak memory", _peak_mb(), "MB", aim=1000)
        if options.million:
            large = folder / "large.csv"
            generated(25, 400, 50, 2).to_csv(large, index=False)
            statistics(large, "1,000,000 records", 60, 3)
            peak = peak_mb(large)
            print(f"{'peak memory of a process of its own':>40} {peak:8.0f} MB")
            figure("1,000,000 records, peak memory", peak, "MB", aim=1000)
    return 0


def false_alarms(releases: int = 200) -> None:
    """How many unchanged releases --fail-on-regression takes for worse, and worse ones it finds.

    Two runs differ by noise alone: normal, of heavy tails and rounded to two digits, in turn; a
    task fails with a chance of 3 %. A worse release is lower by a twentieth of the scale.
    """
    from benchmark.analysis.comparison import against

    random = np.random.default_rng(11)
    for frameworks, datasets, seeds in ((3, 8, 3), (8, 8, 1), (2, 3, 5), (1, 104, 3), (5, 40, 3)):
        failed, found = 0, 0
        for number in range(releases):
            before = _release(random, frameworks, datasets, seeds, number % 3)
            same = _release(random, frameworks, datasets, seeds, number % 3)
            worse = _release(random, frameworks, datasets, seeds, number % 3, lower=0.02)
            failed += bool(against(same, before).regressions)
            found += bool(against(worse, before).regressions)
        what = f"{frameworks} frameworks, {datasets} data sets, {seeds} seeds"
        print(f"{what:>40} {failed / releases:8.1%} fail unchanged, {found / releases:8.1%} worse")
        figure(f"{what}: unchanged releases that fail", failed / releases, "", aim=0.05)


def _release(  # noqa: PLR0917
    random: np.random.Generator,
    frameworks: int,
    datasets: int,
    seeds: int,
    kind: int,
    lower: float = 0.0,
) -> pd.DataFrame:
    """Results of a constant predictor (0.5), a best framework (0.9) and `frameworks` between."""
    grid = pd.MultiIndex.from_product([range(frameworks + 2), range(datasets), range(seeds)])
    framework, dataset, seed = (np.asarray(grid.get_level_values(n)) for n in range(3))
    size = len(grid)
    noise = random.normal(0, 0.02, size) if kind != 1 else 0.01 * random.standard_t(2, size)
    fixed = framework < 2
    score = np.where(fixed, 0.5 + 0.4 * framework, (0.75 - lower + noise).clip(0, 1))
    if kind == 2:
        score = score.round(2)
    ended = fixed | (random.random(size) >= 0.03)
    names = np.array(["constant", "best", *(f"f{number}" for number in range(frameworks))])
    return pd.DataFrame(
        {
            "MODEL": names[framework],
            "DATASET_ID": np.array([f"d{number}" for number in range(datasets)])[dataset],
            "TYPE": "classification",
            "SEED": seed,
            "STATUS": np.where(ended, "success", "failure"),
            "CAUSE": np.where(ended, "", "timeout"),
            "METRIC": "auc",
            "SCORE": np.where(ended, score, np.nan),
        }
    )


def statistics(path: Path, what: str, aim_s: float, most_times: float | None = None) -> None:
    """Medians of three rounds: reading and statistics, and in turn a plain pandas group-by."""
    from benchmark.analysis.processing import studies_of
    from benchmark.analysis.results.table import read_results

    reads, studies, plains = [], [], []
    for _ in range(3):
        start = _now()
        frame = read_results(path, merge=True)
        reads.append((start, read := _now()))
        studies_of(frame)
        studies.append((read, _now()))
        del frame
        start = _now()
        with warnings.catch_warnings(action="ignore"):  # Of columns that are mostly empty.
            pd.read_csv(path).groupby(["MODEL", "DATASET_ID"])["SCORE"].agg(["mean", "std"])
        plains.append((start, _now()))
    reading, study, plain = (_median(spans) for spans in (reads, studies, plains))
    _print(f"{what}, read", reading, (0, 0))
    _print(f"{what}, statistics", study, (0, 0), aim_s)
    ratio = (reading[1] + study[1]) / plain[1]
    print(f"{'against pandas read_csv and group-by':>40} {ratio:8.2f} times {plain[1]:.2f} s")
    figure(f"{what}, times a pandas group-by", ratio, "", aim=most_times)


def peak_mb(path: Path) -> float:
    """The peak memory of a process that reads a file and computes its statistics, nothing else."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak_of, (path,))


def _peak_of(path: Path) -> float:
    from benchmark.analysis.processing import studies_of
    from benchmark.analysis.results.table import read_results

    studies_of(read_results(path, merge=True))
    return _peak_mb()


def peer(path: Path, what: str) -> None:
    """Ours and bencheval's statistics of the same scores in turn, and the ratio of their times."""
    from bencheval.evaluator import BenchmarkEvaluator

    from benchmark.analysis.processing import studies_of
    from benchmark.analysis.results.table import read_results
    from benchmark.analysis.statistics.ratings import DRAWS

    frame = read_results(path, merge=True)
    ours, theirs = [], []
    for _ in range(3):
        begun = _now()
        studies = studies_of(frame)
        ours.append(_now()[1] - begun[1])
        begun = _now()
        for study in studies.values():
            # What ours are computed from: bencheval takes no missing score, and errors from 0.
            gains = study.comparison.filled
            errors = (1 if study.type == "classification" else 0) - gains
            rows = errors.rename_axis(index=["task", "seed"], columns="method")
            rows = rows.stack().rename("metric_error").reset_index()
            BenchmarkEvaluator(seed_column="seed", columns_to_agg_extra=None).leaderboard(
                rows, average_seeds=True, elo_kwargs={"BOOTSTRAP_ROUNDS": DRAWS}
            )
        theirs.append(_now()[1] - begun[1])
    ratio = float(np.median(ours) / np.median(theirs))
    print(f"{'against bencheval':>40} {ratio:8.2f} times {np.median(theirs):.2f} s")
    figure(f"{what}, times bencheval's statistics", ratio, "", aim=1)


def whole(path: Path, folder: Path, what: str, aim_s: float) -> None:
    from benchmark.analysis import process

    begun = _now()
    done = process(path, folder / "figures", folder / "report.html", merge=True)
    _print(f"{what}, figures and report too", _now(), begun, aim_s)
    size = done.report.stat().st_size / 1e6
    print(f"{'figures':>40} {len(done.figures):8d}")
    print(f"{'report':>40} {size:8.1f} MB")


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _print(
    what: str, end: tuple[float, float], begun: tuple[float, float], aim: float | None = None
) -> None:
    """Seconds on the clock, and of processor time: on a busy machine the two differ."""
    print(f"{what:>40} {end[0] - begun[0]:8.2f} s {end[1] - begun[1]:8.2f} s of processor time")
    figure(f"{what}, processor time", end[1] - begun[1], "s", aim=aim)


def _median(spans: list[tuple[tuple[float, float], tuple[float, float]]]) -> tuple[float, float]:
    clock, processor = np.median(
        np.array([np.subtract(end, start) for start, end in spans]), axis=0
    )
    return float(clock), float(processor)


def _peak_mb() -> float:
    """Of this process; what the system counts across `exec` is its parent's, too."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        pass
    else:
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    raise SystemExit(main())
