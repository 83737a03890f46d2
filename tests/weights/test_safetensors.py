"""The safetensors format, beside the library that defines it."""

import numpy as np
import pytest

from minunet import UNet
from minunet.weights import io

library = pytest.importorskip("safetensors")
numpy_side = pytest.importorskip("safetensors.numpy")


def test_the_library_reads_what_minunet_wrote(tmp_path):
    model = UNet(depth=1, width=2, seed=3)
    io.save(tmp_path / "a.safetensors", model, {"image_size": 64})
    arrays = numpy_side.load_file(tmp_path / "a.safetensors")
    assert set(arrays) == set(model.state_dict())
    np.testing.assert_array_equal(arrays["Conv_Out/kernel"], model.out.kernel.data)
    with library.safe_open(tmp_path / "a.safetensors", framework="numpy") as file:
        assert '"image_size": 64' in file.metadata()["about"]


def test_minunet_reads_what_the_library_wrote(tmp_path):
    model = UNet(depth=2, width=3, seed=4)
    numpy_side.save_file(model.state_dict(), tmp_path / "a.safetensors")  # without a word about the model
    assert io.read(tmp_path / "a.safetensors").metadata == {}
    loaded = io.load_model(tmp_path / "a.safetensors")
    assert loaded.options == model.options
    assert all(
        np.array_equal(a, b) for a, b in zip(loaded.state_dict().values(), model.state_dict().values(), strict=True)
    )
