"""NumPy's own format: a zip file with one .npy file per array. The metadata is an entry called "about", JSON as text.

Entries whose names begin with "training/" are not weights: a checkpoint keeps there what else resuming needs
(training/checkpoint.py). No pickle is ever loaded.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
        check_unpacked((entry.file_size for entry in packed.infolist()), len(content), max_bytes)
    arrays = {name: file[name] for name in file.files}
    return arrays, json.loads(str(arrays.pop(ABOUT, "{}")))
