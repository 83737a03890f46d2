"""Keras' .weights.h5: groups numbered by the kind of layer, in the order of the network."""

import zipfile

import numpy as np
import pytest

from minunet import UNet, nn
from minunet.weights import io

h5py = pytest.importorskip("h5py")


def test_the_groups_are_where_keras_looks_for_them(tmp_path):
    """Paths, order and axes as in a file of Keras 3.15, looked up there by hand."""
    model = UNet(depth=2, width=2, seed=1)
    io.save(tmp_path / "a.weights.h5", model)
    with h5py.File(tmp_path / "a.weights.h5") as file:
        for group, layer, kernel in [
            ("conv2d", "Conv_Down_1_1", (3, 3, 3, 2)),
            ("conv2d_1", "Conv_Down_1_2", (3, 3, 2, 2)),
            ("conv2d_4", "Conv_Bottle_1", (3, 3, 4, 8)),
            ("conv2d_10", "Conv_Out", (1, 1, 4, 1)),
            ("conv2d_transpose", "Conv_Transp_Bottle", (2, 2, 1, 8)),
            ("conv2d_transpose_1", "Conv_Transp_Up_1", (2, 2, 1, 4)),
        ]:
            variables = file[f"layers/{group}/vars"]
            assert variables.attrs["name"] == layer and list(variables) == ["0", "1"]
            assert variables["0"].shape == kernel
            assert variables["1"].shape == (model.state_dict()[f"{layer}/bias"].shape)
        assert len(file["layers"]) == 13
        np.testing.assert_array_equal(file["layers/conv2d_10/vars/0"], model.out.kernel.data)


def test_batch_norm_has_its_arrays_in_the_order_of_keras(tmp_path):
    model = UNet(depth=1, width=2, batch_norm=True, dropout=0.5)
    for i, p in enumerate((tensor for _, tensor in (*model.named_parameters(), *model.named_buffers()))):
        p.data = p.data + i if p.dtype.kind == "f" else p.data
    io.save(tmp_path / "a.weights.h5", model)
    with h5py.File(tmp_path / "a.weights.h5") as file:
        variables = file["layers/batch_normalization_1/vars"]
        assert variables.attrs["name"] == "BatchNorm_Down_1_2"
        for i, name in enumerate(("gamma", "beta", "moving_mean", "moving_variance")):
            np.testing.assert_array_equal(variables[str(i)], model.state_dict()[f"BatchNorm_Down_1_2/{name}"])
        assert "dropout" not in file["layers"]
    again = io.load_model(tmp_path / "a.weights.h5")
    image = np.random.default_rng(0).random((4, 6, 3), np.float32)
    assert again.options == model.options and np.array_equal(again.predict(image), model.predict(image))


def test_the_same_weights_give_the_same_file(tmp_path):
    for name in ("a", "b"):
        io.save(tmp_path / f"{name}.weights.h5", UNet(depth=1, width=1))
    assert (tmp_path / "a.weights.h5").read_bytes() == (tmp_path / "b.weights.h5").read_bytes()


def test_other_layers_and_shapes_are_all_named_and_nothing_is_changed(tmp_path):
    path = tmp_path / "other.weights.h5"
    io.save(path, UNet(depth=2, width=2))
    with h5py.File(path, "a") as file:
        file["layers/conv2d/vars"].attrs["name"] = "my_first"
        del file["layers/conv2d_1/vars/1"]
        del file["layers/conv2d_10/vars/0"]
        file["layers/conv2d_10/vars/0"] = np.zeros((1, 1, 4, 7), np.float32)
    model, before = UNet(depth=2, width=2, seed=9), UNet(depth=2, width=2, seed=9).state_dict()
    with pytest.raises(ValueError) as caught:
        io.load(path, model)
    for line in (
        "missing: Conv_Down_1_1/kernel",
        "missing: Conv_Down_1_1/bias",
        "unknown: my_first/kernel",
        "unknown: my_first/bias",
        "missing: Conv_Down_1_2/bias",
        "Conv_Out/kernel: the model has (1, 1, 4, 1), the file (1, 1, 4, 7)",
    ):
        assert line in str(caught.value)
    assert "6 differences" in str(caught.value)
    assert all(np.array_equal(before[name], array) for name, array in model.state_dict().items())


def test_texts_in_place_of_numbers(tmp_path):
    path = tmp_path / "a.weights.h5"
    io.save(path, UNet(depth=1, width=1))
    with h5py.File(path, "a") as file:
        del file["layers/conv2d/vars/1"]
        file["layers/conv2d/vars/1"] = ["one"]
    with pytest.raises(io.WeightsError, match="'Conv_Down_1_1/bias' holds no numbers"):
        io.load_model(path)


def test_layers_that_keras_has_no_place_for(tmp_path):
    class Twice(nn.Module):
        def __init__(self):
            self.first, self.second = nn.Conv2D(3, 2, 1), nn.Conv2D(2, 1, 1, name="second")

    with pytest.raises(ValueError, match="no place for first/kernel, first/bias"):
        io.save(tmp_path / "a.weights.h5", Twice())
    assert not list(tmp_path.iterdir())


def external_storage(file, place, secret):
    del file[place]
    with open(secret, "rb") as content:
        size = len(content.read())
    file.create_dataset(place, (size,), np.uint8, external=[(secret, 0, size)])


def virtual_dataset(file, place, secret):
    with h5py.File(f"{secret}.h5", "w") as other:
        other["numbers"] = np.arange(2.0)
    layout = h5py.VirtualLayout((2,), np.float64)
    layout[:] = h5py.VirtualSource(f"{secret}.h5", "numbers", (2,))
    del file[place]
    file.create_virtual_dataset(place, layout)


def external_link(file, place, secret):
    with h5py.File(f"{secret}.h5", "w") as other:
        other["numbers"] = np.arange(2.0)
    del file[place]
    file[place] = h5py.ExternalLink(f"{secret}.h5", "numbers")


def soft_link(file, place, secret):
    del file[place]
    file[place] = h5py.SoftLink("/layers/conv2d/vars/0")


@pytest.mark.parametrize("place", ["layers/conv2d/vars/1"])
@pytest.mark.parametrize("plant", [external_storage, virtual_dataset, external_link, soft_link])
def test_numbers_of_another_file_are_not_read(tmp_path, plant, place):
    """HDF5 reads any file of this disk if told to; its bytes would travel on in the weights that are saved next."""
    path, secret = tmp_path / "a.weights.h5", tmp_path / "secret"
    secret.write_bytes(b"a private key")
    io.save(path, UNet(depth=1, width=1))
    with h5py.File(path, "a") as file:
        plant(file, place, str(secret))
    with pytest.raises(io.WeightsError, match=rf"/{place} (is a link|has its numbers in another file)"):
        io.load_model(path)


@pytest.mark.parametrize("place", ["layers", "layers/conv2d", "layers/conv2d/vars"])
def test_groups_of_another_file_are_not_read(tmp_path, place):
    path, other = tmp_path / "a.weights.h5", tmp_path / "b.weights.h5"
    for each in (path, other):
        io.save(each, UNet(depth=1, width=1))
    with h5py.File(path, "a") as file:
        del file[place]
        file[place] = h5py.ExternalLink(str(other), place)
    with pytest.raises(io.WeightsError, match=rf"/{place} is a link"):
        io.load_model(path)


@pytest.mark.parametrize("holder, name", [("/", "minunet"), ("layers/conv2d/vars", "name")])
@pytest.mark.parametrize("value", [["a", "a"], np.zeros(9), 5])
def test_attributes_that_are_no_text(tmp_path, holder, name, value):
    path = tmp_path / "a.weights.h5"
    io.save(path, UNet(depth=1, width=1))
    with h5py.File(path, "a") as file:
        file[holder].attrs[name] = value
    with pytest.raises(io.WeightsError, match=f"its attribute {name} is no text"):
        io.load_model(path)


def test_a_group_in_place_of_an_array_and_two_layers_of_one_name(tmp_path):
    path = tmp_path / "a.weights.h5"
    io.save(path, UNet(depth=1, width=1))
    with h5py.File(path, "a") as file:
        file["layers/conv2d/vars/7"] = file["layers"]  # a link within the file, to all of it
    with pytest.raises(io.WeightsError, match="'Conv_Down_1_1/7' holds no numbers"):
        io.load_model(path)
    with h5py.File(path, "a") as file:
        del file["layers/conv2d/vars/7"]
        file["layers/conv2d_1/vars"].attrs["name"] = "Conv_Down_1_1"
    with pytest.raises(io.WeightsError, match="'Conv_Down_1_1/kernel' is there twice"):
        io.load_model(path)


def test_a_file_within_a_zip_file_unpacks_to_no_more_than_the_zip_file_may(tmp_path):
    """0.2 MB of h5 could become 32 times as much, and these 32 times as much again."""
    inside, path = tmp_path / "a.weights.h5", tmp_path / "a.keras"
    io.save(inside, UNet(depth=1, width=1))
    with h5py.File(inside, "a") as file:
        file["layers/conv2d/vars"].create_dataset("7", (70, 1 << 18), "f4", chunks=(1, 1 << 18), fillvalue=1)
        file["layers/conv2d/vars/8"] = np.zeros(1 << 20, np.float32)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.write(inside, "model.weights.h5")
    with pytest.raises(io.WeightsError, match=r"it unpacks to 7\d\.\d MB from"):
        io.load_model(path)
