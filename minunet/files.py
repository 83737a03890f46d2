"""Writing a file whole, or not at all."""

import os
import tempfile
from pathlib import Path


def atomic_write(path, content, keep=None):
    """Puts `content` (bytes, or str as UTF-8) into the file `path`, which always holds the old or the new.

    It is written beside, flushed to the disk, then moved over the old file. Whatever stops the program or the
    disk on the way, the old file stays as it was.
    keep: a path in the same folder that the old file, where there is one, gets once the new one is whole.
    Raises OSError with the name of the file: no space, no such folder, read-only folder.
    """
    path = Path(path)
    try:
        _write_whole(path, content, keep)
    except OSError as error:  # "no space left" comes without a name, or with that of the file beside
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def _write_whole(path, content, keep):
    content = content.encode() if isinstance(content, str) else content
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(beside, 0o666 & ~_umask())  # mkstemp makes files that only their owner can read
        if keep is not None and path.exists():
            _rename_copy(path, keep)
        os.replace(beside, path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def remove_leftovers(folder):
    """Removes what `atomic_write` left in the folder where its process was killed. Nobody may be writing
    there."""
    for part in Path(folder).glob(".*.part"):
        part.unlink(missing_ok=True)


def _rename_copy(path, other):
    """Gives the file `path` the name `other` too, in place of the file that had it; without copying its
    bytes."""
    beside = Path(other).with_name(f".{Path(other).name}.part")
    beside.unlink(missing_ok=True)
    try:
        os.link(path, beside)
    except OSError:  # a disk without links: for a moment the file has the other name alone
        os.replace(path, other)
        return
    try:
        os.replace(beside, other)
    finally:
        beside.unlink(missing_ok=True)  # where both names stood for one file already, replace does nothing


def _umask():
    mask = os.umask(0)  # there is no way to ask without setting it
    os.umask(mask)
    return mask
