"""max_pool2d: what is checked, typical mistakes, hints, and the solution."""

import numpy as np

from minunet.kernels.reference.pooling import max_pool_gradient
from minunet.learn.exercises.exercise import Exercise, Mistake, Trial
from minunet.learn.exercises.templates import max_pool2d as template
from minunet.ops.max_pool2d import MaxPool2DFunction


def trials():
    """The worked example; windows side by side, overlapping, apart, not square; rows left over; ties."""
    x = np.array([1.0, 7, 3, 5]).reshape(1, 1, 4, 1)
    yield Trial("the worked example", np.array([10.0, 20, 30]).reshape(1, 1, 3, 1), (x,), ((1, 2), (1, 1)))
    rng = np.random.default_rng(1)
    for label, shape, size, stride in (
        ("2x2 windows side by side", (2, 4, 6, 2), (2, 2), (2, 2)),
        ("rows and columns left over", (1, 5, 7, 2), (2, 2), (2, 2)),
        ("3x3 windows, stride 2", (2, 7, 5, 2), (3, 3), (2, 2)),
        ("2x3 windows, stride 1x2", (1, 4, 7, 1), (2, 3), (1, 2)),
        ("gaps between windows", (1, 5, 5, 1), (1, 2), (2, 3)),
    ):
        x = rng.permutation(np.prod(shape)).reshape(shape) / 10 - np.prod(shape) / 20  # half of them are negative
        gy = rng.standard_normal(template.forward(x, size, stride).shape)
        yield Trial(label, gy, (x,), (size, stride))
    x = np.zeros((1, 2, 4, 1))
    gx = np.array([[3.0, 0, -5, 0], [0, 0, 0, 0]]).reshape(x.shape)
    yield Trial("ties", np.array([3.0, -5]).reshape(1, 1, 2, 1), (x,), ((2, 2), (2, 2)), (gx,), "by convention")


def way_back(place):
    """Returns a backward that calls place(gx's window, x's window, gy of the window) for each window."""

    def backward(gy, x, size, stride):
        (KH, KW), (SH, SW) = size, stride
        gx = np.zeros(x.shape)
        for n, i, j, c in np.ndindex(gy.shape):
            window = (n, slice(i * SH, i * SH + KH), slice(j * SW, j * SW + KW), c)
            place(gx[window], x[window], gy[n, i, j, c])
        return gx

    return backward


def to_the_largest(gx, x, g):
    """What is right: the whole g goes to the largest number, the first of equals."""
    gx[np.unravel_index(x.argmax(), x.shape)] += g


def overwrite(gx, x, g):
    """The last window over a pixel replaces what earlier ones have added."""
    gx[np.unravel_index(x.argmax(), x.shape)] = g


def all_equals(gx, x, g):
    """Each of several equal maxima gets the whole g."""
    gx += g * (x == x.max())


def shared(gx, x, g):
    """Equal maxima get equal shares of g."""
    gx += g * (x == x.max()) / (x == x.max()).sum()


def last_of_equals(gx, x, g):
    """The last of several equal maxima gets g, not the first."""
    gx[np.unravel_index(x.size - 1 - x.ravel()[::-1].argmax(), x.shape)] += g


def spread(gx, x, g):
    """As for an average: each number of the window gets an equal share of g."""
    gx += g / gx.size


def to_all(gx, x, g):
    """Each number of the window gets the whole g."""
    gx += g


def to_the_corner(gx, x, g):
    """The first number of the window gets g, whichever is the largest."""
    gx[0, 0] += g


def to_the_smallest(gx, x, g):
    """The smallest number gets g."""
    gx[np.unravel_index(x.argmin(), x.shape)] += g


def times_x(gx, x, g):
    """g is multiplied by the maximum itself."""
    gx[np.unravel_index(x.argmax(), x.shape)] += g * x.max()


def without_stride(gy, x, size, stride):
    """Windows are read and filled as if they lay one pixel apart."""
    return way_back(to_the_largest)(gy, x, size, (1, 1))


def put_without_stride(gy, x, size, stride):
    """Read from the right windows; put into those that begin at (i, j)."""
    (KH, KW), (SH, SW) = size, stride
    gx = np.zeros(x.shape)
    for n, i, j, c in np.ndindex(gy.shape):
        window = x[n, i * SH : i * SH + KH, j * SW : j * SW + KW, c]
        to_the_largest(gx[n, i : i + KH, j : j + KW, c], window, gy[n, i, j, c])
    return gx


def largest_in_size(gx, x, g):
    """The sign is not looked at."""
    gx[np.unravel_index(abs(x).argmax(), x.shape)] += g


def by_columns(gx, x, g):
    """argmax of the transposed window, read as if it were that of the window."""
    gx[np.unravel_index(x.T.argmax(), x.shape)] += g


def one(gx, x, g):
    """The largest number gets 1 in place of g."""
    gx[np.unravel_index(x.argmax(), x.shape)] += 1


def rows_for_columns(gx, x, g):
    """The index of the maximum is divided by the window's height, not by its width."""
    k, l = divmod(int(x.argmax()), x.shape[0])
    gx[min(k, x.shape[0] - 1), min(l, x.shape[1] - 1)] += g


NO_STRIDE = "the stride is left out: window (i, j) begins at row i·SH and column j·SW"

EXERCISE = Exercise(
    name="max_pool2d",
    learns="a gradient that goes to one pixel of a window, and overlapping windows that add up",
    minutes=25,
    gradients=("gx",),
    template=template,
    trials=trials,
    mistakes=(
        Mistake(
            "gx",
            "overwritten in place of added: where windows overlap, a pixel may be the largest of several. Use +=",
            way_back(overwrite),
        ),
        Mistake("gx", "each of several equal pixels gets all of gy: only the first of them does", way_back(all_equals)),
        Mistake("gx", "equal pixels share gy: here the first of them gets all of it", way_back(shared)),
        Mistake("gx", "the last of equal pixels gets gy: it must be the first", way_back(last_of_equals)),
        Mistake("gx", "spread over the window: that is the gradient of a mean", way_back(spread)),
        Mistake("gx", "not masked: every pixel of the window gets gy, not only the largest", way_back(to_all)),
        Mistake("gx", "the first pixel of each window gets gy: it belongs to the largest", way_back(to_the_corner)),
        Mistake("gx", "the smallest pixel gets gy", way_back(to_the_smallest)),
        Mistake("gx", "multiplied by x: the maximum is a copy, its derivative is 1", way_back(times_x)),
        Mistake("gx", "the largest without its sign gets gy: of -3 and 2 the maximum is 2", way_back(largest_in_size)),
        Mistake("gx", "gy is left out: each largest pixel gets 1", way_back(one)),
        Mistake("gx", NO_STRIDE, without_stride),
        Mistake("gx", NO_STRIDE + ", in gx as well as in x", put_without_stride),
        Mistake("gx", "counted column by column: argmax counts row by row", way_back(by_columns)),
        Mistake("gx", "divided by KH: the row of an index is index // KW", way_back(rows_for_columns)),
    ),
    hints=(
        "y is one of the pixels of its window. If that one grows by a little, so does y; if another does, y stays.",
        "gx begins as zeros. For each window: find the place of the largest pixel in it, and add gy[n,i,j,c] there. "
        "With overlapping windows a pixel may be found more than once, so += and not =.",
        "k, l = divmod(window.argmax(), KW);  gx[n, i * SH + k, j * SW + l, c] += gy[n, i, j, c]",
    ),
    solution=(MaxPool2DFunction, max_pool_gradient),
    why="The whole gradient goes to the argmax. The project remembers it in forward, so x need not be kept.",
)
