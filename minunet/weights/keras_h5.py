"""What Keras 3 writes with model.save_weights("NAME.weights.h5"): an HDF5 file. Needs the package h5py.

    layers/conv2d/vars            attribute name = "Conv_Down_1_1"
    layers/conv2d/vars/0          the kernel
    layers/conv2d/vars/1          the bias
    layers/conv2d_1/vars          attribute name = "Conv_Down_1_2"
    layers/conv2d_transpose/vars  …

Keras finds a layer's weights by counting layers of its class in the order of the network: the third Conv2D is conv2d_2,
whatever its name. minunet finds them by the layer's own name, which is in the attribute. Arrays need no transposing,
since minunet uses Keras' order of axes. The metadata is an attribute of the whole file, which Keras ignores.
"""

import io
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minunet.nn import Module

ABOUT = "minunet"
# our class of a layer: Keras' name for its group, and its arrays in Keras' order
GROUPS = {
    "Conv2D": ("conv2d", ("kernel", "bias")),
    "ConvTranspose2D": ("conv2d_transpose", ("kernel", "bias")),
    "BatchNorm": ("batch_normalization", ("gamma", "beta", "moving_mean", "moving_variance")),
}
ARRAYS = dict(GROUPS.values())


def encode(model: Module, metadata: Mapping[str, Any]) -> bytes:
    """See minunet/weights/__init__.py. Raises ValueError for a layer that has no counterpart in Keras."""
    import h5py

    counts: Counter[str] = Counter()
    random_states = dict(model.named_random_states())
    arrays = {name: array for name, array in model.state_dict().items() if name not in random_states}
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs[ABOUT] = json.dumps(metadata)
        for layer in model.modules():
            names = [name for name in arrays if name.rpartition("/")[0] == layer.name]
            if not names:
                continue
            if type(layer).__name__ not in GROUPS:
                raise ValueError(
                    f"the layer {layer.name}, a {type(layer).__name__}, has no counterpart in a Keras file"
                )
            group, order = GROUPS[type(layer).__name__]
            place = f"layers/{group}_{counts[group]}" if counts[group] else f"layers/{group}"
            counts[group] += 1
            variables = file.create_group(f"{place}/vars")
            variables.attrs["name"] = layer.name
            for i, name in enumerate(f"{layer.name}/{kind}" for kind in order if f"{layer.name}/{kind}" in names):
                variables[str(i)] = arrays.pop(name)
    if arrays:
        raise ValueError(f"a Keras file has no place for {', '.join(arrays)}: give the layers names")
    return buffer.getvalue()


def decode(content: bytes) -> tuple[dict[str, NDArray], dict[str, Any]]:
    """See minunet/weights/__init__.py."""
    import h5py

    arrays = {}
    with h5py.File(io.BytesIO(content), "r") as file:
        for place, group in file["layers"].items():
            variables = group["vars"]
            kind = place.rstrip("0123456789").rstrip("_")
            names = ARRAYS.get(kind, ())
            for i, array in variables.items():
                name = names[int(i)] if int(i) < len(names) else i
                arrays[f"{variables.attrs.get('name', place)}/{name}"] = np.asarray(array)
        return arrays, json.loads(file.attrs.get(ABOUT, "{}"))
