"""Weights on disk: the suffix of the file's name decides the format.

    .npz            NumPy's, readable by anything that reads NumPy files; also where the name has no suffix
    .safetensors    quick to load and widely read (pip install safetensors)
    .weights.h5     the weights alone, as Keras 3 keeps them (pip install h5py)
    .keras          a whole model that Keras 3 opens by itself (pip install h5py)

At every moment the file's name stands for a whole file, the old one or the new one (files.py).
"""

from pathlib import Path

import numpy as np

from minunet.files import atomic_write
from minunet.models.unet import UNet
from minunet.weights import keras_h5, keras_zip, npz, safetensors

FORMATS = {".npz": npz, ".safetensors": safetensors, ".weights.h5": keras_h5, ".keras": keras_zip}


class CheckpointError(ValueError):
    """A weights file that cannot be used; the message says which and why."""


def save(path, model, about=None):
    """Writes the weights of `model` to `path`, whole or not at all.

    about: what the file shall say about itself besides, a dict for JSON; the model's class and options are
    added.
    Raises CheckpointError for a suffix that stands for no format, and where a package for it is missing;
    ValueError for a model that the format cannot hold; OSError where the file cannot be written.
    """
    try:
        content = _format(path).encode(model, {**(about or {}), **describe(model)})
    except ModuleNotFoundError as error:
        raise _missing(path, error) from error
    atomic_write(path, content)


def describe(model):
    """What every weights file says about its model."""
    return {"model": type(model).__name__, "options": getattr(model, "options", {})}


def load(path, model):
    """Reads the weights of `model` from `path`, and returns the model.

    Raises FileNotFoundError; CheckpointError for a file that is damaged or not of weights; ValueError, with
    all differences listed, for weights of another model. The model is changed only if all fits. No pickle is
    ever loaded.
    """
    _fill(model, _read(path)[0])
    return model


def _fill(model, arrays):
    """Loads the weights. A random state that the file lacks stays as it is: it is not a weight."""
    states = {name: state.data for name, state in model.named_random_states()}
    model.load_state_dict({**states, **arrays})


def read_about(path):
    """What the file says about itself, a dict: "model", "options", and what was given to `save`; {} if
    nothing.

    Raises FileNotFoundError or CheckpointError.
    """
    return _read(path)[1]


def load_model(path):
    """A UNet as the file at `path` describes it, with its weights, ready to predict (in eval mode).

    A file that says nothing about itself is read from the shapes of its arrays.
    Raises FileNotFoundError; CheckpointError for a file that is damaged or not of a UNet.
    """
    arrays, about = _read(path)
    seen, told = _options_seen(path, arrays), about.get("options", {})
    if not isinstance(told, dict) or any(told.get(name, value) != value for name, value in seen.items()):
        raise CheckpointError(f"{path} contradicts itself: it says {told}, but its arrays are of a UNet with {seen}")
    try:
        model = UNet(**{**seen, **told})
        _fill(model, arrays)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path} holds no UNet that can be built here: {error}") from error
    return model.eval()


def _options_seen(path, arrays):
    """The options of a UNet that show in the names and shapes of its arrays."""
    first, last = (np.shape(arrays.get(f"{name}/kernel")) for name in ("Conv_Down_1_1", "Conv_Out"))
    if len(first) != 4 or len(last) != 4:
        raise CheckpointError(
            f"{path} holds no weights of a UNet: it has no Conv_Down_1_1/kernel or no Conv_Out/kernel"
        )
    depth = sum(name.startswith("Conv_Down_") and name.endswith("_1/kernel") for name in arrays)
    norm = {"batch_norm": True} if any(name.endswith("/moving_mean") for name in arrays) else {}
    return {"in_channels": first[2], "out_channels": last[3], "depth": depth, "width": first[3], **norm}


def read_arrays(path):
    """{name: array} of an .npz file, all that it holds besides "about". Raises FileNotFoundError or
    CheckpointError."""
    return _read(path, npz.decode_arrays, kinds="fiubU")[0]


def _read(path, decode=None, kinds="fiub"):
    """({name: array}, about) of a weights file. Raises FileNotFoundError or CheckpointError."""
    decode = decode or _format(path).decode
    try:
        arrays, about = decode(Path(path).read_bytes())
        if not isinstance(about, dict):
            raise ValueError(f"it describes itself as {about!r:.40}")
        if wrong := [name for name, array in arrays.items() if array.dtype.kind not in kinds]:
            raise ValueError(f"{wrong[0]!r} holds no numbers")
        return arrays, about
    except FileNotFoundError:
        raise
    except ModuleNotFoundError as error:
        raise _missing(path, error) from error
    except Exception as error:  # a damaged file can raise nearly anything
        message = f"{path} is damaged or not a weights file ({error}): give a file made by minunet.save"
        raise CheckpointError(message) from error


def _format(path):
    """The module for the format of the file called `path`. Raises CheckpointError for a suffix of none of
    them."""
    name = Path(path).name.lower()
    found = [suffix for suffix in FORMATS if name.endswith(suffix)]
    if not found and Path(path).suffix:
        raise CheckpointError(
            f"{path}: weights are kept in files called {', '.join('*' + suffix for suffix in FORMATS)}"
        )
    return FORMATS[found[0]] if found else npz


def _missing(path, error):
    package = error.name.partition(".")[0]
    return CheckpointError(f"{path}: this kind of file needs the package {package}: pip install {package}")
