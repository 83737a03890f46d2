"""NumPy's own format: a zip file with one .npy file per array. `about` is an entry of that name, JSON as text.

Entries whose names begin with "training/" are no weights: a run keeps there what it needs to go on. No pickle is loaded.
"""

import io
import json

import numpy as np

ABOUT = "about"
TRAINING = "training/"


def encode(arrays, about):
    """See minunet/weights/__init__.py."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays, **{ABOUT: np.array(json.dumps(about))})
    return buffer.getvalue()


def decode(content):
    """See minunet/weights/__init__.py."""
    arrays = decode_all(content)
    about = json.loads(str(arrays.pop(ABOUT, "{}")))
    return {name: array for name, array in arrays.items() if not name.startswith(TRAINING)}, about


def decode_all(content):
    """{name: array} of all entries."""
    file = np.load(io.BytesIO(content), allow_pickle=False)  # not of a path: NumPy leaves a damaged file open
    if not isinstance(file, np.lib.npyio.NpzFile):
        raise ValueError("a single array")
    return {name: file[name] for name in file.files}
