"""Tasks do not change each other's input and do not find the targets."""

import pytest

from benchmark.records.results import Cause
from tests.support.written_adapters import FIT, GOOD, executed

SHARED = "\nimport glob, os\ndef shared(name): return glob.glob('../../parts-*/' + name)[0]\n"

DAMAGE = {
    "zeroes": "open(shared('features.arrow'), 'r+b').write(bytes(4000))",
    "truncates": "os.truncate(shared('target.arrow'), 100)",
    "replaces": "os.replace(shared('target.arrow'), shared('features.arrow'))",
    "unlinks": "os.unlink(shared('features.arrow'))",
    "adds": "open(os.path.dirname(shared('features.arrow')) + '/more', 'w')",
}

TRY = FIT + "    try:\n        os.chmod(shared('target.arrow'), 0o600)\n    except OSError: pass\n"


def damaging(deed: str) -> str:
    """Does it where it may; else it is an ordinary framework."""
    return f"{SHARED}{TRY}    try: {deed}\n    except OSError: return problem\n    return problem\n"


@pytest.fixture
def own_scratch(tmp_path, monkeypatch):
    """What is damaged here is shared with no other test's runner."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))


@pytest.mark.slow
@pytest.mark.usefixtures("own_scratch")
def test_a_task_cannot_change_the_input_of_another(tmp_path):
    codes = {name: GOOD + damaging(deed) for name, deed in DAMAGE.items()} | {"well": GOOD}
    _, found = executed(tmp_path, codes, "penguins")
    if found["well"].sandbox in ("subreaper", "process-group"):
        pytest.skip("tasks are not set apart on this machine")
    assert {record.status for record in found.values()} == {"success"}
    assert len({record.metrics["log_loss"] for record in found.values()}) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("own_scratch")
def test_where_it_can_nobody_is_blamed(tmp_path):
    codes = {name: GOOD + damaging(deed) for name, deed in DAMAGE.items()} | {"well": GOOD}
    _, found = executed(tmp_path, codes, "penguins", means="subreaper")
    assert found.pop("well").status == "success"
    assert {record.cause for record in found.values()} == {Cause.DATA}
    for record in found.values():
        assert "were changed while the task ran; resume-compute gives it new ones" in record.message


PEEK = """
import glob, os
import pandas as pd

def fit(train, problem, limits):
    store, cache = [os.path.expanduser(place) for place in problem.params["places"]]
    found = glob.glob("../../**/*.npz", recursive=True) + glob.glob("../../**/table.arrow")
    for place in (store, cache, problem.params["embedded"]):
        found += glob.glob(place + "/**/*.parquet", recursive=True)
    raise RuntimeError(f"found {len(found)} of them")
"""


def test_a_task_does_not_find_the_targets(tmp_path):
    from benchmark.config.cache import cache_folder
    from benchmark.data import embedded_suite

    places = {
        "places": [str(tmp_path / "runs"), str(cache_folder() / "datasets")],
        "embedded": str(embedded_suite.FOLDER),
    }
    code = GOOD + PEEK.replace('problem.params["places"]', repr(places["places"])).replace(
        'problem.params["embedded"]', repr(places["embedded"])
    )
    _, found = executed(tmp_path, {"peeks": code}, "penguins")
    if found["peeks"].sandbox in ("subreaper", "process-group"):
        pytest.skip("tasks are not set apart on this machine")
    assert found["peeks"].message == "RuntimeError: found 0 of them"
