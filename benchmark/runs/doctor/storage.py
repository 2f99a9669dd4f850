"""Check the store: reachable, writable, honours create-only, and where credentials come from."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmark.errors import BenchmarkError
from benchmark.files.input_files import expanded
from benchmark.files.safe_text import plain_text
from benchmark.records import results
from benchmark.records.layout import ATTEMPTS, OUT
from benchmark.records.tasks import Run
from benchmark.runs.doctor.finding import Finding, fault, ok, warning
from benchmark.store import Store, open_store
from benchmark.store.objects import LOCKS

STORE, CREDENTIALS, CLOCK = "store", "credentials", "clock"
SKEW_S = 60.0
REFUSED_S = 15 * 60.0
CONNECT_S = 8.0
PATIENCE_S = 2.0
LOOK_S = 8.0
MOST_NAMED = 20
_MANIFEST = "/manifest.json"


def is_remote(url: str) -> bool:
    return urlsplit(url).scheme == "s3"


def folder_of(url: str) -> Path:
    parts = urlsplit(url)
    return expanded(parts.path if parts.scheme == "file" else url).absolute()


def nearest(folder: Path) -> Path:
    """The folder, or its nearest existing parent."""
    while not _exists(folder) and folder != folder.parent:
        folder = folder.parent
    return folder


def _exists(folder: Path) -> bool:
    """Whether the folder exists; False also if a parent cannot be read."""
    try:
        folder.stat()
    except OSError:
        return False
    return True


def check_store(url: str) -> Iterator[Finding]:
    """Write, read back, create exactly once, delete."""
    if not is_remote(url) and not _exists(folder_of(url)):
        above = nearest(folder_of(url))
        if above.is_dir() and os.access(above, os.W_OK | os.X_OK):
            yield ok(STORE, f"{folder_of(url)} does not exist yet; the first run creates it")
        else:
            yield fault(
                STORE,
                f"{folder_of(url)} does not exist and cannot be created in {above}",
                "name another place with 's3_bucket_root'",
            )
        return
    path = f"{LOCKS}/doctor-{secrets.token_hex(8)}"
    first = secrets.token_bytes(16)
    try:
        store = _opened(url)
        store.put(path, first)
        try:
            yield from _tried(store, path, first)
        finally:
            store.delete([path])
    except BenchmarkError as error:
        message, _, fix = str(error).rstrip(".").partition("; ")
        yield fault(STORE, message, fix)


def _opened(url: str) -> Store:
    """Open the store with a shorter retry time than a run: slow answers are a finding."""
    if not is_remote(url):
        return open_store(url)
    from benchmark.store.bucket import open_bucket

    return open_bucket(url, patience_s=PATIENCE_S, silence_s=CONNECT_S)


def _tried(store: Store, path: str, first: bytes) -> Iterator[Finding]:
    second = secrets.token_bytes(16)
    if store.get(path) != first:
        yield fault(STORE, f"{store.url} does not return what was written to it")
        return
    if store.create(path, second) or store.get(path) != first:
        yield fault(
            STORE,
            f"{store.url} overwrites existing objects on create-only writes, so results could be "
            "lost",
            "use a store that honours If-None-Match, as S3 does",
        )
        return
    store.delete([path])
    if store.get(path) is not None or not store.create(path, second):
        yield fault(STORE, f"{store.url} does not delete", "grant the right to delete objects")
        return
    yield ok(STORE, f"{store.url} can be written, read and deleted, and creates once only")


def check_objects(url: str) -> Iterator[Finding]:
    """Report unknown objects among the store's runs and studies, each once."""
    if not is_remote(url) and not _exists(folder_of(url)):
        return
    end = time.monotonic() + LOOK_S
    try:
        store = _opened(url)
        store.names_ignored = False
        paths = store.list()
        looked = 0
        for name in sorted(p.removesuffix(_MANIFEST) for p in paths if p.endswith(_MANIFEST)):
            of_run = [path for path in paths if path.startswith(f"{name}/")]
            looked += _look(store, name, of_run, end)
    except BenchmarkError:
        return  # check_store reports it.
    found = [f"{path} {why}" for path, why in sorted(store.ignored.items())]
    for one in found[:MOST_NAMED]:
        yield warning(STORE, f"{plain_text(one)}, and counts as absent", "check it and remove it")
    if len(found) > MOST_NAMED:
        yield warning(STORE, f"{len(found) - MOST_NAMED} more objects count as absent")
    if time.monotonic() > end:
        yield ok(STORE, f"{looked} of {len(paths)} objects were checked within {LOOK_S:g} s")


def _look(store: Store, name: str, paths: list[str], end: float) -> int:
    """Read a run's records and attempts, which logs invalid ones; return how many were read."""
    try:
        run = Run.open(store, name)
    except (BenchmarkError, ValueError) as error:
        store.ignore(f"{name}{_MANIFEST}", f"is broken ({str(error).rstrip('.')})")
        return 1
    attempts = {path for path in paths if path.startswith(f"{name}/{ATTEMPTS}/")}
    wanted = [path for path in paths if path in attempts or path.startswith(f"{name}/{OUT}/")]
    looked = 0
    for path, data in store.get_many(wanted):
        try:
            if path in attempts:
                results.check_attempt(run, path, data)
            else:
                results.record_at(run, path, data)
        except BenchmarkError as error:  # of a later version
            store.ignore(path, f"cannot be read ({str(error).rstrip('.')})")
        looked += 1
        if time.monotonic() > end:
            break
    return looked


def check_credentials() -> Iterator[Finding]:
    """The SDK's source of the credentials; the credentials themselves are not shown."""
    try:
        session = _session()
        found = session.get_credentials()
    except Exception as error:  # The SDK's own errors: a missing profile, broken files.
        text = f"the AWS SDK cannot read them: {str(error).rstrip('.')}"
        yield fault(CREDENTIALS, text, "correct AWS_PROFILE or the files in ~/.aws")
        return
    if found is None:
        yield fault(
            CREDENTIALS,
            "the AWS SDK finds no credentials",
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile with AWS_PROFILE, or "
            "run `aws configure`",
        )
        return
    region = os.environ.get("AWS_REGION") or session.region_name
    place = f"region {region}" if region else "no region"
    yield ok(CREDENTIALS, f"from {_SOURCES.get(found.method, found.method)}, {place}")


_SOURCES = {
    "env": "the environment (AWS_ACCESS_KEY_ID)",
    "shared-credentials-file": "the shared credentials file",
    "config-file": "the configuration file",
    "iam-role": "the role of this machine",
    "container-role": "the role of this container",
    "sso": "single sign-on",
    "assume-role": "an assumed role",
}


def check_clock() -> Iterator[Finding]:
    """Compare this machine's clock with the Date header of the S3 server's answers."""
    import email.utils
    from urllib.error import HTTPError, URLError
    from urllib.request import Request, urlopen

    try:
        endpoint = _session().client("s3").meta.endpoint_url
    except Exception as error:  # Without a region or with a broken profile there is no endpoint.
        yield warning(CLOCK, f"not compared: no endpoint: {error}")
        return
    shown = urlsplit(endpoint).hostname
    try:
        with urlopen(Request(endpoint, method="HEAD"), timeout=CONNECT_S) as answer:  # noqa: S310  # nosec B310 # an endpoint
            date = answer.headers.get("Date")
    except HTTPError as error:  # An error reply has a date too.
        with error:
            date = error.headers.get("Date")
    except (URLError, OSError, ValueError) as error:
        yield warning(CLOCK, f"not compared: {shown} did not answer: {_reason(error)}")
        return
    try:
        skew_s = time.time() - email.utils.parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        yield warning(CLOCK, f"not compared: {shown} sent no date")
        return
    text = f"{abs(skew_s):.0f} s {'ahead of' if skew_s > 0 else 'behind'} {shown}"
    fix = "set it, such as with `chronyc makestep` or `timedatectl set-ntp true`"
    if abs(skew_s) > REFUSED_S:
        yield fault(CLOCK, f"{text}, and S3 refuses requests that are 15 minutes off", fix)
    elif abs(skew_s) > SKEW_S:
        yield warning(CLOCK, text, fix)
    else:
        yield ok(CLOCK, f"within {max(1.0, abs(skew_s)):.0f} s of {shown}")


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return str(reason or error)


def _session() -> Any:
    import boto3

    return boto3.session.Session()
