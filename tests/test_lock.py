"""One process at a time in a folder."""

import os
import subprocess
import sys

import pytest

from minunet import lock
from minunet.lock import FolderInUse, FolderLock

pytestmark = pytest.mark.skipif(lock.fcntl is None, reason="no such locks on this system")

HOLD = "import sys; from minunet.lock import FolderLock; l = FolderLock(sys.argv[1]); print('held', flush=True); sys.stdin.read()"


def test_the_second_is_refused_until_the_first_lets_go(tmp_path):
    first = FolderLock(tmp_path)
    with pytest.raises(FolderInUse, match=f"the process {os.getpid()} is writing into .*{tmp_path.name}"):
        FolderLock(tmp_path)
    first.release()
    second = FolderLock(tmp_path)
    with pytest.raises(FolderInUse):
        FolderLock(tmp_path)
    second.release()


def test_a_lock_that_is_let_go_by_nobody_ends_with_its_owner(tmp_path):
    FolderLock(tmp_path)
    FolderLock(tmp_path).release()


def test_a_killed_process_holds_nothing(tmp_path):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, **pipes
    ) as process:
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
        monkeypatch.setattr(lock, "fcntl", None)
    else:
        monkeypatch.setattr(lock.fcntl, "flock", not_supported)
    locks = FolderLock(tmp_path), FolderLock(tmp_path)
    for one in locks:
        one.release()
