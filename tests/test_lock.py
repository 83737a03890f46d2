"""One process at a time in a folder."""

import os
import subprocess
import sys

import pytest

from minunet import files
from minunet.files import FolderInUse, FolderLock

pytestmark = pytest.mark.skipif(files.fcntl is None, reason="no such locks on this system")

HOLD = """
import sys
from minunet.files import FolderLock
lock = FolderLock(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


# A folder called "held" exists exactly while a process works under the lock: mkdir fails if there are two.
TAKE_TURNS = """
import os, sys
from minunet.files import FolderInUse, FolderLock
print("ready", flush=True)
sys.stdin.readline()
held, turns = os.path.join(sys.argv[1], "held"), 0
while turns < 1000:
    try:
        with FolderLock(sys.argv[1]):
            os.mkdir(held)
            turns += 1
            os.rmdir(held)
    except FolderInUse:
        pass
print(turns)
"""


def start(script, folder):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", script, folder], env=environment, **pipes)


def test_the_second_is_refused_until_the_first_releases_it(tmp_path):
    first = FolderLock(tmp_path)
    with pytest.raises(FolderInUse, match=f"the process {os.getpid()} is writing into .*{tmp_path.name}"):
        FolderLock(tmp_path)
    first.release()
    second = FolderLock(tmp_path)
    with pytest.raises(FolderInUse):
        FolderLock(tmp_path)
    second.release()


def test_a_lock_that_nobody_releases_ends_with_its_owner(tmp_path):
    FolderLock(tmp_path)
    FolderLock(tmp_path).release()


def test_a_killed_process_holds_nothing(tmp_path):
    with start(HOLD, tmp_path) as process:
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(FolderInUse, match=f"the process {process.pid} "):
            FolderLock(tmp_path)
        process.kill()
    FolderLock(tmp_path).release()


@pytest.mark.parametrize("without", ["the module", "locks on this disk"])
def test_where_there_are_no_locks_nothing_is_held(tmp_path, monkeypatch, without):
    def not_supported(*arguments):
        raise OSError(95, "Operation not supported")

    if without == "the module":
        monkeypatch.setattr(files, "fcntl", None)
    else:
        monkeypatch.setattr(files.fcntl, "flock", not_supported)
    locks = FolderLock(tmp_path), FolderLock(tmp_path)
    for one in locks:
        one.release()


def test_a_released_folder_is_as_it_was_before(tmp_path):
    with FolderLock(tmp_path) as lock:
        assert (tmp_path / ".lock").read_text() == f"{os.getpid()}\n"
    assert os.listdir(tmp_path) == []
    lock.release()  # once more does no harm, and takes nothing from the next holder
    with FolderLock(tmp_path):
        lock.release()
        with pytest.raises(FolderInUse):
            FolderLock(tmp_path)


def test_a_lock_file_that_is_removed_at_the_last_moment_is_not_mistaken_for_the_lock(tmp_path, monkeypatch):
    """Between opening the file and locking it, the holder before lets go, and another process takes the folder."""
    flock, holders = files.fcntl.flock, [FolderLock(tmp_path)]

    def slower(file, how):
        monkeypatch.setattr(files.fcntl, "flock", flock)
        holders.pop().release()
        holders.append(FolderLock(tmp_path))
        flock(file, how)

    monkeypatch.setattr(files.fcntl, "flock", slower)
    with pytest.raises(FolderInUse):
        FolderLock(tmp_path)
    holders.pop().release()
    FolderLock(tmp_path).release()
    assert os.listdir(tmp_path) == []


def test_processes_that_take_turns_never_hold_the_folder_at_the_same_time(tmp_path):
    """Each releases the folder as soon as it holds it: opening, locking and removing the file meet in any order."""
    processes = [start(TAKE_TURNS, tmp_path) for _ in range(4)]
    assert [process.stdout.readline() for process in processes] == [b"ready\n"] * 4
    for process in processes:  # all at once, so that they are in each other's way
        process.stdin.write(b"go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=300) for process in processes]
    assert [errors.decode() for _, errors in outputs] == [""] * 4
    assert [int(turns) for turns, _ in outputs] == [1000] * 4
    assert os.listdir(tmp_path) == []


def test_a_folder_that_was_replaced_by_hand_is_left_to_its_new_holder(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    with FolderLock(folder):
        folder.rename(tmp_path / "before")
        folder.mkdir()
        second = FolderLock(folder)
    with pytest.raises(FolderInUse):
        FolderLock(folder)
    second.release()


def test_on_a_full_disk_the_folder_is_locked_all_the_same(tmp_path, monkeypatch):
    """Its file then stays empty, and the message cannot name the process."""

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with FolderLock(tmp_path), pytest.raises(FolderInUse, match="the process that has just started is writing"):
        FolderLock(tmp_path)


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_lock_that_leads_elsewhere_is_refused_and_its_target_is_whole(tmp_path, link):
    """A run's folder may be a stranger's: emptying the lock through a link would empty any file of this disk."""
    target, folder = tmp_path / "thesis.txt", tmp_path / "run"
    target.write_text("years of work")
    folder.mkdir()
    link(target, folder / ".lock")
    with pytest.raises(OSError, match=r"(symbolic link|second name elsewhere).*remove it.*\.lock"):
        FolderLock(folder)
    assert target.read_text() == "years of work"


def test_a_lock_that_is_a_pipe_does_not_wait(tmp_path):
    os.mkfifo(tmp_path / ".lock")
    with pytest.raises(OSError, match=r"not a regular file.*\.lock"):
        FolderLock(tmp_path)


def test_a_longer_process_number_of_before_leaves_no_digits(tmp_path):
    (tmp_path / ".lock").write_text("9" * 15 + "\n")
    with FolderLock(tmp_path):
        assert (tmp_path / ".lock").read_text() == f"{os.getpid()}\n"
