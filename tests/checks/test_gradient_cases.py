"""Every derivative against differences of its forward: the cases of `minunet gradcheck`."""

import numpy as np
import pytest

from minunet import Tensor, get_num_threads, set_num_threads, use_kernels
from minunet.checks.gradient_cases import TOLERANCE, all_cases, modules
from minunet.nn import Module

CASES = all_cases()
every_case = pytest.mark.parametrize("case", CASES, ids=[f"{case.operation} {case.label}".strip() for case in CASES])


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """The arrays are tiny: threads would only wait for one another."""
    before = get_num_threads()
    set_num_threads(1)
    yield
    set_num_threads(before)


@every_case
def test_gradient(case):
    assert case.run().worst_relative_error <= TOLERANCE == 1e-6


@every_case
def test_gradient_on_the_gpu(case, array_on):
    """By directions, since two launches of each kernel for every single element would take long."""
    case = case._replace(options={"directions": 2} | case.options)
    assert case.run(convert=array_on("gpu")).worst_relative_error <= TOLERANCE


def test_the_cases_of_modules_hold_no_memory_of_the_gpu(array_on):
    put = array_on("gpu")
    for case in modules.layers(np.random.default_rng(0)):
        inputs = [Tensor(put(x), requires_grad=x.dtype.kind == "f") for x in map(np.asarray, case.inputs)]
        assert case.f(*inputs).device == inputs[0].device != "cpu"
        held = [cell.cell_contents for cell in case.f.__closure__ or ()]
        for module in (value for value in held if isinstance(value, Module)):
            assert {p.device for p in (*module.parameters(), *dict(module.named_buffers()).values())} <= {"cpu"}


@every_case
def test_forward_and_backward_change_none_of_their_inputs(case):
    """Inputs and the upstream gradient are read-only here: a write into one of them raises."""

    def read_only(array):
        array = np.array(array)
        array.flags.writeable = False
        return array

    tensors = [Tensor(read_only(x), requires_grad=x.dtype.kind == "f") for x in map(np.asarray, case.inputs)]
    y = case.f(*tensors)
    gy = read_only(np.ones(y.shape))
    y.backward(gy)
    for tensor, x in zip(tensors, case.inputs):
        np.testing.assert_array_equal(tensor.data, x)
        assert tensor.grad is None or (tensor.grad.flags.writeable and not np.shares_memory(tensor.grad, gy))


WINDOWS = "conv2d", "conv_transpose2d", "max_pool2d"
SMALL = [case for case in CASES if case.operation in WINDOWS and not case.options][::7]


@pytest.mark.parametrize("case", SMALL, ids=[f"{case.operation} {case.label}" for case in SMALL])
@pytest.mark.parametrize("kernels", ["reference", "cpu"])
def test_gradient_on_each_kernel_module(case, kernels):
    with use_kernels(kernels):
        case.run()


def test_the_cases_are_the_same_each_time():
    for first, second in zip(CASES, all_cases(), strict=True):
        assert first[:2] == second[:2]
        assert all(np.array_equal(a, b) for a, b in zip(first.inputs, second.inputs, strict=True))


def test_the_cases_have_distinct_names():
    names = [(case.operation, case.label) for case in CASES]
    assert len(set(names)) == len(names)
