"""NumPy's own format: a zip file with one .npy file per array. The metadata is an entry called "about", JSON as text.

Entries whose names begin with "training/" are not weights: a checkpoint keeps there what else resuming needs
(training/checkpoint.py). No pickle is ever loaded.
"""

import io
import json
import math
import zipfile
from collections.abc import Mapping
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from minunet.inputs import parse_json
from minunet.nn import Module
from minunet.weights.unpacking import check_unpacked

ABOUT = "about"
TRAINING = "training/"


def encode(model: Module, metadata: Mapping[str, Any]) -> bytes:
    """See minunet/weights/__init__.py."""
    return encode_arrays(model.state_dict(), metadata)


def encode_arrays(arrays: Mapping[str, NDArray], metadata: Mapping[str, Any]) -> bytes:
    """Returns the bytes of a file with {name: array} and the metadata."""
    buffer = io.BytesIO()
    entries: dict[str, Any] = {**arrays, ABOUT: np.array(json.dumps(metadata))}
    np.savez(buffer, **entries)
    return buffer.getvalue()


def decode(content: bytes, max_bytes: int | None = None) -> tuple[dict[str, NDArray], dict[str, Any]]:
    """See minunet/weights/__init__.py."""
    arrays, metadata = decode_arrays(content, max_bytes)
    return {name: array for name, array in arrays.items() if not name.startswith(TRAINING)}, metadata


def decode_arrays(content: bytes, max_bytes: int | None = None) -> tuple[dict[str, NDArray], dict[str, Any]]:
    """Returns ({name: array}, metadata) of all entries, those of a checkpoint too."""
    file = np.load(io.BytesIO(content), allow_pickle=False)  # not from a path: NumPy leaves a damaged file open
    if not isinstance(file, np.lib.npyio.NpzFile):
        raise ValueError("a single array")
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        entries = packed.infolist()
        check_unpacked((entry.file_size for entry in entries), len(content), max_bytes)
        if len({entry.filename for entry in entries}) < len(entries):
            raise ValueError("two entries have the same name")
        for entry in entries:
            with packed.open(entry) as array:
                _check_header(array, entry)
    arrays = {name: file[name] for name in file.files}
    return arrays, parse_json(str(arrays.pop(ABOUT, "{}")))


def _check_header(file: IO[bytes], entry: zipfile.ZipInfo) -> None:
    """Raises ValueError unless an entry is as long as its header says: NumPy makes room for the array before it reads.

    It is also where a dtype is refused that holds no plain numbers or texts.
    """
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    if dtype.kind not in "fiubU":
        raise ValueError(f"{entry.filename.removesuffix('.npy')!r} holds no numbers")
    wanted = math.prod(shape) * dtype.itemsize
    if wanted != entry.file_size - file.tell():
        raise ValueError(f"{entry.filename} has {entry.file_size - file.tell()} bytes for {wanted}")
