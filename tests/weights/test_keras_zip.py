"""Keras' .keras: a file that Keras itself wrote, and what minunet writes for it."""

import importlib.util
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from minunet import UNet
from minunet.models import UNet2015
from minunet.weights import io

h5py = pytest.importorskip("h5py")
REFERENCE = Path(__file__).parents[1] / "reference"
GENUINE = REFERENCE / "keras_small.keras"


def answers():
    """An image, and Keras' probabilities for it."""
    spec = importlib.util.spec_from_file_location("keras_cases", REFERENCE / "cases.py")
    cases = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(cases)
    with np.load(REFERENCE / "keras_small.npz") as file:
        return cases.unet_batch(count=1, size=64, dtype="float32")[0], file["output"]


@pytest.mark.parametrize("name", ["whole.keras", "alone.weights.h5"])
def test_a_file_that_keras_wrote_gives_keras_probabilities(tmp_path, name):
    path = tmp_path / name
    if name == "whole.keras":
        shutil.copy(GENUINE, path)
    else:
        path.write_bytes(zipfile.ZipFile(GENUINE).read("model.weights.h5"))
    model = io.load_model(path)
    image, expected = answers()
    assert model.options == UNet(depth=3, width=2).options
    assert np.abs(model.predict(image) - expected).max() < 1e-5
    assert expected.std() > 1e-3  # not the same everywhere: a swapped layer would show
    again = io.load(path, UNet(depth=3, width=2, seed=8))
    assert all(
        np.array_equal(a, b) for a, b in zip(again.state_dict().values(), model.state_dict().values(), strict=True)
    )


def layers_of(path):
    """{name: (class, settings that decide the numbers, [names it is connected to])} of a .keras file."""
    kept = ("filters", "kernel_size", "strides", "padding", "activation", "use_bias", "pool_size", "axis")
    found = {}
    for layer in json.loads(zipfile.ZipFile(path).read("config.json"))["config"]["layers"]:
        sources = json.dumps(layer["inbound_nodes"]).split('"keras_history": ["')[1:]
        settings = {name: value for name, value in layer["config"].items() if name in kept}
        found[layer["name"]] = layer["class_name"], settings, [source.split('"')[0] for source in sources]
    return found


def test_the_network_is_described_as_keras_describes_it(tmp_path):
    io.save(tmp_path / "ours.keras", UNet(depth=3, width=2))
    ours, theirs = layers_of(tmp_path / "ours.keras"), layers_of(GENUINE)
    for name, (kind, settings, _) in ours.items():
        if kind == "Conv2DTranspose" or name == "Conv_Out":  # "same" and "valid" are one where nothing sticks out
            settings["padding"] = "valid"
        if kind == "MaxPooling2D":  # Keras writes a number as a pair, and the stride that follows from the size
            settings.update(pool_size=[settings["pool_size"]] * 2, strides=settings["strides"] or [2, 2])
    assert ours == theirs and len(theirs) == 25


@pytest.mark.parametrize("mirror", [False, True])
def test_the_papers_network_in_keras_layers(tmp_path, mirror):
    """Keras 3.15 opened such files, and answered as minunet does to 1e-6. Mirroring is left out: Keras cannot."""
    path = tmp_path / "paper.keras"
    model = UNet2015(depth=2, width=2, activation="softmax", mirror=mirror)
    io.save(path, model)
    layers = layers_of(path)
    assert [name for name, (kind, _, _) in layers.items() if kind == "Cropping2D"] == ["Crop_2", "Crop_1"]
    configs = json.loads(zipfile.ZipFile(path).read("config.json"))["config"]
    settings = {layer["name"]: layer["config"] for layer in configs["layers"]}
    assert settings["input"]["batch_shape"] == [None, None, None, 1]
    assert settings["Crop_1"]["cropping"] == [[16, 16], [16, 16]] and settings["Crop_2"]["cropping"] == [[4, 4]] * 2
    assert layers["Concatenate_1"][2] == ["UpConv_1", "Crop_1"] and layers["Crop_1"][2] == ["Conv_Contract_1_2"]
    assert layers["Conv_Contract_1_1"][1]["padding"] == "valid" and layers["Conv_Contract_1_1"][2] == ["input"]
    assert layers["MaxPool_2"][2] == ["Conv_Contract_2_2"] and layers["UpConv_2"][2] == ["Conv_Bottom_2"]
    assert layers["Conv_Out"][1]["activation"] == "softmax" and configs["output_layers"] == ["Conv_Out", 0, 0]
    convolutions = [name for name, (kind, _, _) in layers.items() if kind == "Conv2D" and name != "Conv_Out"]
    assert {layers[name][1]["activation"] for name in convolutions} == {"relu"} and len(convolutions) == 10
    arguments = {layer["name"]: [node["args"] for node in layer["inbound_nodes"]] for layer in configs["layers"]}
    assert configs["trainable"] is True and arguments.pop("input") == []
    for name, ((first, *rest),) in arguments.items():  # Keras' Concatenate takes one list, all others take tensors
        assert isinstance(first, list if name.startswith("Concatenate") else dict) and not rest
        assert not name.startswith("Concatenate") or len(first) == 2
    again = io.load_model(path)
    assert again.options == model.options
    image = np.random.default_rng(0).uniform(0, 1, (9, 20, 1)).astype("float32")
    np.testing.assert_array_equal(again.predict(image), model.predict(image))


def test_a_network_that_minunet_cannot_build(tmp_path):
    path = tmp_path / "broken.keras"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", "{}")
    with pytest.raises(io.WeightsError, match="broken.keras is damaged or not a weights file"):
        io.load_model(path)
