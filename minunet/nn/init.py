"""Initial weights."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def glorot_uniform(
    shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator
) -> NDArray[np.floating[Any]]:
    """Returns a float32 array of `shape`, uniform in ±√(6 / (fan_in + fan_out)).

    On average, a layer with such weights neither amplifies nor dampens what passes through it, forwards or backwards.
    fan_in: how many numbers enter one output; fan_out: how many outputs one number enters (KH·KW·channels each).
    rng: numpy Generator. Source: Glorot and Bengio, 2010; Keras' default.

    >>> w = glorot_uniform((3, 3, 1, 2), 9, 18, np.random.default_rng(0))
    >>> w.shape, bool(abs(w).max() <= (6 / 27) ** 0.5)
    ((3, 3, 1, 2), True)
    """
    limit = (6 / (fan_in + fan_out)) ** 0.5
    return rng.uniform(-limit, limit, shape).astype(np.float32)


def he_normal(shape: tuple[int, ...], fan_in: int, rng: np.random.Generator) -> NDArray[np.floating[Any]]:
    """Returns a float32 array of `shape`, normal with mean 0 and standard deviation √(2 / fan_in).

    A sum of fan_in products has fan_in times their variance. ReLU then sets half of such sums to 0, and with them half
    of the mean square, which is what the 2 is for: on average the next layer sees numbers as large as this one does.
    fan_in: how many numbers enter one output (KH·KW·channels). rng: numpy Generator. Source: He et al., 2015.

    >>> w = he_normal((3, 3, 64, 128), 9 * 64, np.random.default_rng(0))
    >>> round(float(w.std()), 4), round((2 / 576) ** 0.5, 4)
    (0.0589, 0.0589)
    """
    return ((2 / fan_in) ** 0.5 * rng.standard_normal(shape)).astype(np.float32)
