"""Module: how parameters are found and named, saved, moved, and loaded all together or not at all."""

import threading

import numpy as np
import pytest

from minunet import GpuUnavailable, Tensor, device, nn
from minunet.nn.module import evaluation, forward_hook


class Scale(nn.Module):
    def __init__(self, factor, name=None):
        self.factor = Tensor(np.array([factor], "float32"), requires_grad=True)
        self.constant = Tensor(np.array([5.0], "float32"))  # asks for no gradient: not a parameter
        self.name = name

    def forward(self, x):
        return x * self.factor


class Tower(nn.Module):
    """Parameters of its own, a named child, a list of children, and a child with children."""

    def __init__(self, deeper=True):
        self.offset = Tensor(np.zeros((2, 3), "float32"), requires_grad=True)
        self.first = Scale(2.0, name="first_floor")
        self.floors = [Scale(3.0), Scale(4.0, name="third_floor")]
        self.top = Tower(deeper=False) if deeper else None

    def forward(self, x):
        return self.floors[1](self.floors[0](self.first(x)))


NAMES = ["offset", "first_floor/factor", "floors/0/factor", "third_floor/factor"]


def flat():
    return Tower(deeper=False)


def test_names_and_order_of_parameters():
    assert [name for name, _ in flat().named_parameters()] == NAMES
    tower = Tower()
    tower.top.first.name = tower.top.floors[1].name = None
    assert [name for name, _ in tower.named_parameters()] == NAMES + [
        "top/offset",
        "top/first/factor",
        "top/floors/0/factor",
        "top/floors/1/factor",
    ]
    assert tower.parameters() == [tensor for _, tensor in tower.named_parameters()]
    assert [type(module).__name__ for module in tower.modules()] == ["Tower", "Scale", "Scale", "Scale"] * 2


def test_two_parameters_with_the_same_name_are_refused():
    """A dictionary would keep one of them, and a file would silently lose the other."""
    tower = flat()
    tower.floors[1].name = "first_floor"
    for use in (tower.state_dict, lambda: tower.load_state_dict({})):
        with pytest.raises(ValueError, match="first_floor/factor"):
            use()


def test_a_shared_parameter_is_trained_once():
    tower = flat()
    tower.floors[0].factor = tower.first.factor
    assert len(tower.parameters()) == 3


def test_state_dict_holds_copies():
    tower = flat()
    state = tower.state_dict()
    assert list(state) == NAMES and all(type(array) is np.ndarray for array in state.values())
    state["offset"][...] = 9
    assert not tower.offset.data.any()


def test_a_state_is_restored_into_another_module():
    tower, other = flat(), flat()
    for k, p in enumerate(tower.parameters()):
        p.data += k + 1
    tensors = other.parameters()
    other.load_state_dict(tower.state_dict())
    for a, b, before in zip(tower.parameters(), other.parameters(), tensors, strict=True):
        np.testing.assert_array_equal(a.data, b.data)
        assert b is before  # the Tensors that an optimizer holds stay the same ones
        assert not np.shares_memory(a.data, b.data)


def test_transposed_weights_become_contiguous():
    """Like those of PyTorch, (C_out, C_in, KH, KW), on their way here."""
    layer, theirs = nn.Conv2D(2, 3, 3), np.arange(54.0).reshape(3, 2, 3, 3)
    layer.load_state_dict({"kernel": theirs.transpose(2, 3, 1, 0), "bias": np.zeros(3)})
    assert layer.kernel.data.flags.c_contiguous and layer.kernel.data[1, 2, 0, 1] == theirs[1, 0, 1, 2]


def test_loading_keeps_the_dtypes():
    tower = flat()
    tower.load_state_dict({name: array.astype("float64") for name, array in tower.state_dict().items()})
    assert {p.dtype for p in tower.parameters()} == {np.dtype("float32")}


def test_all_differences_are_listed_before_anything_is_changed():
    tower = flat()
    state = tower.state_dict()
    state["offset"] = np.ones((3, 2))
    state["first_floor/factor"] = np.array([7.0])
    del state["floors/0/factor"]
    state["attic/factor"] = np.ones(4)
    with pytest.raises(ValueError) as caught:
        tower.load_state_dict(state)
    message = str(caught.value)
    assert "3 differences" in message
    assert "missing: floors/0/factor (1,)" in message
    assert "unknown: attic/factor (4,)" in message
    assert "offset: the model has (2, 3), the file (3, 2)" in message
    assert tower.first.factor.data == 2


def test_an_array_without_numbers_changes_nothing():
    tower = flat()
    state = tower.state_dict()
    state["offset"] += 1
    state["third_floor/factor"] = np.array(["four"])
    with pytest.raises(ValueError):
        tower.load_state_dict(state)
    assert not tower.offset.data.any()


def test_train_and_eval_reach_every_module():
    tower = Tower()
    assert all(module.training for module in tower.modules())
    assert tower.eval() is tower and not any(module.training for module in tower.modules())
    assert tower.train() is tower and all(module.training for module in tower.modules())


def test_astype_changes_parameters_and_forgets_gradients():
    tower = flat()
    tower(Tensor(np.ones(1, "float32"))).backward()
    assert tower.astype("float64") is tower
    assert {p.dtype for p in tower.parameters()} == {np.dtype("float64")}
    assert all(p.grad is None for p in tower.parameters())


def test_to_moves_parameters_and_gradients(xp_array):
    name = Tensor(xp_array(np.ones(1))).device
    tower = flat()
    tower(Tensor(np.ones(1, "float32"))).backward()
    assert tower.device == "cpu"
    assert tower.to(name) is tower and tower.device == name
    assert {p.device for p in tower.parameters()} == {name}
    assert device.device_of(tower.first.factor.grad) == name
    assert all(type(array) is np.ndarray for array in tower.state_dict().values())
    tower.load_state_dict(flat().state_dict())
    assert tower.device == name


def test_to_a_gpu_that_does_not_exist_changes_nothing(monkeypatch):
    def no_gpu(index):
        raise GpuUnavailable("device", "there is no NVIDIA GPU in this machine")

    monkeypatch.setattr(device, "_try_out", no_gpu)
    tower = flat()
    with pytest.raises(GpuUnavailable, match="no NVIDIA GPU"):
        tower.to("gpu")
    assert tower.device == "cpu"


def test_a_module_without_parameters():
    assert nn.ReLU().parameters() == [] and nn.ReLU().device == "cpu" and nn.ReLU().state_dict() == {}


def test_a_module_without_forward_says_so():
    class Empty(nn.Module):
        pass

    with pytest.raises(NotImplementedError, match=r"Empty\.forward"):
        Empty()(1)


def test_the_forward_hook_sees_each_call_of_a_layer():
    tower, seen = flat(), []
    x = Tensor(np.ones(1, "float32"))
    with forward_hook(lambda layer, inputs, y: seen.append((layer, inputs, y))):
        y = tower(x)
    tower(x)
    assert [layer for layer, _, _ in seen] == [tower.first, *tower.floors]  # in the order of their calls
    assert seen[0][1] == (x,) and seen[-1][2] is y


class Counter(nn.Module):
    """A buffer, a random state, and a parameter."""

    buffer_names = ("average",)
    random_state_names = ("count",)

    def __init__(self, name=None):
        self.name = name
        self.factor = Tensor(np.ones(1, "float32"), requires_grad=True)
        self.average = Tensor(np.zeros(2, "float32"))
        self.count = Tensor(np.array([3]))


class Two(nn.Module):
    def __init__(self):
        self.parts = [Counter(), Counter(name="second")]


def test_buffers_and_random_states_are_saved_but_not_trained():
    model, other = Two(), Two()
    names = ["parts/0/average", "parts/0/count", "second/average", "second/count"]
    assert [name for name, _ in model.named_buffers()] == names[::2]
    assert [name for name, _ in model.named_random_states()] == names[1::2]
    assert list(model.state_dict()) == ["parts/0/factor", "second/factor", *names]
    assert len(model.parameters()) == 2
    model.parts[1].average.data += 5
    model.parts[1].count.data += 2**60
    other.load_state_dict(model.state_dict())
    assert other.parts[1].average.data.tolist() == [5, 5] and other.parts[1].count.data == 2**60 + 3
    with pytest.raises(ValueError, match=r"missing: second/count \(1,\)"):
        other.load_state_dict({k: v for k, v in model.state_dict().items() if k != "second/count"})


def test_buffers_keep_their_dtype_and_random_states_stay_on_the_host(xp_array):
    name = Tensor(xp_array(np.ones(1))).device
    model = Two().to(name)

    def devices():
        return [{t.device for _, t in named()} for named in (model.named_buffers, model.named_random_states)]

    assert devices() == [{name}, {"cpu"}]
    model.astype("float64")
    assert {b.dtype for _, b in model.named_buffers()} == {np.dtype("float32")}
    assert {s.dtype for _, s in model.named_random_states()} == {np.dtype("int64")}
    model.load_state_dict(Two().state_dict())
    assert devices() == [{name}, {"cpu"}]


def test_a_buffer_with_the_name_of_a_parameter_is_refused():
    model = Two()
    model.parts[1].name = "parts/0"
    with pytest.raises(ValueError, match="two parameters are called parts/0/factor"):
        model.state_dict()


def test_frozen_parameters_belong_to_the_module_but_are_not_trained():
    tower = flat()
    frozen = tower.floors[0].factor
    frozen.requires_grad = False
    assert [name for name, _ in tower.named_parameters()] == NAMES and list(tower.state_dict()) == NAMES
    assert [id(p) for p in tower.parameters()] == [id(p) for p in tower.all_parameters() if p is not frozen]
    assert len(tower.all_parameters()) == 4
    state = {name: array + 7 for name, array in tower.state_dict().items()}
    tower.load_state_dict(state)
    assert frozen.data.tolist() == [10.0] and not frozen.requires_grad
    assert tower.astype("float64").floors[0].factor.dtype == np.float64
    frozen.requires_grad = True
    assert len(tower.parameters()) == 4


def test_a_module_that_is_frozen_as_a_whole_still_has_a_device_and_a_dtype():
    scale = Scale(2.0).astype("float64")
    scale.factor.requires_grad = False
    assert scale.parameters() == [] and scale.device == "cpu" and scale.dtype == np.float64
    assert nn.MaxPool2D(2).dtype == np.float32


class Nested(nn.Module):
    """Layers in everything that Python offers to hold several things."""

    def __init__(self, containers):
        self.containers = containers


@pytest.mark.parametrize(
    ("containers", "names"),
    [
        ({"edge": Scale(1.0), "inside": Scale(2.0)}, ["containers/edge/factor", "containers/inside/factor"]),
        ((Scale(1.0), Scale(2.0)), ["containers/0/factor", "containers/1/factor"]),
        ([[Scale(1.0)], [Scale(2.0)]], ["containers/0/0/factor", "containers/1/0/factor"]),
        ({"heads": [(Scale(1.0),), Scale(2.0)]}, ["containers/heads/0/0/factor", "containers/heads/1/factor"]),
    ],
)
def test_layers_in_containers_are_trained_saved_and_switched(containers, names):
    module = Nested(containers)
    assert list(module.state_dict()) == names and len(module.parameters()) == 2
    module.eval()
    assert len(list(module.modules())) == 3 and not any(part.training for part in module.modules())


def test_a_set_of_layers_is_refused():
    with pytest.raises(TypeError, match=r"containers is a set .* use a list or a dict"):
        Nested({Scale(1.0)}).parameters()
    assert Nested({"a", "b"}).parameters() == []


def test_evaluation_is_a_matter_of_the_thread_and_changes_no_flag():
    module, seen = Tower(), {}
    module.first.eval()
    inside, looked = threading.Event(), threading.Event()

    def evaluate():
        with module.evaluating():
            seen["within"] = [part.training for part in module.modules()]
            inside.set()
            looked.wait(60)

    thread = threading.Thread(target=evaluate)
    thread.start()
    assert inside.wait(60)
    seen["beside"] = [part.training for part in module.modules()]
    looked.set()
    thread.join()
    assert not any(seen["within"]) and seen["beside"] == [True, False, *[True] * 6]
    assert [part.training for part in module.modules()] == seen["beside"]


def test_in_evaluation_mode_a_layer_keeps_its_own_choice():
    module = flat().eval()
    module.first.train()
    with module.evaluating():
        assert module.first.training and not module.floors[0].training
    with evaluation():
        assert not module.first.training
    assert module.first.training and not module.training


def test_gradients_move_with_their_parameters():
    layer = nn.Conv2D(1, 1, 1, rng=0)
    layer.kernel.grad = np.full((1, 1, 1, 1), 7.0, np.float32)
    layer.to("cpu")
    assert layer.kernel.grad.ravel().tolist() == [7] and layer.bias.grad is None
