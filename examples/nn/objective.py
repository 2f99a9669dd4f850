"""A small network on handwritten digits, pruned where its first epochs are worse than others."""

from typing import Any

import numpy as np
import optuna
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

EPOCHS = 15


def objective(trial: Any) -> float:
    data, target = load_digits(return_X_y=True)
    train, test, known, asked = train_test_split(data, target, random_state=0, stratify=target)
    scaler = StandardScaler().fit(train)
    model = MLPClassifier(
        hidden_layer_sizes=(trial.suggest_int("units", 4, 128, log=True),),
        learning_rate_init=trial.suggest_float("learning_rate", 1e-5, 0.3, log=True),
        alpha=trial.suggest_float("alpha", 1e-6, 1.0, log=True),
        batch_size=trial.suggest_int("batch", 16, 256, log=True),
        random_state=0,
    )
    accuracy = 0.0
    for epoch in range(EPOCHS):
        model.partial_fit(scaler.transform(train), known, classes=np.arange(10))
        accuracy = float(model.score(scaler.transform(test), asked))
        trial.report(accuracy, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned(f"{accuracy:.3f} after epoch {epoch}")
    return accuracy
