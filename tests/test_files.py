"""A file, or a folder, appears whole or not at all."""

import errno
import os
import stat
import subprocess
import sys
import time

import pytest

from minunet.files import atomic_folder, atomic_write, remove_leftovers


def test_bytes_and_text(tmp_path):
    atomic_write(tmp_path / "a", b"\x00\xff")
    assert (tmp_path / "a").read_bytes() == b"\x00\xff"
    atomic_write(str(tmp_path / "b"), "ä\n")
    assert (tmp_path / "b").read_bytes() == "ä\n".encode()
    atomic_write(tmp_path / "b", "shorter")
    assert (tmp_path / "b").read_text() == "shorter"
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


@pytest.mark.parametrize("step", ["fsync", "replace", "chmod"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_whatever_stops_it_the_old_file_stays_and_nothing_else_is_left(tmp_path, monkeypatch, step, error):
    path = tmp_path / "weights.npz"
    atomic_write(path, b"old")

    def stopped(*arguments):
        raise error

    monkeypatch.setattr(os, step, stopped)
    with pytest.raises(type(error)):
        atomic_write(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["weights.npz"]


def test_the_new_content_is_on_the_disk_before_it_takes_the_name(tmp_path, monkeypatch):
    path, steps = tmp_path / "weights.npz", []
    fsync, replace = os.fsync, os.replace

    def watched_fsync(handle):
        steps.append(("fsync", os.fstat(handle).st_size, path.exists()))
        fsync(handle)

    def watched_replace(source, target):
        steps.append(("replace", os.path.dirname(source) == str(tmp_path)))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_replace)
    atomic_write(path, b"12345")
    assert steps[:2] == [("fsync", 5, False), ("replace", True)]


@pytest.mark.parametrize("links", [True, False], ids=["with links", "without links"])
def test_the_old_file_can_be_kept_under_another_name(tmp_path, monkeypatch, links):
    if not links:

        def no_links(*arguments):
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr(os, "link", no_links)
    new, old = tmp_path / "new", tmp_path / "old"
    for content in (b"1", b"2", b"3"):
        atomic_write(new, content, keep=old)
    assert (new.read_bytes(), old.read_bytes()) == (b"3", b"2")
    assert sorted(os.listdir(tmp_path)) == ["new", "old"]


@pytest.mark.parametrize("links", [True, False], ids=["with links", "without links"])
def test_at_every_moment_one_of_the_two_files_is_complete(tmp_path, monkeypatch, links):
    """The process is stopped before each call to the system in turn, and tries again: what is there is always whole."""
    new, old = tmp_path / "new", tmp_path / "old"

    class Killed(BaseException):
        pass

    def killed_after(count):
        left = [count]
        for name in ("link", "replace", "fsync", "chmod", "unlink"):
            real = getattr(os, name)

            def call(*arguments, name=name, real=real, **options):
                left[0] -= 1
                if left[0] < 0:
                    raise Killed
                if name == "link" and not links:
                    raise OSError(95, "Operation not supported")
                return real(*arguments, **options)

            monkeypatch.setattr(os, name, call)

    atomic_write(new, b"whole 0", keep=old)
    finished = 0
    for count in range(30):
        killed_after(count)
        try:
            atomic_write(new, b"whole %d" % (count + 1), keep=old)
            finished += 1
        except Killed:
            pass
        monkeypatch.undo()
        there = [path.read_bytes() for path in (new, old) if path.exists()]
        assert there and all(content.startswith(b"whole") for content in there), count
    assert 5 < finished < 28 and new.read_bytes() == b"whole 30"
    remove_leftovers(tmp_path, "*")
    assert sorted(os.listdir(tmp_path)) == ["new", "old"]


def test_the_error_names_the_file_that_was_meant(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*weights\.npz'"):
        atomic_write(tmp_path / "weights.npz", b"new")


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    others = [".last.npz.abc.part", ".last.npz.abcdefg8.part.x", "last.npz.abcdefg8.part", ".lock", "a.part", "part"]
    for name in (".last.npz.abcdefg8.part", *others):
        (tmp_path / name).write_bytes(b"")
    remove_leftovers(tmp_path, "last.npz")
    assert sorted(os.listdir(tmp_path)) == sorted(others)


def test_no_such_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        atomic_write(tmp_path / "nowhere" / "weights.npz", b"")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        atomic_write(tmp_path / "file" / "weights.npz", b"")


def test_a_folder_in_its_place(tmp_path):
    (tmp_path / "weights.npz").mkdir()
    with pytest.raises(OSError):
        atomic_write(tmp_path / "weights.npz", b"")
    assert os.listdir(tmp_path) == ["weights.npz"]


@pytest.mark.skipif(
    sys.platform == "win32" or getattr(os, "geteuid", lambda: 1)() == 0, reason="no folder is read-only for this user"
)
def test_a_read_only_folder(tmp_path):
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(PermissionError):
            atomic_write(tmp_path / "weights.npz", b"")
    finally:
        tmp_path.chmod(0o755)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such rights")
def test_others_may_read_it_as_far_as_the_umask_allows(tmp_path):
    before = os.umask(0o027)
    try:
        atomic_write(tmp_path / "weights.npz", b"")
        assert stat.S_IMODE((tmp_path / "weights.npz").stat().st_mode) == 0o640
        assert os.umask(0o027) == 0o027  # and the umask itself is as it was
    finally:
        os.umask(before)


# ---- folders ----


def names(folder):
    return sorted(os.listdir(folder))


def fill(folder, content="new"):
    (folder / "deep").mkdir()
    (folder / "deep" / "file").write_text(content)


@pytest.mark.parametrize("replace", [True, False])
def test_a_folder_appears_once_it_is_filled(tmp_path, replace):
    with atomic_folder(tmp_path / "data", replace) as draft:
        assert draft.parent == tmp_path and draft.name.startswith(".data.") and draft.name.endswith(".part")
        fill(draft)
        assert not (tmp_path / "data").exists()
    assert names(tmp_path) == ["data"] and (tmp_path / "data" / "deep" / "file").read_text() == "new"


@pytest.mark.parametrize("replace", [True, False])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_whatever_stops_it_the_old_folder_stays_and_nothing_else_is_left(tmp_path, replace, error):
    if replace:
        (tmp_path / "data").mkdir()
        fill(tmp_path / "data", "old")
    with pytest.raises(type(error)):
        with atomic_folder(str(tmp_path / "data"), replace) as draft:
            fill(draft)
            raise error
    assert names(tmp_path) == ["data"] * replace
    assert not replace or (tmp_path / "data" / "deep" / "file").read_text() == "old"


def test_an_empty_folder_gives_way_and_a_full_one_only_on_request(tmp_path):
    (tmp_path / "data").mkdir()
    for content, replace in (("first", False), ("second", True)):
        with atomic_folder(tmp_path / "data", replace) as draft:
            fill(draft, content)
        assert (tmp_path / "data" / "deep" / "file").read_text() == content
    with pytest.raises(OSError):
        with atomic_folder(tmp_path / "data") as draft:
            fill(draft, "third")
    assert names(tmp_path) == ["data"] and (tmp_path / "data" / "deep" / "file").read_text() == "second"


def test_a_file_in_the_place_of_a_folder(tmp_path):
    (tmp_path / "data").write_text("mine")
    with pytest.raises(OSError):
        with atomic_folder(tmp_path / "data"):
            pass
    assert names(tmp_path) == ["data"] and (tmp_path / "data").read_text() == "mine"


@pytest.mark.parametrize("faster", [True, False])
def test_a_folder_that_cannot_be_put_in_place(tmp_path, monkeypatch, faster):
    """Another process has put its own there in that very moment, and that stays; or the disk refuses: the old stays."""
    path, rename = tmp_path / "data", os.rename
    path.mkdir()
    fill(path, "old")

    def refuse(source, target):
        if target == path and str(source).endswith(".part") and ".old." not in str(source):
            if faster:
                path.mkdir()
                fill(path, "theirs")
                raise OSError(errno.ENOTEMPTY, "Directory not empty")
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(os, "rename", refuse)
    try:
        with atomic_folder(path, replace=True) as draft:
            fill(draft)
    except OSError:
        assert not faster
    assert names(tmp_path) == ["data"] and (path / "deep" / "file").read_text() == ("theirs" if faster else "old")


def test_the_folder_of_a_faster_process_may_be_gone_again(tmp_path, monkeypatch):
    """A third process has moved it aside to put its own there: that will be the one that stays."""
    rename = os.rename

    def refuse(source, target):
        if str(source).endswith(".part"):
            raise OSError(errno.ENOTEMPTY, "Directory not empty")
        rename(source, target)

    monkeypatch.setattr(os, "rename", refuse)
    with atomic_folder(tmp_path / "data", replace=True) as draft:
        fill(draft)
    assert names(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such rights")
def test_others_may_open_the_folder_as_far_as_the_umask_allows(tmp_path):
    before = os.umask(0o027)
    try:
        with atomic_folder(tmp_path / "data"):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o750


def test_leftovers_are_recognized_by_name_and_age(tmp_path):
    def left(name, age):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "file").touch()
        for path in (folder / "file", folder):
            os.utime(path, (time.time() - age,) * 2)

    one, two, more, theirs = (
        ".data.aaaaaaa1.part",
        ".data._aaaaaa2.old.part",
        ".more.aaaaaaa3.part",
        ".data.x.aaaaaaa4.part",
    )
    for name, age in (
        (one, 3700),
        (two, 3500),
        (more, 9999),
        (theirs, 9999),
        ("data.part", 9999),
        (".data.part", 9999),
    ):
        left(name, age)
    os.utime(tmp_path / two, (0, 0))  # but the file in it is newer
    remove_leftovers(tmp_path, "data", older_than=3600)
    assert names(tmp_path) == sorted([two, more, theirs, "data.part", ".data.part"])
    remove_leftovers(tmp_path, "data")
    assert names(tmp_path) == sorted([more, theirs, "data.part", ".data.part"])
    remove_leftovers(tmp_path, "*")
    assert names(tmp_path) == [".data.part", "data.part"]


@pytest.mark.parametrize("replace", [True, False])
def test_the_leftovers_of_a_killed_process_are_recognized(tmp_path, replace):
    """The process ends in the middle of the block, and while the old folder has already been put aside."""
    killed = "import os; from minunet.files import atomic_folder\n"
    if replace:
        (tmp_path / "data").mkdir()
        killed += "rename, os.rename = os.rename, lambda a, b: rename(a, b) if b.suffixes[-2:] == ['.old', '.part'] "
        killed += "else os._exit(9)\n"
    killed += f"with atomic_folder({str(tmp_path / 'data')!r}, {replace}):\n    os._exit(9) if not {replace} else None"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", killed], env=environment).returncode == 9
    assert len(names(tmp_path)) == 1 + replace
    remove_leftovers(tmp_path, "data")
    assert names(tmp_path) == []
