"""Exercise sigmoid: the gradient of the function that turns any number into a probability.

    y = σ(x) = 1 / (1 + e⁻ˣ)        x, y  of any shape

Given gy = ∂L/∂y, find gx = ∂L/∂x. Each y depends on the x at the same place only:

    gx = gy · σ'(x)      element by element

A worked example, to check by hand. ln 3 = 1.0986, and e^(-ln 3) = 1/3:

    x  = (0,   ln 3)
    y  = (1/2, 3/4)
    gy = (8,   16)
    gx = (2,   3)

Run this file to see your own gx beside it. Then:

    minunet exercise sigmoid --check sigmoid_exercise.py
    minunet exercise sigmoid --hint
"""

import numpy as np


def forward(x):
    """Returns y = 1 / (1 + e⁻ˣ)."""
    return 1 / (1 + np.exp(-x))


def backward(gy, x):
    """Returns gx."""
    # Hint: write σ'(x) with y alone. You may call forward(x) to have y.
    raise NotImplementedError("TODO: write gx")


if __name__ == "__main__":
    x = np.array([0.0, np.log(3.0)])
    gy = np.array([8.0, 16.0])
    print("gx is", backward(gy, x), "and should be [2. 3.]")
