"""The reference, written from the code: `python -m docs.generate`.

Pages of docs/reference are written by this package and by nobody else; a test compares them.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parents[1] / "reference"


def pages() -> dict[str, str]:
    """The text of each page of docs/reference, by the file's name."""
    from docs.generate import commands, configuration, records, service, structure

    return {
        "configuration.md": configuration.page(),
        "commands.md": commands.page(),
        "records.md": records.page(),
        "rest.md": service.rest_page(),
        "grpc.md": service.grpc_page(),
        "packages.md": structure.page(),
    }
