"""A tensor as a value: what NumPy, float(), f-strings and comparisons make of it; and data that change too early."""

import numpy as np
import pytest

from minunet import Tensor, optim


def leaf(*values, name=None):
    return Tensor(np.array(values), requires_grad=True, name=name)


def test_data_can_be_replaced():
    x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    x.data = np.array([3.0, 4.0, 5.0])
    assert x.data.tolist() == [3, 4, 5] and x.shape == (3,) and (x * 2).numpy().tolist() == [6, 8, 10]
    x.data -= 1
    assert x.numpy().tolist() == [2, 3, 4]


def test_numpy_takes_the_values():
    x = leaf(1.5, 2.0)
    array = np.asarray(x)
    assert array.dtype == np.float64 and array.tolist() == [1.5, 2.0]
    assert np.asarray(x, np.float32).dtype == np.float32
    assert np.array([x, x]).shape == (2, 2)
    assert np.mean(np.asarray(x)) == 1.75
    copy = np.array(x)
    copy[0] = 9
    assert x.data[0] == 1.5


def test_a_tensor_on_a_gpu_is_not_copied_to_the_host_unasked(array_on):
    x = Tensor(array_on("gpu")(np.zeros(2, np.float32)))
    with pytest.raises(TypeError, match=r"gpu:0: .*\.numpy\(\)"):
        np.asarray(x)


def test_one_number_is_a_number():
    loss = Tensor(np.array([[0.123456]]))
    assert float(loss) == 0.123456 and int(Tensor([7.9])) == 7
    assert f"{loss:.3f}" == "0.123" and f"{loss:>8.2f}" == "    0.12"
    assert bool(Tensor([0.5])) and not Tensor([0.0])


def test_several_numbers_are_none():
    x = leaf(1.0, 2.0)
    for use in (float, int):
        with pytest.raises(ValueError):
            use(x)
    with pytest.raises(ValueError, match=r"shape \(2,\) is neither true nor false"):
        bool(x)
    with pytest.raises(ValueError, match=r"shape \(2,\) cannot be shown as '.3f'"):
        f"{x:.3f}"
    assert f"{x}" == repr(x)


def test_order_compares_the_values():
    x = leaf(1.0, 2.0, 3.0)
    assert (x > 2).tolist() == [False, False, True] and (x >= 2.0).tolist() == [False, True, True]
    assert (2 > x).tolist() == [True, False, False] and (x <= x).tolist() == [True] * 3
    assert (x < np.array([2.0, 2.0, 9.0])).tolist() == [True, False, True]
    assert isinstance(x < 1, np.ndarray)


def test_equality_compares_the_values_and_a_tensor_is_still_itself():
    x, same = leaf(1.0, 2.0), leaf(1.0, 2.5)
    assert (x == same).tolist() == [True, False] and (x != same).tolist() == [False, True]
    assert (x == 2).tolist() == [False, True] and (x == np.array([1.0, 0.0])).tolist() == [True, False]
    assert [x, same].index(x) == 0 and len({x, same}) == 2
    with pytest.raises(ValueError, match="ambiguous"):
        bool(x == same)


@pytest.mark.parametrize("other", [None, "text", {}])
def test_what_has_no_numbers_equals_no_tensor(other):
    assert (leaf(1.0, 2.0) == other) is False
    with pytest.raises(TypeError):
        _ = leaf(1.0, 2.0) < other


# ---- data that change between forward and backward ------------------------------------------------------------


def change_by_step(w):
    w.grad = np.ones_like(w.data)
    optim.SGD([w], lr=0.5).step()


def change_in_place(w):
    w.data -= 0.5


@pytest.mark.parametrize("change", [change_by_step, change_in_place])
def test_a_leaf_that_changed_since_forward_is_refused(change):
    w = leaf(1.0, 2.0, name="kernel")
    y = (w * w).sum()
    change(w)
    with pytest.raises(RuntimeError, match=r"Multiply: input 0 \(kernel\) was changed after forward"):
        y.backward()
    (w * w).sum().backward()  # and forward once more is all it takes


def test_another_array_in_its_place_leaves_the_graph_right():
    w = leaf(1.0, 2.0)
    y = (w * w).sum()
    w.data = np.array([5.0, 5.0])  # the graph holds the old array, which did not change
    y.backward()
    assert w.grad.tolist() == [2.0, 4.0]


def test_several_backwards_before_a_step_are_fine():
    w = leaf(1.0, 2.0)
    losses = [(w * k).sum() for k in (1.0, 2.0)]
    for loss in losses:
        loss.backward()
    assert w.grad.tolist() == [3.0, 3.0]
