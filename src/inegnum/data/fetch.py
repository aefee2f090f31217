"""Download official files, once, and notice when they change.

Trust on first use: the first download of a file writes its hash in a lock (``inegnum.lock`` in the
folder, to be kept under version control); a later one that differs is refused until the change is
accepted by name. Downloads are resumed where they stopped, tried again when the server falters, and
put in place only when whole.
"""

from __future__ import annotations

import http.client
import json
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Final

from inegnum.data.strict import into, read_toml
from inegnum.errors import FetchError, InputError, ProvenanceError, nearest
from inegnum.provenance import sha256_file

__all__ = ["LOCK", "Address", "Fetched", "addresses", "fetch"]

LOCK: Final = "inegnum.lock"
_CHUNK = 1 << 16
# Server faults and limits that pass; anything else (404, 403, 410) is final.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Address:
    """Where a producer publishes a file.

    Attributes
    ----------
    name : str
        Short name, for instance ``"census_detail_2022"``.
    producer, title, licence : str
        What it is.
    page : str
        Page to look at when the file has moved.
    url : str
        The file.
    """

    name: str
    producer: str
    title: str
    licence: str
    page: str
    url: str


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that is on disk and is the one the lock knows.

    Attributes
    ----------
    path : Path
        Where it is.
    sha256 : str
        Its hash.
    address : Address
        Where it comes from.
    downloaded : bool
        False when it was already there.
    first : bool
        Whether its hash was written in the lock just now.
    """

    path: Path
    sha256: str
    address: Address
    downloaded: bool
    first: bool


@dataclass(frozen=True, slots=True)
class _Locked:
    name: str
    file: str
    url: str
    sha256: str
    size: int


@cache
def addresses() -> tuple[Address, ...]:
    """Return the files the package knows where to find.

    Examples
    --------
    >>> "census_detail_2022" in [address.name for address in addresses()]
    True
    """
    file = "addresses.toml"
    raw = read_toml(files("inegnum.data").joinpath(file).read_bytes(), where=file)
    return tuple(
        into(Address, entry, where=f"{file}, addresses[{i}]")
        for i, entry in enumerate(raw["addresses"])
    )


def fetch(
    source: str,
    folder: Path,
    *,
    accept_change: bool = False,
    timeout: float = 30.0,
    retries: int = 4,
    pause: float = 1.0,
) -> Fetched:
    """Download a file into `folder`, or check the one that is there.

    Parameters
    ----------
    source : str
        A name of `addresses`, or the address of a file (http or https).
    folder : Path
        Where files and their lock are kept; made if needed.
    accept_change : bool
        Take a file that differs from the lock, and lock the new one.
    timeout : float
        Seconds without a byte before a connection is given up.
    retries : int
        Attempts after the first one, when the fault may pass.
    pause : float
        Seconds before the first new attempt; doubled each time.

    Raises
    ------
    InputError
        The name is unknown or the address is not one of a file.
    FetchError
        The server cannot be reached, does not have the file, or keeps failing.
    ProvenanceError
        The file is not the one the lock knows.
    """
    address = _address(source)
    folder.mkdir(parents=True, exist_ok=True)
    lock = _read_lock(folder)
    known = lock.get(address.name)
    path = folder / _file_name(address.url)
    if path.is_file() and not accept_change:
        digest = sha256_file(path)
        if known:
            _same(path, digest, known)
        else:  # put there by hand, for want of a network: its first use is now
            _lock(folder, lock, address, path, digest)
        return Fetched(path, digest, address, downloaded=False, first=known is None)
    part = path.with_name(path.name + ".part")
    _download(address, part, timeout=timeout, retries=retries, pause=pause)
    _refuse_page(part, address)
    digest = sha256_file(part)
    if known and known.sha256 != digest and not accept_change:
        part.unlink()
        raise _changed(known, digest, address)
    part.replace(path)
    _lock(folder, lock, address, path, digest)
    first = known is None or known.sha256 != digest
    return Fetched(path, digest, address, downloaded=True, first=first)


def _address(source: str) -> Address:
    known = {address.name: address for address in addresses()}
    if source in known:
        return known[source]
    parts = urllib.parse.urlsplit(source)
    if parts.scheme in ("http", "https") and parts.netloc and _file_name(source):
        return Address(_file_name(source), parts.netloc, "", "", source, source)
    raise InputError(
        "nothing to download has this name",
        got=source,
        expected="a known name, or an http(s) address that ends with a file name",
        hint=nearest(source, known),
    )


def _file_name(url: str) -> str:
    return PurePosixPath(urllib.parse.unquote(urllib.parse.urlsplit(url).path)).name


def _download(address: Address, part: Path, *, timeout: float, retries: int, pause: float) -> None:
    """Fill `part`, resuming it, until the server says the file is whole."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    trouble = ""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(_file_name(address.url), total=None)

        def show(done: int, total: int | None) -> None:
            progress.update(task, completed=done, total=total)

        for attempt in range(retries + 1):
            if attempt:
                time.sleep(pause * 2 ** (attempt - 1))
            try:
                if _attempt(address.url, part, timeout, show):
                    return
                trouble = "the connection closed before the end of the file"
            except urllib.error.HTTPError as error:
                if error.code == 416:  # the part is longer than the file: start again
                    part.unlink(missing_ok=True)
                elif error.code not in _PASSING:
                    raise _refused(address, error) from error
                trouble = f"the server answered {error.code} {error.reason}"
            except (TimeoutError, http.client.HTTPException, ConnectionError) as error:
                trouble = f"the server stopped answering ({type(error).__name__})"
            except urllib.error.URLError as error:
                if isinstance(error.reason, socket.gaierror | ConnectionRefusedError):
                    raise _offline(address, part, error) from error
                trouble = f"the server stopped answering ({error.reason})"
    raise FetchError(
        "the file could not be downloaded whole",
        where=address.url,
        got=f"{trouble}, after {retries + 1} attempts",
        hint="run the same command again: the download resumes where it stopped",
    )


def _attempt(url: str, part: Path, timeout: float, show: Callable[[int, int | None], None]) -> bool:
    """Read from where `part` stops; return whether the file is now whole."""
    have = part.stat().st_size if part.is_file() else 0
    tag = part.with_name(part.name + ".tag")
    headers = {"User-Agent": "inegnum"}
    if have and tag.is_file():
        # Without a validator a resumed file could mix two versions: then start again.
        headers |= {"Range": f"bytes={have}-", "If-Range": tag.read_text()}
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        resumed = answer.status == 206
        start = have if resumed else 0
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length else None
        validator = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
        if validator and not validator.startswith("W/"):
            tag.write_text(validator)
        else:
            tag.unlink(missing_ok=True)
        done = start
        with part.open("ab" if resumed else "wb") as out:
            while chunk := answer.read(_CHUNK):
                out.write(chunk)
                done += len(chunk)
                show(done, total)
    whole = total is None or done == total
    if whole:
        tag.unlink(missing_ok=True)
    return whole


def _refused(address: Address, error: urllib.error.HTTPError) -> FetchError:
    return FetchError(
        "the server does not give the file",
        where=address.url,
        got=f"{error.code} {error.reason}",
        hint=f"the producer may have moved it: look at {address.page} and give the new address",
    )


def _offline(address: Address, part: Path, error: urllib.error.URLError) -> FetchError:
    host = urllib.parse.urlsplit(address.url).netloc
    place = part.with_name(part.name.removesuffix(".part"))
    return FetchError(
        "the server cannot be reached: no network, or a proxy in between",
        where=host,
        got=str(error.reason),
        hint=f"download {address.url} on another machine, put it at {place}, and "
        "run the same command again",
    )


def _refuse_page(part: Path, address: Address) -> None:
    """Refuse a web page served in place of the file."""
    with part.open("rb") as handle:
        start = handle.read(512).lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")) and not address.url.endswith(".html"):
        part.unlink()
        raise FetchError(
            "the server gave a web page instead of the file",
            where=address.url,
            hint=f"look at {address.page} and give the address of the file itself",
        )


def _same(path: Path, digest: str, known: _Locked) -> None:
    if digest != known.sha256:
        raise ProvenanceError(
            "a downloaded file was changed on disk",
            where=str(path),
            got=f"sha256 {digest[:12]}...",
            expected=f"sha256 {known.sha256[:12]}...",
            hint=f"remove it and fetch {known.name} again",
        )


def _changed(known: _Locked, digest: str, address: Address) -> ProvenanceError:
    return ProvenanceError(
        "the producer's file is not the one downloaded first",
        where=address.url,
        got=f"sha256 {digest[:12]}...",
        expected=f"sha256 {known.sha256[:12]}... ({known.size} bytes), as locked",
        hint="see what the producer changed; then accept the change, and expect other results",
    )


def _read_lock(folder: Path) -> dict[str, _Locked]:
    path = folder / LOCK
    if not path.is_file():
        return {}
    raw = read_toml(path.read_bytes(), where=str(path))
    entries = [
        into(_Locked, entry, where=f"{path}, files[{i}]")
        for i, entry in enumerate(raw.get("files", []))
    ]
    return {entry.name: entry for entry in entries}


def _lock(
    folder: Path, lock: dict[str, _Locked], address: Address, path: Path, digest: str
) -> None:
    """Write the hash of a file in the lock."""
    entry = _Locked(address.name, path.name, address.url, digest, path.stat().st_size)
    lock = lock | {address.name: entry}
    lines = ["# Hashes of downloaded files, written on first use. Keep under version control."]
    for name in sorted(lock):
        entry = lock[name]
        keys = [(field.name, getattr(entry, field.name)) for field in fields(entry)]
        lines += ["", "[[files]]"]
        lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in keys]
    temporary = folder / f"{LOCK}.new"
    temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    temporary.replace(folder / LOCK)
