from __future__ import annotations

import hashlib
import io
import logging
import os
import stat
import tarfile
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from triceras.core import config
from triceras.core.errors import DataUnavailableError, FileFormatError
from triceras.utils import files
from triceras.utils.files import extract_archive, get_file

CONTENT = os.urandom(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Answers by the name of the page asked for."""

    def do_GET(self):
        name = self.path.rpartition("/")[2].partition("?")[0]
        self.server.asked.append(name)
        if name in ("silent", "stalls"):
            if name == "stalls":
                self.answer(len(CONTENT), CONTENT[:1000])
            self.server.leave.wait(5)
        elif name == "missing":
            self.send_error(404)
        elif name == "truncated":
            self.answer(len(CONTENT), CONTENT[:1000])
        elif name == "unsized":
            self.answer(None, CONTENT)
        else:
            self.answer(len(CONTENT), CONTENT)

    def answer(self, length, content):
        self.send_response(200)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked, server.leave = [], threading.Event()
        server.daemon_threads = True
        server.url = f"http://127.0.0.1:{server.server_port}/pages/"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.leave.set()
        server.shutdown()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TRICERAS_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "datasets"


def left(cache):
    return sorted(path.name for path in cache.rglob("*"))


@pytest.mark.parametrize(
    "options",
    [{}, {"file_hash": SHA256}, {"file_hash": SHA256.upper(), "hash_algorithm": "sha256"}, {"md5_hash": MD5},
     {"file_hash": MD5}, {"file_hash": MD5, "hash_algorithm": "md5"}],
)  # fmt: skip
def test_downloads_once(server, cache, options):
    for _ in range(2):
        path = get_file(origin=server.url + "data.bin?version=2", **options)
        assert path == str(cache / "data.bin") and Path(path).read_bytes() == CONTENT
    assert server.asked == ["data.bin"] and left(cache) == ["data.bin"]


def test_names_and_places(server, cache, tmp_path):
    assert get_file("other.bin", server.url + "data.bin", cache_subdir="a/b") == str(
        cache.parent / "a/b/other.bin"
    )
    assert get_file("other.bin", server.url + "data.bin", cache_dir=tmp_path) == str(
        tmp_path / "datasets/other.bin"
    )
    assert get_file(origin=server.url + "unsized") == str(cache / "unsized")


def test_force_and_damage_download_again(server, cache, caplog):
    path = Path(get_file(origin=server.url + "data.bin"))
    path.write_bytes(b"damaged")
    assert Path(get_file(origin=server.url + "data.bin")).read_bytes() == b"damaged"
    get_file(origin=server.url + "data.bin", file_hash=SHA256)
    assert path.read_bytes() == CONTENT and "downloaded again" in caplog.text
    path.write_bytes(b"damaged")
    get_file(origin=server.url + "data.bin", force_download=True)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("name", "message"),
    [("missing", "404"), ("truncated", "1000 of 300000 bytes"), ("silent", "nothing came for 0.2 seconds"),
     ("stalls", "nothing came for 0.2 seconds")],
)  # fmt: skip
def test_failures_leave_the_cache_as_it_was(server, cache, monkeypatch, name, message):
    monkeypatch.setattr(files, "TIMEOUT", 0.2)
    start = time.monotonic()
    with pytest.raises(DataUnavailableError, match=message) as caught:
        get_file(origin=server.url + name)
    assert isinstance(caught.value, OSError) and server.url + name in str(caught.value)
    assert left(cache) == [] and time.monotonic() - start < 3
    (cache / name).write_bytes(b"old")
    with pytest.raises(OSError):
        get_file(origin=server.url + name, force_download=True)
    assert (cache / name).read_bytes() == b"old" and left(cache) == [name]


@pytest.mark.parametrize(
    "origin", ["http://127.0.0.1:1/x.bin", "nonsense://host/x.bin", "x.bin", "file:///nowhere/x.bin"]
)
def test_unreachable(cache, origin):
    with pytest.raises(DataUnavailableError, match="can't be downloaded"):
        get_file(origin=origin)


def test_wrong_hash(server, cache):
    with pytest.raises(FileFormatError, match=SHA256):
        get_file(origin=server.url + "data.bin", file_hash="0" * 64)
    assert left(cache) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "origin"),
        ({"origin": "http://host/"}, "pass `fname`"),
        ({"origin": "http://host/.."}, "pass `fname`"),
        ({"fname": "../x", "origin": "http://host/x"}, "plain file name"),
        ({"fname": "/etc/x", "origin": "http://host/x"}, "plain file name"),
        ({"fname": "..", "origin": "http://host/x"}, "plain file name"),
        ({"origin": "http://host/x", "file_hash": "abc"}, "hexadecimal"),
        ({"origin": "http://host/x", "file_hash": MD5, "hash_algorithm": "sha256"}, "64"),
        ({"origin": "http://host/x", "hash_algorithm": "crc"}, "hash_algorithm"),
        ({"origin": "http://host/x", "extract": True, "archive_format": "rar"}, "archive_format"),
    ],
)
def test_refuses_arguments(cache, options, message):
    with pytest.raises(ValueError, match=message):
        get_file(**options)


def test_encoded_slashes_stay_in_the_cache(server, cache):
    assert get_file(origin=server.url + "..%2F..%2Fx.bin") == str(cache / "x.bin")


@pytest.mark.parametrize("interactive", [True, False])
def test_shows_one_line_without_a_terminal(server, cache, capsys, caplog, interactive):
    caplog.set_level(logging.INFO, "triceras")
    (config.enable_interactive_logging if interactive else config.disable_interactive_logging)()
    try:
        get_file(origin=server.url + "data.bin")
    finally:
        config.enable_interactive_logging()
    shown = capsys.readouterr()
    line = f"Downloading data.bin from {server.url}data.bin"
    assert shown.out == "" and (shown.err.strip() == line) is interactive
    assert (line in caplog.text) is not interactive


def test_shows_a_bar_on_a_terminal(server, cache, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes the output for a terminal
    get_file(origin=server.url + "data.bin")
    shown = capsys.readouterr().err
    assert "data.bin" in shown and "300.0/300.0 kB" in shown


# Archives


def tar(path, members):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            else:
                info.type, info.linkname = content.encode(), "/etc/passwd"
                archive.addfile(info)
    return path


def packed(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            if not isinstance(content, bytes):
                info.external_attr, content = (stat.S_IFLNK | 0o777) << 16, b"/etc/passwd"
            archive.writestr(info, content)
    return path


MAKERS = {"tar": tar, "zip": packed}
MEMBERS = [("d/a.txt", b"a"), ("b.txt", b"b")]


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("archive_format", ["auto", None, ["tar", "zip"]])
@pytest.mark.parametrize(
    ("fname", "folder", "archive"),
    [
        (None, "a.tgz", "a.tgz_archive"),
        ("my", "my", "my_archive"),
        ("my.tar.gz", "my_extracted", "my.tar.gz"),
    ],
)
def test_extracts(tmp_path, cache, kind, archive_format, fname, folder, archive):
    origin = MAKERS[kind](tmp_path / "a.tgz", MEMBERS).as_uri()
    path = get_file(fname, origin, extract=True, archive_format=archive_format or kind)
    assert path == str(cache / folder)
    assert left(cache) == sorted([archive, folder, "d", "a.txt", "b.txt"])
    assert Path(path, "d", "a.txt").read_bytes() == b"a"
    Path(path, "b.txt").unlink()
    get_file(fname, origin, extract=True)
    assert not Path(path, "b.txt").exists()  # not extracted again
    get_file(fname, origin, extract=True, force_download=True)
    assert Path(path, "b.txt").exists()


def test_untar(tmp_path, cache):
    path = get_file("my", tar(tmp_path / "a.tgz", MEMBERS).as_uri(), untar=True)
    assert Path(path, "b.txt").read_bytes() == b"b"
    with pytest.raises(FileFormatError, match="'tar'"):
        get_file("other", packed(tmp_path / "a.zip", MEMBERS).as_uri(), untar=True)


@pytest.mark.parametrize("name", ["../x", "/tmp/x", "a/../../x", "."])
@pytest.mark.parametrize("kind", MAKERS)
def test_refuses_members_outside(tmp_path, kind, name):
    archive = MAKERS[kind](tmp_path / "a.bin", [*MEMBERS, (name, b"x")])
    with pytest.raises(FileFormatError, match="outside"):
        extract_archive(archive, tmp_path / "out" / "here")
    assert left(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("kind", "content"),
    [("tar", kind.decode()) for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE)]
    + [("zip", "link")],
)
def test_refuses_links_and_special_files(tmp_path, kind, content):
    with pytest.raises(FileFormatError, match="link"):
        extract_archive(MAKERS[kind](tmp_path / "a.bin", [("x", content)]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", MAKERS)
def test_refuses_broken_archives(tmp_path, kind):
    archive = MAKERS[kind](tmp_path / "a.bin", [("x", CONTENT)])
    content = bytearray(archive.read_bytes())
    content[20_000:20_100] = bytes(100)
    for broken in (content, content[:150_000], b"no archive at all"):
        archive.write_bytes(broken)
        with pytest.raises(FileFormatError, match=r"a\.bin"):
            extract_archive(archive, tmp_path / "out")
    assert left(tmp_path) == ["a.bin"]


def test_a_failed_extraction_keeps_the_old_folder(tmp_path):
    extract_archive(tar(tmp_path / "a.bin", MEMBERS), tmp_path / "out")
    with pytest.raises(FileFormatError):
        extract_archive(tar(tmp_path / "b.bin", [("../x", b"x")]), tmp_path / "out")
    assert left(tmp_path / "out") == ["a.txt", "b.txt", "d"]


def test_a_file_in_the_way_stays(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ValueError, match="in the way"):
        extract_archive(tar(tmp_path / "a.bin", MEMBERS), tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"
