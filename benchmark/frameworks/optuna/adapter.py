"""Optuna's TPE over scikit-learn's and LightGBM's models, and an ensemble of the best trials.

Each trial is cross-validated (a holdout for many rows) in the task's metric; a trial that lags
after a fold is pruned. The models of the folds are kept and predict together, so nothing is fitted
again at the end.
"""

import sys
import time
from pathlib import Path

import numpy as np
import optuna
from sklearn.model_selection import KFold, ShuffleSplit, StratifiedKFold, StratifiedShuffleSplit

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "shared"))
import frames

models = frames.beside(__file__, "models")
scoring = frames.beside(__file__, "scoring")
blending = frames.beside(__file__, "blending")

SEARCH_SHARE, TRIAL_SHARE, MEMORY_SHARE, KEPT = 0.94, 0.15, 0.35, 8
FIRST = (
    {"model": "lightgbm", "lightgbm.learning_rate": 0.1, "lightgbm.num_leaves": 31},
    {"model": "extra-trees", "extra-trees.min_samples_leaf": 1},
    {"model": "linear", "linear.strength": 1.0},
    {"model": "random-forest", "random-forest.min_samples_leaf": 1},
)


class Search:
    """The data, the trials' validation predictions, and the models of the best."""

    def __init__(self, train, problem, limits):
        params = dict(problem.params)
        self.trials = params.pop("n_trials", None)
        self.kinds = tuple(params.pop("models", models.KINDS))
        self.ensemble = bool(params.pop("ensemble", True))
        folds = params.pop("folds", None)
        _check(params, self.kinds)
        self.begin = time.monotonic()
        self.end = self.begin + SEARCH_SHARE * limits.runtime_s
        self.trial_s = TRIAL_SHARE * limits.runtime_s
        self.metric = scoring.known_metric(problem)
        features = train.drop(columns=[problem.target])
        self.columns = frames.Columns(features, problem.categorical)
        self.x = self.columns.codes(features)
        self.labels = None
        if problem.type == "regression":
            self.y = train[problem.target].to_numpy(dtype=float)
        else:
            self.labels = frames.Labels(train[problem.target])
            self.y = self.labels.codes
        names = list(self.columns.kinds)
        self.frame = models.Frame(
            categorical=[names.index(name) for name in self.columns.categories],
            classes=len(self.labels.classes) if self.labels else 0,
            metric=self.metric,
            cores=max(1, int(limits.cores)),
            seed=problem.seed % 2**31,
            room_bytes=MEMORY_SHARE * limits.memory_mb * 1e6 / KEPT,
        )
        self.folds = _folds(self.y, self.labels, folds, self.frame.seed)
        self.frame.room_bytes /= len(self.folds)
        self.best = []  # (score, trial's number, validation predictions, models of the folds)
        self.rows = np.concatenate([valid for _, valid in self.folds])
        self.metric = self.frame.metric = scoring.defined(self.metric, self.y[self.rows])
        self.trajectory = []

    def objective(self, trial):
        """The score of the configuration's validation predictions."""
        chosen = models.suggest(trial, self.kinds)
        shape = (len(self.y), self.frame.classes) if self.frame.classes else len(self.y)
        table, fitted, seen = np.full(shape, np.nan), [], []
        trial_end = min(self.end, time.monotonic() + self.trial_s)
        for step, (train, valid) in enumerate(self.folds):
            now = time.monotonic()
            if now > self.end and (self.best or seen):
                raise optuna.TrialPruned("the budget is spent")
            fold_end = now + max(0.0, trial_end - now) / (len(self.folds) - step)
            pairs = [(self.x[rows], self.y[rows]) for rows in (train, valid)]
            fitted.append(models.fit(chosen, self.frame, *pairs, deadline=fold_end))
            table[valid] = fitted[-1](self.x[valid])
            seen.append(valid)
            score = self._score(np.concatenate(seen), table)
            trial.report(score, step)
            if step < len(self.folds) - 1 and trial.should_prune():
                raise optuna.TrialPruned("lags behind the median")
        self._keep(score, trial.number, table, fitted)
        return score

    def run(self):
        """Trials until the budget or their number is spent; the study."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(
            seed=self.frame.seed, n_startup_trials=8, multivariate=True, group=True
        )
        pruner = optuna.pruners.MedianPruner(n_startup_trials=4)
        study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
        for params in FIRST:
            if params["model"] in self.kinds:
                study.enqueue_trial(params)
        while time.monotonic() < self.end or not self.best:
            study.optimize(self.objective, n_trials=1, catch=(ValueError, FloatingPointError))
            # Those that were enqueued and not started are among the trials as well.
            done = sum(trial.state.is_finished() for trial in study.trials)
            if done == self.trials or (not self.best and done >= len(FIRST) + 8):
                break
        if not self.best:
            raise RuntimeError("no trial could be evaluated; see the log")
        return study

    def _score(self, rows, predicted):
        value = scoring.score(self.metric, self.y[rows], predicted[rows])
        if np.isnan(value) and self.frame.classes:
            value = scoring.score("log_loss", self.y[rows], predicted[rows])
        return value

    def _keep(self, score, number, table, fitted):
        if not self.best or score > self.best[0][0]:
            self.trajectory.append((time.monotonic() - self.begin, score))
        self.best.append((score, number, table[self.rows], fitted))
        self.best.sort(key=lambda entry: (-entry[0], entry[1]))
        del self.best[KEPT:]

    def weights(self, deadline):
        """The share of each kept trial in the ensemble."""
        if not self.ensemble or len(self.best) == 1:
            return [1.0] + [0.0] * (len(self.best) - 1)
        truth = self.y[self.rows]
        tables = [entry[2] for entry in self.best]
        return blending.select(
            tables, lambda table: scoring.score(self.metric, truth, table), deadline
        )


class Model:
    """What predictions need, without the training data, and what describe() reports from."""

    def __init__(self, search, study, weights):
        self.columns, self.labels = search.columns, search.labels
        self.rows, self.prior = len(search.y), None
        if self.labels:
            self.prior = np.bincount(search.y) / self.rows
        self.parts = [
            (weight / len(entry[3]), entry[3])
            for weight, entry in zip(weights, search.best, strict=True)
            if weight > 0
        ]
        self.trajectory, self.objective, self.study = search.trajectory, search.metric, study
        self.shares = {entry[1]: weight for weight, entry in zip(weights, search.best, strict=True)}


def fit(train, problem, limits):
    """Search within 94 % of the budget, then weigh the best in what is left."""
    begin = time.monotonic()
    search = Search(train, problem, limits)
    if search.labels and len(search.labels.classes) == 1:
        raise ValueError("the training part has a single class")
    study = search.run()
    return Model(search, study, search.weights(begin + 0.99 * limits.runtime_s))


def predict(model, frame, problem):
    """The weighted mean of the kept models, and a row's worth of the classes' frequencies.

    Those keep a class that a fold has not seen from having no chance at all.
    """
    codes = model.columns.codes(frame)
    total = sum(weight * sum(part(codes) for part in parts) for weight, parts in model.parts)
    if model.labels is None:
        return frames.numbers_answer(total)
    total = total / total.sum(axis=1, keepdims=True)
    total = (model.rows * total + model.prior) / (model.rows + 1)
    return model.labels.answer(total.argmax(axis=1), total)


def describe(model):
    """The trials that were started, each with its validation score and share, best first."""
    begun = [trial for trial in model.study.trials if trial.datetime_start is not None]
    begun.sort(key=lambda trial: (trial.value is None, -(trial.value or 0.0)))
    return {
        "models": sum(trial.value is not None for trial in begun),
        "leaderboard": [_row(trial, model.shares, model.objective) for trial in begun],
        "objective": model.objective,
        "version": optuna.__version__,
        "trajectory": [
            [seconds, scoring.in_its_own_unit(model.objective, score)]
            for seconds, score in model.trajectory
        ],
    }


def _check(params, kinds):
    if params:
        raise ValueError("unknown params: " + ", ".join(sorted(params)))
    unknown = [kind for kind in kinds if kind not in models.KINDS]
    if unknown or not kinds:
        raise ValueError("models are %s, not %s" % (", ".join(models.KINDS), list(kinds)))


def _folds(y, labels, wanted, seed):
    """Pairs of train and validation rows: 5 folds, 3 from 2,000 rows, a holdout from 20,000."""
    rows = len(y)
    count = int(wanted) if wanted else 5 if rows < 2000 else 3 if rows < 20000 else 1
    count = min(count, rows)
    least = np.bincount(y).min() if labels else 0
    if count == 1:
        kind = StratifiedShuffleSplit if least >= 2 else ShuffleSplit
        return list(kind(1, test_size=0.2, random_state=seed).split(y, y))
    kind = StratifiedKFold if labels and np.bincount(y).max() >= count else KFold
    return list(kind(count, shuffle=True, random_state=seed).split(y, y))


def _row(trial, shares, metric):
    finished = trial.value is not None
    ended = trial.datetime_complete
    return {
        "model": trial.params.get("model"),
        "score": scoring.in_its_own_unit(metric, trial.value) if finished else None,
        "metric": metric,
        "weight": shares.get(trial.number, 0.0),
        "state": trial.state.name.lower(),
        "seconds": ended and round((ended - trial.datetime_start).total_seconds(), 3),
        "params": {k.partition(".")[2]: v for k, v in trial.params.items() if "." in k},
    }
