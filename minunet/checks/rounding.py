"""How far is tf32, or mixed precision, from float64? `minunet selftest --device gpu --precision mixed`

Every operation runs on the GPU in that precision, forward and backward, and is compared with the same in float64, by
NumPy. The images that it is given are rounded beforehand to the 16 bits in which they are stored, so that the error is
that of one operation: its factors' rounding and that of its result. Whole networks are left out: their errors add up.

The error is that of a whole array, ‖a - b‖ / ‖b‖. Rounding moves a number by at most half the distance to its neighbor:
2⁻⁸ of it in bfloat16, 2⁻¹¹ in float16 and tf32. For a whole array that makes about 0.17 % and 0.02 %, and an operation
rounds two or three times.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minunet.autograd import Tensor
from minunet.checks.gradient_cases import Case, all_cases
from minunet.checks.selftest import Row, full_size_cases, relative_error
from minunet.device import to_device, to_numpy
from minunet.kernels import use_kernels
from minunet.precision import half_dtype, is_floating, use_precision

ALLOWED = {"tf32": 1e-3, "float16": 1e-3, "bfloat16": 1e-2}
WITH_PARAMETERS = ("conv2d", "conv_transpose2d", "batch_norm", "nn.Conv2D", "nn.ConvTranspose2D", "nn.BatchNorm")


def single_operations(quick: bool = False) -> list[Case]:
    """Returns the Cases that are compared. quick: without those at the sizes that training has."""
    cases = [*all_cases(), *([] if quick else full_size_cases(np.random.default_rng(0)))]
    return [case for case in cases if not case.operation.startswith("UNet")]


def number_type(precision: str, device: str) -> str:
    """Returns the name of the numbers that are multiplied: "tf32", "bfloat16" or "float16"."""
    return str(half_dtype(device)) if precision == "mixed" else precision


def error(case: Case, precision: str, device: str) -> float:
    """Returns the largest relative error of the output, and of the gradients, of a Case."""
    inputs = list(_inputs(case, precision, device))
    floating = [is_floating(x.dtype) for x in inputs]
    tensors = [Tensor(to_device(x, device), requires_grad=f) for x, f in zip(inputs, floating)]
    with use_precision(precision):
        y = case.f(*tensors)
    gy = np.random.default_rng(1).standard_normal(y.shape).astype(np.float32).astype(y.dtype)
    y.backward(to_device(gy, y.device))

    exact = [Tensor(x.astype(np.float64) if f else x, requires_grad=f) for x, f in zip(inputs, floating)]
    with use_kernels("cpu"):
        expected = case.f(*exact)
        expected.backward(gy.astype(np.float64))
    pairs = [(y.data, expected.data), *((a.grad, b.grad) for a, b, f in zip(tensors, exact, floating) if f)]
    return max(relative_error(to_numpy(a).astype(np.float64), to_numpy(b)) for a, b in pairs)


def _inputs(case: Case, precision: str, device: str) -> Iterator[NDArray[Any]]:
    """Yields the inputs as an operation is given them: activations as they are stored, parameters in float32.

    Before a ReLU all are rounded as factors are: where a sum is nearly 0, its sign decides about a whole gradient.
    """
    for i, values in enumerate(case.inputs):
        x = np.asarray(values)
        if x.dtype.kind != "f":
            yield x
            continue
        x = x.astype(np.float32)
        parameter = i > 0 and case.operation in WITH_PARAMETERS
        if precision == "tf32":
            yield to_11_bits(x) if "relu" in case.label else x
        elif parameter:
            yield x.astype(half_dtype(device)).astype(np.float32) if "relu" in case.label else x
        else:
            yield x.astype(half_dtype(device))


def to_11_bits(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns float32 numbers rounded to the 11 significant bits of tf32.

    >>> to_11_bits(np.array([1 + 2**-10, 1 + 2**-12], np.float32)) - 1 == [2**-10, 0]
    array([ True,  True])
    """
    mantissa, exponent = np.frexp(x)
    return np.ldexp(np.round(mantissa * 2**11), exponent - 11).astype(np.float32)


def run(
    cases: Iterable[Case],
    precision: str,
    device: str,
    watch: Callable[[Iterable[Case]], Iterable[Case]] = lambda cases: cases,
) -> list[Row]:
    """Returns a Row for each operation, in the order of the cases; watch as for `selftest.run`."""
    name = number_type(precision, device)
    rows: dict[str, Row] = {}
    for case in watch(cases):
        row = rows.setdefault(case.operation, Row(case.operation, 0, {name: 0.0}, []))
        try:
            found, why = error(case, precision, device), ""
        except MemoryError:
            raise
        except Exception as failure:  # whatever a broken kernel makes the libraries raise: the table goes on
            found, why = float("inf"), f" ({type(failure).__name__}: {failure})"
        row.worst[name] = max(row.worst[name], found)
        if not found <= ALLOWED[name]:
            row.failed.append(f"{case.operation} {case.label}, {name}: relative error {found:.1e}{why}")
        rows[case.operation] = row._replace(checks=row.checks + 1)
    return list(rows.values())
