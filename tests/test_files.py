"""A file is written whole or not at all."""

import os
import stat
import sys

import pytest

from minunet.files import write_whole


def test_bytes_and_text(tmp_path):
    write_whole(tmp_path / "a", b"\x00\xff")
    assert (tmp_path / "a").read_bytes() == b"\x00\xff"
    write_whole(str(tmp_path / "b"), "ä\n")
    assert (tmp_path / "b").read_bytes() == "ä\n".encode()
    write_whole(tmp_path / "b", "shorter")
    assert (tmp_path / "b").read_text() == "shorter"
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


@pytest.mark.parametrize("step", ["fsync", "replace", "chmod"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_whatever_stops_it_the_old_file_stays_and_no_litter(tmp_path, monkeypatch, step, error):
    path = tmp_path / "weights.npz"
    write_whole(path, b"old")

    def stopped(*arguments):
        raise error

    monkeypatch.setattr(os, step, stopped)
    with pytest.raises(type(error)):
        write_whole(path, b"new")
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
    write_whole(path, b"12345")
    assert steps[:2] == [("fsync", 5, False), ("replace", True)]


def test_no_such_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "nowhere" / "weights.npz", b"")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        write_whole(tmp_path / "file" / "weights.npz", b"")


def test_a_folder_in_its_place(tmp_path):
    (tmp_path / "weights.npz").mkdir()
    with pytest.raises(OSError):
        write_whole(tmp_path / "weights.npz", b"")
    assert os.listdir(tmp_path) == ["weights.npz"]


@pytest.mark.skipif(sys.platform == "win32" or getattr(os, "geteuid", lambda: 1)() == 0,
                    reason="no folder is read-only for this user")
def test_a_folder_that_may_not_be_written(tmp_path):
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(PermissionError):
            write_whole(tmp_path / "weights.npz", b"")
    finally:
        tmp_path.chmod(0o755)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such rights")
def test_others_may_read_it_as_far_as_the_umask_allows(tmp_path):
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "weights.npz", b"")
        assert stat.S_IMODE((tmp_path / "weights.npz").stat().st_mode) == 0o640
        assert os.umask(0o027) == 0o027  # and the umask itself is as it was
    finally:
        os.umask(before)
