"""Downloads the Oxford-IIIT Pet archives (0.8 GB): resumed after an interruption, checked, unpacked safely.

Each step ends with a rename, so whatever has its final name is complete:

    NAME.tar.gz.part     grows; a later call continues where it ends
    NAME.tar.gz          its md5 sum is right (an archive put here by hand is checked, too); it is kept, and can be
                         deleted once it is unpacked
    .NAME.RANDOM.part/   grows; if a call is killed, the next one removes it and unpacks again
    NAME/                everything is unpacked
"""

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from minunet.data.download.fetch import DownloadError, provide
from minunet.data.download.unpack import unpack
from minunet.files import FolderInUse, FolderLock
from minunet.inputs import user_path

BASE_URL = "https://thor.robots.ox.ac.uk/pets/"
ARCHIVES = {"images": "5c4f3ee8e5d25df40f4fd59a7f44e54c", "annotations": "95a8c909bbe2e81eed6a22bccdf3f68f"}


def download(
    folder: str | Path, base_url: str = BASE_URL, archives: Mapping[str, str] = ARCHIVES, pause: float = 1.0
) -> Path:
    """Makes folder/images and folder/annotations, which minunet.data.pets.Pets reads. Returns the folder.

    What is there already is left as it is: a second call does nothing, and one after an interruption continues.

    folder    created if need be
    base_url  where NAME.tar.gz lies
    archives  {NAME: md5 sum in hexadecimal}; archive NAME unpacks into one folder NAME
    pause     seconds before a second try; twice as many before each further one

    Raises DownloadError: no network, no such file, a broken connection, a wrong sum, a full disk, an archive with paths
    that lead out of its folder, another download into the same folder at the same time.
    """
    folder = user_path(folder)
    with _explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if all((folder / name).is_dir() for name in archives):
            return folder  # without a lock: the folder may be one that can only be read
        with _only_one(folder):
            for name, md5 in archives.items():
                if not (folder / name).is_dir():
                    archive = folder / f"{name}.tar.gz"
                    provide(archive, f"{base_url.rstrip('/')}/{archive.name}", md5, pause)
                    unpack(archive, name)
    return folder


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Turns an OSError into a DownloadError that says what to do."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        fix = "free some space (2 GB in all)" if full else "choose a folder that can be written"
        why = error.strerror or error
        raise DownloadError(f"Cannot write to {folder}: {why}; {fix}, and run again.") from error


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Refuses a second download into the same folder at the same time, where the system can tell."""
    try:
        lock = FolderLock(folder)
    except FolderInUse as error:
        raise DownloadError(f"Another download into {folder} is running: wait, and run again.") from error
    with lock:
        yield
