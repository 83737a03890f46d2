"""matmul: what is checked, typical mistakes, hints, and the solution."""

import numpy as np

from minunet.autograd.arithmetic import MatMul
from minunet.learn.exercises.exercise import Exercise, Mistake, Trial, random_like
from minunet.learn.exercises.templates import matmul as template


def trials():
    """The worked example; a square; three different sizes; a single row."""
    a, b = np.array([[1.0, 2], [3, 4]]), np.array([[5.0, 6], [7, 8]])
    yield Trial("the worked example", np.array([[1.0, 0], [0, 2]]), (a, b))
    for seed, (label, n, k, m) in enumerate([("a square", 3, 3, 3), ("3x4 times 4x5", 3, 4, 5), ("one row", 1, 4, 2)]):
        gy = random_like((n, m), 3 * seed)
        yield Trial(label, gy, (random_like((n, k), 3 * seed + 1), random_like((k, m), 3 * seed + 2)))


ORDER = "the factors are in the wrong order: a product of matrices is not the same the other way round"

EXERCISE = Exercise(
    name="matmul",
    learns="where transposes come from, and how shapes guide you",
    minutes=15,
    gradients=("ga", "gb"),
    template=template,
    trials=trials,
    mistakes=(
        Mistake("ga", "b is not transposed: ga = gy bᵀ", lambda gy, a, b: gy @ b),
        Mistake("ga", ORDER + ": ga = gy bᵀ", lambda gy, a, b: b.T @ gy),
        Mistake("ga", ORDER + ", and b must be transposed: ga = gy bᵀ", lambda gy, a, b: b @ gy),
        Mistake("ga", "a in place of b: in y = a b, the factor beside a is b", lambda gy, a, b: gy @ a.T),
        Mistake("ga", "an elementwise product in place of a matrix product", lambda gy, a, b: gy * b.T),
        Mistake("ga", "gy is transposed: only b must be", lambda gy, a, b: gy.T @ b.T),
        Mistake("gb", "a is not transposed: gb = aᵀ gy", lambda gy, a, b: a @ gy),
        Mistake("gb", ORDER + ": gb = aᵀ gy", lambda gy, a, b: gy @ a.T),
        Mistake("gb", ORDER + ", and a must be transposed: gb = aᵀ gy", lambda gy, a, b: gy @ a),
        Mistake("gb", "b in place of a: in y = a b, the factor beside b is a", lambda gy, a, b: b.T @ gy),
        Mistake("gb", "an elementwise product in place of a matrix product", lambda gy, a, b: a.T * gy),
        Mistake("gb", "gy is transposed: only a must be", lambda gy, a, b: a.T @ gy.T),
        Mistake("ga", "it is transposed: ga = gy bᵀ, this is b gyᵀ", lambda gy, a, b: b @ gy.T),
        Mistake("gb", "it is transposed: gb = aᵀ gy, this is gyᵀ a", lambda gy, a, b: gy.T @ a),
    ),
    hints=(
        "a[i,l] is in y[i,j] for every j, with the factor b[l,j]: ga[i,l] = Σ_j gy[i,j] · b[l,j].",
        "The sum over j, the last index of both, is a product with a transpose: ga = gy bᵀ, (n, m) by (m, k).",
        "ga = gy @ b.T;  gb = a.T @ gy",
    ),
    solution=(MatMul,),
    why="ga = gy bᵀ and gb = aᵀ gy. In a convolution y = P(x) W the same two products give gW = P(x)ᵀ gy, and gy Wᵀ, "
    "which Pᵀ adds back into gx.",
)
