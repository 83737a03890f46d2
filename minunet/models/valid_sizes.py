"""Which image sizes a U-Net of valid convolutions takes, and what it makes of them. Heights and widths alike.

A valid 3x3 convolution makes an image 2 pixels smaller, so a pair of them makes it 4 smaller. Pooling halves it, and an
odd number of pixels cannot be halved: hence only some sizes fit. Call the size before the pair at the bottom b. From
there upwards, back to the image, each level was twice as large and 4 larger before its pair:

    n_D = b,   n_(l-1) = 2 n_l + 4          so    input  = 2^D (b + 4) - 4

And from there on, the pair at the bottom leaves b - 4, and each level of the decoder doubles that and takes 4 away:

    m_D = b - 4,   m_(l-1) = 2 m_l - 4      so    output = 2^D (b - 8) + 4

The paper's network has D = 4 levels. With b = 32: 572 → 568 → 284 → 280 → 140 → 136 → 68 → 64 → 32 → 30 → 28 at the
bottom, then 56 → 52 → 104 → 100 → 200 → 196 → 392 → 388. The difference of the two is the same for every b,

    input - output = 12·2^D - 8 = 2·margin,      margin = 6·2^D - 4

so the network answers for what lies at least `margin` = 92 pixels inside the image. So far does every output pixel see
on each side, and up to 2^D - 1 pixels further, by where it lies in its tile of 2^D x 2^D pixels.

A skip connection crosses over with more pixels than come up from below: c_l more on each side. At the bottom the pair
takes 2 on each side, which are 4 of the level above. On each level between, the pair of the encoder takes 2 on each
side, what lies below takes c_(l+1), and the pair of the decoder takes 2 more:

    c_D = 4,   c_l = 2 (2 + c_(l+1) + 2)    4, 16, 40, 88 in the paper's network: 64 - 56 = 2·4, …, 568 - 392 = 2·88
"""

import numpy as np
from numpy.typing import NDArray


def input_size(output: int, depth: int = 4) -> int:
    """Returns the smallest input size whose output has at least `output` pixels.

    Raises ValueError for a number below 1.

    >>> input_size(388), input_size(1), output_size(input_size(256))
    (572, 188, 260)
    """
    for name, value in (("output", output), ("depth", depth)):
        if value < 1:
            raise ValueError(f"input_size: {name} is {value!r}: it must be at least 1")
    step = 2**depth
    least = 7 if depth == 1 else 8  # the smallest b: 2^D (b - 8) + 4 is above 0
    b = max(least, 8 + -(-(output - 4) // step))
    return step * (b + 4) - 4


def output_size(input: int, depth: int = 4) -> int:
    """Returns what the network makes of an input size.

    Raises ValueError, with the nearest sizes that fit, for one that does not.

    >>> output_size(572), output_size(188)
    (388, 4)
    """
    if not fits(input, depth):
        nearest = " and ".join(map(str, nearest_sizes(input, depth)))
        raise ValueError(
            f"output_size: an input of {input} pixels does not fit at depth {depth}, where every pooling must halve an "
            f"even number: {nearest} {'do' if ' ' in nearest else 'is the smallest size that does'}"
        )
    return input - 2 * margin(depth)


def sizes_that_fit(least: int, most: int, depth: int = 4) -> range:
    """Returns all input sizes that fit, from `least` to `most`.

    Raises ValueError, with the nearest sizes that fit, if there are none.

    >>> list(sizes_that_fit(500, 572))
    [508, 524, 540, 556, 572]
    """
    step = 2**depth
    first = max(input_size(1, depth), -(-(least + 4) // step) * step - 4)
    if first > most:
        nearest = " and ".join(map(str, nearest_sizes(least, depth)))
        raise ValueError(f"no input size from {least} to {most} fits at depth {depth}: the nearest are {nearest}")
    return range(first, most + 1, step)


def fits(input: int, depth: int = 4) -> bool:
    """Returns whether the network takes images with so many rows or columns.

    >>> fits(572), fits(570), fits(28)
    (True, False, False)
    """
    return input >= input_size(1, depth) and (input + 4) % 2**depth == 0


def nearest_sizes(input: int, depth: int = 4) -> list[int]:
    """Returns the largest size that fits below (where there is one) and the smallest above; a size that fits itself.

    >>> nearest_sizes(570), nearest_sizes(100), nearest_sizes(572)
    ([556, 572], [188], [572])
    """
    step, smallest = 2**depth, input_size(1, depth)
    below, above = (input + 4) // step * step - 4, -(-(input + 4) // step) * step - 4
    return sorted({n for n in (below, max(above, smallest)) if n >= smallest})


def margin(depth: int = 4) -> int:
    """Returns how many pixels of the image the network needs beyond its answer, on each side.

    >>> margin()
    92
    """
    return 6 * 2**depth - 4


def crops(depth: int = 4) -> list[int]:
    """Returns how many pixels are cut off on each side of the skip connections, from the image's level downwards.

    >>> crops()
    [88, 40, 16, 4]
    """
    pixels = [4]
    while len(pixels) < depth:
        pixels.insert(0, 2 * (2 + pixels[0] + 2))
    return pixels


def mirrored_indices(n: int, depth: int = 4) -> NDArray:
    """Returns which of n rows stands where, once mirrored around both edges: int array of a size that fits.

    As numpy.pad does it with mode="reflect": the edge itself is not repeated, and an image that is smaller than the
    margin is mirrored again and again. Before the first row there are `margin` rows; behind the last there are as
    many, and those that are missing to the next size that fits.

    >>> rows = mirrored_indices(5, depth=1)
    >>> rows[:8], rows[8:13], rows[13:]
    (array([0, 1, 2, 3, 4, 3, 2, 1]), array([0, 1, 2, 3, 4]), array([3, 2, 1, 0, 1, 2, 3, 4, 3]))
    """
    before = margin(depth)
    return np.pad(np.arange(n), (before, input_size(n, depth) - before - n), mode="reflect")
