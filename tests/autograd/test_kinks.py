"""At a kink a right backward and the differences disagree: gradcheck must say so, and only there."""

import numpy as np
import pytest

from minunet import Function, Tensor, gradcheck, ops
from minunet.autograd.function import recorded_calls
from minunet.autograd.gradcheck import GradientError


def kink_of(f, x, directions=None):
    """The Kink that gradcheck finds where the check of f at x fails."""
    with pytest.raises(GradientError) as caught:
        gradcheck(f, x, directions)
    assert str(caught.value).endswith(f". {caught.value.kink}" if caught.value.kink else "allowed 1e-06)")
    return caught.value.kink


def conv_with_relu(x):
    return ops.conv2d(x, np.ones((1, 1, 1, 1)), np.array([-2.0]), activation="relu")


@pytest.mark.parametrize(
    "f, x, place",
    [
        (ops.relu, [1.0, 0.0, -2.0], "ReLU, which reads 0 and returns 0,"),
        (lambda x: ops.relu(2 * x + 1), [1.0, -0.5, -2.0], "ReLU, which reads 0 and returns 0,"),
        (lambda x: ops.relu(x) * x.exp(), [1.0, 4e-7, -2.0], "ReLU, which reads 4e-07 and returns 4e-07,"),
        (lambda x: ops.max_pool2d(x.reshape(1, 2, 2, 1)), [5.0, 5, 1, 2], "MaxPool2D, which reads 5 and returns 5,"),
        (lambda x: conv_with_relu(x.reshape(1, 2, 2, 1)), [1.0, 2, 3, 4], "Conv2D, which reads 2 and returns 0,"),
    ],
)
def test_the_operation_and_what_it_reads_are_named(f, x, place):
    kink = kink_of(f, np.array(x))
    assert kink.place == place and "check it at other inputs" in str(kink)


def test_both_slopes_are_those_of_the_two_sides():
    """y = relu(3x) at 0: the slopes are 0 and 3, times the random upstream gradient u."""
    kink = kink_of(lambda x: ops.relu(3 * x), np.zeros(1))
    u = np.random.default_rng(0).standard_normal(1)[0]  # what gradcheck sends back
    assert kink.left == pytest.approx(0, abs=1e-9) and kink.right == pytest.approx(3 * u, rel=1e-6)


def test_along_a_direction():
    kink = kink_of(lambda x: ops.relu(x).sum(), np.zeros(3), directions=1)
    assert kink.place.startswith("ReLU, which reads 0")


class Wrong(Function):
    """relu(x), or x², with a backward that is passed in."""

    def __init__(self, forward, backward):
        self.forward_of, self.backward_of = forward, backward

    def forward(self, x):
        self.x = x
        return self.forward_of(x)

    def backward(self, gy):
        return self.backward_of(gy, self.x)


@pytest.mark.parametrize(
    "forward, backward, x",
    [
        (lambda x: np.maximum(x, 0), lambda gy, x: 2 * gy, [1.0, 0.0]),  # at a kink, and outside of both slopes
        (lambda x: np.maximum(x, 0), lambda gy, x: gy * 0, [1.0, -3.0]),  # clear of it
        (lambda x: x * x, lambda gy, x: gy * x, [1.0, 3.0]),
        (lambda x: x * x, lambda gy, x: gy * (2 * x + 3e-6), [1.0, 0.1]),  # a little, where the slope changes
        (lambda x: x * x, lambda gy, x: gy * (2 * x + 5e-7), [0.1]),  # so little that it lies between both slopes
        (np.exp, lambda gy, x: gy * np.exp(x + 1e-5), [1.0, 3.0]),
        (np.log, lambda gy, x: gy / x**2, [0.5, 3e-6]),  # ten steps to the left there is no logarithm
    ],
)
def test_a_wrong_backward_is_not_excused(forward, backward, x):
    assert kink_of(lambda x: Wrong(forward, backward)(x), np.array(x)) is None


def test_calls_are_recorded_only_inside_the_block_and_in_order():
    x = Tensor([1.0, 2.0])
    with recorded_calls() as calls:
        y = (x * 2).exp()
        with recorded_calls() as inner:
            y + 1
        y - 1
    y.log()
    assert [call.operation for call in calls] == ["Multiply", "Exp", "Subtract"] and [
        call.operation for call in inner
    ] == ["Add"]
    assert calls[1].inputs[0].tolist() == [2, 4] and calls[1].output is y.data
