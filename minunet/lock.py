"""One process at a time in a folder."""

import os
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

NAME = ".lock"


class FolderInUse(OSError):
    """Another process holds the folder; the message says which."""


class FolderLock:
    """Holds `folder` until release(), or until the process ends, in whatever way: the lock is the kernel's, the file only
    its place, and holds the number of the process.

    Raises FolderInUse. Where the system or the disk knows no such locks (Windows, some network disks) it holds nothing.
    """

    def __init__(self, folder):
        self._file = None
        if fcntl is None:
            return
        path = Path(folder) / NAME
        file = open(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+", encoding="ascii", errors="replace")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            with file:
                holder = file.read(20).strip() or "that is just starting"
            raise FolderInUse(f"the process {holder} is writing into {folder}: wait for it, or stop it") from error
        except OSError:
            file.close()
            return
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        self._file = file

    def release(self):
        """Lets the folder go. The file stays: to remove it would let two processes lock two files of one name."""
        if self._file is not None:
            self._file.close()
            self._file = None
