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
