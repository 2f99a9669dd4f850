"""docs/reference says what the code says."""

from __future__ import annotations

import pytest

from benchmark.cli.commands import COMMANDS
from benchmark.runs.compiled import COLUMNS
from docs.generate import FOLDER, commands, pages

pytest.importorskip("fastapi")
pytest.importorskip("google.protobuf")
PAGES = sorted(path.name for path in FOLDER.iterdir())


@pytest.fixture(scope="module")
def written() -> dict[str, str]:
    return pages()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_code_gives(written: dict[str, str], name: str) -> None:
    assert (FOLDER / name).read_text() == written[name], "run `python -m docs.generate`"


def test_no_page_is_missing_or_left_over(written: dict[str, str]) -> None:
    assert set(PAGES) == set(written)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_argument_says_what_it_is(name: str) -> None:
    for action in commands.arguments(commands.commands()[name]):
        assert action.help, (name, action.dest)


def test_the_guide_tells_of_every_column() -> None:
    guide = (FOLDER.parent / "user-guide.md").read_text()
    timed = [column for column in COLUMNS if column.startswith("INFERENCE_S_")]
    assert [c for c in COLUMNS if c not in timed and f"`{c}`" not in guide] == []
