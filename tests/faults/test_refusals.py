"""An S3 that refuses, by credentials, bucket, region or clock: one sentence, at once, no key."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.store import open_store
from benchmark.store.bucket import open_bucket
from prove.proxy import FaultyProxy
from tests.support.services import SECRET, Seaweed, free_ports
from tests.support.storage import OPERATIONS, refusal


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("403 RequestTimeTooSkewed", "clock differs .*; set the clock"),
        ("400 ExpiredToken", "token has expired .*; sign in again"),
        ("403 AccessDenied", "do not allow it .*; grant s3:GetObject"),
        ("301 PermanentRedirect", "another region.*; set AWS_REGION"),
        ("400 AuthorizationHeaderMalformed", "another region .*; set AWS_REGION"),
        ("400 SomethingElse", "it answered 400 SomethingElse, said so; check the bucket"),
    ],
)
def test_a_refusal_is_a_sentence_at_once(
    s3: str, proxy: FaultyProxy, operation: str, fault: str, reason: str
) -> None:
    store = open_store(s3)
    proxy.fault = lambda request, number: fault
    sentence = refusal(lambda: OPERATIONS[operation](store))
    assert re.search(f"^The store {s3} cannot {operation}: .*{reason}", sentence), sentence
    assert len(proxy.seen) == 1


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("AWS_SECRET_ACCESS_KEY", "wrong", "secret key does not belong .*AWS_SECRET_ACCESS_KEY"),
        ("AWS_ACCESS_KEY_ID", "AKIANOBODY", "access key is not known .*AWS_ACCESS_KEY_ID"),
    ],
)
def test_wrong_credentials_are_a_sentence_at_once(
    s3: str,
    proxy: FaultyProxy,
    aws: pytest.MonkeyPatch,
    operation: str,
    variable: str,
    value: str,
    reason: str,
) -> None:
    aws.setenv(variable, value)
    sentence = refusal(lambda: OPERATIONS[operation](open_store(s3)))
    assert re.search(f"^The store {s3} cannot {operation}: .*{reason}", sentence), sentence
    assert len(proxy.seen) == 1


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_bucket_that_is_not_there_is_a_sentence(s3: str, operation: str) -> None:
    url = "s3://no-such-bucket/run/"
    sentence = refusal(lambda: OPERATIONS[operation](open_store(url)))
    # SeaweedFS tells who may not make buckets that he may not write.
    reason = "(no such bucket .*'s3_bucket_root'|do not allow it)"
    assert re.search(f"^The store {url} cannot {operation}: .*{reason}", sentence), sentence


def test_reading_alone_is_allowed_to_who_may_only_read(s3: str, aws: pytest.MonkeyPatch) -> None:
    open_store(s3).put("run/a", b"x")
    aws.setenv("AWS_ACCESS_KEY_ID", "AKIAREADER")
    store = open_store(s3)
    assert store.get("run/a") == b"x"
    assert store.list() == ["run/a"]
    assert store.is_locked("driver-run") is False
    for write in (lambda: store.put("run/a", b"y"), lambda: store.delete(["run/a"])):
        assert "do not allow it" in refusal(write)
    assert store.get("run/a") == b"x"


@pytest.mark.parametrize(
    ("endpoint", "reason"),
    [
        ("http://127.0.0.1:{port}", "it refuses connections"),
        ("http://no.such.host.invalid", "its name is not known"),
    ],
)
def test_an_endpoint_that_is_not_there_is_a_sentence(
    s3: str, aws: pytest.MonkeyPatch, endpoint: str, reason: str
) -> None:
    aws.setenv("AWS_ENDPOINT_URL", endpoint.format(port=free_ports(1)[0]))
    store = open_bucket(s3, patience_s=0.5)
    sentence = refusal(lambda: store.get("run/a"))
    assert re.search(rf"cannot read 'run/a': {reason} for \d+ s; check the network", sentence)


def test_no_credentials_are_a_sentence(aws: pytest.MonkeyPatch) -> None:
    sentence = refusal(lambda: open_store("s3://bench/run/"))
    assert "no AWS credentials for the store s3://bench/run/; set AWS_PROFILE" in sentence


def test_half_credentials_and_an_unknown_profile_are_sentences(aws: pytest.MonkeyPatch) -> None:
    aws.setenv("AWS_ACCESS_KEY_ID", "AKIAWRITER")
    assert "cannot be opened: Partial credentials" in refusal(lambda: open_store("s3://bench/run/"))
    aws.delenv("AWS_ACCESS_KEY_ID")
    aws.setenv("AWS_PROFILE", "nobody")
    assert "profile (nobody)" in refusal(lambda: open_store("s3://bench/run/"))


def test_credentials_in_a_url_are_refused_and_not_shown(aws: pytest.MonkeyPatch) -> None:
    for url in (f"s3://AKIAWRITER:{SECRET}@bench/run/", f"ftp://AKIAWRITER:{SECRET}@host/run/"):
        refusal(lambda url=url: open_store(url))
    aws.setenv("AWS_ACCESS_KEY_ID", "AKIAWRITER")
    aws.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    aws.setenv("AWS_ENDPOINT_URL", f"http://AKIAWRITER:{SECRET}@host")
    refusal(lambda: open_store("s3://bench/run/"))


def test_a_profile_gives_endpoint_region_and_keys(
    seaweed: Seaweed, aws: pytest.MonkeyPatch, tmp_path: Path, s3: str
) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        aws.delenv(name)
    (tmp_path / "aws-config").write_text(
        "[profile lab]\nregion = eu-west-1\nservices = mine\n"
        f"[services mine]\ns3 =\n  endpoint_url = {seaweed.endpoint}\n"
        f"[profile plain]\nendpoint_url = {seaweed.endpoint}\n"
    )
    keys = f"aws_access_key_id = AKIAWRITER\naws_secret_access_key = {SECRET}\n"
    (tmp_path / "aws-credentials").write_text(f"[lab]\n{keys}[plain]\n{keys}")
    for profile in ("lab", "plain"):
        aws.setenv("AWS_PROFILE", profile)
        open_store(s3).put(profile, b"x")
    assert open_store(s3).list() == ["lab", "plain"]


CREDENTIALS = """#!/bin/sh
if [ -e "$0.used" ] || [ ! "$1" ]; then echo "{secret}" >&2; exit 1; fi
touch "$0.used"
echo '{{"Version": 1, "AccessKeyId": "AKIAWRITER", "SecretAccessKey": "{secret}",
  "Expiration": "'$(date -u -d "+$1 minutes" +%Y-%m-%dT%H:%M:%SZ)'"}}'
"""


@pytest.fixture
def process(s3: str, aws: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Sets a profile whose credentials come from a program, once, for some minutes."""
    script = tmp_path / "credentials"
    script.write_text(CREDENTIALS.format(secret=SECRET))
    script.chmod(0o755)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        aws.delenv(name)
    aws.setenv("AWS_PROFILE", "made")

    def make(minutes: str) -> None:
        (tmp_path / "aws-config").write_text(
            f"[profile made]\ncredential_process = {script} {minutes}\n"
        )

    return make


def test_credentials_that_a_program_makes_are_used(s3: str, process: Callable[[str], None]) -> None:
    process("60")
    store = open_store(s3)
    store.put("a", b"x")
    assert store.get("a") == b"x"


@pytest.mark.parametrize("minutes", ["", "5"])
def test_credentials_that_cannot_be_had_are_a_sentence(
    s3: str, process: Callable[[str], None], minutes: str
) -> None:
    """At once, or when those of the beginning are to be renewed."""
    process(minutes)
    sentence = refusal(lambda: open_store(s3).get("a"))
    assert "the credentials could not be retrieved; " in sentence
    assert s3 in sentence
