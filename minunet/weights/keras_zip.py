"""What Keras 3 writes with model.save("NAME.keras"): a zip file of a whole model. Needs the package h5py.

    metadata.json      which Keras wrote it
    config.json        the layers, their settings, and what each is connected to
    model.weights.h5   the weights, see keras_h5.py

So keras.models.load_model opens it without a line of code about the network. Read, only the weights count: minunet builds
its own U-Net, and says so where theirs has other layers or shapes.
"""

import io
import json
import zipfile

from minunet.summary import layer_rows
from minunet.weights import keras_h5

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"


def encode(model, about):
    """See minunet/weights/__init__.py. `model` is a UNet; the pictures that Keras' model takes may be of any size."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in ((METADATA, json.dumps({"keras_version": "3.0.0"})), (CONFIG, json.dumps(config(model))),
                              (WEIGHTS, keras_h5.encode(model, about))):
            file.writestr(zipfile.ZipInfo(name), content)  # a ZipInfo of its own has no date: same weights, same file
    return buffer.getvalue()


def decode(content):
    """See minunet/weights/__init__.py."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        return keras_h5.decode(file.read(WEIGHTS))


def config(model):
    """The network as Keras describes it, taken from what happens when it runs on an empty picture."""
    side = 2**model.depth
    named = {layer.name: layer for layer in model.modules()}
    layers, channels = [], {}
    for name, kind, shape, _, before in layer_rows(model, (side, side, model.in_channels)):
        channels[name] = shape[-1]
        if kind == "Input":
            layers.append(_layer("InputLayer", name, [], batch_shape=[None, None, None, shape[-1]], dtype="float32"))
            continue
        keras_class, settings = KERAS[kind](named[name])
        tensors = [_tensor(source, channels[source]) for source in before]
        layers.append(_layer(keras_class, name, [tensors] if kind == "Concatenate" else tensors, **settings))
    first, last = layers[0]["name"], layers[-1]["name"]
    functional = {"name": type(model).__name__, "trainable": True, "layers": layers,
                  "input_layers": [first, 0, 0], "output_layers": [last, 0, 0]}
    return {"module": "keras.src.models.functional", "class_name": "Functional", "config": functional,
            "registered_name": "Functional"}


def _convolution(keras_class):
    def describe(layer):
        return keras_class, {"filters": layer.out_channels, "kernel_size": layer.kernel_size, "strides": layer.stride,
                             "padding": layer.padding, "activation": layer.activation or "linear",
                             "use_bias": layer.bias is not None}

    return describe


# a layer's class here: Keras' class, and its settings there
KERAS = {
    "Conv2D": _convolution("Conv2D"),
    "ConvTranspose2D": _convolution("Conv2DTranspose"),
    "MaxPool2D": lambda layer: ("MaxPooling2D", {"pool_size": layer.size, "strides": layer.stride, "padding": layer.padding}),
    "Concatenate": lambda layer: ("Concatenate", {"axis": layer.axis}),
}


def _layer(keras_class, name, arguments, **settings):
    nodes = [{"args": arguments, "kwargs": {}}] if arguments else []
    return {"module": "keras.layers", "class_name": keras_class, "config": {"name": name, **settings},
            "registered_name": None, "name": name, "inbound_nodes": nodes}


def _tensor(source, channels):
    """The output of the layer called `source`, as an argument of the next."""
    place = {"shape": [None, None, None, channels], "dtype": "float32", "keras_history": [source, 0, 0]}
    return {"class_name": "__keras_tensor__", "config": place}
