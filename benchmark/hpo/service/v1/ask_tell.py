"""Ask and tell: nearly all requests are one of these two, so they have a way past FastAPI.

`ShortCut` answers a request that has no fault, as the route of its path would. Every other one is
passed on to that route with its body: the routes alone document, validate and refuse.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, TypeVar

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from benchmark.errors import BenchmarkError
from benchmark.hpo.service.core.endings import Tell
from benchmark.hpo.service.core.experiment import Experiment, WouldWaitError
from benchmark.hpo.service.core.service import Service, is_limited
from benchmark.hpo.service.core.terms import SLASH
from benchmark.hpo.service.v1 import answers, models
from benchmark.hpo.service.v1.answers import Asking
from benchmark.hpo.service.web.bodies import BodyError, parse
from benchmark.hpo.service.web.threads import Batches, Threads
from benchmark.hpo.service.web.traces import name_route

_T = TypeVar("_T")
_Item = TypeVar("_Item")
KEY = "^[!-~]+$"
LONGEST_KEY = 200
_ASK = SimpleNamespace(path="/v1/experiments/{name}/ask")
_TELL = SimpleNamespace(path="/v1/experiments/{name}/trials/{number}/tell")
_PATH = re.compile(r"/v1/experiments/([^/]{1,256})/(?:ask|trials/(0|[1-9][0-9]{0,8})/tell)")


class AskTell:
    """Both calls over a service: in this thread where nothing has to be waited for.

    Others are made for all clients of an experiment that wait, by one thread and one write.
    """

    def __init__(self, service: Service, threads: Threads) -> None:
        self._service = service
        self._threads = threads
        self._asks: Batches[Asking, models.Asked] = Batches(
            threads, self._all(answers.ask_all), lambda _: True
        )
        self._tells: Batches[Tell, models.Told] = Batches(
            threads, self._all(answers.tell_all), lambda name: not service.is_open(name)
        )

    async def ask(self, name: str, body: models.Ask, key: str | None) -> models.Asked:
        asking = Asking(body, key)
        # Of several trials some might be given before the others have to be waited for.
        if body.count == 1:
            with contextlib.suppress(WouldWaitError, KeyError):
                with self._service.use_in_memory(name) as experiment:
                    if experiment is not None:
                        return answers.ask(experiment, asking, at_once=True)
                if not is_limited():
                    return await self._asks(name, asking)
        return await self._threads.patient(self._using, name, answers.ask, asking)

    async def tell(self, name: str, number: int, body: models.Tell) -> models.Told:
        told = Tell(number, answers.ending(body), body.lease)
        with self._service.use_in_memory(name) as experiment:
            if experiment is not None:
                return answers.tell(experiment, told)
        if not is_limited():
            with contextlib.suppress(KeyError):
                return await self._tells(name, told)
        return await self.in_thread(name, self._using, name, answers.tell, told)

    async def in_thread(self, name: str, call: Callable[..., _T], *arguments: Any) -> _T:
        """Call what uses an experiment; to wait until it is open takes none of the few threads."""
        threads = self._threads
        run = threads.quick if self._service.is_open(name) else threads.patient
        return await run(call, *arguments)

    def _using(self, name: str, call: Callable[..., Any], *arguments: Any) -> Any:
        return self._service.call(name, lambda experiment: call(experiment, *arguments))

    def _all(self, call: Callable[[Experiment, list[_Item]], Any]) -> Any:
        def run(name: str, items: list[_Item]) -> Any:
            return self._service.call_for_all(name, lambda experiment: call(experiment, items))

        return run


class ShortCut:
    """An ASGI application before another one; `refuse` answers for an error of the service."""

    def __init__(
        self, app: Any, calls: AskTell, refuse: Callable[[Request, Exception], Awaitable[Response]]
    ) -> None:
        self._app = app
        self._calls = calls
        self._refuse = refuse

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        found = None
        if scope["type"] == "http" and scope["method"] == "POST" and not scope["query_string"]:
            found = _PATH.fullmatch(scope["path"])
        if found is None:
            await self._app(scope, receive, send)
            return
        messages: list[Any] = []
        scope["route"] = _ASK if found[2] is None else _TELL
        name_route(scope, scope["route"].path)
        try:
            answer = await self._answer(found, scope["headers"], messages, receive)
        except BenchmarkError as error:
            response = await self._refuse(Request(scope), error)
        else:
            if answer is None:
                await self._app(scope, _again(messages, receive), send)
                return
            content = answer.__pydantic_serializer__.to_json(answer)
            response = Response(content, media_type="application/json")
        await response(scope, receive, send)

    async def _answer(
        self, path: re.Match[str], headers: Any, messages: list[Any], receive: Any
    ) -> models.Asked | models.Told | None:
        """The answer, or None where the request is not as it should be."""
        kinds = [value for name, value in headers if name == b"content-type"]
        keys = [value.decode("latin-1") for name, value in headers if name == b"idempotency-key"]
        key = keys[0] if keys else None
        is_key = key is None or (len(key) <= LONGEST_KEY and re.fullmatch(KEY, key))
        if kinds != [b"application/json"] or len(keys) > 1 or not is_key:
            return None
        while not messages or messages[-1].get("more_body"):
            messages.append(await receive())
            if messages[-1]["type"] != "http.request":
                return None
        model = models.Ask if path[2] is None else models.Tell
        try:
            body = model.model_validate(parse(b"".join(one.get("body", b"") for one in messages)))
        except (BodyError, ValidationError):
            return None
        name = path[1].replace(SLASH, "/")
        if isinstance(body, models.Ask):
            return await self._calls.ask(name, body, key)
        return await self._calls.tell(name, int(path[2]), body)


def _again(messages: list[Any], receive: Any) -> Callable[[], Awaitable[Any]]:
    """What was received already, then what follows."""
    left = iter(messages)

    async def received() -> Any:
        found = next(left, None)
        return await receive() if found is None else found

    return received
