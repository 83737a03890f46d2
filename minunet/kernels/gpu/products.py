"""The one place where a matrix product is asked for: for the wide layers, see convolution.py.

A product of numbers of 16 bits is summed, and by default returned, in float32. In the precision tf32 the factors of a
float32 product are rounded to 11 bits.
"""

from minunet import cublas
from minunet.device import array_module
from minunet.precision import precision_in_use, sum_dtype


def product(a, b, out=None):
    """Returns the matrix product a b, written to `out` if that is given. a and b may be transposed views."""
    if out is None:
        out = array_module(a).empty((a.shape[0], b.shape[1]), sum_dtype(a.dtype))
    else:
        array_module(a)  # its GPU becomes the current one
    cublas.product(a, b, out, tf32=precision_in_use() == "tf32")
    return out
