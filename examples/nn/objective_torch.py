"""A small network on handwritten digits in PyTorch, pruned where its first epochs are worse."""

from typing import Any

import optuna
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

EPOCHS = 15


def objective(trial: Any) -> float:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    digits, target = load_digits(return_X_y=True)
    parts = train_test_split(digits / 16, target, random_state=0, stratify=target)
    train, test = (torch.tensor(part, dtype=torch.float32) for part in parts[:2])
    known, asked = (torch.tensor(part) for part in parts[2:])
    units = trial.suggest_int("units", 4, 128, log=True)
    model = nn.Sequential(
        nn.Linear(64, units),
        nn.ReLU(),
        nn.Dropout(trial.suggest_float("dropout", 0, 0.8)),
        nn.Linear(units, 10),
    )
    rate = trial.suggest_float("learning_rate", 1e-5, 0.3, log=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    batch = trial.suggest_int("batch", 16, 256, log=True)
    accuracy = 0.0
    for epoch in range(EPOCHS):
        model.train()
        for rows in torch.randperm(len(train)).split(batch):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(train[rows]), known[rows]).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            accuracy = float((model(test).argmax(1) == asked).float().mean())
        trial.report(accuracy, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned(f"{accuracy:.3f} after epoch {epoch}")
    return accuracy
