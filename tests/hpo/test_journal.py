"""The journal's lock: a torn tail is cut, a killed holder blocks nobody."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import optuna

from benchmark.hpo.journal import cut_torn_tail, open_storage

_HOLDER = """
import sys
from pathlib import Path
from benchmark.hpo.journal import FlockLock
FlockLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_torn_tail_is_cut_by_the_next_append(tmp_path: Path) -> None:
    place = tmp_path / "journal"
    study = optuna.create_study(storage=open_storage(str(place)), study_name="s")
    study.tell(study.ask(), 1.0)
    whole = place.read_bytes()
    place.write_bytes(whole + b'{"op_code":4,"wor')
    again = optuna.load_study(storage=open_storage(str(place)), study_name="s")
    again.tell(again.ask(), 2.0)
    last = optuna.load_study(storage=open_storage(str(place)), study_name="s")
    assert [trial.value for trial in last.trials] == [1.0, 2.0]
    assert place.read_bytes().startswith(whole)


def test_nothing_is_cut_from_what_is_whole(tmp_path: Path) -> None:
    place = tmp_path / "journal"
    for data, cut in ((b"", 0), (b"a\n", 0), (b"a\n" + b"x" * 200_000, 200_000), (b"abc", 3)):
        place.write_bytes(data)
        assert cut_torn_tail(place) == cut
        assert place.read_bytes() == data[: len(data) - cut]


def test_a_killed_holder_blocks_nobody(tmp_path: Path) -> None:
    place = tmp_path / "journal"
    storage = open_storage(str(place))
    command = [sys.executable, "-c", _HOLDER, str(place)]
    root = str(Path(__file__).parents[2])
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        holder.send_signal(signal.SIGKILL)
    study = optuna.create_study(storage=storage, study_name="s")
    assert study.ask().number == 0
