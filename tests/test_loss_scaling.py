"""The scale of the loss in float16: halved by an overflow, whose step is skipped, and doubled after many good steps."""

import numpy as np
import pytest

from minunet import Tensor, optim, use_precision
from minunet.cuda import compute_capability
from minunet.device import to_device, to_numpy
from minunet.loss_scaling import LossScale, is_scaled
from minunet.optim import Optimizer


@pytest.fixture(autouse=True, params=["gpu"])
def gpu(request, array_on):
    array_on(request.param)


def own_rule(w, g, m, lr):
    m += g
    w -= lr * m


class OwnOptimizer(Optimizer):
    """One without a kernel."""

    rule = staticmethod(own_rule)
    state_names = ("m",)


def parameters(*values):
    return [Tensor(to_device(np.array(value, "f"), "gpu"), requires_grad=True) for value in values]


def backward(scale, params, factors):
    """The gradients of s · Σ factor · w."""
    for p, factor in zip(params, factors):
        scale.scaled((p * float(factor)).sum()).backward()


def numbers(scale):
    return to_numpy(scale.numbers).tolist()


def test_gradients_are_divided_by_the_scale():
    scale, params = LossScale("gpu"), parameters([1.0, 2.0], [[3.0]])
    backward(scale, params, [0.5, -3.0])
    assert [p.grad.tolist() for p in params] == [[32768.0, 32768.0], [[-3 * 65536.0]]]
    overflow = scale.unscale(params)
    assert not bool(overflow)
    assert [p.grad.tolist() for p in params] == [[0.5, 0.5], [[-3.0]]]


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("make", [optim.SGD, optim.RMSprop, optim.Adam, OwnOptimizer])
def test_an_overflow_skips_the_step_and_halves_the_scale(bad, make):
    params = parameters([1.0, 2.0], [[3.0, 4.0]])
    optimizer = make(params, lr=0.1, weight_decay=0.1)
    scale = LossScale("gpu")
    for grads in ([[1.0, 1.0], [[1.0, 1.0]]], [[1.0, 1.0], [[1.0, bad]]]):
        backward(scale, params, [0, 0])
        for p, g in zip(params, grads):
            p.grad = to_device(np.array(g, "f"), "gpu")
        before = [to_numpy(p.data).copy() for p in params], optimizer.state_dict()
        overflow = scale.unscale(params)
        optimizer.step(overflow)
        scale.update(overflow)
    for p, old in zip(params, before[0]):
        np.testing.assert_array_equal(to_numpy(p.data), old)
    for name, value in optimizer.state_dict().items():
        if name != "steps":
            np.testing.assert_array_equal(value, before[1][name])
    assert not np.array_equal(before[0][0], [1.0, 2.0])  # the step before was taken
    assert numbers(scale) == [32768.0, 0.0]


def test_the_scale_is_doubled_after_2000_good_steps_in_a_row():
    scale, good = LossScale("gpu"), to_device(np.array(False), "gpu")
    scale.load_state_dict({"scale": 1024.0, "steps": 1998})
    scale.update(good)
    assert numbers(scale) == [1024.0, 1999.0]
    scale.update(good)
    assert numbers(scale) == [2048.0, 0.0]
    scale.update(good)
    scale.update(~good)
    assert numbers(scale) == [1024.0, 0.0]


def test_its_state_is_nothing_before_it_is_used_and_comes_back():
    scale, other = LossScale("gpu"), LossScale("gpu")
    assert scale.state_dict() == {}
    backward(scale, parameters([1.0]), [1])
    assert scale.state_dict() == {"scale": 65536.0, "steps": 0.0}
    scale.update(to_device(np.array(True), "gpu"))
    other.load_state_dict(scale.state_dict())
    assert numbers(other) == [32768.0, 0.0]
    other.load_state_dict({})
    assert other.state_dict() == {}


@pytest.mark.parametrize("state", [(0, 0), (np.inf, 0), (np.nan, 0), (1, 2000), (1, -1), (1, 0.5)])
def test_a_scale_that_no_training_comes_to_is_refused(state):
    with pytest.raises(ValueError, match="no training comes to that"):
        LossScale("gpu").load_state_dict(dict(zip(("scale", "steps"), state)))


def test_no_gradients_are_no_overflow():
    scale, params = LossScale("gpu"), parameters([1.0])
    backward(scale, params, [1])
    params[0].grad = None
    assert not bool(scale.unscale(params))


def test_only_float16_is_scaled():
    half = compute_capability("gpu") < 80
    assert not is_scaled("gpu:0")
    for name, expected in (("float32", False), ("tf32", False), ("mixed", half)):
        with use_precision(name):
            assert is_scaled("gpu:0") == expected
            assert not is_scaled("cpu")
