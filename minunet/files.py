"""Writing a file whole, or not at all."""

import os
import tempfile
from pathlib import Path


def write_whole(path, content):
    """Puts `content` (bytes, or str as UTF-8) into the file `path`, which always holds the old or the new.

    It is written beside, flushed to the disk, then moved over the old file. Whatever stops the program or the
    disk on the way, the old file stays as it was. Raises OSError: no space, no such folder, read-only folder.
    """
    path = Path(path)
    content = content.encode() if isinstance(content, str) else content
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(beside, 0o666 & ~_umask())  # mkstemp makes files that only their owner can read
        os.replace(beside, path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def _umask():
    mask = os.umask(0)  # there is no way to ask without setting it
    os.umask(mask)
    return mask
