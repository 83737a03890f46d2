"""A file is written whole or not at all."""

import os
import stat
import sys

import pytest

from minunet.files import atomic_write, remove_leftovers


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
def test_whatever_stops_it_the_old_file_stays_and_no_litter(tmp_path, monkeypatch, step, error):
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
def test_at_no_moment_are_both_files_missing_or_unfinished(tmp_path, monkeypatch, links):
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
    remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["new", "old"]


def test_the_error_names_the_file_that_was_meant(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*weights\.npz'"):
        atomic_write(tmp_path / "weights.npz", b"new")


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    for name in (".last.npz.abc.part", "part", ".lock", "a.part"):
        (tmp_path / name).write_bytes(b"")
    remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".lock", "a.part", "part"]


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
def test_a_folder_that_may_not_be_written(tmp_path):
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
