"""Kubernetes' API server, by its official client: one request, or all pages of a list."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmark.compute.cluster import ClusterError, FullError
from benchmark.compute.faults import PassingError

_PAGE = 500
_ANSWER_S = (10, 60)
# 410: the pages of a list have expired.
_TOO_MANY = 429
_PASSING = (0, 408, 410, _TOO_MANY, 500, 502, 503, 504)


class Api:
    """The jobs, pods and events of a namespace, as JSON."""

    def __init__(self, namespace: str, context: str | None) -> None:
        self._namespace, self._context = namespace, context

    def call(self, verb: str, kind: str, ignored: int = -1, **arguments: Any) -> Any:
        """An answer of the API server; empty where it refuses with the status `ignored`.

        Raises:
            PassingError: it cannot be asked now.
            FullError: a quota forbids more Jobs for now.
            ClusterError: it refuses, in its own words, or there is none.
        """
        ask = getattr(self._clients[kind], f"{verb}_namespaced_{kind}")
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        options = {"_preload_content": False, "_request_timeout": _ANSWER_S}
        try:
            return json.loads(ask(namespace=self._namespace, **options, **arguments).data)
        except ApiException as error:
            status, message = int(error.status or 0), _message(error)
            if status == ignored:
                return {}
            why = f"Kubernetes refuses: {message}."
            if status in _PASSING:
                raise PassingError(why, perhaps_done=status != _TOO_MANY) from None
            if "exceeded quota" in message:
                raise FullError(f"no more Jobs may be created ({message})") from None
            raise ClusterError(why) from None
        except (HTTPError, OSError, ValueError) as error:
            why = f"Kubernetes gives no answer: {error}."
            raise PassingError(why, perhaps_done=True) from None

    def listed(
        self, kind: str, labels: Mapping[str, str], fields: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """All objects, page by page."""
        selector = ",".join(map("=".join, labels.items())) or None
        which: dict[str, Any] = {
            "label_selector": selector,
            "field_selector": fields,
            "limit": _PAGE,
        }
        more = None
        while more != "":
            page = self.call("list", kind, _continue=more, **which)
            yield from page["items"]
            more = page["metadata"].get("continue") or ""

    @functools.cached_property
    def _clients(self) -> dict[str, Any]:
        """The cluster of the kubeconfig, or that of the pod in which this runs."""
        from kubernetes import client, config

        chosen = client.Configuration()
        files = os.environ.get("KUBECONFIG") or str(Path("~/.kube/config").expanduser())
        try:
            if any(Path(file).is_file() for file in files.split(os.pathsep)):
                config.load_kube_config(files, self._context, chosen)
            else:
                config.load_incluster_config(client_configuration=chosen)
        except config.ConfigException as error:
            raise ClusterError(
                f"Kubernetes cannot be reached: {str(error).rstrip('.')}; name its kubeconfig in "
                "KUBECONFIG, or run this in a pod of the cluster."
            ) from None
        api = client.ApiClient(chosen)
        core = client.CoreV1Api(api)
        return {"job": client.BatchV1Api(api), "pod": core, "event": core}


def _message(error: Any) -> str:
    """The message of a refusal's Status, else the HTTP reason."""
    try:
        message = json.loads(error.body)["message"]
    except (ValueError, TypeError, KeyError):
        message = error.reason or error.status
    return " ".join(str(message).split()).rstrip(".")
