"""What all resources are given, and what each of them can."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlsplit

from benchmark.compute.aws.clients import Aws, NotYetError, RefusedError
from benchmark.compute.faults import PassingError
from benchmark.compute.submissions import name_part
from benchmark.config.loading import Config
from benchmark.errors import BenchmarkError, ConfigError

TAG, BY = "automl-benchmark", "init-compute"
TAGS = {TAG: BY}
PREFIX = "automl-benchmark"
_PAUSE_S, PATIENCE_S = 2.0, 300.0
# Machines that shut down keep their network interfaces, and those their security group.
SHUTDOWN_S = 900.0


@dataclass(frozen=True)
class Site:
    """Account and region, and the configuration whose needs are to be met."""

    aws: Aws
    config: Config
    pause_s: float = _PAUSE_S

    @property
    def prefix(self) -> str:
        """What the names of all that is made begin with."""
        return name_part(self.config.job_name or PREFIX)

    @property
    def bucket(self) -> str:
        """The bucket's name.

        Raises:
            ConfigError: the configuration names none.
        """
        if not self.config.store_url.startswith("s3://"):
            raise ConfigError(
                f"The results would go to {self.config.store_url}; name a bucket in "
                "'s3_bucket_root', which init-compute --create makes unless it is there."
            )
        return urlsplit(self.config.store_url).netloc

    def wait(self, what: str, ready: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
        """Wait until AWS has done what a call asked for.

        Raises:
            BenchmarkError: it takes too long; the command can be repeated.
        """
        end = time.monotonic() + patience_s
        while not ready():
            if time.monotonic() > end:
                raise BenchmarkError(f"AWS takes too long with the {what}; run the command again.")
            time.sleep(self.pause_s)

    def propagated(self, ask: Callable[[], Any]) -> Any:
        """The answer to a request that refers to what was made a moment ago.

        AWS is eventually consistent: roles above all are unknown to other services for some
        seconds. What is refused because of that is asked again, as what was throttled is.
        """
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                return ask()
            except (PassingError, RefusedError) as error:
                passes = isinstance(error, PassingError) or is_not_there_yet(error)
                if not passes or time.monotonic() > end:
                    raise
            time.sleep(self.pause_s)

    def removed(self, ask: Callable[[], Any], gone: tuple[str, ...] = ()) -> None:
        """Remove what others may still use while they go; one with a code of `gone` is removed."""
        end = time.monotonic() + SHUTDOWN_S
        while True:
            try:
                ask()
                return
            except RefusedError as error:
                is_new = isinstance(error, NotYetError)
                if error.code in gone and not is_new:
                    return
                if not (is_new or error.code in _IN_USE) or time.monotonic() > end:
                    raise
            time.sleep(self.pause_s)


_IN_USE = ("DependencyViolation", "DeleteConflict", "ResourceInUse", "InvalidGroup.InUse")
_NOT_YET = (
    *("InvalidParameterException", "InvalidParameterValue", "ClientException", "NoSuchEntity"),
    *("MalformedPolicyDocument", "InvalidGroup.NotFound", "InvalidGroupId.Malformed"),
    *("InvalidLaunchTemplateId.NotFound", "InvalidLaunchTemplateName.NotFoundException"),
    *("InvalidRequest", "ValidationException"),
)
_NOT_YET_WORDS = (
    *("not authorized", "AssumeRole", "assume", "does not exist", "not found", "Invalid IAM"),
    *("cannot be found", "is invalid", "not yet", "is not valid"),
)


def is_not_there_yet(error: RefusedError) -> bool:
    """Whether a refusal may be because what was just made is not known everywhere."""
    sentence = str(error)
    return error.code in _NOT_YET and any(words in sentence for words in _NOT_YET_WORDS)


class Resource:
    """One thing in the account, by its name. `key` is the configuration's key for its name.

    `changed` says what `make` has changed in one that was there, or could not.
    """

    kind: ClassVar[str]

    def __init__(self, site: Site, name: str, key: str | None = None) -> None:
        self.site = site
        self.aws = site.aws
        self.name = name
        self.key = key
        self.changed: str | None = None

    @property
    def title(self) -> str:
        return f"{self.kind} {self.name}"

    def find(self) -> str | None:
        """Its id or ARN; None where there is none."""
        raise NotImplementedError

    def known(self) -> str:
        """Its id or ARN; what was made a moment ago may not be described yet.

        Raises:
            BenchmarkError: AWS does not describe it for too long.
        """
        found: list[str | None] = [None]

        def is_there() -> bool:
            found[0] = self.find()
            return found[0] is not None

        self.site.wait(self.title, is_there)
        return str(found[0])

    def make(self) -> str:
        """Make and complete it; no error where it is there."""
        return self.find() or self.create()

    def create(self) -> str:
        """Create it unless it exists; returns its id, ARN or name."""
        raise NotImplementedError

    def is_ours(self) -> bool:
        """Whether it carries our tag."""
        raise NotImplementedError

    def remove(self) -> str | None:
        """Remove it; a reason where it must stay."""
        raise NotImplementedError

    def found(self, codes: tuple[str, ...], service: str, operation: str, **asked: Any) -> Any:
        """What AWS says of it; None where it answers with one of the codes for "not there"."""
        try:
            return self.aws.call(service, operation, **asked)
        except RefusedError as error:
            # What is not known yet is not removed by saying so.
            is_kept = isinstance(error, NotYetError) and operation.startswith(("delete", "detach"))
            if error.code in codes and not is_kept:
                return None
            raise


class Described(Resource):
    """One of which AWS tells an object with its tags, and under `id_key` its id or ARN."""

    id_key: ClassVar[str]

    def find(self) -> str | None:
        described = self.described()
        return str(described[self.id_key]) if described else None

    def is_ours(self) -> bool:
        described = self.described() or {}
        return is_tagged(described.get("tags", described.get("Tags", [])))

    def described(self) -> Any:
        """What AWS says of it; None where there is none."""
        raise NotImplementedError


def is_tagged(tags: dict[str, str] | list[dict[str, str]]) -> bool:
    """Whether ours are among the tags: by name, as Batch gives them, or in pairs, as the others."""
    named = tags if isinstance(tags, dict) else {one["Key"]: one["Value"] for one in tags}
    return named.items() >= TAGS.items()


def as_pairs() -> list[dict[str, str]]:
    """The tags as most services take them."""
    return [{"Key": name, "Value": text} for name, text in TAGS.items()]


def policy(statements: list[dict[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})
