"""What all resources are given, and what each of them can."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from benchmark.compute.aws.clients import RefusedError
from benchmark.compute.submissions import name_part
from benchmark.errors import BenchmarkError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmark.compute.aws.clients import Aws
    from benchmark.config import Config

TAG, BY = "automl-benchmark", "init-compute"
TAGS = {TAG: BY}
PREFIX = "automl-benchmark"
_PAUSE_S, _PATIENCE_S = 2.0, 300.0


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

    def wait(self, what: str, ready: Callable[[], bool]) -> None:
        """Wait for AWS to do what it has been told.

        Raises:
            BenchmarkError: it takes too long; the command can be repeated.
        """
        end = time.monotonic() + _PATIENCE_S
        while not ready():
            if time.monotonic() > end:
                raise BenchmarkError(f"AWS takes too long with the {what}; run the command again.")
            time.sleep(self.pause_s)


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

    def make(self) -> str:
        """Make and complete it; no error where it is there."""
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
            if error.code in codes:
                return None
            raise


class Described(Resource):
    """One of which AWS tells an object with its tags, and under `id_key` its id or ARN."""

    id_key: ClassVar[str]

    def find(self) -> str | None:
        told = self.told()
        return str(told[self.id_key]) if told else None

    def is_ours(self) -> bool:
        told = self.told() or {}
        return is_tagged(told.get("tags", told.get("Tags", [])))

    def told(self) -> Any:
        """What AWS says of it; None where there is none."""
        raise NotImplementedError


def is_tagged(tags: dict[str, str] | list[dict[str, str]]) -> bool:
    """Whether ours are among the tags: by name, as Batch gives them, or in pairs, as the others."""
    named = tags if isinstance(tags, dict) else {one["Key"]: one["Value"] for one in tags}
    return named.items() >= TAGS.items()


def as_pairs(key: str = "Key", value: str = "Value") -> list[dict[str, str]]:
    """The tags as most services take them."""
    return [{key: name, value: text} for name, text in TAGS.items()]


def policy(statements: list[dict[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})
