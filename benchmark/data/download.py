"""Download a file by its URL (http, https, s3) into the cache; resumes where it stopped.

path = download("https://example.org/sales.csv", folder)

A URL may contain a password or a token: messages show it without.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import json
import re
import shutil
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from email.message import Message
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from benchmark.data.cache import DataCache, write_whole
from benchmark.errors import DataError, StoreError
from benchmark.files.input_files import check_regular
from benchmark.files.output_files import staged

SCHEMES = ("http", "https", "s3")
SILENCE_S = 60.0
_PIECE = 1 << 18
_FIRST_PAUSE_S = 0.5
# Codings of HTTP that change the bytes, beside gzip, and the ending of a file that is one itself.
# Servers also name others that change nothing, such as utf-8 and S3's aws-chunked.
_CODINGS = {"br": ".br", "compress": ".z", "deflate": "", "zstd": ".zst"}
_FINAL = frozenset((400, 401, 403, 404, 405, 410))


def download(
    url: str,
    folder: Path,
    sha256: str | None = None,
    *,
    refresh: bool = False,
    patience_s: float = 45.0,
    on_bytes: Callable[[int], None] | None = None,
) -> Path:
    """The file of a URL, from the cache if it was fetched before.

    Args:
        sha256: the expected hash of the content.
        refresh: ask whether it has changed; without an answer the cached one is used.
        patience_s: how long transient faults are retried.

    Raises:
        DataError: it is unavailable, or does not match `sha256`.
    """
    place = urlsplit(url)
    key = hashlib.sha256(url.encode()).hexdigest()[:24]
    path = folder / key / (PurePosixPath(place.path).name or "data")
    # Two simultaneous downloads would write into one part of a file.
    with DataCache(folder).lock_if_writable(key) as fault:
        if path.exists() and (fault or not refresh):
            return _kept(path, sha256, url)
        if fault:
            raise fault
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            if place.scheme == "s3":
                _from_s3(url, path)
            else:
                _from_http(url, path, patience_s, on_bytes)
        except DataError:
            if not path.exists():
                raise
        return _kept(path, sha256, url)


def shown(url: str) -> str:
    """A URL without user, password and query."""
    place = urlsplit(url)
    return urlunsplit((place.scheme, place.netloc.rpartition("@")[2], place.path, "", ""))


def retry_after_s(header: str | None) -> float:
    """Seconds that a `Retry-After` asks to wait, a number or a date; 0 without one."""
    if header is None:
        return 0.0
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return 0.0


def _request(url: str) -> urllib.request.Request:
    """The request of a URL; user and password are sent to its own server only."""
    place = urlsplit(url)
    bare = place._replace(netloc=place.netloc.rpartition("@")[2])
    request = urllib.request.Request(urlunsplit(bare))  # noqa: S310
    if place.username is not None:
        said = f"{unquote(place.username)}:{unquote(place.password or '')}".encode()
        word = base64.b64encode(said).decode()
        request.add_unredirected_header("Authorization", f"Basic {word}")
    return request


def checked(path: Path, sha256: str | None, name: str) -> Path:
    """The path of a file, after a check of the hash if one is given.

    Raises:
        DataError: it has another hash.
    """
    if sha256 is None:
        return path
    try:
        check_regular(path)
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from None
    if found != sha256.lower():
        raise DataError(
            f'{name} has the sha256 {found[:16]}… and "sha256" is {sha256[:16]}…; fix one or '
            "the other."
        )
    return path


def _kept(path: Path, sha256: str | None, url: str) -> Path:
    """The downloaded file; it is removed if its hash is wrong."""
    try:
        return checked(path, sha256, shown(url))
    except DataError:
        with contextlib.suppress(OSError):  # The cache may be read-only.
            path.unlink(missing_ok=True)
        raise


def _from_s3(url: str, path: Path) -> None:
    from benchmark.store import open_store

    folder, _, name = url.rpartition("/")
    try:
        content = open_store(folder).get(name)
    except StoreError as error:
        raise DataError(str(error)) from None
    except ValueError as error:
        reason = " ".join(str(error).split())[:160]
        raise DataError(f"{shown(url)} is not a place in S3: {reason}.") from None
    if content is None:
        raise DataError(f"There is no {shown(url)}; check bucket and path.")
    write_whole(path, content)


def _from_http(
    url: str, path: Path, patience_s: float, on_bytes: Callable[[int], None] | None
) -> None:
    end = time.monotonic() + patience_s
    pause = _FIRST_PAUSE_S
    while True:
        asked = 0.0
        try:
            _once(url, path, on_bytes)
            return
        except urllib.error.HTTPError as error:
            said = "a redirect in a circle" if "infinite" in str(error.reason) else error.reason
            reason = f"the server answers {error.code} {said}"
            last = error.code in _FINAL or error.code < 400
            asked = retry_after_s(error.headers.get("Retry-After"))
        except (OSError, HTTPException) as error:
            inner = getattr(error, "reason", error)
            reason = str(getattr(inner, "strerror", None) or inner)[:120]
            last = False
        if last or time.monotonic() + max(pause, asked) > end:
            raise DataError(f"{shown(url)} cannot be downloaded: {reason}; check it and try again.")
        time.sleep(max(pause, asked))
        pause = min(2 * pause, 10.0)


def _once(url: str, path: Path, on_bytes: Callable[[int], None] | None) -> None:
    """Make one request: for the missing part if the server's file is unchanged, else for all."""
    part, notes = path.with_name(".part"), path.with_name(".notes.json")
    known = _noted(notes)
    request = _request(url)
    have = part.stat().st_size if part.exists() else 0
    if have and known.get("part"):
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", known["part"])
    elif path.exists() and known.get("whole"):
        request.add_header("If-None-Match", known["whole"])
    try:
        answer = urllib.request.urlopen(request, timeout=SILENCE_S)  # noqa: S310  # nosec B310 # schemes are checked
    except urllib.error.HTTPError as error:
        if error.code == 304:
            return
        if error.code == 416:
            part.unlink(missing_ok=True)
            raise OSError("the file on the server has changed") from None
        raise
    with answer:
        going_on = answer.status == 206
        if not going_on:
            have = 0
            names = {"part": "ETag", "encoding": "Content-Encoding"}
            known |= {key: answer.headers.get(name) for key, name in names.items()}
        wanted = _size(answer.headers, have if going_on else None, known.get("encoding"))
        if wanted is not None and wanted < have:
            part.unlink()
            raise OSError("the server sent another part of the file than it was asked for")
        write_whole(notes, json.dumps(known).encode())
        with part.open("ab" if going_on else "wb") as file:
            while piece := answer.read(_PIECE):
                file.write(piece)
                have += len(piece)
                if on_bytes:
                    on_bytes(have)
    # A head that broke off is a whole one to http.client, without a length.
    if have != (max(have, 1) if wanted is None else wanted):
        raise OSError(f"it was interrupted after {have} of {wanted or 'some'} bytes")
    try:
        _decode(part, path, known.get("encoding"), shown(url))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        part.unlink()
        raise OSError(f"what the server sent is damaged: {error}") from None
    write_whole(notes, json.dumps({"whole": known.get("part")}).encode())


def _size(headers: Message, have: int | None, encoding: str | None) -> int | None:
    """The size of the whole file; None if unknown, -1 if what follows `have` is another part."""
    if have is None:
        length = headers.get("Content-Length", "")
        return int(length) if length.isdecimal() else None
    extent = re.fullmatch(rf"bytes {have}-\d+/(\d+)", headers.get("Content-Range", ""))
    is_same = headers.get("Content-Encoding", encoding) == encoding
    return int(extent[1]) if extent and is_same else -1


def _decode(part: Path, path: Path, encoding: str | None, name: str) -> None:
    """Move a complete download to its place, as the file that it encodes.

    Raises:
        DataError: it is a web page, or is encoded in a way that was not asked for.
        EOFError, BadGzipFile, zlib.error: it is damaged.
    """
    codings = [one.strip().removeprefix("x-") for one in (encoding or "").lower().split(",")]
    suffix = path.suffix.lower()
    # Of a file that is compressed itself servers name that as the encoding.
    undone = [one for one in codings if one in _CODINGS and suffix != _CODINGS[one]]
    is_packed = "gzip" in codings and suffix != ".gz"
    with gzip.open(part) if is_packed else part.open("rb") as file:
        start = file.read(512).lstrip().lower()
    wrong = f"encoded by '{undone[0]}'" if undone else ""
    wrong = "a web page" if start.startswith((b"<!doctype html", b"<html")) else wrong
    if wrong:
        part.unlink()
        raise DataError(f"What the server sent for {name} is {wrong}, not the file; check the URL.")
    if not is_packed:
        shutil.move(part, path)
        return
    with staged(path) as whole, gzip.open(part) as packed, whole.open("wb") as file:
        shutil.copyfileobj(packed, file)
    part.unlink()


def _noted(notes: Path) -> dict[str, Any]:
    try:
        known = json.loads(notes.read_bytes())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
