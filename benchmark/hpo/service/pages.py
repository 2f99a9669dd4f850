"""The web pages: one at `/` that follows the experiments, and a plain list of them."""

from __future__ import annotations

from html import escape
from pathlib import Path

HOME = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
# The page's own script and style stand in it; plots come from this server, into a sandbox.
POLICY = {
    "content-security-policy": "default-src 'self'; script-src 'self' 'unsafe-inline'; "
    "style-src 'self' 'unsafe-inline'; frame-src 'self'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'"
}


def listing(names: list[str]) -> str:
    """The experiments' names as a page."""
    items = "".join(f"<li>{escape(name)}</li>" for name in names)
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Experiments</title>"
        f"<h1>Experiments</h1><ul>{items}</ul></html>"
    )
