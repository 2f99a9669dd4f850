"""A task's processes where only POSIX is at hand (macOS): found, weighed and ended by `ps`.

Nothing adopts orphans there, so a process is the task's if it descends from it, is in a process
group of one that does, was seen before, or has the sandbox's mark in its environment. One that
forks twice, takes a session of its own and clears its environment between two looks gets away.
"""

import os
import subprocess
import sys
from typing import Dict, Iterable, List, NamedTuple, Set

from benchmark.execution.worker import trees

VARIABLE = "AUTOML_SANDBOX"
LOOK_S = 0.1
# One option each: "pid=,ppid=" would be a column with the title ",ppid=".
_COLUMNS = [
    word
    for name in ["pid", "ppid", "pgid", "stat", "rss", "lstart", "command"]
    for word in ("-o", name + "=")
]
_FIELDS = 11

Seen = NamedTuple(
    "Seen",
    [
        ("pid", int),
        ("parent", int),
        ("group", int),
        ("resident_mb", float),
        ("started", str),
        ("command", str),
    ],
)


class Crowd:
    """What runs under a mark, `VARIABLE` in the environment that its zygote was started with.

    A mark that ends in "-" stands for all that begin with it.
    """

    def __init__(self, mark: str) -> None:
        self.mark = mark
        self._known: Dict[int, str] = {}

    def memory_mb(self, root: int) -> float:
        """Resident memory of the tree, without what a fork of the zygote has from it.

        An upper bound: what exec'd processes share, and the files that they map, count in each.
        """
        seen = _look()
        members = self._members(seen, [root])
        forked = {one.pid: one for one in seen}.get(os.getpid())
        inherited = [one.resident_mb for one in seen if one.pid in (os.getpid(), os.getppid())]
        total = 0.0
        for one in members:
            same = forked is not None and one.command == forked.command
            total += max(0.0, one.resident_mb - (max(inherited) if same and inherited else 0.0))
        return total

    @property
    def pids(self) -> List[int]:
        """The processes that were there at the last look."""
        return list(self._known)

    def kill_all(self, roots: Iterable[int] = ()) -> bool:
        """SIGKILL all of them until there is none left: True if so in time.

        The caller and its parent are spared: keeper and zygote have the mark as well.
        """
        known = list(roots)

        def find() -> List[int]:
            return [one.pid for one in self._members(_look(environment=True), known)]

        return trees.kill_found(find)

    def _members(self, seen: List[Seen], roots: List[int]) -> List[Seen]:
        spared = {0, 1, os.getpid(), os.getppid()}
        pids: Set[int] = {
            one.pid
            for one in seen
            if one.pid in roots or self._known.get(one.pid) == one.started or self._marked(one)
        }
        pids -= spared
        foreign = {one.group for one in seen if one.pid in spared}
        while True:
            groups = {one.group for one in seen if one.pid in pids} - foreign
            more = {
                one.pid
                for one in seen
                if one.pid in pids or one.parent in pids or one.group in groups
            } - spared
            if more == pids:
                break
            pids = more
        members = [one for one in seen if one.pid in pids]
        self._known = {one.pid: one.started for one in members}
        return members

    def _marked(self, one: Seen) -> bool:
        mark = "%s=%s" % (VARIABLE, self.mark)
        return mark in one.command if mark.endswith("-") else mark in one.command.split(" ")


def _look(environment: bool = False) -> List[Seen]:
    """Every living process but this look itself; with its environment behind its command."""
    options = ["-A", "-ww"]
    if environment:
        options = ["-A", "-E", "-ww"] if sys.platform == "darwin" else ["axeww"]
    process = subprocess.Popen(
        ["ps"] + options + _COLUMNS,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"LC_ALL": "C", "PATH": os.environ.get("PATH", "") + os.pathsep + os.defpath},
    )
    text = process.communicate()[0].decode("utf-8", "replace")
    found = []
    for line in text.splitlines():
        fields = line.split(None, _FIELDS - 1)
        if len(fields) < _FIELDS - 1 or fields[3].startswith("Z") or int(fields[0]) == process.pid:
            continue
        found.append(
            Seen(
                int(fields[0]),
                int(fields[1]),
                int(fields[2]),
                int(fields[4]) / 1024.0,
                " ".join(fields[5:10]),
                fields[10] if len(fields) == _FIELDS else "",
            )
        )
    return found
