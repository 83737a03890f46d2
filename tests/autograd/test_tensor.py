"""The engine: how gradients travel and add up, and what is freed on the way."""

import itertools
import threading
import weakref

import numpy as np
import pytest

from minunet import Function, GpuUnavailable, Tensor, device, no_grad
from minunet.autograd import function as engine
from minunet.autograd.rearrange import To


def leaf(values, dtype="float64"):
    return Tensor(np.array(values, dtype), requires_grad=True)


class Watched(Function):
    """y = 3x, with weak references to everything that passes through."""

    def __init__(self, seen):
        self.seen = seen

    def forward(self, x):
        self.saved = x * 1
        self.seen += [weakref.ref(self), weakref.ref(self.saved)]
        return 3 * x

    def backward(self, gy):
        self.seen.append(weakref.ref(gy))
        return 3 * gy


# ---- how gradients add up ----------------------------------------------------------------------------------


def test_gradients_of_leaves_add_up_until_they_are_cleared():
    x = leaf([1, 2])
    (x * x).sum().backward()
    first = x.grad
    np.testing.assert_array_equal(first, [2, 4])
    (x * 10).sum().backward()
    np.testing.assert_array_equal(x.grad, [12, 14])
    np.testing.assert_array_equal(first, [2, 4])  # a reference to the old array sees no change
    x.grad = None
    (x * 10).sum().backward()
    np.testing.assert_array_equal(x.grad, [10, 10])


@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
def test_the_gradient_is_an_array_like_the_data_after_one_backward_and_after_two(shape):
    x = leaf(np.ones(shape), "float32")
    for expected in (2, 4):
        (x * 2).backward(np.ones(shape))
        assert type(x.grad) is np.ndarray
        assert (x.grad.shape, x.grad.dtype) == (shape, np.float32)
        np.testing.assert_array_equal(x.grad, np.full(shape, expected))


def test_a_tensor_that_is_used_more_than_once():
    x = leaf([3, -1])
    (x * x * x + x).backward(np.ones(2))
    np.testing.assert_array_equal(x.grad, [28, 4])  # 3x² + 1


def test_results_that_are_used_more_than_once():
    x = leaf([3])
    a = x * 2
    b = a * a  # 4x²
    c = b + a * b  # 4x² + 8x³
    c.backward()
    assert x.grad == 8 * 3 + 24 * 9


def test_each_function_runs_after_all_consumers_of_its_output():
    calls = []

    class Noted(Function):
        def __init__(self, name):
            self.name = name

        def forward(self, x):
            return x + 0

        def backward(self, gy):
            calls.append((self.name, float(gy)))
            return gy + 0

    x = leaf(1)
    a = Noted("a")(x)
    b = Noted("b")(a)
    c = Noted("c")(b)
    (a + b + c + Noted("d")(c) * 10).backward()
    assert calls == [("d", 10), ("c", 11), ("b", 12), ("a", 13)]


def test_only_leaves_that_require_a_gradient_keep_one():
    x, constant = leaf([1]), Tensor(np.array([2.0]))
    y = x * constant
    (y * y).backward()
    assert y.grad is None and constant.grad is None and x.grad == 8


def test_backward_is_told_which_gradients_are_needed():
    seen = []

    class Needs(Function):
        def forward(self, a, b):
            return a + b

        def backward(self, gy):
            seen.append(self.needs)
            return gy, None

    Needs()(leaf([1]), Tensor([2.0])).backward()
    assert seen == [(True, False)]


# ---- the upstream gradient ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given", [[[1, 2]], np.array([[1, 2]], "float32"), Tensor([[1, 2]])], ids=["list", "float32", "Tensor"]
)
def test_gradient_of_a_non_scalar(given):
    x = leaf([[5, 7]])
    (x * x).backward(given)
    np.testing.assert_array_equal(x.grad, [[10, 28]])
    assert x.grad.dtype == np.float64


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_a_single_element_needs_no_upstream_gradient(shape):
    x = leaf(np.full(shape, 3))
    (x * x).backward()
    np.testing.assert_array_equal(x.grad, np.full(shape, 6))


@pytest.mark.parametrize(
    "gy, message",
    [
        (None, r"shape \(2, 3\) needs its upstream gradient.*\.sum\(\)"),
        (np.ones((3, 2)), r"shape \(3, 2\), the tensor \(2, 3\)"),
        (np.ones(3), r"shape \(3,\), the tensor \(2, 3\)"),  # would broadcast
        (1.0, r"shape \(\), the tensor \(2, 3\)"),
    ],
)
def test_an_upstream_gradient_of_another_shape(gy, message):
    x = leaf(np.ones((2, 3)))
    with pytest.raises(ValueError, match=message):
        (x * 2).backward(gy)
    assert x.grad is None


def test_a_leaf_receives_the_upstream_gradient_itself_as_a_copy():
    x, gy = leaf([1, 2]), np.array([3.0, 4.0])
    x.backward(gy)
    gy[:] = 0
    np.testing.assert_array_equal(x.grad, [3, 4])


# ---- graphs that are gone, or deep -------------------------------------------------------------------------


def test_a_second_backward_says_why_it_is_impossible():
    x = leaf([1, 2])
    y = (x * x).sum()
    y.backward()
    with pytest.raises(RuntimeError, match="second time through Sum.*freed.*forward pass again"):
        y.backward()
    np.testing.assert_array_equal(x.grad, [2, 4])


def test_a_graph_that_is_partly_freed():
    x = leaf([1, 2])
    shared = x * x
    (shared * 5).sum().backward()
    with pytest.raises(RuntimeError, match="second time through Multiply"):
        (shared + x).sum().backward()
    np.testing.assert_array_equal(x.grad, [10, 20])  # and nothing was added on the way to the gap
    (shared.detach() * x).sum().backward()
    np.testing.assert_array_equal(x.grad, [11, 24])


DEPTH = 20_000


def deep_graph(x):
    y = x
    for _ in range(DEPTH // 2):
        y = -y + x
    return y


def test_backward_through_a_deep_graph():
    x = leaf(1)
    deep_graph(x * 1).backward()  # the terms -1 + 1 - 1 + … cancel, except for the first
    assert x.grad == 1
    x = leaf(1)
    deep_graph(x).backward()
    assert x.grad == 1


def test_a_deep_graph_that_is_dropped_without_backward():
    y = deep_graph(leaf(1))
    end = weakref.ref(y.creator)
    del y
    assert end() is None


def test_backward_visits_shared_results_once():
    x = leaf(1)
    y = x
    for _ in range(60):
        y = y + y  # 2⁶⁰ paths
    y.backward()
    assert x.grad == 2.0**60


# ---- no gradients asked for --------------------------------------------------------------------------------


def test_no_grad_as_a_context():
    x = leaf([1])
    with no_grad():
        inside = x * x
        with no_grad():
            pass
        still_inside = x * x
    assert not inside.requires_grad and inside.creator is None
    assert not still_inside.requires_grad
    assert (x * x).requires_grad


def test_no_grad_as_a_decorator():
    @no_grad()
    def square(x):
        return x * x

    x = leaf([3])
    assert square(x).item() == 9 and not square(x).requires_grad
    assert (x * x).requires_grad


def test_no_grad_ends_with_an_error():
    x = leaf([1])
    with pytest.raises(ZeroDivisionError), no_grad():
        raise ZeroDivisionError
    assert (x * x).requires_grad


def test_no_grad_around_a_recursive_function():
    @no_grad()
    def power(x, n):
        return x * power(x, n - 1) if n > 1 else x * 1

    def calls():
        x = leaf([2])
        results.extend([power(x, 5).item(), (x * x).requires_grad])

    results = []
    run_in_thread(calls)
    assert results == [32, True]


def run_in_thread(function):
    """Runs it in a thread, which has a gradient mode of its own: if it is left wrong, no other test suffers."""
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def test_no_grad_affects_only_its_own_thread():
    x, results = leaf([1]), []
    with no_grad():
        run_in_thread(lambda: results.append((x * x).requires_grad))
    assert results == [True]


def test_nothing_to_differentiate():
    x = leaf([1])
    with no_grad():
        y = x * x
    for tensor in (y, Tensor([1.0]), x.detach(), Tensor([1.0]) * 2):
        with pytest.raises(RuntimeError, match="nothing to differentiate.*requires_grad"):
            tensor.backward()


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool", "complex128"])
def test_only_floating_point_tensors_have_gradients(dtype):
    with pytest.raises(TypeError, match=rf"floating-point.*{dtype}.*astype"):
        Tensor(np.ones(3, dtype), requires_grad=True)


# ---- who holds which array ---------------------------------------------------------------------------------

TWO_PARENTS = {
    "a + b": lambda a, b: a + b,
    "a - b": lambda a, b: a - b,
    "a + b + a": lambda a, b: a + b + a,
    "(a + b) * 1": lambda a, b: (a + b) * 1,
    "reshaped": lambda a, b: (a + b).reshape(4).reshape(2, 2),
    "transposed": lambda a, b: (a.T + b.T).T,
    "sliced": lambda a, b: a[:, :] + b[:],
    "summed": lambda a, b: (a + b).sum(0, keepdims=True) + Tensor(np.zeros((2, 2))),
    "-a - b": lambda a, b: -(-a - b) - b * 2,
}


@pytest.mark.parametrize("f", TWO_PARENTS.values(), ids=TWO_PARENTS)
def test_gradients_share_no_memory(f):
    a, b, gy = leaf([[1, 2], [3, 4]]), leaf([[5, 6], [7, 8]]), np.arange(4.0).reshape(2, 2)
    f(a, b).backward(gy)
    b_before = b.grad.copy()
    a.grad[...] = 99
    np.testing.assert_array_equal(b.grad, b_before)
    np.testing.assert_array_equal(gy, [[0, 1], [2, 3]])
    assert not np.shares_memory(a.grad, b.grad) and not np.shares_memory(b.grad, gy)
    assert not np.shares_memory(a.grad, a.data) and a.grad.flags.writeable


def test_the_same_tensor_on_both_sides():
    x, gy = leaf([1, 2]), np.array([1.0, 10.0])
    (x + x).backward(gy)
    np.testing.assert_array_equal(x.grad, [2, 20])
    x.grad = None
    (x - x).backward(gy)
    np.testing.assert_array_equal(x.grad, [0, 0])
    np.testing.assert_array_equal(gy, [1, 10])


def gradients_of_a_sum_and_a_product():
    """∂L/∂a and ∂L/∂b of L = (a + b) + a b, where a = 2 and b = 3 are results of earlier operations."""
    p, q = Tensor([2.0], requires_grad=True), Tensor([3.0], requires_grad=True)
    a, b = p * 1.0, q * 1.0
    ((a + b) + a * b).backward()
    return p.grad.item(), q.grad.item()


def test_a_shared_gradient_that_is_added_to_in_place_would_be_wrong(monkeypatch):
    """The example of function.py: an engine that takes every array for its own finds 6 twice."""
    assert gradients_of_a_sum_and_a_product() == (1 + 3, 1 + 2)
    monkeypatch.setattr(engine, "_is_ours", lambda gradients, i, gy: gradients[i] is not None)
    assert gradients_of_a_sum_and_a_product() == (6, 6)


def test_the_engine_adds_only_into_arrays_of_its_own():
    class GivesGyTwice(Function):
        def forward(self, a, b):
            return a + b

        def backward(self, gy):
            return gy, gy

    class GivesOneArrayTwice(GivesGyTwice):
        def backward(self, gy):
            new = gy * 2
            return new, new

    class GivesViewsOfOneArray(GivesGyTwice):
        def backward(self, gy):
            new = gy * 2
            return new[:], new[:]

    for function, factor in [(GivesGyTwice, 1), (GivesOneArrayTwice, 2), (GivesViewsOfOneArray, 2)]:
        a, b, gy = leaf([1]), leaf([1]), np.array([1.0])
        u, v = a * 1, b * 1
        y = function()(u, v) + u * 10 + v * 100  # each of u and v collects two gradients
        y.backward(gy)
        assert (a.grad, b.grad, gy) == (factor + 10, factor + 100, 1), function.__name__


# ---- a Function with several outputs ------------------------------------------------------------------------


class SumAndProduct(Function):
    """s = a + b and p = a b, in one call; it notes which gradients it is given."""

    given: list

    def forward(self, a, b):
        self.a, self.b = a, b
        return a + b, a * b

    def backward(self, gs, gp):
        self.given.append((gs is not None, gp is not None))
        gs = 0 * self.a if gs is None else gs
        gp = 0 * self.a if gp is None else gp
        return gs + gp * self.b, gs + gp * self.a


@pytest.fixture
def sum_and_product(monkeypatch):
    monkeypatch.setattr(SumAndProduct, "given", [], raising=False)
    return lambda a, b: SumAndProduct().outputs(a, b)


def test_gradients_of_two_outputs(sum_and_product):
    a, b = leaf([2, 5]), leaf([3, 7])
    s, p = sum_and_product(a, b)
    assert (s.data.tolist(), p.data.tolist()) == ([5, 12], [6, 35])
    (s * np.array([1.0, 10]) + p * np.array([100.0, 1000])).backward(np.ones(2))
    assert a.grad.tolist() == [1 + 300, 10 + 7000] and b.grad.tolist() == [1 + 200, 10 + 5000]
    assert SumAndProduct.given == [(True, True)]


@pytest.mark.parametrize("place, expected", [(0, (1, 1)), (1, (3, 2))])
def test_an_output_that_nobody_has_used_has_no_gradient(sum_and_product, place, expected):
    for more in (lambda y: y, lambda y: y * 1):  # the walk begins at the output itself, or after it
        a, b = leaf(2), leaf(3)
        more(sum_and_product(a, b)[place]).backward()
        assert (a.grad, b.grad) == expected
    assert SumAndProduct.given == [(place == 0, place == 1)] * 2


def test_an_output_that_is_used_twice_gets_the_sum(sum_and_product):
    a, b = leaf(2), leaf(3)
    s, p = sum_and_product(a, b)
    (s * p + s).backward()  # ∂/∂s = p + 1 = 7, ∂/∂p = s = 5
    assert (a.grad, b.grad) == (7 + 5 * 3, 7 + 5 * 2) and SumAndProduct.given == [(True, True)]


def test_two_outputs_that_meet_again_in_one_function(sum_and_product):
    a, b = leaf(2), leaf(3)
    s, p = sum_and_product(*sum_and_product(a, b))  # (a + b) + a b = 11 and (a + b) a b = 30
    (s + p).backward()
    assert (a.grad, b.grad) == ((1 + 6) + (1 + 5) * 3, (1 + 6) + (1 + 5) * 2)


def test_what_two_outputs_share_is_not_added_into():
    """Both gradients go back as they came: the engine must not take either for its own."""

    class Twice(Function):
        def forward(self, x, z):
            return x * 1, z * 1

        def backward(self, gx, gz):
            return gx, gz

    x, z, gy = leaf([1]), leaf([1]), np.array([1.0])
    u, v = x * 1, z * 1
    first, second = Twice().outputs(u, v)
    y = first + second + u * 10 + v * 100  # + hands one array to both outputs; each of u and v collects two gradients
    y.backward(gy)
    assert (x.grad, z.grad, gy) == (11, 101, 1)


def test_a_graph_with_two_outputs_is_freed_once(sum_and_product, no_collector):
    a, b = leaf(2), leaf(3)
    s, p = sum_and_product(a, b)
    p.backward()
    with pytest.raises(RuntimeError, match="a second time through SumAndProduct"):
        s.backward()
    function = weakref.ref(s.creator)
    del s
    assert function() is not None
    del p
    assert function() is None


def test_calls_are_recorded_for_each_output(sum_and_product):
    with no_grad(), engine.recorded_calls() as calls:
        s, p = sum_and_product(leaf(2), leaf(3))
    assert [(call.operation, call.output) for call in calls] == [("SumAndProduct", 5), ("SumAndProduct", 6)]
    assert s.creator is p.creator is None and not s.requires_grad


def test_a_single_tensor_is_expected_of_a_call():
    with pytest.raises(ValueError, match="too many values"):
        SumAndProduct()(leaf(2), leaf(3))


# ---- a backward that is wrong is refused by name -----------------------------------------------------------


class Doubled(Function):
    def forward(self, a, b):
        return a + b

    def backward(self, gy):
        return self.answer(gy)


@pytest.mark.parametrize(
    "answer, message",
    [
        (lambda gy: (gy, None), r"Doubled\.backward returned no gradient for input 1"),
        (lambda gy: (gy[:1], gy), r"Doubled\.backward.*shape \(1, 3\).*input 0 of shape \(2, 3\)"),
        (lambda gy: (gy, gy.sum()), r"Doubled\.backward.*shape \(\).*input 1 of shape \(2, 3\)"),
        (lambda gy: (gy.astype("float32"), gy), r"Doubled\.backward.*float32 for input 0.*float64"),
        (lambda gy: gy, r"Doubled\.backward returned 1 gradients for 2 inputs"),
        (lambda gy: (gy, gy, gy), r"Doubled\.backward returned 3 gradients for 2 inputs"),
    ],
)
def test_a_gradient_of_the_wrong_shape_dtype_or_number_is_refused(answer, message, monkeypatch):
    monkeypatch.setattr(Doubled, "answer", staticmethod(answer), raising=False)
    a, b = leaf(np.ones((2, 3))), leaf(np.ones((2, 3)))
    with pytest.raises(RuntimeError, match=message):
        Doubled()(a, b).backward(np.ones((2, 3)))


def test_a_function_without_forward_or_backward(monkeypatch):
    class Empty(Function):
        pass

    with pytest.raises(NotImplementedError, match=r"Empty\.forward"):
        Empty()(leaf([1]))
    monkeypatch.setattr(Empty, "forward", lambda self, x: x + 1)
    with pytest.raises(NotImplementedError, match=r"Empty\.backward"):
        Empty()(leaf([1])).backward()


# ---- memory: freed by reference counting alone -------------------------------------------------------------


def test_a_graph_dies_with_its_last_tensor(no_collector):
    seen = []
    y = Watched(seen)(Watched(seen)(leaf([1])))
    assert all(ref() is not None for ref in seen)
    del y
    assert len(seen) == 4 and all(ref() is None for ref in seen)


def test_backward_frees_what_was_saved_even_while_the_loss_lives(no_collector):
    seen = []
    y = Watched(seen)(Watched(seen)(leaf([1])) * 2).sum()
    functions, arrays = seen[::2], seen[1::2]
    y.backward()
    assert all(array() is None for array in arrays)
    assert all(function() is None for function in functions)
    assert all(gradient() is None for gradient in seen[4:])
    assert y.item() == 18


def test_memory_falls_as_backward_proceeds(no_collector):
    alive = []

    class Counts(Watched):
        def backward(self, gy):
            alive.append(sum(ref() is not None for ref in self.seen[1::2]))
            return 3 * gy

    seen = []
    y = leaf(np.ones(3))
    for _ in range(4):
        y = Counts(seen)(y)
    y.sum().backward()
    assert alive == [4, 3, 2, 1]  # what was saved for backward is gone before the next function runs


def test_a_result_that_no_backward_needs_is_not_kept(no_collector):
    x = leaf([1, 2])
    a = x * 2
    array = weakref.ref(a.data)
    b = a + 1  # linear: needs neither of its inputs
    del a
    assert array() is None
    b.sum().backward()
    np.testing.assert_array_equal(x.grad, [2, 2])


def test_nothing_is_saved_under_no_grad(no_collector):
    seen = []
    with no_grad():
        y = Watched(seen)(leaf([1]))
    assert y.item() == 3 and all(ref() is None for ref in seen)


# ---- devices -----------------------------------------------------------------------------------------------


def test_an_operation_across_devices_names_both_and_the_fix(elsewhere):
    here, there = Tensor(np.ones((2, 3))), Tensor(elsewhere(np.ones(3)))
    with pytest.raises(ValueError, match=r'Add: .*\(2, 3\) on cpu, \(3,\) on gpu:7.*\.to\("cpu"\)'):
        here + there
    with pytest.raises(ValueError, match=r'MatMul: .*\(3,\) on gpu:7, \(2, 3\) on cpu.*\.to\("gpu:7"\)'):
        there @ here


def test_an_upstream_gradient_from_another_device(elsewhere):
    x = leaf([1, 2])
    with pytest.raises(ValueError, match="gradient is on gpu:7, the tensor on cpu"):
        (x * 2).backward(elsewhere(np.ones(2)))


def test_a_gradient_that_backward_returns_on_a_simulated_device(elsewhere):
    class ReturnsElsewhere(Function):
        def forward(self, x):
            return x * 1

        def backward(self, gy):
            return elsewhere(gy)

    with pytest.raises(RuntimeError, match="gradient for input 0 on gpu:7, the input is on cpu"):
        ReturnsElsewhere()(leaf([1, 2])).backward(np.ones(2))


def test_a_gradient_that_backward_returns_on_another_device(xp_array):
    """Only where there are two kinds of arrays can one be mistaken for the other."""
    x = Tensor(xp_array(np.ones(2)), requires_grad=True)
    if x.device == "cpu":
        pytest.skip("needs a GPU beside the CPU")

    class ReturnsNumPy(Function):
        def forward(self, x):
            return x * 1

        def backward(self, gy):
            return device.to_numpy(gy)

    with pytest.raises(RuntimeError, match=r"ReturnsNumPy\.backward.*input 0 on cpu.*on gpu:0"):
        ReturnsNumPy()(x).backward(xp_array(np.ones(2)))


def test_to_the_device_that_it_is_already_on(xp_array):
    x = Tensor(xp_array([1.0]), requires_grad=True)
    assert x.to(x.device) is x


def test_there_and_back(xp_array):
    """Gradients travel back the same way, from either side."""
    x, w = Tensor(xp_array([1.0, 2.0]), requires_grad=True), leaf([1, 10])
    y = (x * 3).to("cpu") * w
    assert y.device == "cpu"
    y.backward(np.ones(2))
    np.testing.assert_array_equal(device.to_numpy(x.grad), [3, 30])
    np.testing.assert_array_equal(w.grad, [3, 6])
    z = w.to(x.device) * x
    assert z.device == x.device
    z.backward(xp_array(np.ones(2)))
    np.testing.assert_array_equal(w.grad, [4, 8])
    np.testing.assert_array_equal(device.to_numpy(x.grad), [4, 40])
    assert device.device_of(x.grad) == x.device and device.device_of(w.grad) == "cpu"


def test_to_is_the_identity():
    x = leaf([1, 2])
    y = To("cpu")(x)
    y.backward(np.array([5.0, 6.0]))
    np.testing.assert_array_equal(y.data, [1, 2])
    np.testing.assert_array_equal(x.grad, [5, 6])


def test_to_a_gpu_that_does_not_exist(monkeypatch):
    def no_gpu(index):
        raise GpuUnavailable("device", "there is no NVIDIA GPU in this machine")

    monkeypatch.setattr(device, "_try_out", no_gpu)
    with pytest.raises(GpuUnavailable, match="no NVIDIA GPU"):
        leaf([1]).to("gpu")


@pytest.mark.parametrize("name", ["cuda", "gpu:", "gpu:x", "", None, 0])
def test_to_something_that_is_not_a_device(name):
    with pytest.raises(ValueError, match='is not a device: use "cpu"'):
        leaf([1]).to(name)


# ---- the tensor itself -------------------------------------------------------------------------------------


def test_attributes_and_repr_of_a_tensor():
    x = Tensor(np.arange(6, dtype="float32").reshape(2, 3), requires_grad=True, name="weights")
    assert (x.shape, x.ndim, x.size, len(x), x.dtype, x.device) == ((2, 3), 2, 6, 2, np.float32, "cpu")
    assert "weights" in repr(x) and "requires_grad" in repr(x) and "cpu" in repr(x)
    assert "by Negate" in repr(-x)
    assert x.numpy() is x.data


def test_item_is_a_python_number():
    assert type(Tensor(np.float32(2.5)).item()) is float and Tensor([[2.5]]).item() == 2.5
    with pytest.raises(ValueError):
        Tensor([1.0, 2.0]).item()


def test_arrays_are_used_without_a_copy_and_lists_are_converted():
    array = np.ones(3)
    assert Tensor(array).data is array and Tensor(Tensor(array)).data is array
    np.testing.assert_array_equal(Tensor([[1, 2], [3, 4]]).data, [[1, 2], [3, 4]])
    assert Tensor(2.0).shape == ()


def test_detach_shares_the_array_and_forgets_the_history():
    x = leaf([1, 2])
    y = (x * 2).detach()
    assert y.creator is None and not y.requires_grad
    z = x * 3
    assert z.detach().data is z.data


def test_the_whole_engine_on_the_device(xp_array):
    x = Tensor(xp_array(np.arange(6.0).reshape(2, 3)), requires_grad=True)
    row = Tensor(xp_array([1.0, 2.0, 3.0]), requires_grad=True)
    y = (x * row + x * x).sum()
    y.backward()
    assert device.device_of(x.grad) == x.device
    np.testing.assert_array_equal(device.to_numpy(x.grad), [[1, 4, 7], [7, 10, 13]])  # row + 2x
    np.testing.assert_array_equal(device.to_numpy(row.grad), [3, 5, 7])
    assert y.item() == (0 + 2 + 6 + 3 + 8 + 15) + (0 + 1 + 4 + 9 + 16 + 25)


def test_the_callers_upstream_gradient_is_never_added_into():
    """The backward of x + 1 hands gy on as it is: x.grad must not be the caller's array."""
    x, gy = Tensor(np.zeros(3), requires_grad=True), np.ones(3)
    for times in (1, 2, 3):
        (x + 1.0).backward(gy)
        assert x.grad.tolist() == [times] * 3 and gy.tolist() == [1, 1, 1] and not np.shares_memory(x.grad, gy)
    y = x + 1.0
    (y + y * 2.0).backward(gy)
    assert gy.tolist() == [1, 1, 1] and x.grad.tolist() == [6, 6, 6]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_an_array_that_was_handed_on_twice_is_never_added_into(order):
    """The backward of a + b gives one array to both, and that of a + 1 hands it on as it is: a and b wait with the
    same array. What else they receive must not be added into it."""
    x, w = (Tensor(np.zeros(3), requires_grad=True) for _ in range(2))
    a, b = x.exp(), w.exp()  # their derivatives are 1 there
    terms = [lambda: (a + 1.0) + (b + 1.0), lambda: a * 2.0, lambda: b * 5.0]
    first, second, third = (terms[i]() for i in order)
    (first + second + third).backward(np.ones(3))
    assert x.grad.tolist() == [3, 3, 3] and w.grad.tolist() == [6, 6, 6] and not np.shares_memory(x.grad, w.grad)
