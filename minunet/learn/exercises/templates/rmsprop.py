"""Exercise rmsprop: from a gradient to a step.

    w        the parameter, of any shape          g  its gradient ∂L/∂w, of the same shape
    v        the running average of g², of the same shape; 0 before the first step
    lr, rho (ρ), epsilon (ε)                      numbers

All operations are elementwise:

    v ← ρ v + (1 - ρ) g²
    w ← w - lr g / √(v + ε)            with the new v

There is no gradient to find here: write the step itself. The optimizer hands in w and v and takes back the new ones;
g, w and v themselves must not change.

A worked example, to check by hand:

    w = 1, g = 2, v = 0      lr = 0.1, ρ = 0.75, ε = 3
    v = 0.75 · 0 + 0.25 · 4 = 1
    w = 1 - 0.1 · 2 / √(1 + 3) = 0.9

Run this file to see your own step beside it. Then:

    minunet exercise rmsprop --check rmsprop_exercise.py
    minunet exercise rmsprop --hint
"""

import numpy as np


def update(w, g, v, lr, rho, epsilon):
    """Returns the new w, v. While one of them is not written yet, return None in its place."""
    # Hint: two lines, in the order of the equations. Mind where ε stands.
    raise NotImplementedError("TODO: write the new v, then the new w")


if __name__ == "__main__":
    w, v = update(np.array([1.0]), np.array([2.0]), np.array([0.0]), lr=0.1, rho=0.75, epsilon=3.0)
    print("w is", w, "and should be [0.9]")
    print("v is", v, "and should be [1.]")
