"""Downloads against a local server that truncates, stalls, refuses and changes its mind."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from inegnum.data.fetch import LOCK, addresses, fetch
from inegnum.errors import FetchError, InputError, ProvenanceError
from inegnum.provenance import sha256_bytes

DATA = b"IRIS;P18_POP\n" + b"330630101;1\n" * 20_000
OTHER = DATA.replace(b";1\n", b";2\n")


class Server(ThreadingHTTPServer):
    """One file, and a list of what to do with each request in turn."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan: list[str] = []
        self.ranges: list[str | None] = []
        self.data = DATA
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/file-2022.csv"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        step = self.server.plan.pop(0) if self.server.plan else "whole"
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        if step.isdigit():
            self.send_response(int(step))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        data = b"<!DOCTYPE html><html>gone</html>" if step == "page" else self.server.data
        tag = f'"{sha256_bytes(data)[:8]}"'
        start = 0
        if asked and self.headers.get("If-Range") == tag:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        body = data[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", tag)
        self.end_headers()
        if step in ("cut", "stall"):
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            if step == "stall":
                self.server.released.wait(5)
            self.close_connection = True
            return
        self.wfile.write(body)


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield running
    running.released.set()
    running.shutdown()
    running.server_close()


def quick(server: Server, folder: Path, *, accept_change: bool = False) -> Path:
    got = fetch(server.url, folder, accept_change=accept_change, timeout=0.3, retries=3, pause=0.01)
    assert got.path.read_bytes() == server.data
    assert got.sha256 == sha256_bytes(server.data)
    return got.path


def test_first_use_is_trusted_and_then_locked(server: Server, tmp_path: Path) -> None:
    first = fetch(server.url, tmp_path)
    assert (first.downloaded, first.first) == (True, True)
    assert sha256_bytes(DATA) in (tmp_path / LOCK).read_text()
    again = fetch(server.url, tmp_path)
    assert (again.downloaded, again.first) == (False, False)
    assert len(server.ranges) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file-2022.csv", LOCK]


def test_a_truncated_download_is_resumed_not_restarted(server: Server, tmp_path: Path) -> None:
    server.plan = ["cut", "cut"]
    quick(server, tmp_path)
    half = len(DATA) // 2
    assert server.ranges[:2] == [None, f"bytes={half}-"]
    assert len(server.ranges) == 3


def test_a_stalled_server_is_left_and_resumed(server: Server, tmp_path: Path) -> None:
    server.plan = ["stall"]
    began = time.monotonic()
    quick(server, tmp_path)
    assert time.monotonic() - began < 4
    assert server.ranges[1] is not None


def test_passing_faults_are_tried_again(server: Server, tmp_path: Path) -> None:
    server.plan = ["503", "429"]
    quick(server, tmp_path)
    assert len(server.ranges) == 3


def test_a_missing_file_is_said_at_once(server: Server, tmp_path: Path) -> None:
    server.plan = ["404"]
    with pytest.raises(FetchError, match="404"):
        quick(server, tmp_path)
    assert len(server.ranges) == 1
    assert not (tmp_path / LOCK).exists()


def test_a_server_that_keeps_failing_leaves_what_it_gave(server: Server, tmp_path: Path) -> None:
    server.plan = ["cut", "500", "500", "500", "500"]
    with pytest.raises(FetchError, match="after 4 attempts"):
        quick(server, tmp_path)
    assert not (tmp_path / "file-2022.csv").exists()
    assert (tmp_path / "file-2022.csv.part").stat().st_size == len(DATA) // 2
    server.plan = []
    quick(server, tmp_path)
    assert server.ranges[-1] == f"bytes={len(DATA) // 2}-"


def test_a_file_replaced_between_two_attempts_is_not_mixed(server: Server, tmp_path: Path) -> None:
    server.plan = ["cut", "500", "500", "500"]
    with pytest.raises(FetchError):
        quick(server, tmp_path)
    server.data = OTHER
    quick(server, tmp_path)
    # Asked for the rest, given the whole: the validator had changed.
    assert server.ranges[-1] is not None


def test_a_part_longer_than_the_file_is_dropped(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file-2022.csv.part").write_bytes(DATA + b"more")
    (tmp_path / "file-2022.csv.part.tag").write_text('"x"')
    server.plan = ["416"]
    quick(server, tmp_path)


def test_a_changed_file_is_refused_until_accepted(server: Server, tmp_path: Path) -> None:
    path = quick(server, tmp_path)
    path.unlink()
    server.data = OTHER
    with pytest.raises(ProvenanceError, match="not the one downloaded first"):
        quick(server, tmp_path)
    assert not path.exists()
    assert sha256_bytes(DATA) in (tmp_path / LOCK).read_text()
    quick(server, tmp_path, accept_change=True)
    assert sha256_bytes(OTHER) in (tmp_path / LOCK).read_text()


def test_a_file_edited_on_disk_is_refused(server: Server, tmp_path: Path) -> None:
    quick(server, tmp_path).write_bytes(OTHER)
    with pytest.raises(ProvenanceError, match="changed on disk"):
        fetch(server.url, tmp_path)


def test_a_web_page_is_not_a_file(server: Server, tmp_path: Path) -> None:
    server.plan = ["page"]
    with pytest.raises(FetchError, match="web page"):
        fetch(server.url, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_a_network_the_way_out_is_told(server: Server, tmp_path: Path) -> None:
    url = server.url
    server.shutdown()
    server.server_close()
    with pytest.raises(FetchError, match="cannot be reached") as caught:
        fetch(url, tmp_path, retries=0)
    assert "on another machine" in caught.value.hint
    assert str(tmp_path / "file-2022.csv") in caught.value.hint
    assert isinstance(caught.value, OSError)
    # What the hint says works: the file put there by hand is taken, and locked.
    (tmp_path / "file-2022.csv").write_bytes(DATA)
    got = fetch(url, tmp_path)
    assert (got.downloaded, got.first, got.sha256) == (False, True, sha256_bytes(DATA))


def test_names_are_checked(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean census_detail_2022"):
        fetch("census_detail_2021", tmp_path)
    for wrong in ("file:///etc/hosts", "ftp://a/b.csv", "https://example.org/"):
        with pytest.raises(InputError, match="nothing to download"):
            fetch(wrong, tmp_path)


def test_known_addresses_are_complete() -> None:
    known = addresses()
    assert len({address.name for address in known}) == len(known)
    for address in known:
        assert address.url.startswith("https://")
        assert address.page.startswith("https://")
        assert address.licence == "etalab-2.0"
