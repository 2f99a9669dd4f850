"""Check on a real AWS account what docs/aws.md promises, and remove everything again.

    .venv/bin/python prove/aws_acceptance.py --bucket a-new-bucket

It uses the commands of main.py as a user would, and looks at the account by AWS's own SDK. It asks
before it spends anything. A script that was killed resumes with the step it was at when it is
started again; whether a step fails or not, at the end it removes what it made (--keep does not, so
that a fault can be looked into; --destroy only removes).

Exit code 0 if every promise was kept and nothing is left, 1 if not, 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PREFIX = "automl-benchmark"
LIMIT_USD = 1.0
COST = f"""\
This runs two small benchmarks, on AWS Batch and on a fleet of EC2 spot
machines, in about 20 minutes. It likely costs 0.10 USD. Each run costs at most
{LIMIT_USD:g} USD ('max_cost'); boot and idle time on Batch, addresses, disks and 1 GB of
images for some minutes, which 'max_cost' does not include, cost at most
0.20 USD."""
ALIVE = ("pending", "running", "stopping", "stopped", "shutting-down")
PATIENCE_S = 900.0


class BrokenError(Exception):
    """A promise that was not kept."""


class Acceptance:
    """The steps, and what a later start of the script needs of an earlier one."""

    def __init__(self, folder: Path, bucket: str) -> None:
        self.folder, self.file = folder, folder / "acceptance.json"
        self.state: dict[str, Any] = {"bucket": bucket, "done": [], "name": "", "found": {}}
        if self.file.is_file():
            self.state = json.loads(self.file.read_text())
        if self.state["bucket"] != bucket:
            sys.exit(
                f"{self.file} is of an acceptance with the bucket {self.state['bucket']}; resume "
                "it with --bucket of that name, or end it with --destroy."
            )

    def save(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.file.write_text(json.dumps(self.state, indent=2) + "\n")

    # The account, by AWS's own SDK

    def aws(self, service: str) -> Any:
        import boto3

        return boto3.client(service)

    def machines(self) -> dict[str, str]:
        """The state of every machine of a fleet that is there."""
        asked = [
            {"Name": f"tag:{PREFIX}", "Values": [f"{PREFIX}-*"]},
            {"Name": "instance-state-name", "Values": list(ALIVE)},
        ]
        pages = self.aws("ec2").get_paginator("describe_instances").paginate(Filters=asked)
        return {
            one["InstanceId"]: one["State"]["Name"]
            for page in pages
            for group in page["Reservations"]
            for one in group["Instances"]
        }

    def task_queues(self) -> list[str]:
        found = self.aws("sqs").list_queues(QueueNamePrefix=f"{PREFIX}-").get("QueueUrls", [])
        token = re.compile(PREFIX + r"-[0-9a-f]{12}(-dead)?")
        return [url for url in found if token.fullmatch(url.rpartition("/")[2])]

    def bucket_is_there(self) -> bool:
        from botocore.exceptions import ClientError

        try:
            self.aws("s3").head_bucket(Bucket=self.state["bucket"])
        except ClientError as error:
            return error.response["ResponseMetadata"]["HTTPStatusCode"] != 404
        return True

    def left(self) -> list[str]:
        """What of this acceptance is in the account."""
        name, batch = self.state["name"], self.aws("batch")
        found = [f"machine {one}" for one in self.machines()]
        found += [f"queue {url}" for url in self.task_queues()]
        environments = [f"{name}-spot"]
        asked = batch.describe_compute_environments(computeEnvironments=environments)
        found += [
            f"compute environment {one['computeEnvironmentName']}"
            for one in asked["computeEnvironments"]
            if one.get("status") != "DELETED"
        ]
        asked = batch.describe_job_queues(jobQueues=[name])
        found += [
            f"job queue {one['jobQueueName']}"
            for one in asked["jobQueues"]
            if one.get("status") != "DELETED"
        ]
        pages = self.aws("iam").get_paginator("list_roles").paginate()
        roles = [one["RoleName"] for page in pages for one in page["Roles"]]
        found += [f"role {one}" for one in roles if one.startswith(f"{name}-")]
        pages = self.aws("ecr").get_paginator("describe_repositories").paginate()
        repositories = [one["repositoryName"] for page in pages for one in page["repositories"]]
        found += [f"repository {one}" for one in repositories if one == name]
        return found + ([f"bucket {self.state['bucket']}"] if self.bucket_is_there() else [])

    # The program, by its commands

    def main(self, *words: str, codes: tuple[int, ...] = (0,)) -> dict[str, Any]:
        """Run a command to its end; its report.

        Raises:
            BrokenError: it ended with another exit code.
        """
        with self.started(*words) as process:
            try:
                out, _ = process.communicate()
            except BaseException:
                process.send_signal(signal.SIGINT)
                raise
        if process.returncode not in codes:
            raise BrokenError(f"`main.py {' '.join(words)}` ended with {process.returncode}")
        return dict(json.loads(out)) if out.strip() else {}

    def started(self, *words: str) -> subprocess.Popen[str]:
        print(f"  $ main.py {' '.join(words)}", flush=True)
        command = [sys.executable, str(ROOT / "main.py"), *words, "--json"]
        return subprocess.Popen(command, cwd=self.folder, stdout=subprocess.PIPE, text=True)

    def on(self, method: str, command: str, *words: str) -> tuple[str, ...]:
        """A command over a method, with the run of the step."""
        compute = json.dumps({"*": method})
        return command, "--set", f"compute={compute}", "--run", f"accept-{method}", *words

    # The steps

    def create(self) -> None:
        """Permissions are checked, then everything is made, with the image of Batch."""
        file = self.folder / "batch.config"
        config = {
            "s3_bucket_root": self.state["bucket"],
            "job_name": self.state["name"],
            "ecr_repo": self.state["name"],
            "frameworks": ["constant"],
            "studies": ["starter"],
            "seeds": [1],
            **{"cores": 2, "memory": 3000, "runtime": 60, "hard_limit": 120},
            "instance_types": ["c5.large", "m5.large"],
            "cluster_size": 2,
            "max_cost": LIMIT_USD,
        }
        file.write_text(json.dumps(config, indent=2) + "\n")
        done = self.main("init-compute", "--create", "--set", 'compute={"*": "batch"}')
        ids = {one["what"]: one["id"] for one in done["made"]}
        config["job_queue_id"] = ids[f"job queue {self.state['name']}"]
        config["ec2_template"] = ids[f"launch template {self.state['name']}-machines"]
        file.write_text(json.dumps(config, indent=2) + "\n")

    def again(self) -> None:
        """A second time nothing is made, and what was killed half way is completed."""
        done = self.main("init-compute", "--create", "--set", 'compute={"*": "batch"}')
        made = [one["what"] for one in done["made"] if one["done"] != "is there"]
        if made:
            raise BrokenError(f"a second init-compute --create made {', '.join(made)}")
        self.main("refresh-compute", "--set", 'compute={"*": "baremetal"}')

    def check(self) -> None:
        """doctor finds no fault for either method."""
        for method in ("batch", "baremetal"):
            self.main(*self.on(method, "doctor"))

    def batch(self) -> None:
        """Every task over Batch has a result with its price, within the forecast."""
        self._forecast("batch")
        self.main(*self.on("batch", "execute-compute", "--overwrite"))
        self._results("batch")

    def fleet(self) -> None:
        """A driver is killed, a machine terminated: the next command finds and ends the fleet."""
        self._forecast("baremetal")
        with self.started(*self.on("baremetal", "execute-compute", "--overwrite")) as driver:
            try:
                self._until(
                    lambda: "running" in self.machines().values() or driver.poll() is not None,
                    "a machine to run",
                )
                if driver.poll() is not None:
                    raise BrokenError(f"execute-compute ended early, with {driver.returncode}")
            finally:
                driver.kill()
        victim = min(name for name, state in self.machines().items() if state == "running")
        print(f"  the driver is killed, and {victim} terminated", flush=True)
        self.aws("ec2").terminate_instances(InstanceIds=[victim])
        self.main(*self.on("baremetal", "resume-compute"))
        self._results("baremetal")
        self.main(*self.on("baremetal", "get-logs"))
        running = [one for one, state in self.machines().items() if state != "shutting-down"]
        if left := [*running, *self.task_queues()]:
            raise BrokenError(f"the run has ended and left {', '.join(left)}")

    def limit(self) -> None:
        """Below the cost of one task no machine starts."""
        before = set(self.machines())
        words = self.on("baremetal", "execute-compute", "--overwrite", "--max-cost", "0.0001")
        done = self.main(*words, codes=(1,))
        if not any("max_cost" in fault for fault in done["faults"]):
            raise BrokenError("a run that could not be paid for gave another reason")
        if started := set(self.machines()) - before:
            raise BrokenError(f"a run that could not be paid for started {', '.join(started)}")

    def destroy(self) -> None:
        """Objects, then resources; nothing is left."""
        if self.left():
            if self.bucket_is_there():
                self.main("clean-s3", "--yes")
            self.main("init-compute", "--destroy", "--yes")
        self._until(lambda: not self.left(), "what was made to be gone")

    def _forecast(self, method: str) -> None:
        found = self.main(*self.on(method, "estimate"))
        if found["cost"] is None:
            raise BrokenError("estimate knows no cost")
        self.state["found"][f"{method} forecast"] = found["cost"]["high"]
        self.save()

    def _results(self, method: str) -> None:
        """All tasks have results and their prices, and what was spent is within the forecast."""
        self.main(*self.on(method, "fetch-results"))
        with (self.folder / "compiled_results.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        wanted = ("INSTANCE_TYPE", "LIFECYCLE", "PRICE_PER_HOUR", "COST")
        poor = [row for row in rows if not all(row.get(name) for name in wanted)]
        if not rows or poor:
            raise BrokenError(f"{len(poor)} of {len(rows)} results have no price: {wanted}")
        status = self.main(*self.on(method, "status"))
        if status["success"] != status["tasks"]:
            raise BrokenError(f"{status['success']} of {status['tasks']} tasks succeeded")
        self.state["found"][f"{method} spent"] = spent = float(status["spent"])
        self.save()
        forecast = self.state["found"][f"{method} forecast"]
        # A fleet's machines are paid for while they boot and end, which no task's forecast has.
        if method == "batch" and spent > forecast:
            raise BrokenError(f"{spent:.4f} USD were spent, and at most {forecast:.4f} forecast")
        if spent > LIMIT_USD:
            raise BrokenError(f"{spent:.4f} USD were spent, and 'max_cost' is {LIMIT_USD:g}")

    def _until(self, ready: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + PATIENCE_S
        while not ready():
            if time.monotonic() > end:
                raise BrokenError(f"waited {PATIENCE_S:.0f} s for {what}: {self.left()}")
            time.sleep(float(os.environ.get("ACCEPTANCE_PAUSE_S", "5")))


STEPS = ("create", "again", "check", "batch", "fleet", "limit")


def agreed(yes: bool) -> bool:
    print(COST)
    if yes:
        return True
    if not sys.stdin.isatty():
        sys.exit("Not a terminal; pass --yes.")
    print("Start? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def prepared(acceptance: Acceptance) -> None:
    """Refuse an account in which the removal at the end could meet what is not ours."""
    if acceptance.state["name"]:
        return
    if acceptance.bucket_is_there():
        sys.exit(f"The bucket {acceptance.state['bucket']} exists; name one that does not.")
    if others := [*acceptance.machines(), *acceptance.task_queues()]:
        sys.exit(
            f"A fleet runs in this account and region ({', '.join(others)}), which the removal at "
            "the end would end; wait for it, or choose another AWS_REGION."
        )
    acceptance.state["name"] = f"{PREFIX}-accept-{secrets.token_hex(3)}"
    acceptance.save()


def carried_out(acceptance: Acceptance) -> dict[str, str]:
    """The outcome of each step, up to the first that failed."""
    outcomes: dict[str, str] = {}
    for name in STEPS:
        step: Callable[[], None] = getattr(acceptance, name)
        if name in acceptance.state["done"]:
            outcomes[name] = "kept (by an earlier start)"
            continue
        print(f"{name}: {step.__doc__}", flush=True)
        began = time.monotonic()
        try:
            step()
        except KeyboardInterrupt:
            outcomes[name] = "INTERRUPTED"
            return outcomes
        except Exception as error:
            outcomes[name] = f"BROKEN: {error or type(error).__name__}"
            return outcomes
        outcomes[name] = f"kept ({(time.monotonic() - began) / 60:.1f} min)"
        acceptance.state["done"].append(name)
        acceptance.save()
    return outcomes


def removed(acceptance: Acceptance) -> str:
    """Remove what was made, again if it did not work the first time."""
    for last in (False, True):
        try:
            acceptance.destroy()
        except (Exception, KeyboardInterrupt) as error:
            if last:
                return f"BROKEN: {error}; run the script again with --destroy"
            print(f"  {error}; once more", flush=True)
        else:
            acceptance.file.unlink(missing_ok=True)
            return "kept, nothing is left"
    return ""


def main() -> int:
    parser = argparse.ArgumentParser("aws_acceptance.py", description=__doc__.partition("\n")[0])
    parser.add_argument("--bucket", required=True, help="a name that no bucket has yet")
    parser.add_argument("--folder", type=Path, default=Path("aws-acceptance"))
    parser.add_argument("--yes", action="store_true", help="do not ask")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--keep", action="store_true", help="remove nothing; to resume or look")
    choice.add_argument("--destroy", action="store_true", help="only remove what is left")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    acceptance = Acceptance(options.folder.absolute(), options.bucket)
    outcomes: dict[str, str] = {}
    if options.destroy:
        if not acceptance.state["name"]:
            sys.exit(f"There is no acceptance in {options.folder} to remove.")
    else:
        if not agreed(options.yes):
            print("Nothing was started.")
            return 1
        prepared(acceptance)
        outcomes = carried_out(acceptance)
    if not options.keep:
        print(f"destroy: {Acceptance.destroy.__doc__}", flush=True)
        outcomes["destroy"] = removed(acceptance)
    print()
    for name, outcome in outcomes.items():
        print(f"{name:8} {outcome}")
    for name, usd in acceptance.state["found"].items():
        print(f"{name}: {usd:.4f} USD")
    return 0 if all(one.startswith("kept") for one in outcomes.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
