"""Exercise relu: the gradient of max(x, 0).

    y = max(x, 0)        x, y  of any shape

L is the loss, a number that depends on y. Given gy = ∂L/∂y, of the shape of y, find gx = ∂L/∂x, of the shape of x.
A small change of one x changes the y at the same place, and no other:

    gx = gy · ∂y/∂x      element by element

At x = 0 there is a corner. By convention the derivative there is 0.

A worked example, to check by hand:

    x  = (-1,  2,  3)
    y  = ( 0,  2,  3)
    gy = (10, 20, 30)
    gx = ( 0, 20, 30)

Run this file to see your own gx beside it. Then:

    minunet exercise relu --check relu_exercise.py
    minunet exercise relu --hint
"""

import numpy as np


def forward(x):
    """Returns y = max(x, 0)."""
    return np.maximum(x, 0)


def backward(gy, x):
    """Returns gx."""
    # Hint: by how much does y change when x grows by a little, for x above 0? And below?
    raise NotImplementedError("TODO: write gx")


if __name__ == "__main__":
    x = np.array([-1.0, 2.0, 3.0])
    gy = np.array([10.0, 20.0, 30.0])
    print("gx is", backward(gy, x), "and should be [0. 20. 30.]")
