"""The operators of Tensor, and elementwise functions."""

import numpy as np

from minunet import ops
from minunet.autograd.rearrange import To
from minunet.checks.gradient_cases.case import Case


def arithmetic(rng):
    """The operators of Tensor, with and without broadcasting."""
    a, b, row = rng.standard_normal((3, 4)), rng.standard_normal((3, 4)), rng.standard_normal((1, 4))
    positive = rng.uniform(0.5, 2.0, (3, 4))
    shapes = [
        ("equal shapes", a, b),
        ("a row", a, row),
        ("a column", rng.standard_normal((2, 3, 1)), b),
        ("a number", a, rng.standard_normal(())),
    ]
    for label, x, y in shapes:
        yield Case("+", label, lambda a, b: a + b, [x, y])
        yield Case("-", label, lambda a, b: a - b, [x, y])
        yield Case("*", label, lambda a, b: a * b, [x, y])
        yield Case("/", label, lambda a, b: a / b, [x, np.sign(y) * (abs(y) + 0.5)])
    yield Case("**", "tensor ** number", lambda x: x**3, [a])
    yield Case("**", "tensor ** tensor", lambda a, b: a**b, [positive, row])
    yield Case("-x", "", lambda x: -x, [a])
    yield Case("exp", "", lambda x: x.exp(), [a])
    yield Case("log", "", lambda x: x.log(), [positive])
    products = {
        "matrices": ((3, 4), (4, 5)),
        "a stack and a matrix": ((2, 3, 4), (4, 5)),
        "vector and matrix": ((4,), (4, 5)),
        "two vectors": ((4,), (4,)),
        "stack and vector": ((2, 3, 4), (4,)),
    }
    for label, (left, right) in products.items():
        yield Case("@", label, lambda a, b: a @ b, [rng.standard_normal(left), rng.standard_normal(right)])
    x = rng.standard_normal((2, 3, 4))
    for axis, keep in [(None, False), (1, False), (-1, True), ((0, 2), False), ((0, -1), True)]:
        yield Case("sum", f"axis={axis}", lambda x, axis=axis, keep=keep: x.sum(axis, keepdims=keep), [x])
        yield Case("mean", f"axis={axis}", lambda x, axis=axis, keep=keep: x.mean(axis, keepdims=keep), [x])
    yield Case("reshape", "", lambda x: x.reshape(4, -1), [x])
    yield Case("transpose", "reversed", lambda x: x.transpose(), [x])
    yield Case("transpose", "(2, 0, 1)", lambda x: x.transpose(2, 0, -2), [x])
    picks = {
        "slices": (slice(None, None, 2), 1),
        "new axis": (None, Ellipsis, -1),
        "repeated": (np.array([1, 0, 1]),),
        "mask": (x > 0,),
    }
    for label, index in picks.items():
        yield Case("getitem", label, lambda x, index=index: x[index], [x])
    yield Case("to", "", lambda x: To("cpu")(x), [a])
    yield Case("graph", "used three times", lambda x: x * x + (x * 2).exp() / (x * x + 1), [a])
    yield Case("graph", "one array for several", _sums_of_sums, [a])


def _sums_of_sums(x):
    """Add hands one array to both of its inputs, so here z, which is used twice, and x are given the same one."""
    z = x.exp()
    return (z + x) + z


def elementwise(rng):
    """Activations."""
    clear_of_zero = rng.choice([-1, 1], (3, 5)) * rng.uniform(0.1, 2, (3, 5))
    yield Case("relu", "", ops.relu, [clear_of_zero])
    yield Case("sigmoid", "", ops.sigmoid, [rng.standard_normal((3, 5)) * 3])
