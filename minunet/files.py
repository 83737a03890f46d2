"""Files and folders that appear whole or not at all, and folders that one process at a time writes into.

    atomic_write(path, content)         a file: the old content or the new, never half of it
    with atomic_folder(path) as draft:  a folder: filled as `draft`, and called `path` once everything is in it
    with FolderLock(folder):            nobody else writes into the folder
    open_own(path, flags)               a file of our own in a folder that may be somebody else's: never through a link

Until it is finished, NAME is called .NAME.RANDOM.part, in the same folder, so that the last step is a rename on one
disk. A process that is killed leaves that behind; `remove_leftovers` clears it away.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from minunet.inputs import user_path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

UNFINISHED = ".part"
OUTDATED = ".old"
RANDOM = "[a-z0-9_]" * 8  # what tempfile puts into a name, as a pattern
LOCK = ".lock"
ABANDONED = 3600  # seconds after which something unfinished that nobody touches belongs to a process that was killed


def atomic_write(path: str | Path, content: bytes | str, keep: str | Path | None = None) -> None:
    """Writes `content` (bytes, or str as UTF-8) to the file `path`, which at all times holds the old or the new.

    It is written to a file beside it and flushed to the disk; that file then takes the place of the old one. Whatever
    stops the program or the disk on the way, the old file stays as it was.
    keep: a path in the same folder under which the old file, if there is one, is kept once the new one is complete.
    A leading ~ is the home folder. Raises OSError with the name of the file: no space left, no such folder, a read-only
    folder.
    """
    path = user_path(path)
    try:
        _write(path, content.encode() if isinstance(content, str) else content, keep)
    except OSError as error:  # "no space left" comes without a name, or with that of the file beside
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def _write(path: Path, content: bytes, keep: str | Path | None) -> None:
    handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=UNFINISHED)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(unfinished, 0o666 & ~_umask())  # mkstemp makes files that only their owner can read
        if keep is not None and path.exists():
            _keep_as(path, Path(keep))
        os.replace(unfinished, path)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise


def _keep_as(path: Path, other: Path) -> None:
    """Gives the file `path` the second name `other`, replacing the file of that name, without copying any bytes."""
    unfinished = other.with_name(f".{other.name}.{secrets.token_hex(4)}{UNFINISHED}")  # like tempfile's names
    try:
        os.link(path, unfinished)
    except OSError:  # a disk without hard links: for a moment the file has only its other name
        os.replace(path, other)
        return
    try:
        os.replace(unfinished, other)
    finally:
        unfinished.unlink(missing_ok=True)  # if both names were one file already, replace has done nothing


@contextmanager
def atomic_folder(path: str | Path, replace: bool = False) -> Iterator[Path]:
    """Yields an empty hidden folder beside `path`, which is renamed to `path` when the block ends.

    If the block raises, the hidden folder is removed, and `path` is as it was. The folder above must exist. The caller
    makes sure that the files reach the disk before the block ends.
    replace: whether a folder called `path` may be replaced. For a moment there is none of that name. If another process
    puts its own there in that moment, that one stays: of two builders of the same content, either may win. Without
    `replace`, only an empty folder gives way. Raises OSError if the folder cannot be called `path`.
    """
    path = Path(path)
    draft = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=UNFINISHED))
    try:
        os.chmod(draft, 0o777 & ~_umask())  # mkdtemp makes folders that only their owner can open
        yield draft
        if replace:
            _replace_folder(draft, path)
        else:
            if path.is_dir():
                path.rmdir()  # not every system replaces an empty folder by renaming
            os.rename(draft, path)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _replace_folder(draft: Path, path: Path) -> None:
    outdated = draft.with_suffix(OUTDATED + UNFINISHED)
    with suppress(FileNotFoundError):
        os.rename(path, outdated)
    try:
        os.rename(draft, path)
    except OSError as error:
        # Another process was faster, and its folder is just as good. It need not be there any more: a third process may
        # have moved it aside to put its own there.
        faster = error.errno in (errno.ENOTEMPTY, errno.EEXIST) or path.is_dir()
        if not faster:
            with suppress(OSError):
                os.rename(outdated, path)
            raise
    shutil.rmtree(outdated, ignore_errors=True)


def remove_leftovers(
    folder: str | Path,
    name: str,
    older_than: float | None = None,
    only: Callable[[Path], bool] = lambda left: True,
) -> None:
    """Removes what killed processes left unfinished in the folder: files of `atomic_write`, folders of `atomic_folder`.

    name: a pattern (as glob has it); only what was to get such a name is removed. older_than: only what nobody has
    touched for that many seconds; without it, nobody else may be writing there. only: decides about each by its path.
    """
    patterns = [f".{name}.{RANDOM}", f".{name}.{RANDOM}{OUTDATED}"]
    for left in (path for pattern in patterns for path in Path(folder).glob(pattern + UNFINISHED)):
        if older_than is not None and not _untouched_for(left, older_than):
            continue
        if not only(left):
            continue
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _untouched_for(path: Path, seconds: float) -> bool:
    try:
        inside = path.iterdir() if path.is_dir() else ()
        return max(each.stat().st_mtime for each in [path, *inside]) < time.time() - seconds
    except OSError:  # it is being written, or removed, right now
        return False


def open_own(path: str | Path, flags: int) -> int:
    """Opens, or creates, a file that only this program writes, and returns its descriptor (see os.open for `flags`).

    A folder may come from a stranger: a link in it, symbolic or hard, would lead the writing to a file elsewhere, and a
    pipe would wait forever. Raises OSError for anything but a regular file that has one name.
    """
    safe = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        file = os.open(path, flags | safe, 0o666)
    except OSError as error:
        if not os.path.islink(path):
            raise
        raise OSError(
            error.errno, "it is a symbolic link, which nobody writes through: remove it", str(path)
        ) from error
    status = os.fstat(file)
    if stat.S_ISREG(status.st_mode) and status.st_nlink <= 1:
        return file
    os.close(file)
    what = "has a second name elsewhere" if stat.S_ISREG(status.st_mode) else "is not a regular file"
    raise OSError(errno.EPERM, f"it {what}, so nothing is written into it: remove it", str(path))


def _umask() -> int:
    mask = os.umask(0)  # there is no way to read it without setting it
    os.umask(mask)
    return mask


class FolderInUse(OSError):
    """Another process is writing into the folder; the message says which."""


class FolderLock:
    """Holds `folder` until release(), the end of a `with` block, or the end of the process, however it ends.

    The lock itself is the kernel's, on the file .lock in the folder, which also names the process. Whoever releases the
    folder removes that file, while it is still locked. Another process may have opened it just before; it then locks a
    file that no longer has a name, notices, and starts over. So only the file called .lock ever counts, and only its
    holder removes it: two processes never hold one folder.

    Raises FolderInUse, and OSError if the folder cannot be written. Where the system or the disk does not support such
    locks (Windows, some network disks), nothing is held.
    """

    def __init__(self, folder: str | Path) -> None:
        self._path = Path(folder) / LOCK
        self._file = -1
        self._close: weakref.finalize | None = None
        while fcntl is not None and not self._acquire():
            pass

    def _acquire(self) -> bool:
        """Locks the file. Returns False if it was removed in the meantime: then there is another one to lock."""
        self._file = open_own(self._path, os.O_RDWR | os.O_CREAT)
        self._close = weakref.finalize(self, os.close, self._file)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(self._file, 20).decode(errors="replace").strip() or "that has just started"
            self._close()
            message = f"the process {holder} is writing into {self._path.parent}: wait for it, or stop it"
            raise FolderInUse(message) from error
        except OSError:  # a disk without locks
            return True
        if not self._has_its_name():
            self._close()
            return False
        with suppress(OSError):  # on a full disk the lock holds all the same
            os.truncate(self._file, 0)
            os.write(self._file, b"%d\n" % os.getpid())
        return True

    def _has_its_name(self) -> bool:
        """Returns whether .lock is still the file that was opened: it, or the whole folder, may have been removed."""
        try:
            return os.path.samestat(os.fstat(self._file), os.lstat(self._path))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Lets the folder go, and removes the file. A second call does nothing."""
        if self._close is not None and self._close.alive:
            with suppress(OSError):
                if self._has_its_name():
                    self._path.unlink()
            self._close()

    def __enter__(self) -> FolderLock:
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()
