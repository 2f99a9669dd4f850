"""The web pages: one at `/` that follows the experiments, a plain list, and the API's reference."""

from __future__ import annotations

from functools import cache
from typing import Any

from benchmark.templates import render

# The page's own script and style stand in it; plots come from this server, into a sandbox.
POLICY = {
    "content-security-policy": "default-src 'self'; script-src 'self' 'unsafe-inline'; "
    "style-src 'self' 'unsafe-inline'; frame-src 'self'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'"
}


@cache
def home() -> str:
    """The page that follows the experiments."""
    return render("service/home.html")


def listing(names: list[str]) -> str:
    """The experiments' names as a page."""
    return render("service/listing.html", names=names)


def reference(document: dict[str, Any]) -> str:
    """An OpenAPI document as a page without scripts."""
    return render("service/reference.html", document=document)
