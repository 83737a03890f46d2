"""Initial weights: random, and of a size that keeps the numbers of a deep network from dying out or exploding.

Random, since filters that begin alike get the same gradient, and stay alike for ever. Biases may all begin at 0.

Let the weights of a layer be independent, with mean 0 and variance v. An output without its activation is a sum of
fan_in products w x, and an input receives its gradient from fan_out outputs. So on average over the weights

    forward   mean of z²  = fan_in · v · mean of x²          z = Σ w x, before the activation
    backward  mean of gx² = fan_out · v · mean of gz²

and neither changes the mean square if v = 1 / fan_in, v = 1 / fan_out: both only where the fans are equal. A ReLU then
sets half of the z to 0, if they are as often negative as positive, and half of the mean square goes with them; on the
way back, half of the gradients. What is left per layer of 3x3 convolution and ReLU, as a factor of the mean square:

                                        Glorot, v = 2 / (fan_in + fan_out)       He, v = 2 / fan_in
    channels                            forward           backward               forward   backward
    as many (64 → 64)                   1/2               1/2                    1         1
    twice as many (64 → 128)            1/3               2/3                    1         2
    half as many (128 → 64)             2/3               1/3                    1         1/2
    C → C/8 by ConvTranspose2D, 2x2,    4/9               2/9                    -         -
    stride 2, without a ReLU

The lecture's network is initialized as Keras does it, so an encoder level of two convolutions leaves 1/3 · 1/2 of the
mean square, before the pooling, which picks the larger numbers and raises it by a tenth to a half. The root of the
mean square falls from 0.7 in a drawn pet to about 0.001 in the bottleneck (0.0005 to 0.003, `UNet(seed=0)` to 7), and
the skip connections bring larger numbers back in. The gradients fade on the way back as well: their root mean square is
about 1e-3 in the kernels of the first and the last level, and 1e-13 to 1e-12 in those of the bottleneck. At first only
the outer levels learn, and how soon the inner ones do depends on the optimizer (optim.py). With He's weights, or with
batch normalization, which undoes such factors, the bottleneck's gradients are about 1e-6.

Fans. In a convolution KH·KW·C_in numbers enter one output, and KH·KW·C_out outputs see one input (fewer at the edges).
A transposed convolution of 2x2 with stride 2 is different: its tiles do not overlap, so C_in numbers enter an output,
and one input enters 4·C_out. Keras, and therefore `ConvTranspose2D`, counts the four taps on both sides nevertheless,
v = 2 / (4·C_in + 4·C_out), which is why the last row is below 1 without any ReLU: C_in · v = 4/9 and 4·C_out · v = 2/9
with C_out = C_in / 8. `UNet2015` counts fan_in = C_in.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def glorot_uniform(
    shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator
) -> NDArray[np.floating[Any]]:
    """Returns a float32 array of `shape`, uniform in ±√(6 / (fan_in + fan_out)).

    Its variance is 2 / (fan_in + fan_out), between the 1 / fan_in that would keep the mean square of what passes
    through a linear layer forwards and the 1 / fan_out that would keep it backwards. ReLU is not accounted for.
    fan_in: how many numbers enter one output; fan_out: how many outputs one number enters (KH·KW·channels each).
    rng: numpy Generator. Source: Glorot and Bengio, 2010; Keras' default.

    >>> w = glorot_uniform((3, 3, 1, 2), 9, 18, np.random.default_rng(0))
    >>> w.shape, bool(abs(w).max() <= (6 / 27) ** 0.5)
    ((3, 3, 1, 2), True)

    Forwards through 64 → 64 channels of a 3x3 convolution, the mean square stays 1, and ReLU halves it:

    >>> rng = np.random.default_rng(0)
    >>> z = rng.standard_normal((2000, 576)) @ glorot_uniform((576, 64), 576, 576, rng)
    >>> round(float((z**2).mean()), 1), round(float((np.maximum(z, 0) ** 2).mean()), 1)
    (1.0, 0.5)
    """
    limit = (6 / (fan_in + fan_out)) ** 0.5
    return rng.uniform(-limit, limit, shape).astype(np.float32)


def he_normal(shape: tuple[int, ...], fan_in: int, rng: np.random.Generator) -> NDArray[np.floating[Any]]:
    """Returns a float32 array of `shape`, normal with mean 0 and standard deviation √(2 / fan_in).

    A sum of fan_in products has fan_in times their mean square. ReLU then sets half of such sums to 0, and half of the
    mean square with them, which is what the 2 is for: forwards, the next layer sees numbers as large as this one does.
    fan_in: how many numbers enter one output (KH·KW·channels). rng: numpy Generator. Source: He et al., 2015.

    >>> w = he_normal((3, 3, 64, 128), 9 * 64, np.random.default_rng(0))
    >>> round(float(w.std()), 4), round((2 / 576) ** 0.5, 4)
    (0.0589, 0.0589)
    """
    return ((2 / fan_in) ** 0.5 * rng.standard_normal(shape)).astype(np.float32)
