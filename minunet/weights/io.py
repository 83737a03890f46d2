"""Saving and loading weights. The suffix of the file's name decides the format:

    .npz            NumPy's, readable by anything that reads NumPy files; also where the name has no suffix
    .safetensors    quick to load and widely read (pip install safetensors)
    .weights.h5     the weights alone, as Keras 3 saves them (pip install h5py)
    .keras          a whole model that Keras 3 opens by itself (pip install h5py)

At every moment the file's name stands for a complete file, the old one or the new one (files.py).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from minunet.files import atomic_write
from minunet.inputs import read_file, user_path
from minunet.models import SegmentationModel, UNet, UNet2015
from minunet.nn import Module
from minunet.weights import keras_h5, keras_zip, npz, safetensors
from minunet.weights.unpacking import LARGEST

FORMATS = {".npz": npz, ".safetensors": safetensors, ".weights.h5": keras_h5, ".keras": keras_zip}

# our class of a network: how the names of its encoder's convolutions begin, by which its files are recognized
NETWORKS: dict[type[SegmentationModel], str] = {UNet: "Conv_Down_", UNet2015: "Conv_Contract_"}

# the names of the two convolutions at the bottom, without _1 and _2
BOTTOMS: dict[type[SegmentationModel], str] = {UNet: "Conv_Bottle", UNet2015: "Conv_Bottom"}

AnyModule = TypeVar("AnyModule", bound=Module)


class WeightsError(ValueError):
    """A weights file that cannot be used; the message says which and why."""


class Weights(NamedTuple):
    """What a weights file holds: {name: array}, and what it says about itself (`save` says what that is)."""

    path: Path
    arrays: dict[str, NDArray]
    metadata: dict[str, Any]


def save(path: str | Path, model: Module, metadata: Mapping[str, Any] | None = None) -> None:
    """Writes the weights of `model` to `path`, completely or not at all.

    metadata: what else the file is to say about itself, a dict for JSON; the model's class and options are added.
    Raises WeightsError for a suffix of no known format, and where a package for it is missing; ValueError for a model
    that the format cannot hold; OSError where the file cannot be written.
    """
    try:
        content = _format(path).encode(model, {**(metadata or {}), **describe(model)})
    except ModuleNotFoundError as error:
        raise _missing(path, error) from error
    atomic_write(path, content)


def describe(model: Module) -> dict[str, Any]:
    """Returns what every weights file says about its model."""
    return {"model": type(model).__name__, "options": getattr(model, "options", {})}


def load(path: str | Path, model: AnyModule, max_bytes: int | None = None) -> AnyModule:
    """Reads the weights of `model` from `path`, and returns the model.

    Raises FileNotFoundError; WeightsError for a file that is damaged or not of weights; ValueError, which lists all
    differences, for weights of another model. The model is changed only if everything fits. No pickle is ever loaded.
    max_bytes: what the file may unpack to; by default a rule decides (unpacking.py).
    """
    _fill(model, read(path, max_bytes).arrays)
    return model


def load_model(path: str | Path, max_bytes: int | None = None) -> SegmentationModel:
    """Returns a UNet or UNet2015 as the file at `path` describes it, with its weights, ready to predict (in eval mode).

    Where the file has no metadata, the network and its options are read off the names and shapes of its arrays.
    Raises FileNotFoundError; WeightsError for a file that is damaged or not of such a network.
    max_bytes: as in `load`.
    """
    return build(read(path, max_bytes))


def build(weights: Weights) -> SegmentationModel:
    """Returns the network that was read from a file. Raises as `load_model`."""
    path, arrays, metadata = weights
    network, seen = _options_seen(path, arrays)
    name, told = network.__name__, metadata.get("options", {})
    if not isinstance(told, dict) or any(told.get(option, value) != value for option, value in seen.items()):
        raise WeightsError(f"{path} contradicts itself: it says {told}, but its arrays are of a {name} with {seen}")
    if metadata.get("model", name) != name:
        raise WeightsError(f"{path} contradicts itself: it says {metadata['model']!r}, but its arrays are of a {name}")
    one_class = network is UNet2015 and seen["out_channels"] == 1
    assumed = {"activation": "sigmoid"} if one_class else {}  # softmax, its default, needs two
    try:
        model = network(**{**assumed, **seen, **told})
        _fill(model, arrays)
    except (TypeError, ValueError) as error:
        raise WeightsError(f"{path} holds no {name} that can be built here: {error}") from error
    return model.eval()


def read(path: str | Path, max_bytes: int | None = None) -> Weights:
    """Returns the Weights in the file at `path`. Raises FileNotFoundError or WeightsError."""
    return _read(user_path(path), _format(path).decode, "fiub", max_bytes)


def read_arrays(path: str | Path) -> dict[str, NDArray]:
    """Returns {name: array} of all that an .npz file holds besides the metadata. Raises as `read`.

    It is the file of a run's folder, which may come from anybody: it must not be a link.
    """
    return _read(user_path(path), npz.decode_arrays, "fiubU", links=False).arrays


def _fill(model, arrays):
    """Loads the weights. A random state that the file lacks stays as it is: it is not a weight."""
    states = {name: state.data for name, state in model.named_random_states()}
    model.load_state_dict({**states, **arrays})


def _options_seen(path, arrays):
    """The class of a network, and those of its options that show in the names and shapes of its arrays."""
    last = np.shape(arrays.get("Conv_Out/kernel"))
    for network, prefix in NETWORKS.items():
        first = np.shape(arrays.get(f"{prefix}1_1/kernel"))
        if len(first) == len(last) == 4:
            depth = sum(name.startswith(prefix) and name.endswith("_1/kernel") for name in arrays)
            norm = {"batch_norm": True} if any(name.endswith("/moving_mean") for name in arrays) else {}
            seen = {"in_channels": first[2], "out_channels": last[3], "depth": depth, "width": first[3], **norm}
            _check_shapes(path, arrays, prefix, BOTTOMS[network], **seen)
            return network, seen
    known = " or ".join(network.__name__ for network in NETWORKS)
    convolutions = " nor ".join(f"{prefix}1_1/kernel" for prefix in NETWORKS.values())
    raise WeightsError(f"{path} holds no weights of a {known}: it has neither {convolutions}, or no Conv_Out/kernel")


def _check_shapes(path, arrays, prefix, bottom, in_channels, depth, width, **_):
    """Raises WeightsError unless the encoder's kernels have the shapes that width and depth ask for.

    They are compared before a network is built: names cost nothing, and thirty of them count up to a network that no
    memory holds. What holds the encoder has about a fifth of all weights.
    """
    before = in_channels
    for level in range(1, depth + 2):
        after = width * 2 ** (level - 1)
        block = bottom if level > depth else f"{prefix}{level}"
        for name, shape in ((f"{block}_1/kernel", (3, 3, before, after)), (f"{block}_2/kernel", (3, 3, after, after))):
            if name not in arrays or np.shape(arrays[name]) != shape:
                found = f"has shape {np.shape(arrays[name])}" if name in arrays else "is missing"
                raise WeightsError(
                    f"{path} cannot be of a network with {depth} levels and {width} filters on the first: "
                    f"{name} {found}, its shape must be {shape}"
                )
        before = after


def _read(path, decode, kinds, max_bytes=None, links=True):
    try:
        content = read_file(path, LARGEST if max_bytes is None else max(LARGEST, max_bytes), links)
        arrays, metadata = decode(content, max_bytes)
        if not isinstance(metadata, dict):
            raise ValueError(f"its metadata is {metadata!r:.40}")
        if wrong := [name for name, array in arrays.items() if array.dtype.kind not in kinds]:
            raise ValueError(f"{wrong[0]!r} holds no numbers")
        return Weights(path, arrays, metadata)
    except FileNotFoundError:
        raise
    except ModuleNotFoundError as error:
        raise _missing(path, error) from error
    except Exception as error:  # a damaged file can raise nearly anything
        raise WeightsError(
            f"{path} is damaged or not a weights file ({error}): it must be a file made by minunet.save"
        ) from error


def _format(path):
    """The module for the format of the file called `path`. Raises WeightsError for a suffix of none of them."""
    name = Path(path).name.lower()
    found = [suffix for suffix in FORMATS if name.endswith(suffix)]
    if not found and Path(path).suffix:
        known = ", ".join("*" + suffix for suffix in FORMATS)
        raise WeightsError(f"{path} is not named like a weights file: it must be one of {known}")
    return FORMATS[found[0]] if found else npz


def _missing(path, error):
    package = error.name.partition(".")[0]
    return WeightsError(f"{path}: this format needs the package {package}: pip install {package}")
