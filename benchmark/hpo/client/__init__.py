"""Clients of the HPO service's `/v1`: `Client` for threads, `AsyncClient` for event loops.

    from benchmark.hpo import Client

    with Client("http://127.0.0.1:8085") as client:
        experiment = client.create(
            "mine",
            direction="minimize",
            tunables=[{"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1}],
            trials=50,
        )
        for trial in experiment:
            trial.tell((trial.params["x"] - 0.3) ** 2)
        print(experiment.best())

A request that got no answer is tried again for `patience_s`, also over a restart of the server: a
founding, an ask, a tell, an append and a queue have an idempotency key, so that they count once,
and the others may be repeated; a deletion that is found to be done is done.
"""

from benchmark.hpo.client.asynchronous import AsyncClient, AsyncExperiment, AsyncTrial
from benchmark.hpo.client.client import Client, ClientError, Experiment, NoTrialsError, Trial

__all__ = [
    "AsyncClient",
    "AsyncExperiment",
    "AsyncTrial",
    "Client",
    "ClientError",
    "Experiment",
    "NoTrialsError",
    "Trial",
]
