"""Exercise add: the gradient of a sum, with broadcasting.

    y = a + b

The shapes of a and b may differ. NumPy then repeats the smaller one: counted from the last axis, sizes must be equal,
or one of them must be 1 or not there. So b of shape (3,) is added to each row of a (2, 3), and b of shape (2, 1) to
each column.

Given gy = ∂L/∂y, of the shape of y, find

    ga = ∂L/∂a, of the shape of a        gb = ∂L/∂b, of the shape of b

A worked example, to check by hand: b is one row, added to both rows of a.

    a  = 1 2     b  = (10, 20)     y  = 11 22     gy = 5 6     ga = 5 6     gb = (12, 14)
         3 4                            13 24          7 8          7 8

Run this file to see your own gradients beside it. Then:

    minunet exercise add --check add_exercise.py
    minunet exercise add --hint
"""

import numpy as np


def forward(a, b):
    """Returns y = a + b."""
    return a + b


def backward(gy, a, b):
    """Returns ga, gb. While one of them is not written yet, return None in its place."""
    # Hint: an element of b that was used twice has an effect on L in two places. What is its gradient then?
    raise NotImplementedError("TODO: write ga and gb")


if __name__ == "__main__":
    a = np.array([[1.0, 2.0], [3.0, 4.0]])
    b = np.array([10.0, 20.0])
    gy = np.array([[5.0, 6.0], [7.0, 8.0]])
    ga, gb = backward(gy, a, b)
    print("ga is", ga, "and should be [[5. 6.] [7. 8.]]")
    print("gb is", gb, "and should be [12. 14.]")
