"""The EC2 instance below this process, by its metadata service (IMDSv2 only).

    Instance.here(os.environ).facts()      # {"instance": "i-…", "instance_type": "c5.xlarge", …}

Where nothing says that this is EC2 the service is not asked, so that other machines lose no time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

ENDPOINT_VARIABLE = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
_ENDPOINT = "http://169.254.169.254"
_TOKEN_S = "21600"  # noqa: S105  # nosec B105 # seconds
_FACTS = {
    "instance": "instance-id",
    "instance_type": "instance-type",
    "lifecycle": "instance-life-cycle",
    "zone": "placement/availability-zone",
}
_SIGNS = (
    ("/sys/devices/virtual/dmi/id/sys_vendor", "amazon ec2"),
    ("/sys/devices/virtual/dmi/id/bios_version", "amazon"),
    ("/sys/hypervisor/uuid", "ec2"),
)


class Instance:
    """A metadata service. None of its answers is waited for longer than a second."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint.rstrip("/")
        self._token: str | None = None

    @staticmethod
    def here(variables: Mapping[str, str]) -> Instance | None:
        """The service of this machine; None where nothing says that it is one of EC2's."""
        if variables.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
            return None
        endpoint = variables.get(ENDPOINT_VARIABLE)
        if endpoint or "AWS_BATCH_JOB_ID" in variables or _is_ec2():
            return Instance(endpoint or _ENDPOINT)
        return None

    def facts(self) -> dict[str, str]:
        """Id, type, lifecycle (`spot`, `on-demand`) and zone, as far as it answers."""
        found: dict[str, str] = {}
        for name, path in _FACTS.items():
            value = self.get(f"meta-data/{path}")
            if value is None:
                break
            found[name] = value
        return found

    def interruption(self) -> str | None:
        """When the machine will be taken away ("terminate at 2026-…"), if that is announced."""
        notice_text = self.get("meta-data/spot/instance-action")
        if notice_text is None:
            return None
        try:
            notice = json.loads(notice_text)
            return f"{notice['action']} at {notice['time']}"
        except (ValueError, KeyError, TypeError):
            return notice_text[:100]

    def get(self, path: str) -> str | None:
        """What lies at a path; None where nothing does, or the service does not answer."""
        from urllib.error import HTTPError

        for _ in range(2):
            if self._token is None:
                self._token = self._ask("PUT", "api/token", {})
                if self._token is None:
                    return None
            try:
                return self._request("GET", path, {"X-aws-ec2-metadata-token": self._token})
            except HTTPError as error:
                if error.code != 401:
                    return None
                self._token = None  # It has expired.
            except OSError:
                return None
        return None

    def _ask(self, verb: str, path: str, headers: dict[str, str]) -> str | None:
        try:
            return self._request(
                verb, path, headers | {"X-aws-ec2-metadata-token-ttl-seconds": _TOKEN_S}
            )
        except OSError:
            return None

    def _request(self, verb: str, path: str, headers: dict[str, str]) -> str:
        import urllib.request  # Takes 50 ms, and most machines are not EC2's.

        request = urllib.request.Request(  # noqa: S310  the machine's own service
            f"{self.endpoint}/latest/{path}", method=verb, headers=headers
        )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=1.0) as answer:
            return str(answer.read().decode(errors="replace"))


def _is_ec2() -> bool:
    for path, sign in _SIGNS:
        try:
            if sign in Path(path).read_text().lower():
                return True
        except OSError:
            continue
    return False
