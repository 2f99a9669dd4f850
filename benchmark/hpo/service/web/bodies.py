"""The JSON of a request's body: read exactly, or refused with a sentence. ETags of answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from benchmark.files import json_text

_DEEPEST = 100


class BodyError(json.JSONDecodeError):
    """A body that cannot be read; the position is 0 where it is not known."""


def parse(body: bytes) -> Any:
    """The value of a body.

    Raises:
        BodyError: it is no JSON, has a key twice or half a character, or is nested too deeply.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BodyError("it is not UTF-8", "", error.start) from None
    try:
        value = json.loads(
            text,
            parse_float=json_text.decimal,
            parse_constant=_refuse,
            object_pairs_hook=json_text.unique,
        )
        if _is_deep(value):
            raise RecursionError
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        raise BodyError(error.msg, "", error.pos) from None
    except RecursionError:
        raise BodyError("it is nested too deeply", "", 0) from None
    except UnicodeEncodeError:
        raise BodyError("a text has half of a surrogate pair", "", 0) from None
    except json_text.InexactError as error:
        raise BodyError(str(error), "", 0) from None
    except ValueError as error:
        said = str(error) if isinstance(error, _ConstantError) else "a number has too many digits"
        raise BodyError(said, "", 0) from None
    return value


def _is_deep(value: Any) -> bool:
    """Whether it is nested deeper than everything that keeps and shows it can follow."""
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            inner
            for one in level
            if isinstance(one, (dict, list))
            for inner in (one.values() if isinstance(one, dict) else one)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True


class _ConstantError(ValueError):
    """JSON has neither NaN nor infinities."""


def _refuse(constant: str) -> Any:
    raise _ConstantError(f"JSON has no {constant}")


class _Exact(Request):
    async def json(self) -> Any:
        return parse(await self.body())


_UNCHANGED = {304: {"description": "It is as it was: `If-None-Match` has its ETag"}}


class BodyRoute(APIRoute):
    """A route whose body is read by `parse`; what it answers to a GET has an ETag."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **more: Any) -> None:
        streams = more.get("response_class") is StreamingResponse
        if "GET" in (more.get("methods") or ()) and not streams:
            more["responses"] = {**(more.get("responses") or {}), **_UNCHANGED}
        super().__init__(path, endpoint, **more)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_exact(request: Request) -> Response:
            exact = _Exact(request.scope, request.receive)
            # FastAPI makes "400, cannot be parsed" of all that happens while it reads a body.
            await exact.body()
            answer = await handle(exact)
            return _tagged(request, answer) if request.method == "GET" else answer

        return handle_exact


def _tagged(request: Request, answer: Response) -> Response:
    """The answer with its ETag, or that the client has it already."""
    if answer.status_code != 200 or isinstance(answer, StreamingResponse):
        return answer
    tag = f'"{hashlib.blake2b(bytes(answer.body), digest_size=12).hexdigest()}"'
    answer.headers["etag"] = tag
    known = request.headers.get("if-none-match", "")
    if known.strip() == "*" or tag in [one.strip().removeprefix("W/") for one in known.split(",")]:
        return Response(status_code=304, headers={"etag": tag})
    return answer
