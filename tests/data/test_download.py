"""Downloading from a server on this machine that behaves, and from ones that do not."""

import gzip
import hashlib
import http.server
import io
import os
import re
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import pytest

from minunet import files as minunet_files
from minunet.data import download as module
from minunet.data.download import DownloadError, archives, download
from minunet.data.download import fetch as fetching
from minunet.data.download import unpack as unpacking

PHOTO = bytes(range(256)) * 2000  # half a megabyte that gzip cannot make into nothing in one read


def archive_of(members):
    """A .tar.gz with these members: {name: bytes, None for a folder, or a TarInfo}."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=0) as tar:
        for name, content in members.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            if content is None:
                info.type = tarfile.DIRTYPE
            data = content if isinstance(content, bytes) else b""
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


IMAGES = archive_of({"images": None, "images/Bengal_1.jpg": PHOTO, "images/pug_2.jpg": b"two"})
ANNOTATIONS = archive_of({"./annotations/trimaps/Bengal_1.png": b"mask", "./annotations/list.txt": b"list"})


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves server.files, with byte ranges, but for what server.faults (a name per request) says."""

    def do_GET(self):
        fault = self.server.faults.pop(0) if self.server.faults else ""
        asked = self.headers.get("Range")
        self.server.log.append((self.path, asked, fault))
        data = self.server.files.get(self.path)
        if data is None or fault.isdigit():
            return self.send_error(int(fault or 404))
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and fault != "no ranges" else 0
        if start >= len(data):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if fault == "drop":  # after half of what is left
            data = data[: start + (len(data) - start) // 2]
        if fault != "drop at once":
            self.wfile.write(data[start:])
        self.server.reached.set()
        if fault == "hang":
            self.server.release.wait(30)
        return None

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files = {"/pets/images.tar.gz": IMAGES, "/pets/annotations.tar.gz": ANNOTATIONS}
    server.faults, server.log = [], []
    server.reached, server.release = threading.Event(), threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.release.set()
    server.shutdown()
    server.server_close()
    thread.join()


def fetch(server, folder, **sums):
    """download() from this server, with the sums of what it serves unless told otherwise."""
    served = {name: md5(server.files[f"/pets/{name}.tar.gz"]) for name in ("images", "annotations")}
    return download(folder, f"http://127.0.0.1:{server.server_port}/pets/", {**served, **sums}, pause=0.001)


def md5(data):
    return hashlib.md5(data).hexdigest()


def files(folder):
    """{path: bytes} of all files below a folder, but for the archives themselves."""
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".tar.gz")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


WHOLE = {
    "images/Bengal_1.jpg": PHOTO,
    "images/pug_2.jpg": b"two",
    "annotations/trimaps/Bengal_1.png": b"mask",
    "annotations/list.txt": b"list",
}
HALF = len(IMAGES) // 2


def test_the_official_address_and_sums():
    assert module.BASE_URL == "https://thor.robots.ox.ac.uk/pets/"
    assert module.ARCHIVES == {
        "images": "5c4f3ee8e5d25df40f4fd59a7f44e54c",
        "annotations": "95a8c909bbe2e81eed6a22bccdf3f68f",
    }


def test_plain(server, tmp_path):
    folder = tmp_path / "new folder" / "pets"
    assert fetch(server, str(folder)) == folder
    assert files(folder) == WHOLE
    assert server.log == [("/pets/images.tar.gz", None, ""), ("/pets/annotations.tar.gz", None, "")]


def test_a_second_call_asks_for_nothing_and_changes_nothing(server, tmp_path):
    fetch(server, tmp_path)
    for archive in tmp_path.glob("*.tar.gz"):
        archive.unlink()  # may be deleted once unpacked
    (tmp_path / "images" / "pug_2.jpg").write_bytes(b"mine")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    server.log.clear()
    fetch(server, tmp_path)
    assert server.log == [] and before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}


def test_a_complete_folder_need_not_be_writable(server, tmp_path, monkeypatch):
    fetch(server, tmp_path)

    def denied(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(minunet_files.os, "open", denied)
    assert fetch(server, tmp_path) == tmp_path


def test_other_folders_of_an_archive_are_passed_over(server, tmp_path):
    members = {"readme.txt": b"hello", "images": b"a file of that name", "images/a.jpg": b"one", "other/b.jpg": b"two"}
    server.files["/pets/images.tar.gz"] = archive_of(members)
    fetch(server, tmp_path)
    assert sorted(path for path in files(tmp_path) if "annotations" not in path) == ["images/a.jpg"]


def test_only_what_is_missing_is_fetched(server, tmp_path):
    fetch(server, tmp_path)
    (tmp_path / "annotations").rename(tmp_path / "away")
    (tmp_path / "annotations.tar.gz").unlink()
    server.log.clear()
    fetch(server, tmp_path)
    assert [path for path, *_ in server.log] == ["/pets/annotations.tar.gz"]


# ---- broken connections ----


def test_a_broken_connection_is_resumed_where_it_broke_off(server, tmp_path):
    server.faults = ["drop", "drop"]
    fetch(server, tmp_path)
    assert files(tmp_path) == WHOLE
    ranges = [asked for path, asked, _ in server.log if "images" in path]
    assert ranges == [None, f"bytes={HALF}-", f"bytes={HALF + (len(IMAGES) - HALF) // 2}-"]


def test_many_breaks_are_fine_as_long_as_something_comes(server, tmp_path):
    server.faults = ["drop"] * 12
    fetch(server, tmp_path)
    assert files(tmp_path) == WHOLE


def test_breaks_without_progress_end_with_an_error_and_the_next_call_continues(server, tmp_path):
    server.faults = ["drop"] + ["drop at once"] * 4
    with pytest.raises(DownloadError, match=rf"broke off; {HALF} bytes are here so far\..*Run it again"):
        fetch(server, tmp_path)
    assert os.listdir(tmp_path) == ["images.tar.gz.part"] and len(server.log) == 5
    server.log.clear()
    fetch(server, tmp_path)
    assert files(tmp_path) == WHOLE and server.log[0][1] == f"bytes={HALF}-"


def test_a_server_without_ranges_starts_again(server, tmp_path):
    server.faults = ["drop", "no ranges"]
    fetch(server, tmp_path)
    assert files(tmp_path) == WHOLE and [asked for _, asked, _ in server.log[:2]] == [None, f"bytes={HALF}-"]


def test_a_server_without_ranges_that_always_breaks_off_is_given_up_on(server, tmp_path):
    class Stubborn(Handler):
        def do_GET(self):
            self.headers.replace_header("Range", "") if "Range" in self.headers else None
            super().do_GET()

    server.RequestHandlerClass = Stubborn
    server.faults = ["drop", "drop at once"] * 50
    with pytest.raises(DownloadError, match="broke off"):
        fetch(server, tmp_path)
    assert len(server.log) == 5  # one that brings something, and four that do not


def test_temporary_errors_are_waited_out(server, tmp_path):
    server.faults = ["503", "429"]
    fetch(server, tmp_path)
    assert files(tmp_path) == WHOLE


def test_a_part_that_is_already_complete(server, tmp_path):
    (tmp_path / "images.tar.gz.part").write_bytes(IMAGES)
    fetch(server, tmp_path)
    assert files(tmp_path) == WHOLE and server.log[0][1] == f"bytes={len(IMAGES)}-"


def test_a_server_that_stops_sending(server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "TIMEOUT", 0.1)

    class Hanging(Handler):
        def do_GET(self):
            if not self.server.log:
                self.server.log.append("hung")
                self.send_response(200)
                self.send_header("Content-Length", str(len(IMAGES)))
                self.end_headers()
                self.wfile.write(IMAGES[:HALF])
                self.wfile.flush()
                self.server.release.wait(30)
            else:
                super().do_GET()

    server.RequestHandlerClass = Hanging
    fetch(server, tmp_path)
    assert files(tmp_path) == WHOLE and server.log[1][1] == f"bytes={HALF}-"


# ---- what does not pass ----


def test_a_wrong_sum_is_deleted_and_says_what_to_do(server, tmp_path):
    message = (
        r"images.tar.gz: the md5 sum of the downloaded file is not the official one.*deleted"
        r".*Run it again.*put it at .*tar.gz"
    )
    with pytest.raises(DownloadError, match=message):
        fetch(server, tmp_path, images="0" * 32)
    assert os.listdir(tmp_path) == []


def test_the_beginning_of_another_file_is_noticed_and_deleted(server, tmp_path):
    (tmp_path / "images.tar.gz.part").write_bytes(b"<html>" * 100)
    with pytest.raises(DownloadError, match="md5 sum of the downloaded file is not the official one"):
        fetch(server, tmp_path)
    fetch(server, tmp_path)
    assert files(tmp_path) == WHOLE


def test_not_found_is_not_tried_again(server, tmp_path):
    server.files = {"/pets/images.tar.gz": IMAGES}
    archives = {"images": md5(IMAGES), "annotations": "0" * 32}
    message = r"annotations.tar.gz: the server answers 404 Not Found\. .* put it at"
    with pytest.raises(DownloadError, match=message):
        download(tmp_path, f"http://127.0.0.1:{server.server_port}/pets", archives)
    assert len(server.log) == 2
    assert (tmp_path / "images" / "pug_2.jpg").read_bytes() == b"two"  # what came before stays


def test_no_server(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(DownloadError, match=r"Cannot fetch http://127.0.0.1:1/images.*; 0 bytes are here"):
        download(tmp_path, "http://127.0.0.1:1", pause=0.001)


def test_no_such_name(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(DownloadError, match="Cannot fetch"):
        download(tmp_path, "http://minunet.invalid", pause=0.001)


def test_an_archive_put_there_by_hand(server, tmp_path):
    (tmp_path / "images.tar.gz").write_bytes(IMAGES)
    (tmp_path / "annotations.tar.gz").write_bytes(b"something else")
    with pytest.raises(
        DownloadError, match=r"annotations.tar.gz cannot be used: its md5 sum is not the official one. Delete it"
    ):
        fetch(server, tmp_path)
    assert (tmp_path / "annotations.tar.gz").read_bytes() == b"something else"
    (tmp_path / "annotations.tar.gz").write_bytes(ANNOTATIONS)
    fetch(server, tmp_path)
    assert files(tmp_path) == WHOLE and server.log == []


def test_a_folder_that_cannot_be_made(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DownloadError, match="Cannot write to .*; choose a folder that can be written"):
        fetch(server, tmp_path / "file" / "pets")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk(server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "open_own", lambda path, flags: os.open("/dev/full", os.O_WRONLY))
    with pytest.raises(DownloadError, match="No space left on device; free some space"):
        fetch(server, tmp_path)


def test_a_second_download_at_the_same_time_is_refused(server, tmp_path):
    pytest.importorskip("fcntl")
    server.faults = ["hang"]
    first = threading.Thread(target=fetch, args=(server, tmp_path))
    first.start()
    try:
        assert server.reached.wait(10)
        with pytest.raises(DownloadError, match="Another download into .* is running"):
            fetch(server, tmp_path)
    finally:
        server.release.set()
        first.join()
    assert files(tmp_path) == WHOLE


# ---- archives that must not be trusted ----


def link(kind, target):
    info = tarfile.TarInfo("images/link")
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    "name, content",
    [
        ("../escaped", b"x"),
        ("images/../../escaped", b"x"),
        ("images/..", None),
        ("/tmp/minunet-escaped", b"x"),
        ("..\\escaped", b"x"),
        ("C:\\escaped", b"x"),
        ("C:escaped", b"x"),
        ("images/link", link(tarfile.SYMTYPE, "../..")),
        ("images/link", link(tarfile.SYMTYPE, "Bengal_1.jpg")),
        ("images/link", link(tarfile.LNKTYPE, "../../secret")),
        ("images/link", link(tarfile.CHRTYPE, "")),
        ("images/link", link(tarfile.FIFOTYPE, "")),
    ],
)
def test_no_member_leaves_the_folder_and_no_link_is_made(server, tmp_path, name, content):
    folder = tmp_path / "a" / "pets"
    server.files["/pets/images.tar.gz"] = archive_of({"images/Bengal_1.jpg": b"one", name: content})
    with pytest.raises(DownloadError, match="images.tar.gz is refused: its member"):
        fetch(server, folder)
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "pets", "images.tar.gz"]


@pytest.mark.parametrize(
    "data, message",
    [
        (IMAGES[: len(IMAGES) // 2], "is damaged"),
        (IMAGES[:4000] + b"\0\1\2\3" * 100 + IMAGES[4400:300_000], "is damaged"),
        (b"not an archive", "is damaged"),
        (b"", "is damaged"),
        (archive_of({"photos/one.jpg": b"one"}), "contains no folder images"),
        (archive_of({"images": b"a file of that name"}), "contains no folder images"),
    ],
)
def test_a_damaged_archive_with_the_right_sum(server, tmp_path, data, message):
    (tmp_path / "images.tar.gz").write_bytes(data)
    server.files["/pets/images.tar.gz"] = data
    with pytest.raises(DownloadError, match=message):
        fetch(server, tmp_path)
    assert os.listdir(tmp_path) == ["images.tar.gz"]


# ---- killed on the way ----

PROGRAM = """
import json, sys, time
from minunet import files as minunet_files
from minunet.data.download import archives, unpack

copy = unpack.shutil.copyfileobj
def slowly(*args):
    copy(*args)
    print("unpacked a file", flush=True)
    time.sleep(30)
if sys.argv[4] == "unpacking":
    unpack.shutil.copyfileobj = slowly
archives.download(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), pause=0.001)
"""


def start(server, folder, during):
    sums = f'{{"images": "{md5(IMAGES)}", "annotations": "{md5(ANNOTATIONS)}"}}'
    url = f"http://127.0.0.1:{server.server_port}/pets/"
    environment = {**os.environ, "PYTHONPATH": str(Path(module.__file__).parents[3])}
    command = [sys.executable, "-c", PROGRAM, str(folder), url, sums, during]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)


def test_killed_while_unpacking(server, tmp_path):
    process = start(server, tmp_path, "unpacking")
    assert process.stdout.readline() == "unpacked a file\n"
    process.kill()
    process.communicate()
    left = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.jpg")]
    assert len(left) == 1 and re.fullmatch(r"\.images\.\w+\.part/Bengal_1\.jpg", left[0])
    assert not (tmp_path / "images").exists()
    fetch(server, tmp_path)
    assert files(tmp_path) == WHOLE and not list(tmp_path.glob(".*"))
    assert [path for path, *_ in server.log] == ["/pets/images.tar.gz", "/pets/annotations.tar.gz"]


def test_killed_while_fetching(server, tmp_path):
    class Halfway(Handler):
        def do_GET(self):
            if self.server.log:
                return super().do_GET()
            self.server.log.append("halfway")
            self.send_response(200)
            self.send_header("Content-Length", str(len(IMAGES)))
            self.end_headers()
            self.wfile.write(IMAGES[:HALF])
            self.wfile.flush()
            self.server.release.wait(30)
            return None

    server.RequestHandlerClass = Halfway
    process = start(server, tmp_path, "fetching")
    part = tmp_path / "images.tar.gz.part"
    deadline = time.monotonic() + 20
    while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert set(os.listdir(tmp_path)) <= {".lock", "images.tar.gz.part"} and part.exists()
    size = part.stat().st_size
    assert 0 < size <= HALF and part.read_bytes() == IMAGES[:size]
    fetch(server, tmp_path)
    assert files(tmp_path) == WHOLE and server.log[1][1] == f"bytes={size}-"


@pytest.mark.parametrize("system", ["without locks", "with a file system that refuses"])
def test_without_locks_it_downloads_all_the_same(server, system, tmp_path, monkeypatch):
    class Refuses:
        LOCK_EX = LOCK_NB = 0

        @staticmethod
        def flock(handle, how):
            raise OSError(95, "Operation not supported")

    monkeypatch.setattr(minunet_files, "fcntl", None if system == "without locks" else Refuses)
    with archives._only_one(tmp_path):
        fetch(server, tmp_path)
    assert files(tmp_path) == WHOLE


def test_a_part_that_leads_elsewhere_is_not_written_through(server, tmp_path):
    thesis, folder = tmp_path / "thesis.txt", tmp_path / "pets"
    thesis.write_text("years of work")
    folder.mkdir()
    (folder / "images.tar.gz.part").symlink_to(thesis)
    with pytest.raises(DownloadError, match="it is a symbolic link"):
        fetch(server, folder)
    assert thesis.read_text() == "years of work"


# ---- servers that must not be trusted ----


@pytest.mark.parametrize(
    "address", ["ftp://127.0.0.1/x", "file:///etc/hostname", "http://127.0.0.1:1/x", "//else/x", "/x"]
)
def test_a_redirect_is_followed_to_https_only(server, tmp_path, address):
    class Elsewhere(Handler):
        def do_GET(self):
            self.server.log.append(self.path)
            self.send_response(302)
            self.send_header("Location", address)
            self.end_headers()

    server.RequestHandlerClass = Elsewhere
    with pytest.raises(DownloadError, match=r"Cannot fetch .*only https:// is followed|answers 302"):
        fetch(server, tmp_path)
    assert server.log == ["/pets/images.tar.gz"] and os.listdir(tmp_path) == []


@pytest.mark.parametrize("address", ["ftp://127.0.0.1/x", "file:///tmp", "data:text/plain,x", "x"])
def test_other_addresses_are_refused(tmp_path, address):
    with pytest.raises(DownloadError, match="only https:// and http:// are read"):
        download(tmp_path, address)


def test_a_redirect_to_https_is_followed():
    request = fetching.urllib.request.Request("http://here/a.tar.gz", headers={"Range": "bytes=5-"})
    followed = fetching._HttpsOnly().redirect_request(request, io.BytesIO(), 301, "", {}, "https://there/b.tar.gz")
    assert followed.full_url == "https://there/b.tar.gz" and followed.headers == {"Range": "bytes=5-"}


@pytest.mark.parametrize(
    "sent",
    [
        f"bytes 0-{len(IMAGES) - 1}/{len(IMAGES)}",
        f"bytes {HALF + 1}-{len(IMAGES) - 1}/{len(IMAGES)}",
        f"bytes {HALF}-{len(IMAGES) - 2}/{len(IMAGES)}",
        f"bytes {HALF}-{len(IMAGES) - 1}/{len(IMAGES) + 1}",
        f"bytes */{len(IMAGES)}",
        "bytes -1-2/3",
        "",
    ],
)
def test_another_part_than_the_one_that_is_missing_is_refused(server, tmp_path, sent):
    """What is here stays as it is, and nothing is appended."""

    class Confused(Handler):
        def send_header(self, name, value):
            super().send_header(name, sent if name == "Content-Range" else value)

    server.RequestHandlerClass = Confused
    part = tmp_path / "images.tar.gz.part"
    part.write_bytes(IMAGES[:HALF])
    with pytest.raises(DownloadError, match="in place of all from byte"):
        fetch(server, tmp_path)
    assert part.read_bytes() == IMAGES[:HALF] and len(server.log) == 1


@pytest.mark.parametrize("told", [True, False])
def test_more_than_any_archive_has_is_refused(server, tmp_path, monkeypatch, told):
    monkeypatch.setattr(fetching, "LARGEST", HALF)

    class Silent(Handler):
        def send_header(self, name, value):
            if told or name != "Content-Length":
                super().send_header(name, value)

    server.RequestHandlerClass = Silent
    with pytest.raises(DownloadError, match=f"no archive has more than {HALF}|sends more than {HALF} bytes"):
        fetch(server, tmp_path)
    part = tmp_path / "images.tar.gz.part"
    assert not part.exists() or part.stat().st_size <= HALF


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_in_place_of_an_archive(server, tmp_path):
    os.mkfifo(tmp_path / "images.tar.gz")
    with pytest.raises(DownloadError, match="it is no file"):
        fetch(server, tmp_path)


def raw(kind, name, content):
    """The blocks of a tar member: a header, written by hand, and its content."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(content)
    return info.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512)


HOSTILE = {
    "deep": ("lies in more than 32 folders", archive_of({"images/" + "a/" * 40 + "b": b"x"})),
    "very deep": ("lies in more than 32 folders", archive_of({"images/" + "a/" * 3000 + "b": b"x"})),
    "bell": ("a name that cannot be shown", archive_of({"images/\x1b[31m": b"x"})),
    "long names of long names": ("is damaged", gzip.compress(raw(b"L", "x", b"x") * 5000)),
    "extended headers of extended headers": ("is damaged", gzip.compress(raw(b"x", "x", b"10 path=x\n") * 5000)),
    "a header of zeros": ("a header of 20971520 bytes", gzip.compress(raw(b"x", "x", bytes(20 << 20)))),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_archives(server, tmp_path, kind):
    message, server.files["/pets/images.tar.gz"] = HOSTILE[kind]
    with pytest.raises(DownloadError, match=message):
        fetch(server, tmp_path)
    assert os.listdir(tmp_path) == ["images.tar.gz"]


@pytest.mark.parametrize("limit", ["MOST_MEMBERS", "MOST_BYTES"])
def test_more_than_the_pets_can_be_is_refused(server, tmp_path, monkeypatch, limit):
    monkeypatch.setattr(unpacking, limit, 2)
    with pytest.raises(DownloadError, match="is refused: it holds more than"):
        fetch(server, tmp_path)
    assert os.listdir(tmp_path) == ["images.tar.gz"]
