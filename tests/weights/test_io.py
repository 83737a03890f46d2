"""Weights on disk: there and back, and every way in which a file can be broken."""

import os
import pickle
import sys
import zipfile
from io import BytesIO

import numpy as np
import pytest

import minunet
from minunet import UNet, nn
from minunet.models import UNet2015
from minunet.weights import io
from minunet.weights.io import WeightsError


def small(seed=0):
    return UNet(depth=1, width=1, seed=seed)


def same(a, b):
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(np.array_equal(x, y) for x, y in pairs)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "weights.npz"
    minunet.save(path, small(seed=1))
    return path


def test_there_and_back(path):
    model = small(seed=2)
    assert not same(model, small(seed=1))
    assert minunet.load(path, model) is model
    assert same(model, small(seed=1))
    assert same(minunet.load(str(path), small(seed=2)), small(seed=1))


def test_the_file_has_the_name_that_was_asked_for(tmp_path):
    minunet.save(tmp_path / "best", small())
    assert os.listdir(tmp_path) == ["best"]
    minunet.load(tmp_path / "best", small(seed=1))


def test_anything_that_reads_numpy_files_can_read_it(path):
    with np.load(path, allow_pickle=False) as file:
        assert set(file.files) == {*small().state_dict(), "about"}
        np.testing.assert_array_equal(file["Conv_Out/kernel"], small(seed=1).out.kernel.data)
        assert file["Conv_Out/kernel"].dtype == np.float32


def test_weights_from_another_device_and_type(path, xp_array):
    device = minunet.Tensor(xp_array(np.ones(1))).device
    model = minunet.load(path, small().to(device))
    assert model.device == device and same(model, small(seed=1))
    minunet.save(path, model)
    assert same(minunet.load(path, small()), small(seed=1))


def test_writing_that_fails_leaves_the_old_file(path, monkeypatch):
    def disk_full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", disk_full)
    with pytest.raises(OSError, match="No space left"):
        minunet.save(path, small(seed=3))
    assert same(minunet.load(path, small()), small(seed=1))
    assert os.listdir(path.parent) == [path.name]


def test_weights_of_another_model(path):
    model = UNet(depth=1, width=2, seed=5)
    with pytest.raises(ValueError, match="do not fit the model") as caught:
        minunet.load(path, model)
    assert not isinstance(caught.value, WeightsError)
    assert "Conv_Down_1_1/kernel: the model has (3, 3, 3, 2), the file (3, 3, 3, 1)" in str(caught.value)
    assert same(model, UNet(depth=1, width=2, seed=5))
    with pytest.raises(ValueError, match="missing: Conv_Down_2_1/kernel"):
        minunet.load(path, UNet(depth=2, width=1))


# ---- what a file says about itself, and which format it has -------------------------------------------------

PACKAGES = {".npz": "numpy", ".safetensors": "safetensors", ".weights.h5": "h5py", ".keras": "h5py"}
SUFFIXES = pytest.mark.parametrize("suffix", PACKAGES)


@SUFFIXES
def test_a_model_is_built_again_from_its_file_alone(tmp_path, suffix):
    pytest.importorskip(PACKAGES[suffix])
    path = tmp_path / f"with space ü{suffix}"
    model = UNet(in_channels=2, out_channels=3, depth=2, width=3, seed=1)
    minunet.save(path, model, {"image_size": 64, "threshold": 0.5})
    again = io.load_model(path)
    assert (again.in_channels, again.out_channels, again.depth, again.width) == (2, 3, 2, 3) and same(again, model)
    assert again.options == model.options
    assert not again.training
    assert io.read(path).metadata == {
        "image_size": 64,
        "threshold": 0.5,
        "model": "UNet",
        "options": model.options,
    }
    assert os.listdir(tmp_path) == [path.name]


@SUFFIXES
def test_a_package_that_is_missing_is_named_with_the_command(tmp_path, suffix, monkeypatch):
    if suffix == ".npz":
        pytest.skip("needs nothing but NumPy")
    pytest.importorskip(PACKAGES[suffix])
    minunet.save(tmp_path / f"there{suffix}", small())
    for name in ("h5py", "safetensors", "safetensors.numpy"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(WeightsError, match=f"pip install {PACKAGES[suffix]}$"):
        minunet.save(tmp_path / f"new{suffix}", small())
    with pytest.raises(WeightsError, match=f"pip install {PACKAGES[suffix]}$"):
        minunet.load(tmp_path / f"there{suffix}", small())
    assert os.listdir(tmp_path) == [f"there{suffix}"]


@SUFFIXES
def test_damaged_files_of_every_format(tmp_path, suffix):
    pytest.importorskip(PACKAGES[suffix])
    path = tmp_path / f"weights{suffix}"
    minunet.save(path, small())
    content = path.read_bytes()
    for damaged in (b"", b"hello", content[: len(content) // 2], bytes(len(content))):
        path.write_bytes(damaged)
        refused(path)


def test_without_metadata_a_model_is_built_from_the_shapes_of_its_arrays(path):
    model = UNet(in_channels=4, depth=3, width=2, seed=1, batch_norm=True)
    np.savez(path, **model.state_dict())
    assert io.read(path).metadata == {}
    assert io.load_model(path).options == model.options


@SUFFIXES
def test_the_papers_network_is_built_again_from_its_file_alone(tmp_path, suffix):
    pytest.importorskip(PACKAGES[suffix])
    options = {"in_channels": 3, "out_channels": 4, "depth": 2, "width": 3, "dropout": 0.25, "batch_norm": True}
    model = UNet2015(**options, activation="linear", mirror=True, seed=5)
    minunet.save(tmp_path / f"paper{suffix}", model)
    again = minunet.load_model(tmp_path / f"paper{suffix}")
    assert type(again) is UNet2015 and again.options == model.options and not again.training
    image = np.random.default_rng(0).integers(0, 256, (6, 30, 3)).astype("uint8")
    np.testing.assert_array_equal(again.predict(image), model.predict(image))


@pytest.mark.parametrize("out_channels, activation", [(2, "softmax"), (1, "sigmoid")])
def test_without_metadata_the_papers_network_is_recognized_by_its_names(path, out_channels, activation):
    model = UNet2015(in_channels=2, out_channels=out_channels, depth=1, width=2, activation=activation)
    np.savez(path, **model.state_dict())
    again = minunet.load_model(path)
    assert type(again) is UNet2015 and again.options == model.options
    weights = {name: array for name, array in model.state_dict().items() if not name.endswith("random_state")}
    np.savez(path, **weights)
    assert type(minunet.load_model(path)) is UNet2015


def test_a_file_that_is_of_another_network_than_it_says(path):
    model = UNet2015(depth=1, width=1)
    about = '{"model": "UNet", "options": {}}'
    np.savez(path, about=np.array(about), **model.state_dict())
    with pytest.raises(WeightsError, match="contradicts itself: it says 'UNet', but its arrays are of a UNet2015"):
        minunet.load_model(path)
    np.savez(path, about=np.array('{"options": {"activation": "tanh"}}'), **model.state_dict())
    with pytest.raises(WeightsError, match="holds no UNet2015 that can be built here: .*activation is 'tanh'"):
        minunet.load_model(path)
    minunet.save(path, model)
    with pytest.raises(ValueError, match="unknown: Conv_Contract_1_1/kernel"):
        minunet.load(path, UNet(depth=1, width=1))


def test_a_suffix_of_no_format(tmp_path):
    for do in (
        lambda path: minunet.save(path, small()),
        lambda path: minunet.load(path, small()),
        io.load_model,
    ):
        with pytest.raises(
            WeightsError,
            match=r"a\.pth is not named like a weights file: .*\*\.npz, \*\.safetensors, \*\.weights\.h5, \*\.keras",
        ):
            do(tmp_path / "a.pth")
    assert not list(tmp_path.iterdir())


def test_a_module_without_options_is_saved_too(tmp_path):
    layer = nn.Conv2D(1, 1, 1, name="only")
    minunet.save(tmp_path / "a.npz", layer)
    assert io.read(tmp_path / "a.npz").metadata == {"model": "Conv2D", "options": {}}
    with pytest.raises(WeightsError, match="no weights of a UNet"):
        io.load_model(tmp_path / "a.npz")


@pytest.mark.parametrize(
    "about, message",
    [
        ('{"options": {"depth": 30}}', "contradicts itself: .*30.* but its arrays are of"),
        ('{"options": {"color": "red"}}', "no UNet that can be built here: .*color"),
        ('{"options": 3}', "contradicts itself"),
        ("[1, 2]", "its metadata is"),
        ("{", "damaged"),
    ],
)
def test_a_file_that_contradicts_itself(path, about, message):
    np.savez(path, about=np.array(about), **small().state_dict())
    with pytest.raises(WeightsError, match=message):
        io.load_model(path)


# ---- files that cannot be used -----------------------------------------------------------------------------


def refused(path):
    """load() raises WeightsError, names the file, and leaves the model as it is."""
    model = small(seed=7)
    with pytest.raises(WeightsError, match="weights") as caught:
        minunet.load(path, model)
    assert str(path) in str(caught.value)
    assert same(model, small(seed=7))


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        minunet.load(tmp_path / "nothing.npz", small())


def test_a_folder(tmp_path):
    refused(tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04", b"\x93NUMPY", bytes(1000), b"\x80\x04N."])
def test_a_foreign_file(path, content):
    path.write_bytes(content)
    refused(path)


def test_a_single_array(path):
    buffer = BytesIO()
    np.save(buffer, np.ones(3))
    path.write_bytes(buffer.getvalue())
    refused(path)


def test_a_file_that_ends_early(path):
    content = path.read_bytes()
    for length in (10, 100, len(content) // 2, len(content) - 30, len(content) - 1):
        path.write_bytes(content[:length])
        refused(path)


class Bomb:
    def __reduce__(self):
        return os.abort, ()


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(pickle.dumps(Bomb())),
        lambda path: np.savez(path, **{"Conv_Out/bias": np.array([Bomb()], dtype=object)}),
    ],
    ids=["a pickle", "objects in an npz"],
)
def test_no_pickle_is_ever_loaded(path, write):
    write(path)
    refused(path)


def test_every_flipped_bit_is_noticed(path):
    """A bit that turns over is noticed, or it changes nothing that is loaded (it is in a date, say)."""
    content = bytearray(path.read_bytes())
    starts = [info.header_offset for info in zipfile.ZipFile(path).infolist()[:2]]
    places = [i for start in starts for i in range(start, start + 200)]
    places += range(len(content) - 200, len(content))
    places += np.random.default_rng(0).integers(0, len(content), 300).tolist()
    for place in places:
        bit = 1 << place % 8
        content[place] ^= bit
        path.write_bytes(content)
        content[place] ^= bit
        model = small(seed=7)
        try:
            minunet.load(path, model)
        except ValueError:  # WeightsError, or the list of differences where a name was hit
            assert same(model, small(seed=7)), f"byte {place}"
        else:
            assert same(model, small(seed=1)), f"byte {place}"


def test_a_compressed_file_that_is_damaged(path):
    np.savez_compressed(path, **small(seed=1).state_dict())
    assert same(minunet.load(path, small()), small(seed=1))
    content = bytearray(path.read_bytes())
    info = zipfile.ZipFile(path).infolist()[0]
    start = info.header_offset + 30 + len(info.filename) + 20
    content[start + 5 : start + 15] = bytes(10)
    path.write_bytes(content)
    refused(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(WeightsError, match="pipe or a device"):
        minunet.load_model(tmp_path / "pipe.npz")


def crafted(path, depth, width=8):
    """A file of a few kilobytes whose names count up to a network of many gigabytes."""
    arrays = {f"Conv_Down_{level}_1/kernel": np.zeros((1, 1, 1, 1), np.float32) for level in range(1, depth + 1)}
    arrays["Conv_Down_1_1/kernel"] = np.zeros((3, 3, 3, width), np.float32)
    arrays["Conv_Down_1_2/kernel"] = np.zeros((3, 3, width, width), np.float32)
    np.savez(path, **arrays, **{"Conv_Out/kernel": np.zeros((1, 1, 2 * width, 1), np.float32)})


@pytest.mark.parametrize("depth", [12, 60])
def test_names_alone_do_not_make_a_network(tmp_path, depth):
    """The shapes are compared before anything is built: a network of depth 12 and width 8 would take 110 GB."""
    path = tmp_path / "crafted.npz"
    crafted(path, depth)
    with pytest.raises(
        WeightsError, match=r"Conv_Down_2_1/kernel has shape \(1, 1, 1, 1\).*shape must be \(3, 3, 8, 16\)"
    ):
        minunet.load_model(path)


def test_options_that_a_file_tells_are_compared_with_its_arrays(tmp_path):
    path = tmp_path / "crafted.npz"
    minunet.save(path, small(), {"options": {}})
    arrays = dict(np.load(path))
    arrays["about"] = np.array('{"options": {"depth": 1, "width": 1, "dropout": 0.0, "mirror": 10000}}')
    np.savez(path, **arrays)
    with pytest.raises(WeightsError, match="mirror"):
        minunet.load_model(path)


def test_a_file_that_unpacks_to_far_more_than_it_is(tmp_path):
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, zeros=np.zeros(2**26, np.float32))  # 256 MiB in 256 kB
    with pytest.raises(WeightsError, match=r"unpacks to 268\.4 MB from 0\.3 MB.*max_bytes"):
        minunet.load_model(path)
    with pytest.raises(WeightsError, match="no weights of a UNet"):  # allowed, it is only no network
        minunet.load_model(path, max_bytes=2**29)


# ---- what a stranger's file could ask for ----


def test_an_array_that_claims_to_be_larger_than_it_is(tmp_path):
    """NumPy makes room for what the header says before it reads."""
    model, path = UNet(depth=1, width=1), tmp_path / "m.npz"
    io.save(path, model)
    with zipfile.ZipFile(path) as file:
        entries = {name: file.read(name) for name in file.namelist()}
    for name in ("Conv_Out/bias.npy", "further.npy"):
        claim = BytesIO()
        np.lib.format.write_array_header_1_0(claim, {"descr": "<f4", "fortran_order": False, "shape": (10**12,)})
        with zipfile.ZipFile(path, "w") as file:
            for entry, content in {**entries, name: claim.getvalue() + bytes(4)}.items():
                file.writestr(entry, content)
        with pytest.raises(io.WeightsError, match=f"{name} has 4 bytes for 4000000000000"):
            io.load_model(path)


def test_an_entry_that_is_there_twice(tmp_path):
    path = tmp_path / "m.npz"
    io.save(path, UNet(depth=1, width=1))
    with zipfile.ZipFile(path, "a") as file, pytest.warns(UserWarning, match="Duplicate name"):
        file.writestr("Conv_Out/bias.npy", b"")
    with pytest.raises(io.WeightsError, match="two entries have the same name"):
        io.load_model(path)


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', "[" * 100_000, "[1]", r'{"a": "\ud800"}'])
@pytest.mark.parametrize("suffix", ["npz", "safetensors", "weights.h5"])
def test_metadata_that_is_none(tmp_path, suffix, text):
    pytest.importorskip("h5py")
    path, model = tmp_path / f"m.{suffix}", UNet(depth=1, width=1)
    io.save(path, model)
    if suffix == "npz":
        np.savez(path, **model.state_dict(), about=np.array(text))
    elif suffix == "safetensors":
        path.write_bytes(pytest.importorskip("safetensors.numpy").save(model.state_dict(), metadata={"about": text}))
    else:
        if len(text) > 60_000:
            text = text[:60_000]  # of an attribute
        with pytest.importorskip("h5py").File(path, "a") as file:
            file.attrs["minunet"] = text
    with pytest.raises(io.WeightsError, match=r"is damaged or not a weights file .*(twice|nested|metadata is|half)"):
        io.load_model(path)


def test_a_file_of_more_bytes_than_weights_have_is_not_read(tmp_path):
    with open(tmp_path / "m.npz", "wb") as file:
        file.truncate(5 << 30)  # an empty file of this length takes no room on the disk
    with pytest.raises(io.WeightsError, match="it has 5368.7 MB, and may have 4295.0 MB"):
        io.load_model(tmp_path / "m.npz")


def test_a_checkpoint_is_not_read_through_a_link(tmp_path):
    io.save(tmp_path / "m.npz", UNet(depth=1, width=1))
    (tmp_path / "last.npz").symlink_to(tmp_path / "m.npz")
    assert io.load_model(tmp_path / "last.npz").depth == 1  # a file that somebody names may be one
    with pytest.raises(io.WeightsError, match="it is a symbolic link"):
        io.read_arrays(tmp_path / "last.npz")
