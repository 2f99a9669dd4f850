"""Experiments in memory, for trying out and for measuring."""

from __future__ import annotations

import contextlib

from optuna.storages import BaseStorage, InMemoryStorage

from benchmark.hpo.service.core.backend import Backend, Opened, exists, missing
from benchmark.hpo.service.core.leases import Leases, MemoryLeases
from benchmark.hpo.service.core.terms import Terms
from benchmark.hpo.spec.study_file import StudyDefinition


class MemoryBackend(Backend):
    """Nothing is kept: for trying out, and for measuring."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[StudyDefinition, Terms, BaseStorage, Leases]] = {}

    def names(self) -> list[str]:
        return sorted(self._kept)

    def title(self, study: str) -> str:
        return self._kept[study][1].experiment if study in self._kept else study

    def create(self, definition: StudyDefinition, terms: Terms) -> None:
        parts = (definition, terms, InMemoryStorage(), MemoryLeases())
        if self._kept.setdefault(definition.name, parts) is not parts:
            raise exists(terms.experiment)

    def open(self, study: str) -> Opened:
        if study not in self._kept:
            raise missing(study)
        definition, terms, storage, leases = self._kept[study]
        close = contextlib.ExitStack()
        return Opened(definition, terms, storage, leases, None, alone=True, close=close)

    def delete(self, study: str) -> None:
        self._kept.pop(study, None)

    def check(self) -> None:
        return
