"""EC2 whose machines are real processes that run their user data.

Launch templates are moto's, mended. A machine is a process group that runs the user data with a
metadata service of its own; ending it ends the whole tree. SQS is moto's.
"""

from __future__ import annotations

import base64
import contextlib
import fnmatch
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.aws_double import REGION, AwsDouble, RefusalError
from tests.support.process_trees import kill_tree

_TICK_S = 0.1
_SHUTDOWN = """#!/bin/sh
case "$2" in
  now) touch "$AUTOML_ROOT/down" ;;
  *) echo "$2" > "$AUTOML_ROOT/lifetime" ;;
esac
"""


@dataclass
class Instance:
    """One machine. `cost_s` is for how long it was there."""

    id: str
    type: str
    lifecycle: str
    tags: dict[str, str]
    process: subprocess.Popen[bytes]
    root: Path
    launched: float = field(default_factory=time.time)
    ended: float | None = None
    reason: str = ""
    notice: str | None = None

    @property
    def state(self) -> str:
        return "running" if self.ended is None else "terminated"


class FleetDouble(AwsDouble):
    """`capacity` and `on_demand_capacity` machines of each kind can be had at once.

    `before_boot` are shell lines that each machine runs first, such as `exit 1`. While it `hides`,
    it describes no machine, as EC2 may soon after their start.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.hides = False
        self.capacity, self.on_demand_capacity = 10, 0
        self.price = "0.36"
        self.before_boot = ""
        self.variables: dict[str, str] = {}
        self.instances: dict[str, Instance] = {}
        self._threads.append(threading.Thread(target=self._watch))
        (folder / "bin").mkdir()
        (folder / "bin/shutdown").write_text(_SHUTDOWN)
        (folder / "bin/shutdown").chmod(0o755)

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        for one in self.instances.values():
            self._end(one)

    def make_template(self, name: str = "machines", **data: Any) -> str:
        """A launch template with all that a machine needs; returns its id."""
        needed = {"ImageId": "ami-1", "IamInstanceProfile": {"Name": "machines"}}
        made = self.client("ec2").create_launch_template(
            LaunchTemplateName=name, LaunchTemplateData=needed | data
        )
        return str(made["LaunchTemplate"]["LaunchTemplateId"])

    def living(self) -> list[Instance]:
        with self._lock:
            return [one for one in self.instances.values() if one.ended is None]

    def take_away(self, one: Instance) -> None:
        """Without a word, as when the hardware fails."""
        with self._lock:
            self._end(one, "Server.SpotInstanceTermination")

    def give_notice(self, one: Instance) -> None:
        one.notice = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _end(self, one: Instance, reason: str = "Client.UserInitiatedShutdown") -> None:
        if one.ended is None:
            one.ended, one.reason = time.time(), reason
        if one.process.poll() is None:
            kill_tree(one.process.pid)
            one.process.wait()

    def _watch(self) -> None:
        while not self._over.wait(_TICK_S):
            with self._lock:
                for one in self.living():
                    if (one.root / "down").exists():
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(one.process.pid, signal.SIGTERM)
                        self._end(one, "Client.InstanceInitiatedShutdown")

    # The interface: EC2

    def _createfleet(self, asked: dict[str, Any]) -> str:
        wanted = int(asked["TargetCapacitySpecification.TotalTargetCapacity"])
        lifecycle = asked["TargetCapacitySpecification.DefaultTargetCapacityType"]
        spot = lifecycle == "spot"
        capacity = self.capacity if spot else self.on_demand_capacity
        free = capacity - sum(1 for one in self.living() if one.lifecycle == lifecycle)
        place = "LaunchTemplateConfigs.1"
        version = self._version(asked, f"{place}.LaunchTemplateSpecification")
        kind = asked[f"{place}.Overrides.1.InstanceType"]
        tags = {
            asked[f"TagSpecification.1.Tag.{n}.Key"]: asked[f"TagSpecification.1.Tag.{n}.Value"]
            for n in (1, 2)
        }
        came = [
            self._launch(kind, lifecycle, tags, str(version.data["UserData"]))
            for _ in range(max(0, min(wanted, free)))
        ]
        items = "".join(f"<item>{one.id}</item>" for one in came)
        told = f"<fleetId>fleet-{secrets.token_hex(4)}</fleetId><fleetInstanceSet>"
        if came:
            told += (
                f"<item><instanceIds>{items}</instanceIds><instanceType>{kind}</instanceType>"
                f"<lifecycle>{lifecycle}</lifecycle></item>"
            )
        told += "</fleetInstanceSet><errorSet>"
        if len(came) < wanted:
            told += (
                "<item><errorCode>InsufficientInstanceCapacity</errorCode>"
                f"<errorMessage>There is no {lifecycle} capacity.</errorMessage></item>"
            )
        return told + "</errorSet>"

    def _launch(self, kind: str, lifecycle: str, tags: dict[str, str], data: str) -> Instance:
        name = f"i-{secrets.token_hex(8)}"
        root = self.folder / name
        root.mkdir()
        script = root / "user-data"
        script.write_text(self.before_boot + base64.b64decode(data).decode())
        told = ("AWS_", "AUTOML_BENCHMARK_RUN")
        clean = {k: v for k, v in os.environ.items() if not k.startswith(told)}
        with (root / "console.log").open("wb") as console:
            process = subprocess.Popen(
                ["sh", str(script)],
                env=clean
                | {
                    "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
                    "AUTOML_ROOT": str(root),
                    "BENCHMARK_PYTHON": sys.executable,
                    "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"{self.endpoint}/imds/{name}",
                }
                | self.variables,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                cwd=root,
                start_new_session=True,
            )
        self.instances[name] = Instance(name, kind, lifecycle, tags, process, root)
        return self.instances[name]

    def _describeinstances(self, asked: dict[str, Any]) -> str:
        items = ""
        for one in self.instances.values():
            if self.hides or not _is_asked(one, asked):
                continue
            at = datetime.fromtimestamp(one.launched, UTC).isoformat()
            spot = "<instanceLifecycle>spot</instanceLifecycle>" if one.lifecycle == "spot" else ""
            items += (
                f"<item><instanceId>{one.id}</instanceId><instanceType>{one.type}</instanceType>"
                f"{spot}<instanceState><code>16</code><name>{one.state}</name></instanceState>"
                f"<launchTime>{at}</launchTime><stateReason><code>{one.reason}</code></stateReason>"
                "</item>"
            )
        return f"<reservationSet><item><instancesSet>{items}</instancesSet></item></reservationSet>"

    def _terminateinstances(self, asked: dict[str, Any]) -> str:
        self.hides = False
        for key, name in asked.items():
            if key.startswith("InstanceId."):
                self._end(self.instances[name])
        return "<instancesSet/>"

    def _describespotpricehistory(self, asked: dict[str, Any]) -> str:
        kinds = [value for key, value in asked.items() if key.startswith("InstanceType.")]
        items = "".join(
            f"<item><instanceType>{kind}</instanceType><spotPrice>{self.price}</spotPrice></item>"
            for kind in kinds
        )
        return f"<spotPriceHistorySet>{items}</spotPriceHistorySet>"

    def _createlaunchtemplateversion(self, asked: dict[str, Any]) -> str:
        """moto starts a version from nothing; AWS starts it from its source."""
        template = self._template(asked, "")
        changes = {
            key.removeprefix("LaunchTemplateData."): value
            for key, value in asked.items()
            if key.startswith("LaunchTemplateData.") and key.count(".") == 1
        }
        source = template.get_version(template.default_version_number).data
        made = template.create_version(source | changes, asked["VersionDescription"])
        return (
            f"<launchTemplateVersion><versionNumber>{made.number}</versionNumber>"
            "</launchTemplateVersion>"
        )

    def _deletelaunchtemplateversions(self, asked: dict[str, Any]) -> str:
        template = self._template(asked, "")
        numbers = {int(v) for k, v in asked.items() if k.startswith("LaunchTemplateVersion.")}
        template.versions = [one for one in template.versions if one.number not in numbers]
        return "<successfullyDeletedLaunchTemplateVersionSet/>"

    def _version(self, asked: dict[str, Any], place: str) -> Any:
        template = self._template(asked, f"{place}.")
        return next(
            one for one in template.versions if str(one.number) == asked[f"{place}.Version"]
        )

    def _template(self, asked: dict[str, Any], place: str) -> Any:
        from moto.ec2.models import ec2_backends

        backend = ec2_backends["123456789012"][REGION]
        if name := asked.get(f"{place}LaunchTemplateId"):
            return backend.get_launch_template(name)
        return backend.get_launch_template_by_name(asked[f"{place}LaunchTemplateName"])

    def _getproducts(self, asked: dict[str, Any]) -> dict[str, Any]:
        price = {"pricePerUnit": {"USD": "1.0"}}
        product = {"terms": {"OnDemand": {"a": {"priceDimensions": {"b": price}}}}}
        return {"FormatVersion": "aws_v1", "PriceList": [json.dumps(product)]}

    # The metadata service

    def _serve(self, environ: dict[str, Any], start: Any) -> Any:
        path = environ["PATH_INFO"]
        if not path.startswith("/imds/"):
            return super()._serve(environ, start)
        _, _, name, _, rest = path.split("/", 4)
        if name not in self.instances:
            raise RefusalError(404, "NotFound")
        said = self._metadata(self.instances[name], rest)
        status = "404 Not Found" if said is None else "200 OK"
        data = (said or "").encode()
        start(status, [("Content-Length", str(len(data)))])
        return [data]

    @staticmethod
    def _metadata(one: Instance, path: str) -> str | None:
        if path == "api/token":
            return "a-token"
        if path == "meta-data/spot/instance-action":
            return one.notice and json.dumps({"action": "terminate", "time": one.notice})
        return {
            "meta-data/instance-id": one.id,
            "meta-data/instance-type": one.type,
            "meta-data/instance-life-cycle": one.lifecycle,
            "meta-data/placement/availability-zone": f"{REGION}a",
        }.get(path)


def _is_asked(one: Instance, asked: dict[str, Any]) -> bool:
    """Whether every filter has a value, perhaps with wildcards, that the machine has."""
    facts = {"instance-id": one.id, "instance-state-name": one.state}
    facts |= {f"tag:{name}": value for name, value in one.tags.items()}
    for key, name in asked.items():
        if re.fullmatch(r"Filter\.\d+\.Name", key):
            place = key.removesuffix("Name") + "Value."
            values = [value for other, value in asked.items() if other.startswith(place)]
            if not any(fnmatch.fnmatchcase(facts.get(name, ""), value) for value in values):
                return False
    return True


def pace() -> Any:
    """That of tests, which do not wait for what takes minutes on AWS."""
    from benchmark.compute.baremetal.baremetal import Pace

    return Pace(
        store_s=0.3,
        engine_s=0.5,
        visibility_s=6,
        idle_s=3.0,
        wait_s=1,
        notice_s=0.5,
        capacity_s=1.0,
        patience_s=120.0,
        ending_s=30.0,
        ending_look_s=0.1,
    )


def told_to_machines() -> dict[str, str]:
    """What stands for a machine's role, and this machine's cache of environments."""
    from benchmark.frameworks.environments import cache_folder

    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    told = {name: os.environ[name] for name in names}
    return told | {"AUTOML_BENCHMARK_CACHE": str(cache_folder())}


@pytest.fixture
def fleet(tmp_path: Path, s3: str, aws: pytest.MonkeyPatch) -> Iterator[FleetDouble]:
    """A running double, with the SDK's variables set for it and for a real S3."""
    from moto.moto_api._internal.models import moto_api_backend

    from benchmark.compute.baremetal.baremetal import BaremetalDispatcher

    moto_api_backend.reset()
    folder = tmp_path / "machines"
    folder.mkdir()
    aws.setenv("AWS_REGION", REGION)
    aws.setenv("AWS_DEFAULT_REGION", REGION)
    aws.setattr(BaremetalDispatcher, "pace", pace())
    with FleetDouble(folder) as double:
        for service in ("EC2", "SQS", "PRICING"):
            aws.setenv(f"AWS_ENDPOINT_URL_{service}", double.endpoint)
        aws.setenv("AWS_ENDPOINT_URL_S3", os.environ["AWS_ENDPOINT_URL"])
        double.variables = told_to_machines()
        yield double
