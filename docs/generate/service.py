"""The reference of the service: REST from its OpenAPI, gRPC from its descriptor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from docs.generate.markdown import NOTE, code, prose, table, words

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, FieldDescriptor

    from benchmark.hpo.service.core.service import Service


def rest_page() -> str:
    document = openapi()
    parts = [
        NOTE,
        "# REST\n",
        "The routes of `/v1`; [the service](../service.md) shows them in use, and the classic "
        "routes beside them. A running server has the same at `/openapi.json`.\n",
    ]
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            parts += [f"## {method.upper()} {path}\n", f"{prose(route.get('description', ''))}\n"]
            parts += _route(route)
    parts += ["## Bodies\n"]
    for name, schema in document["components"]["schemas"].items():
        parts += [f"### {name}\n", f"{prose(schema.get('description', ''))}\n", _fields(schema)]
    parts += ["## Refusals\n", table(("code", "when"), _refusals(document))]
    return "\n".join(parts)


def openapi() -> dict[str, Any]:
    """The application's own description; no route of it is called, so it needs no service."""
    from benchmark.hpo.service.app import make_app

    return make_app(cast("Service", None)).openapi()


def _route(route: dict[str, Any]) -> list[str]:
    told = []
    rows = [
        (f"`{one['name']}`", one["in"], words(one["schema"]), prose(one.get("description", "")))
        for one in route.get("parameters", [])
    ]
    if rows:
        told.append(table(("parameter", "in", "type", "meaning"), rows))
    body = route.get("requestBody", {}).get("content", {}).get("application/json")
    if body:
        told.append(f"Body: {_linked(words(body['schema']))}\n")
    for status, answer in route["responses"].items():
        content = answer.get("content", {}).get("application/json")
        if status.startswith("2"):
            what = _linked(words(content["schema"])) if content else "no JSON"
            told.append(f"Answers {status}: {what}\n")
    return told


def _linked(name: str) -> str:
    plain = name.startswith(("object", "list", "anything", "text"))
    return name if plain else f"[{name}](#{name.lower()})"


def _fields(schema: dict[str, Any]) -> str:
    needed = schema.get("required", [])
    rows = []
    for name, field in schema.get("properties", {}).items():
        default = "needed" if name in needed else code(field.get("default"))
        rows.append((f"`{name}`", words(field), default))
    return table(("field", "type", "default"), rows)


def _refusals(document: dict[str, Any]) -> list[tuple[str, str]]:
    told = {}
    for methods in document["paths"].values():
        for route in methods.values():
            for status, answer in route["responses"].items():
                if not status.startswith("2"):
                    told[status] = prose(answer["description"])
    return sorted(told.items())


def grpc_page() -> str:
    from benchmark.hpo.service.classic import hpo_pb2

    file = hpo_pb2.DESCRIPTOR
    parts = [
        NOTE,
        "# gRPC\n",
        f"Package `{file.package}`, as clients of Kruize HPO know it; the file is "
        "`benchmark/hpo/service/classic/hpo.proto`. Fields from 100 on are additions.\n",
    ]
    for service in file.services_by_name.values():
        calls = [
            (f"`{call.name}`", _message_link(call.input_type), _message_link(call.output_type))
            for call in service.methods
        ]
        parts += [f"## {service.name}\n", table(("call", "takes", "answers"), calls)]
    parts.append("## Messages\n")
    for message in file.message_types_by_name.values():
        parts += _message(message)
    return "\n".join(parts)


def _message(message: Descriptor) -> list[str]:
    name = _short(message)
    rows = [(str(f.number), f"`{f.name}`", _kind(f)) for f in message.fields]
    told = [f"### {name}\n", table(("number", "field", "type"), rows) if rows else "Empty.\n"]
    for one in message.enum_types:
        values = ", ".join(f"`{value.name}` = {value.number}" for value in one.values)
        told.append(f"{name}.{one.name}: {values}\n")
    for inner in message.nested_types:
        told += _message(inner)
    return told


def _short(message: Descriptor) -> str:
    return message.full_name.removeprefix(f"{message.file.package}.")


def _message_link(message: Descriptor) -> str:
    return f"[{_short(message)}](#{_short(message).lower().replace('.', '')})"


def _kind(field: FieldDescriptor) -> str:
    from google.protobuf.descriptor import FieldDescriptor as Field

    names = {getattr(Field, name): name[5:].lower() for name in dir(Field) if name[:5] == "TYPE_"}
    kind = names[field.type]
    if field.message_type is not None:
        kind = _message_link(field.message_type)
    elif field.enum_type is not None:
        kind = field.enum_type.name
    return f"repeated {kind}" if field.is_repeated else kind
