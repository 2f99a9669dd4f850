"""The sources of data sets: the embedded suite, OpenML, and users' own files.

load("credit-g")                          # an embedded or cached data set
catalogue = Catalogue.of(config)
catalogue.names()                         # ["task-59", "openml-61", "penguins", "my-sales", …]
catalogue.ready(["task-59"])              # {"task-59": Entry}, fetched if not cached
catalogue.faults                          # {name: why it is unavailable}

The name shows the source: `task-59` is an OpenML task (its target, its folds), `openml-61` a
OpenML data set with its default target; the others are embedded or declared by the user.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmark.config.loading import Config
from benchmark.data import embedded_suite
from benchmark.data.cache import Entry, write_whole
from benchmark.data.datasets import Dataset
from benchmark.data.embedded_suite import FOLDER, SUITES
from benchmark.data.openml.fetch import PARALLEL, PATIENCE_S, Job, fetch, is_reference, openml_cache
from benchmark.data.openml.file import OpenMLFile
from benchmark.data.own import source as own
from benchmark.data.own.declarations import Declaration, declared
from benchmark.errors import ConfigError, DataError
from benchmark.files.spelling import nearest

__all__ = [
    "FOLDER",
    "SUITES",
    "Catalogue",
    "embedded_names",
    "find",
    "is_reference",
    "load",
    "with_hash",
]

embedded_names = embedded_suite.names


def _is_elsewhere(name: str) -> bool:
    return name in embedded_suite.suite() or is_reference(name)


def load(name: str) -> Dataset:
    """An embedded data set, or an OpenML one that is cached.

    Raises:
        DataError: no data set has this name, or it has not been fetched.
    """
    if name in embedded_suite.suite():
        return embedded_suite.read(name)
    if is_reference(name):
        entry = openml_cache().entry(name)
        if entry is None:
            raise DataError(f"{name} has not been fetched from OpenML yet; run download-data.")
        return entry.load()
    raise DataError(_unknown(name))


def with_hash(name: str, hash: str) -> Entry | None:
    """This machine's copy of the data set with this content, without the network; or None."""
    if name in embedded_suite.suite():
        dataset = embedded_suite.read(name)
        found = [Entry(name, dataset.description, dataset)]
    else:
        entry = openml_cache().entry(name) if is_reference(name) else None
        found = [entry] if entry is not None else own.kept(name)
    return next((one for one in found if one.description.get("hash") == hash), None)


def find(name_or_id: str | int, type: str | None = None) -> tuple[str, str | None]:
    """The name and, if known, the type of a data set, by its name or OpenML id.

    An OpenML id means the embedded set if that is the whole OpenML data set, else `openml-ID`.

    Raises:
        DataError: no data set has this name, or its type is not `type`.
    """
    suite = embedded_suite.suite()
    wanted = str(name_or_id).strip()
    name = wanted if wanted in suite else None
    for candidate, entry in suite.items():
        if name is None and wanted.isdigit() and str(entry["openml"]) == wanted:
            name = candidate
    if name is None:
        name = f"openml-{int(wanted)}" if re.fullmatch("[1-9][0-9]{0,8}", wanted) else wanted
        if is_reference(name):
            return name, type
        raise DataError(_unknown(wanted))
    kind = str(suite[name]["type"])
    if type is not None and type != kind:
        raise DataError(_of_other_type(name, kind, type))
    return name, kind


class Catalogue:
    """The data sets of a configuration, fetched on request.

    `type` in a study `[id, type]` is a filter: members of another type are left out, and are in
    `left_out` by name. Unavailable data sets are in `faults`, by name or "study ID".
    """

    def __init__(
        self,
        studies: Sequence[Any],
        datasets: Sequence[str] = (),
        key: str | None = None,
        on_event: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self._own, self.faults = declared(datasets, _is_elsewhere)
        self.left_out: dict[str, str] = {}
        self.notes: list[str] = []
        self._studies = list(studies)
        self._key = key
        self._on_event = on_event
        self._types: dict[str, str | None] | None = None

    @classmethod
    def of(
        cls, config: Config, on_event: Callable[[dict[str, Any]], None] | None = None
    ) -> Catalogue:
        """The catalogue of a configuration; with own `datasets`, `studies` only count if given.

        A user who declares data without `studies` does not mean the default's 60 of OpenML.
        """
        silent = config.datasets and "studies" not in config.model_fields_set
        studies = [] if silent else config.studies
        return cls(studies, config.datasets, config.openml_api_key, on_event)

    def names(self, *, refresh: bool = False) -> list[str]:
        """All names, in the configuration's order, each once.

        A study's members are fetched once and kept; `refresh` asks OpenML again, and uses what was
        kept if there is no answer.
        """
        if self._types is None or refresh:
            self._types = self._listed(refresh=refresh)
        return [name for name in self._types if name not in self.left_out]

    def check(self, names: Iterable[str]) -> None:
        """Reject names that no study can have, without the network.

        Raises:
            ConfigError: a name is not declared, embedded or a reference.
            DataError: its declaration is wrong.
        """
        configured = [*self._own]
        for study in self._studies:
            if isinstance(study, str):
                configured += embedded_suite.names(study) if study in SUITES else [study]
        for name in names:
            if name not in self._own and not _is_elsewhere(name):
                if name in self.faults:
                    raise DataError(self.faults[name])
                raise ConfigError(_unknown(name, configured))

    def type_of(self, name: str) -> str | None:
        """The type that a data set has or must have, if known."""
        return (self._types or {}).get(name)

    def ready(self, names: Iterable[str], *, refresh: bool = False) -> dict[str, Entry]:
        """The available ones of these data sets; the others are in `faults` or `left_out`."""
        names = list(dict.fromkeys(names))
        self._fetch([n for n in names if n not in self._own and is_reference(n)])
        files = self._fetch_files([self._own[name] for name in names if name in self._own])
        left = [name for name in names if name not in self.faults and name not in self.left_out]
        with ThreadPoolExecutor(PARALLEL) as pool:
            entries = list(pool.map(lambda name: self._entry_or_why(name, files, refresh), left))
        found: dict[str, Entry] = {}
        for name, entry in zip(left, entries, strict=True):
            if isinstance(entry, DataError):
                self.faults[name] = str(entry)
                continue
            wanted = self.type_of(name)
            if wanted is not None and entry.description["type"] != wanted:
                self.left_out[name] = str(entry.description["type"])
            else:
                found[name] = entry
                changed = entry.description.get("changed", ()) if name in self._own else ()
                self.notes += [f"{name}: {note}." for note in changed]
        return found

    def find(self, name_or_id: str, type: str | None = None) -> Entry:
        """One data set, fetched if necessary, by name or OpenML id.

        Raises:
            DataError: it is unavailable, or its type is not `type`.
        """
        if name_or_id in self.faults:
            raise DataError(self.faults[name_or_id])
        name = name_or_id if name_or_id in self._own else find(name_or_id, type)[0]
        self._types = {name: None}
        entry = self.ready([name]).get(name)
        if entry is None:
            raise DataError(self.faults[name])
        if type is not None and entry.description["type"] != type:
            raise DataError(_of_other_type(name, entry.description["type"], type))
        return entry

    def study_file(self, study: str) -> dict[str, Any] | None:
        """The cached `members` and `title` of a study."""
        path = openml_cache().folder / "studies" / f"{study}.json"
        try:
            kept = json.loads(path.read_bytes())
        except (OSError, ValueError):
            return None
        return kept if isinstance(kept, dict) and "members" in kept else None

    def _listed(self, *, refresh: bool) -> dict[str, str | None]:
        suite = embedded_suite.suite()
        listed: dict[str, str | None] = {}
        # Names are checked before the network is used.
        single = [study for study in self._studies if isinstance(study, str)]
        known = {
            name: (name, None) if name in self._own else find(name)
            for name in single
            if name not in SUITES
        }
        wanted = [study for study in self._studies if not isinstance(study, str)]
        kept = self._members([str(study[0]) for study in wanted], refresh=refresh)
        for study in self._studies:
            if not isinstance(study, str):
                for name in kept.get(str(study[0]), []):
                    # A member of two studies with both types is accepted with its own type.
                    either = listed.get(name, study[1]) != study[1]
                    listed[name] = None if either else study[1]
            elif study in SUITES:
                for name in embedded_suite.names(study):
                    listed[name] = str(suite[name]["type"])
            else:
                name, kind = known[study]
                listed[name] = kind
        return listed | dict.fromkeys(self._own)

    def _members(self, studies: list[str], *, refresh: bool) -> dict[str, list[str]]:
        """Members of studies by id; cached ones unless missing or to be refreshed."""
        members: dict[str, list[str]] = {}
        asked = []
        for study in dict.fromkeys(studies):
            if is_reference(study) or study in SUITES:
                members[study] = [study] if is_reference(study) else embedded_suite.names(study)
                continue
            kept = self.study_file(study)
            if kept is not None:
                members[study] = kept["members"]
            if kept is None or refresh:
                asked.append(study)
        # With cached members one try is enough, not a long wait for a server that is down.
        new = [Job(f"study-{study}") for study in asked if study not in members]
        old = [Job(f"study-{study}") for study in asked if study in members]
        for jobs, patience_s in ((new, PATIENCE_S), (old, 0.0)):
            fetched = fetch(jobs, self._key, self._on_event, patience_s=patience_s)
            for name, answer in fetched.members.items():
                study = name.removeprefix("study-")
                members[study] = answer["members"]
                path = openml_cache().folder / "studies" / f"{study}.json"
                write_whole(path, json.dumps(answer).encode())
            for name, fault in fetched.faults.items():
                study = name.removeprefix("study-")
                if study in members:
                    self.notes.append(f"{fault} The cached members are used.")
                else:
                    self.faults[f"study {study}"] = fault
        return members

    def _fetch(self, names: list[str]) -> None:
        """Fetch what is not cached; read again what an older version has read."""
        entries = {name: openml_cache().entry(name) for name in names}
        jobs = []
        for name, entry in entries.items():
            if entry is not None and not entry.outdated:
                continue
            wanted = self.type_of(name)
            known = _kind_path(name).read_text() if _kind_path(name).exists() else None
            if wanted is not None and known is not None and known != wanted:
                self.left_out[name] = known
            else:
                jobs.append(Job(name, wanted))
        new = [job for job in jobs if entries[job.name] is None]
        old = [job for job in jobs if entries[job.name] is not None]
        fetched = fetch(new, self._key, self._on_event)
        again = fetch(old, self._key, self._on_event, patience_s=0.0)
        self.notes += [f"{fault} The cached copy is used." for fault in again.faults.values()]
        self.faults |= {name: fetched.faults[name] for name in names if name in fetched.faults}
        self.left_out |= fetched.others
        for name, kind in fetched.others.items():
            write_whole(_kind_path(name), kind.encode())

    def _fetch_files(self, declarations: Iterable[Declaration]) -> dict[int, OpenMLFile | None]:
        """The OpenML files that declarations read, by id, fetched if not cached."""
        numbers = {one.name: one.openml for one in declarations if one.openml is not None}
        folder = openml_cache().folder
        missing = [n for n in dict.fromkeys(numbers.values()) if not OpenMLFile.kept(folder, n)]
        jobs = [Job(f"openml-{number}", file=True) for number in missing]
        faults = fetch(jobs, self._key, self._on_event).faults
        self.faults |= {
            name: faults[f"openml-{number}"]
            for name, number in numbers.items()
            if f"openml-{number}" in faults
        }
        return {number: OpenMLFile.kept(folder, number) for number in numbers.values()}

    def _entry_or_why(
        self, name: str, files: dict[int, OpenMLFile | None], refresh: bool
    ) -> Entry | DataError:
        """The entry, or the error of this data set, which does not stop the others."""
        try:
            return self._entry(name, files, refresh=refresh)
        except DataError as error:
            return error
        except Exception as error:
            said = " ".join(str(error).split())[:200]
            return DataError(f"{name} cannot be read ({type(error).__name__}: {said}).")

    def _entry(self, name: str, files: dict[int, OpenMLFile | None], *, refresh: bool) -> Entry:
        declaration = self._own.get(name)
        if declaration is not None:
            entry = own.entry(
                declaration,
                _base(declaration, files),
                refresh=refresh,
                on_bytes=lambda n: self._tell(name, bytes=n),
                on_note=self._note_once,
            )
            self._tell(name, done=True)
            return entry
        if name in embedded_suite.suite():
            dataset = embedded_suite.read(name)
            return Entry(name, dataset.description, dataset)
        if not is_reference(name):
            raise DataError(_unknown(name))
        found = openml_cache().entry(name)
        if found is None:
            raise DataError(f"{name} has not been fetched from OpenML yet; run download-data.")
        return found

    def _note_once(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    def _tell(self, name: str, **event: Any) -> None:
        if self._on_event:
            self._on_event({"name": name} | event)


def _base(declaration: Declaration, files: dict[int, OpenMLFile | None]) -> OpenMLFile | None:
    """The file of the OpenML data set that a declaration names, if any."""
    number = declaration.openml
    if number is None:
        return None
    file = files[number]
    if file is None:
        raise DataError(
            f"The file of OpenML data set {number} is missing from the cache; start the command "
            "again to fetch it again."
        )
    return file


def _kind_path(name: str) -> Path:
    """The file with the type of a task that was not fetched, so that it is not requested again."""
    return openml_cache().folder / "kinds" / name


def _of_other_type(name: str, kind: str, wanted: str) -> str:
    return f"Data set {name} is for {kind}, not for {wanted}; ask for it as {kind}."


def _unknown(wanted: str, configured: Sequence[str] = ()) -> str:
    known = list(dict.fromkeys(configured)) or list(embedded_suite.suite())
    near = nearest(wanted, known)
    hint = f"did you mean {near}?" if near else f"there are {', '.join(known)}"
    return (
        f"There is no data set '{wanted}'; {hint}"
        f"{'' if near else ', and task-ID and openml-ID of OpenML.'}"
    )
