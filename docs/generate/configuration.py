"""The reference of batch.config, from the model that checks it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmark.config.cache import CACHE_VARIABLE
from benchmark.config.keys import Config, model_at
from benchmark.config.loading import PREFIX, QUICKSTART
from docs.generate.markdown import NOTE, code, table, texts_of, words

if TYPE_CHECKING:
    from pydantic import BaseModel

_INNER = {
    "An entry of frameworks": model_at(["frameworks"]),
    "A metric of your own": model_at(["metric"]),
    "The keys of slurm": model_at(["slurm"]),
    "The keys of pilot, within slurm": model_at(["slurm", "pilot"]),
    **{f"The keys of {key}": model_at([key]) for key in ("metaflow", "kubernetes", "ray", "aws")},
}


def page() -> str:
    parts = [
        NOTE,
        "# Configuration\n",
        "`batch.config` is JSON. Layers, later ones win: the defaults below, the file, variables "
        f'`{PREFIX}<KEY>`, the command line (`--set KEY=VALUE`). Null and `""` mean unset. '
        "[The user guide](../user-guide.md#configuration) says how the keys play together.\n",
        _keys(Config),
        "## Without a batch.config\n",
        "The quickstart has these values:\n",
        table(("key", "value"), ((f"`{key}`", code(value)) for key, value in QUICKSTART.items())),
    ]
    for title, model in _INNER.items():
        parts += [f"## {title}\n", _keys(model)]
    parts += [
        "## Not in the file\n",
        f"`{CACHE_VARIABLE}` is the folder for the frameworks' environments and fetched data; by "
        "default `automl-benchmark` in the user's cache. Endpoint, region and credentials of AWS "
        "come from the SDK's own variables and files.\n",
    ]
    return "\n".join(parts)


def _keys(model: type[BaseModel]) -> str:
    texts = texts_of(model)
    rows = []
    for name, schema in model.model_json_schema()["properties"].items():
        field = _field_of(model, name)
        rows.append((f"`{name}`", _linked(words(schema)), _default(model, field), texts[field]))
    return table(("key", "type", "default", "meaning"), rows)


def _linked(kind: str) -> str:
    for title, model in _INNER.items():
        anchor = title.lower().replace(",", "").replace(" ", "-")
        kind = kind.replace(model.__name__, f"[{model.__name__}](#{anchor})")
    return kind


def _field_of(model: type[BaseModel], name: str) -> str:
    """The field behind a key, which may be its alias."""
    aliases = {field.alias: known for known, field in model.model_fields.items() if field.alias}
    return aliases.get(name, name)


def _default(model: type[BaseModel], name: str) -> str:
    field = model.model_fields[name]
    if field.is_required():
        return "needed"
    value: Any = field.get_default(call_default_factory=True)
    if hasattr(value, "model_dump"):
        return "see below"
    return "unset" if value in (None, "") else code(value)
