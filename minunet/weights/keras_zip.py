"""What Keras 3 writes with model.save("NAME.keras"): a zip file of a whole model. Needs the package h5py.

    metadata.json      which Keras wrote it
    config.json        the layers, their settings, and what each is connected to
    model.weights.h5   the weights, see keras_h5.py

So keras.models.load_model opens it without a line of code about the network. When such a file is read, only the weights
count: minunet builds its own U-Net, and reports where the file's has other layers or shapes.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from minunet.models import SegmentationModel
from minunet.nn.summary import layer_rows
from minunet.weights import keras_h5
from minunet.weights.unpacking import check_unpacked, limit

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"


def encode(model: SegmentationModel, metadata: Mapping[str, Any]) -> bytes:
    """See minunet/weights/__init__.py. The model in Keras takes images of any size that fits the poolings.

    Keras has no layer that mirrors: a UNet2015 with mirror=True is there the same network without it.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in (
            (METADATA, json.dumps({"keras_version": "3.0.0"})),
            (CONFIG, json.dumps(config(model))),
            (WEIGHTS, keras_h5.encode(model, metadata)),
        ):
            file.writestr(zipfile.ZipInfo(name), content)  # a fresh ZipInfo has no date: same weights, same file
    return buffer.getvalue()


def decode(content: bytes, max_bytes: int | None = None) -> tuple[dict[str, NDArray], dict[str, Any]]:
    """See minunet/weights/__init__.py."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        if file.namelist().count(WEIGHTS) > 1:
            raise ValueError(f"it holds {WEIGHTS} twice")
        most = limit(len(content), max_bytes)
        check_unpacked([file.getinfo(WEIGHTS).file_size], len(content), most)
        return keras_h5.decode(file.read(WEIGHTS), most)  # of the file that came, not of the one in it


def config(model: SegmentationModel) -> dict[str, Any]:
    """Returns the network as Keras describes it, taken from what happens when it runs on an empty image."""
    side = model.smallest_side
    (first, _, shape, _, _), *rows = layer_rows(model, (side, side, model.in_channels))
    named = {layer.name: layer for layer in model.modules()}
    layers = [_layer("InputLayer", first, [], batch_shape=[None, None, None, shape[-1]], dtype="float32")]
    outputs = {first: _tensor(first, shape[-1])}
    for name, kind, shape, _, before in rows:
        tensors = [outputs[source] for source in before]
        for keras_class, its_name, settings in KERAS[kind](named[name]):
            layers.append(_layer(keras_class, its_name, [tensors] if kind == "Concatenate" else tensors, **settings))
            tensors = [_tensor(its_name, shape[-1])]
        outputs[name] = tensors[0]
    if hasattr(model, "activation"):  # of the model, not of its last layer
        layers[-1]["config"]["activation"] = model.activation
    functional = {
        "name": type(model).__name__,
        "trainable": True,
        "layers": layers,
        "input_layers": [first, 0, 0],
        "output_layers": [layers[-1]["name"], 0, 0],
    }
    return {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "config": functional,
        "registered_name": "Functional",
    }


def _convolution(keras_class, layer):
    settings = {
        "filters": layer.out_channels,
        "kernel_size": layer.kernel_size,
        "strides": layer.stride,
        "padding": layer.padding,
        "activation": layer.activation or "linear",
        "use_bias": layer.bias is not None,
    }
    return [(keras_class, layer.name, settings)]


def _pooling(layer):
    return [("MaxPooling2D", layer.name, {"pool_size": layer.size, "strides": layer.stride, "padding": layer.padding})]


def _batch_norm(layer):
    settings = {"axis": -1, "momentum": layer.momentum, "epsilon": layer.epsilon}
    activation = [("Activation", f"{layer.name}_{layer.activation}", {"activation": layer.activation})]
    return [("BatchNormalization", layer.name, settings), *(activation if layer.activation else [])]


# our class of a layer: a function from such a layer to the layers that Keras has for it, as (class, name, settings)
KERAS = {
    "Conv2D": lambda layer: _convolution("Conv2D", layer),
    "ConvTranspose2D": lambda layer: _convolution("Conv2DTranspose", layer),
    "BatchNorm": _batch_norm,
    "Dropout": lambda layer: [],  # it does nothing once the network is trained
    "Mirror": lambda layer: [],
    "CropLike": lambda layer: [],
    "Crop": lambda layer: [("Cropping2D", layer.name, {"cropping": [[layer.pixels] * 2] * 2})],
    "MaxPool2D": _pooling,
    "Concatenate": lambda layer: [("Concatenate", layer.name, {"axis": layer.axis})],
}


def _layer(keras_class, name, arguments, **settings):
    nodes = [{"args": arguments, "kwargs": {}}] if arguments else []
    return {
        "module": "keras.layers",
        "class_name": keras_class,
        "config": {"name": name, **settings},
        "registered_name": None,
        "name": name,
        "inbound_nodes": nodes,
    }


def _tensor(source, channels):
    """The output of the layer called `source`, as an argument of the next."""
    place = {"shape": [None, None, None, channels], "dtype": "float32", "keras_history": [source, 0, 0]}
    return {"class_name": "__keras_tensor__", "config": place}
