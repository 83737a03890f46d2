"""Weights on disk: a NumPy .npz file with one array per parameter, readable by anything that reads NumPy files.

At every moment the file's name stands for a whole file, the old one or the new one (files.py).
"""

import io
from pathlib import Path

import numpy as np

from minunet.files import write_whole


class CheckpointError(ValueError):
    """A weights file that cannot be used; the message says which and why."""


def save(path, model):
    """Writes the parameters of `model` to `path`, whole or not at all. Raises OSError where that cannot be done."""
    buffer = io.BytesIO()
    np.savez(buffer, **model.state_dict())
    write_whole(path, buffer.getvalue())


def load(path, model):
    """Reads the parameters of `model` from `path`, and returns the model.

    Raises FileNotFoundError; CheckpointError for a file that is damaged or not of weights; ValueError, with all differences
    listed, for weights of another model. The model is changed only if all fits. No pickle is ever loaded.
    """
    model.load_state_dict(read_arrays(path))
    return model


def read_arrays(path):
    """{name: array} of an .npz file. Raises FileNotFoundError or CheckpointError."""
    try:
        content = io.BytesIO(Path(path).read_bytes())  # not np.load(path): it leaves a damaged file open
        file = np.load(content, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise ValueError("a single array")
        return {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise
    except Exception as error:  # a damaged zip file can raise nearly anything
        raise CheckpointError(f"{path} is damaged or not a weights file ({error}): give a file made by minunet.save") from error
