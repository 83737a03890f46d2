"""One process at a time in a folder."""

import os
import weakref
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

NAME = ".lock"


class FolderInUse(OSError):
    """Another process holds the folder; the message says which."""


class FolderLock:
    """Holds `folder` until release(), or until the process ends, in whatever way: the lock is the kernel's,
    the file only its place, and holds the number of the process.

    Raises FolderInUse. Where the system or the disk knows no such locks (Windows, some network disks) it
    holds nothing.
    """

    def __init__(self, folder):
        self._close = lambda: None
        if fcntl is None:
            return
        file = os.open(Path(folder) / NAME, os.O_RDWR | os.O_CREAT, 0o666)
        self._close = weakref.finalize(self, os.close, file)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(file, 20).decode(errors="replace").strip() or "that just starts"
            self.release()
            raise FolderInUse(f"the process {holder} is writing into {folder}: wait for it, or stop it") from error
        except OSError:
            return
        os.truncate(file, 0)
        os.write(file, b"%d\n" % os.getpid())

    def release(self):
        """Lets the folder go. The file stays: to remove it would let two processes lock two files of one
        name."""
        self._close()
