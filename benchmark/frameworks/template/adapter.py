"""Gradient boosting of scikit-learn: an example to replace by your framework.

This file runs in the framework's own environment and imports nothing from the benchmark. Times,
memory and cores are limited from outside; what it raises is a failure of the framework.
"""

import sklearn
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder


def fit(train, problem, limits):
    """Train on a pandas frame and return a model, whatever form it has.

    train            features, and the target in the column problem.target; missing values are NaN
    problem.type     "binary", "multiclass" or "regression"
    problem.classes  the class labels, sorted; None for a regression
    problem.metric   what ranks in the results, such as "auc", "log_loss" or "rmse"
    problem.seed     make the outcome depend on it and on nothing else
    problem.categorical  the columns that hold categories; the others are numbers
    problem.params   {"iterations": 50} from batch.config reaches you here
    limits.runtime_s     the budget for fit: stop in time. The hard limit ends the process later
    limits.cores, limits.memory_mb   what you may use, all processes together
    """
    features = train.drop(columns=[problem.target])
    iterations = problem.params.get("iterations", 100)
    kind = (
        HistGradientBoostingRegressor
        if problem.type == "regression"
        else HistGradientBoostingClassifier
    )
    encoder = make_column_transformer(
        (
            OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
            [name for name in features.columns if name in problem.categorical],
        ),
        remainder="passthrough",
    )
    booster = kind(max_iter=iterations, random_state=problem.seed)
    return make_pipeline(encoder, booster).fit(features, train[problem.target])


def predict(model, frame, problem):
    """A prediction for each row; for classes also their probabilities, a column a class."""
    if problem.type == "regression":
        return {"predictions": model.predict(frame), "probabilities": None, "classes": None}
    return {
        "predictions": model.predict(frame),
        "probabilities": model.predict_proba(frame),
        "classes": list(model.classes_),
    }


def describe(model):
    """What the record has besides the scores; None for what the framework does not report.

    models       how many models were evaluated
    leaderboard  a list of dicts, a row a model
    objective    the metric that was optimised, in the framework's own words
    """
    return {"models": 1, "leaderboard": None, "version": sklearn.__version__}
