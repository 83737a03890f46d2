"""All of a run in one file: there and back, and what is left where it cannot be read."""

import errno
import os
import shutil

import numpy as np
import pytest

import minunet
from minunet import UNet, optim
from minunet.training import checkpoint
from minunet.training.checkpoint import CheckpointError
from minunet.weights import io as weights


class Part:
    """A part that remembers what it is told."""

    def __init__(self, **state):
        self.state = state

    def state_dict(self):
        return self.state

    def load_state_dict(self, state):
        self.state = state


def small(seed=0):
    return UNet(depth=1, width=1, seed=seed)


def trained(steps):
    """A model and its optimizer after so many steps."""
    model = small(seed=1)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    for _ in range(steps):
        for p in model.parameters():
            p.grad = np.sin(p.data + 1)
        optimizer.step()
    return model, optimizer


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.fixture
def folder(tmp_path):
    """A run after its second and its third step."""
    for steps in (2, 3):
        model, optimizer = trained(steps)
        checkpoint.save(tmp_path, model, {"optimizer": optimizer}, {"epochs": steps})
    return tmp_path


def loaded(folder):
    model, optimizer = trained(0)
    path = checkpoint.load(folder, model, {"optimizer": optimizer})
    return path.name, model, optimizer


def test_there_and_back(folder):
    name, model, optimizer = loaded(folder)
    expected, expected_optimizer = trained(3)
    assert name == "last.npz" and same(model, expected) and same(optimizer, expected_optimizer)
    assert sorted(os.listdir(folder)) == ["last.npz", "previous.npz"]


def test_without_the_last_checkpoint_the_previous_one_is_used(folder):
    (folder / "last.npz").unlink()
    name, model, optimizer = loaded(folder)
    assert name == "previous.npz" and optimizer.steps == 2 and same(model, trained(2)[0])


def test_it_is_a_weights_file_too(folder):
    assert same(minunet.load(folder / "last.npz", small()), trained(3)[0])
    assert same(weights.load_model(folder / "last.npz"), trained(3)[0])
    assert weights.read(folder / "last.npz").metadata["epochs"] == 3


def test_numbers_texts_and_arrays_of_all_parts_come_back(tmp_path):
    state = {"whole": 3, "real": 0.1, "yes": True, "text": "ä {}", "none yet": np.zeros(0), "counts": np.arange(3)}
    one, other, empty = Part(**state), Part(whole=4), Part()
    checkpoint.save(tmp_path, small(), {"one": one, "other": other, "empty": empty}, {})
    back = {"one": Part(), "other": Part(), "empty": Part(old=1)}
    checkpoint.load(tmp_path, small(), back)
    assert back["other"].state == {"whole": 4} and back["empty"].state == {}
    assert set(back["one"].state) == set(state)
    assert all(np.array_equal(back["one"].state[name], value) for name, value in state.items())
    assert float(back["one"].state["real"]) == 0.1 and str(back["one"].state["text"]) == "ä {}"


@pytest.mark.parametrize("value", [None, {"a": 1}, object()])
def test_what_would_need_a_pickle_is_refused_before_anything_is_written(folder, value):
    before = {name: (folder / name).read_bytes() for name in os.listdir(folder)}
    with pytest.raises(TypeError, match="'best' of 'stopping' is .*it must be a number, a text or an array"):
        checkpoint.save(folder, small(), {"stopping": Part(best=value)}, {})
    assert {name: (folder / name).read_bytes() for name in os.listdir(folder)} == before


# ---- files that cannot be used -----------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"half", "folder"])
def test_a_damaged_file_names_the_older_one_that_is_whole(folder, content):
    path = folder / "last.npz"
    whole = path.read_bytes()
    path.unlink()
    if content == "folder":
        path.mkdir()
    else:
        path.write_bytes(whole[: len(whole) // 2] if content == b"half" else content)
    with pytest.raises(CheckpointError, match=r"last\.npz is damaged.*previous\.npz is intact: .* remove last\.npz"):
        loaded(folder)
    (path.rmdir if content == "folder" else path.unlink)()
    assert loaded(folder)[0] == "previous.npz"


def test_when_both_are_damaged(folder):
    for name in ("last.npz", "previous.npz"):
        (folder / name).write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"last\.npz is damaged.*previous\.npz is damaged, too"):
        loaded(folder)
    (folder / "previous.npz").unlink()
    with pytest.raises(CheckpointError, match=r"There is no older checkpoint"):
        loaded(folder)


def test_weights_alone_cannot_be_resumed_from(folder):
    minunet.save(folder / "last.npz", small())
    with pytest.raises(CheckpointError, match="only weights, not the state of a run.*previous.npz is intact"):
        loaded(folder)


def test_the_state_of_another_kind_of_run(folder):
    model = small()
    with pytest.raises(CheckpointError, match="does not fit the optimizer of this run.*Adam"):
        checkpoint.load(folder, model, {"optimizer": optim.RMSprop(model.parameters())})
    with pytest.raises(CheckpointError, match="a part that this run does not have: optimizer"):
        checkpoint.load(folder, model, {"other": Part()})
    assert same(model, small())


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        loaded(tmp_path)


# ---- disks that cannot be written --------------------------------------------------------------------------


def assert_unchanged_after(save, folder, *wanted):
    before = {name: (folder / name).read_bytes() for name in os.listdir(folder)}
    with pytest.raises(OSError) as caught:
        save()
    assert caught.value.errno in wanted and "last.npz" in str(caught.value)
    assert {name: (folder / name).read_bytes() for name in os.listdir(folder)} == before
    assert loaded(folder)[0] == "last.npz"


def save_another(folder):
    model, optimizer = trained(9)
    checkpoint.save(folder, model, {"optimizer": optimizer}, {})


def test_a_disk_that_fills_up_in_the_middle_of_the_file(folder):
    """The system itself refuses to let the file grow beyond a part of its size."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = (folder / "last.npz").stat().st_size

    def save():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, hard))
        try:
            save_another(folder)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert_unchanged_after(save, folder, errno.EFBIG, errno.ENOSPC)


@pytest.mark.parametrize("call", ["fsync", "replace", "open"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_whatever_the_system_refuses_both_files_stay(folder, monkeypatch, call, number):
    def refuse(*arguments, **options):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, refuse)
        with pytest.raises(OSError) as caught:
            save_another(folder)
    assert caught.value.errno == number
    name, model, optimizer = loaded(folder)
    assert name == "last.npz" and optimizer.steps == 3 and same(model, trained(3)[0])
    assert sorted(os.listdir(folder)) == ["last.npz", "previous.npz"]


def test_a_copy_of_the_folder_can_be_resumed_from(folder, tmp_path_factory):
    copy = tmp_path_factory.mktemp("copies") / "run"
    shutil.copytree(folder, copy)
    assert loaded(copy)[2].steps == 3


def test_nobody_is_told_to_remove_the_only_whole_checkpoint(folder):
    """previous.npz alone is left, and does not fit this run."""
    (folder / "last.npz").unlink()
    model = small()
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(folder, model, {"optimizer": optim.RMSprop(model.parameters())})
    assert "previous.npz does not fit the optimizer" in str(caught.value)
    assert str(caught.value).endswith("There is no older checkpoint of this run")


def test_metadata_cannot_say_that_the_model_is_another(tmp_path):
    checkpoint.save(tmp_path, small(), {}, {"model": "Other", "options": {"depth": 9}, "epochs": 3})
    metadata = weights.read(tmp_path / "last.npz").metadata
    assert metadata["model"] == "UNet" and metadata["options"]["depth"] == 1 and metadata["epochs"] == 3
