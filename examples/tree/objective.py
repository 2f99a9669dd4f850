"""An objective as Optuna users write it: accuracy of a decision tree, cross-validated."""

from typing import Any

from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import cross_val_score
from sklearn.tree import DecisionTreeClassifier


def objective(trial: Any) -> float:
    model = DecisionTreeClassifier(
        max_depth=trial.suggest_int("max_depth", 1, 20),
        min_samples_leaf=trial.suggest_int("min_samples_leaf", 1, 64, log=True),
        criterion=trial.suggest_categorical("criterion", ["gini", "entropy"]),
        random_state=0,
    )
    data, target = load_breast_cancer(return_X_y=True)
    return float(cross_val_score(model, data, target, cv=5).mean())
