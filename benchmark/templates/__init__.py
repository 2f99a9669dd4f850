"""Pages and parts of pages as jinja2 templates, with their styles and scripts beside them.

    render("report/page.html", title="Ranks", places={}, parts=[])
    macros("report/parts.html").listed(["a", "b"])

Every value is escaped, except the results of macros. jinja2 is loaded on first use.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

__all__ = ["macros", "render"]


def render(template: str, **values: Any) -> str:
    """A whole page; a variable that is missing is an error."""
    return _environment().get_template(template).render(values)


class _Macros(Protocol):
    """The macros of a template, by their names."""

    def __getattr__(self, name: str) -> Callable[..., Markup]: ...


def macros(template: str) -> _Macros:
    """The macros of a template as functions that return HTML (`Markup`)."""
    return cast("_Macros", _environment().get_template(template).module)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("benchmark")
    made = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    # The text of a style or script, which is no template.
    made.globals["source"] = lambda name: loader.get_source(made, name)[0]
    return made
