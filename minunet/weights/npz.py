"""NumPy's own format: a zip file with one .npy file per array. `about` is an entry of that name, JSON as
text.

Entries whose names begin with "training/" are no weights: a run keeps there what it needs to go on. No pickle
is loaded.
"""

import io
import json

import numpy as np

ABOUT = "about"
TRAINING = "training/"


def encode(model, about):
    """See minunet/weights/__init__.py."""
    return encode_arrays(model.state_dict(), about)


def encode_arrays(arrays, about):
    """Bytes of a file with {name: array} and `about`."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays, **{ABOUT: np.array(json.dumps(about))})
    return buffer.getvalue()


def decode(content):
    """See minunet/weights/__init__.py."""
    arrays, about = decode_arrays(content)
    return {name: array for name, array in arrays.items() if not name.startswith(TRAINING)}, about


def decode_arrays(content):
    """({name: array}, about) of all entries, those of a run too."""
    file = np.load(io.BytesIO(content), allow_pickle=False)  # not of a path: NumPy leaves a damaged file open
    if not isinstance(file, np.lib.npyio.NpzFile):
        raise ValueError("a single array")
    arrays = {name: file[name] for name in file.files}
    return arrays, json.loads(str(arrays.pop(ABOUT, "{}")))
