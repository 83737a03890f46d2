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
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minunet.inputs import parse_json
from minunet.nn import Module
from minunet.weights.unpacking import check_unpacked

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


def decode(content: bytes, max_bytes: int | None = None) -> tuple[dict[str, NDArray], dict[str, Any]]:
    """See minunet/weights/__init__.py."""
    import h5py

    datasets = {}
    with h5py.File(io.BytesIO(content), "r") as file:
        for place, group in _inside(_member(file, "layers")):
            variables = _member(group, "vars")
            kind = place.rstrip("0123456789").rstrip("_")
            names = ARRAYS.get(kind, ())
            for i, array in _inside(variables):
                name = names[int(i)] if i.isdecimal() and int(i) < len(names) else i
                full = f"{_text(variables, 'name', place)}/{name}"
                if full in datasets:
                    raise ValueError(f"{full!r} is there twice")
                if not isinstance(array, h5py.Dataset) or array.dtype.kind not in "fiub":
                    raise ValueError(f"{full!r} holds no numbers")
                datasets[full] = array
        check_unpacked((each.nbytes for each in datasets.values()), len(content), max_bytes)
        arrays = {name: np.asarray(each) for name, each in datasets.items()}
        return arrays, parse_json(_text(file, ABOUT, "{}"))


def _text(holder: Any, name: str, default: str) -> str:
    """Returns an attribute that is one text. Raises ValueError for another: an array repeats one text without end."""
    if name not in holder.attrs:
        return default
    attribute = holder.attrs.get_id(name)
    text = holder.attrs[name] if attribute.shape == () and attribute.dtype.kind in "OSU" else None
    if isinstance(text, bytes):  # a text of fixed length
        text = text.decode("utf-8")
    if not isinstance(text, str):
        raise ValueError(f"its attribute {name} is no text")
    return text


def _inside(group: Any) -> Iterator[tuple[str, Any]]:
    """Yields (name, group or dataset) for all that lies in the group itself. Raises ValueError as `_member`."""
    return ((name, _member(group, name)) for name in group)


def _member(group: Any, name: str) -> Any:
    """Returns group[name]. Raises ValueError for what HDF5 would read from another file: it may be any on this disk."""
    import h5py

    place = f"{group.name.rstrip('/')}/{name}"
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"{place} is a link, which may lead to another file: weights lie in the file itself")
    member = group[name]
    if isinstance(member, h5py.Dataset) and (member.external or member.is_virtual):
        raise ValueError(f"{place} has its numbers in another file: weights lie in the file itself")
    return member
