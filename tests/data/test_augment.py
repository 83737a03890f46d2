"""Augmentation: transforms by hand on small arrays, masks that move with their images, random numbers that repeat."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from minunet.data.augment import (
    PRESETS,
    Augmentation,
    Brightness,
    Contrast,
    Elastic,
    Flip,
    FlipVertical,
    QuarterTurn,
    Rotate,
    Saturation,
    Scale,
    Shift,
    Tint,
)
from minunet.data.warp import Plan, rotation

MOVES = [Flip(), FlipVertical(), QuarterTurn(), Rotate(180), Scale(0.5), Shift(0.3), Elastic(0.03)]
COLORS = [Brightness(0.5), Contrast(0.5), Saturation(1), Tint(0.3)]
SIZES = [(1, 1), (1, 7), (5, 1), (2, 3), (17, 40), (64, 64)]


def generator(seed=0):
    return np.random.default_rng(seed)


def noise(height, width, seed=0):
    """An image of noise, and a mask of the three values."""
    rng = generator(seed)
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    return image, rng.choice(np.array([0, 1, 255], np.uint8), (height, width, 1))


def carried_out(image, mask=None, matrix=None, displacement=None, colors=None):
    """What a plan with these transforms makes of an image (and its mask, if given)."""
    plan = Plan(*image.shape[:2])
    if matrix is not None:
        plan.transform(matrix)
    if displacement is not None:
        plan.displace(displacement)
    if colors is not None:
        plan.recolor(colors)
    new = plan.apply(image, np.zeros((*image.shape[:2], 1), np.uint8) if mask is None else mask)
    return new[0] if mask is None else new


def gray(rows):
    """Rows of numbers as a gray image."""
    return np.repeat(np.array(rows, np.uint8)[:, :, None], 3, axis=2)


def moved(rows, dy, dx):
    return carried_out(gray(rows), matrix=[[1, 0, dy], [0, 1, dx], [0, 0, 1]])[:, :, 0].tolist()


class Drawn:
    """A generator whose uniform() gives one end of the range: the strongest change."""

    def __init__(self, end):
        self.end = end

    def random(self):
        return 0.0

    def uniform(self, low, high, size=None):
        value = float({"low": low, "high": high}[self.end])
        return value if size is None else np.full(size, value)


# ---- where a pixel goes ----


def test_flips_by_hand():
    image, mask = gray([[1, 2, 3], [4, 5, 6]]), np.array([[0, 1, 255], [1, 0, 0]], np.uint8)[:, :, None]
    for transform, expected, outline in [
        (Flip(), [[3, 2, 1], [6, 5, 4]], [[255, 1, 0], [0, 0, 1]]),
        (FlipVertical(), [[4, 5, 6], [1, 2, 3]], [[1, 0, 0], [0, 1, 255]]),
    ]:
        new_image, new_mask = Augmentation(transform)(image, mask, generator())
        assert new_image[:, :, 1].tolist() == expected and new_mask[:, :, 0].tolist() == outline


@pytest.mark.parametrize("side", [1, 2, 5, 16, 33])
@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_quarter_turns_of_a_square_are_exact(side, quarters):
    image, mask = noise(side, side)
    new_image, new_mask = carried_out(image, mask, rotation(90 * quarters))
    np.testing.assert_array_equal(new_image, np.rot90(image, quarters))
    np.testing.assert_array_equal(new_mask, np.rot90(mask, quarters))


@pytest.mark.parametrize("size, quarters", [((6, 6), [0, 1, 2, 3]), ((4, 6), [0, 2]), ((7, 1), [0, 2])])
def test_a_quarter_turn_takes_each_way_equally_often(size, quarters):
    image, mask = noise(*size)
    counts = dict.fromkeys(quarters, 0)
    rng = generator()
    for _ in range(400):
        new_image, new_mask = Augmentation(QuarterTurn())(image, mask, rng)
        turns = [n for n in quarters if np.array_equal(new_image, np.rot90(image, n))]
        assert len(turns) == 1 and np.array_equal(new_mask, np.rot90(mask, turns[0]))
        counts[turns[0]] += 1
    assert min(counts.values()) > 0.8 * 400 / len(quarters)


@pytest.mark.parametrize("size", [(1, 1), (5, 5), (6, 6), (5, 8), (4, 7), (6, 4)])
@pytest.mark.parametrize("colors", [None, np.diag([1.3, 0.7, 1.1, 1])])
def test_reordering_pixels_equals_interpolating_them(size, colors, monkeypatch):
    """Whatever flips and quarter turns come together: the same bits as by the way that all other matrices take."""
    image, mask = noise(*size)
    labels = np.concatenate([mask, mask[::-1]], axis=2).astype(np.uint16) * 257
    rng = generator(3)
    moves = [np.diag([1, -1, 1]), np.diag([-1, 1, 1])]
    if size[0] == size[1]:
        moves.append(np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]]))
    for _ in range(20):
        matrix = np.eye(3)
        for move in rng.integers(len(moves), size=rng.integers(5)):
            matrix = moves[move] @ matrix
        quick = carried_out(image, labels, matrix, colors=colors)
        with monkeypatch.context() as patch:
            patch.setattr(Plan, "_keeps_the_pixels", lambda plan: False)
            slow = carried_out(image, labels, matrix, colors=colors)
        for a, b in zip(quick, slow):
            assert a.dtype == b.dtype and a.flags.c_contiguous and np.array_equal(a, b)


@pytest.mark.parametrize(
    "matrix, size",
    [
        ([[1, 0, 2], [0, 1, 0], [0, 0, 1]], (5, 5)),
        ([[2, 0, 0], [0, 2, 0], [0, 0, 1]], (5, 5)),
        ([[1, 1, 0], [0, 1, 0], [0, 0, 1]], (5, 5)),
        ([[0, -1, 0], [1, 0, 0], [0, 0, 1]], (5, 7)),  # on its side, it does not fit
        ([[0, -1, 0], [1, 0, 0], [0, 0, 1]], (4, 7)),
    ],
)
def test_other_matrices_are_not_taken_for_flips(matrix, size, monkeypatch):
    image, mask = noise(*size)
    expected = carried_out(image, mask, matrix)
    assert expected[0].shape == image.shape and expected[1].shape == mask.shape
    monkeypatch.setattr(Plan, "_keeps_the_pixels", lambda plan: False)
    assert all(np.array_equal(a, b) for a, b in zip(expected, carried_out(image, mask, matrix)))
    assert not np.array_equal(expected[0], image)


def test_rotate_turns_counter_clockwise_up_to_its_strength():
    image, mask = noise(8, 8)
    np.testing.assert_array_equal(Augmentation(Rotate(90))(image, mask, Drawn("high"))[0], np.rot90(image))
    np.testing.assert_array_equal(Augmentation(Rotate(90))(image, mask, Drawn("low"))[0], np.rot90(image, -1))


def test_a_shift_by_whole_pixels_mirrors_at_the_edge():
    rows = [[1, 2, 3, 4]]
    assert moved(rows, 0, 1) == [[1, 1, 2, 3]]
    assert moved(rows, 0, 3) == [[3, 2, 1, 1]]
    assert moved(rows, 0, -2) == [[3, 4, 4, 3]]
    assert moved(rows, 0, 6) == [[3, 4, 4, 3]]  # beyond the mirror image: the image again
    assert moved([[1], [2], [3]], 1, 0) == [[1], [1], [2]]


def test_a_shift_by_part_of_a_pixel_weighs_the_four_around_it():
    # new[0, 0] is read at (-0.25, -0.5), where rows and columns are mirrored: columns (0 + 0) / 2, and so on
    assert moved([[0, 100], [40, 240]], 0, 0.5) == [[0, 50], [40, 140]]
    assert moved([[0, 100], [40, 240]], 0.25, 0.5) == [[0, 50], [30, 118]]  # 3/4 140 + 1/4 50 = 117.5


def test_shift_is_a_fraction_of_each_side():
    image, mask = noise(10, 20)
    new_image, new_mask = Augmentation(Shift(0.2))(image, mask, Drawn("high"))  # 2 down, 4 right
    np.testing.assert_array_equal(new_image[2:, 4:], image[:-2, :-4])
    np.testing.assert_array_equal(new_mask[2:, 4:], mask[:-2, :-4])
    np.testing.assert_array_equal(new_image[:2, :4], image[1::-1, 3::-1])


@pytest.mark.parametrize("end, factor", [("high", 2), ("low", 0.5)])
def test_scale_grows_and_shrinks_by_the_same_factor(end, factor):
    mask = np.zeros((64, 64, 1), np.uint8)
    mask[24:40, 24:40] = 1
    new = Augmentation(Scale(1))(np.repeat(mask * 255, 3, axis=2), mask, Drawn(end))[1][:, :, 0]
    half = int(8 * factor)
    assert new[32 - half : 32 + half, 32 - half : 32 + half].all()
    assert new[20:44, 20:44].sum() == min(256 * factor**2, 24**2)  # farther out, the mirror images begin


def test_transforms_are_applied_in_the_order_given():
    image, mask = noise(12, 12)
    rotated_first = Augmentation(Rotate(90), Flip())(image, mask, Drawn("high"))[0]
    np.testing.assert_array_equal(rotated_first, np.rot90(image)[:, ::-1])
    first_flipped = Augmentation(Flip(), Rotate(90))(image, mask, Drawn("high"))[0]
    np.testing.assert_array_equal(first_flipped, np.rot90(image[:, ::-1]))


def test_several_transforms_read_the_image_once():
    image, mask = noise(32, 32)  # noise: each further reading between pixels would blur it
    there_and_back = Plan(32, 32)
    for degrees in (20, 30, -50):
        there_and_back.transform(rotation(degrees))
    np.testing.assert_array_equal(there_and_back.apply(image, mask)[0], image)


def test_bilinear_and_mirror_as_plain_loops():
    """Against the definition, pixel by pixel, in Python floats."""
    image, mask = noise(7, 9)
    displacement = generator(1).uniform(-4, 4, (2, 7, 9)).astype(np.float32)
    a, s = math.radians(35), 1.3
    forward = [[s * math.cos(a), -s * math.sin(a), 2.25], [s * math.sin(a), s * math.cos(a), -1.5], [0, 0, 1]]
    new_image, new_mask = carried_out(image, mask, forward, displacement)

    def mirrored(i, length):
        i %= 2 * length
        return i if i < length else 2 * length - 1 - i

    def read(array, y, x):
        return array[mirrored(y, 7), mirrored(x, 9)].astype(float)

    for i in range(7):
        for j in range(9):
            # undo the shift, then the turn, then the scaling
            v, u = i - 3 + displacement[0, i, j] - 2.25, j - 4 + displacement[1, i, j] + 1.5
            y = (math.cos(a) * v + math.sin(a) * u) / s + 3
            x = (-math.sin(a) * v + math.cos(a) * u) / s + 4
            y0, x0 = math.floor(y), math.floor(x)
            expected = sum(
                (1 - abs(y - y0 - dy)) * (1 - abs(x - x0 - dx)) * read(image, y0 + dy, x0 + dx)
                for dy in (0, 1)
                for dx in (0, 1)
            )
            assert abs(new_image[i, j] - expected).max() <= 0.501
            assert new_mask[i, j] == read(mask, round(y), round(x))


# ---- elastic ----


def displacement(strength, grid, height=128, width=96, seed=0):
    plan = Plan(height, width)
    Elastic(strength, grid).add_to(plan, generator(seed))
    return plan.displacement / (strength * min(height, width))


@pytest.mark.parametrize("grid", [1, 2, 3, 5])
def test_elastic_is_bounded_and_smooth(grid):
    for seed in range(20):
        d = displacement(0.1 / grid, grid, seed=seed)
        # the displacements on the grid reach 2; between, bicubic weights add up to at most 5/4 a direction
        assert d.shape == (2, 128, 96) and abs(d).max() <= 2 * 1.25**2
        # a bicubic curve through -2 and 2 rises by at most 3 * 2 * 5/4 from one grid point to the next
        assert abs(np.diff(d, axis=1)).max() <= 7.5 * grid / 128 + 1e-5
        assert abs(np.diff(d, axis=2)).max() <= 7.5 * grid / 96 + 1e-5


def test_elastic_never_folds_the_image_over():
    for seed in range(50):
        d = displacement(0.1 / 3, 3, seed=seed) * (0.1 / 3 * 96)
        (yy, xy), (yx, xx) = np.diff(d, axis=1)[:, :, :-1], np.diff(d, axis=2)[:, :-1]
        assert ((1 + yy) * (1 + xx) - yx * xy).min() > 0  # the Jacobian determinant


def test_elastic_is_random_in_both_directions_with_its_strength_as_standard_deviation():
    middles = np.array([displacement(0.02, 3, 99, 99, seed)[:, 49, 49] for seed in range(400)])
    assert abs(middles.mean(axis=0)).max() < 0.2
    # a normal distribution cut to twice its deviation, 0.96; over 400 draws, within four standard errors
    assert abs(middles.std(axis=0) - 0.96).max() < 0.14
    assert abs(np.corrcoef(middles.T)[0, 1]) < 0.2


# ---- image and mask ----


@pytest.mark.parametrize("transform", [*MOVES, *[PRESETS[name] for name in ("light", "full")]])
def test_image_and_mask_move_together(transform):
    """An image that encodes its mask: dark outside, bright inside. Only the outline is in between."""
    rng = generator(3)
    y, x = np.mgrid[:96, :80]
    mask = (np.hypot(y - 40, (x - 45) * 1.4) < 26).astype(np.uint8)[:, :, None]
    image = np.repeat(40 + 170 * mask, 3, axis=2)
    moves = transform if isinstance(transform, Augmentation) else Augmentation(transform)
    moves = Augmentation(*(t for t in moves.transforms if type(t) in map(type, MOVES)))
    for _ in range(10):
        new_image, new_mask = moves(image, mask, rng)
        inside, outside = (new_image == 210).all(axis=2), (new_image == 40).all(axis=2)
        assert new_mask[inside].all() and not new_mask[outside].any()
        assert inside.any() and (inside | outside).mean() > 0.9


@pytest.mark.parametrize("height, width", SIZES)
def test_any_size_keeps_its_shape_and_its_values(height, width):
    image, mask = noise(height, width)
    before = image.copy(), mask.copy()
    augment = Augmentation(*MOVES, *COLORS)
    for seed in range(5):
        new_image, new_mask = augment(image, mask, generator(seed))
        assert new_image.shape == image.shape and new_mask.shape == mask.shape
        assert new_image.dtype == new_mask.dtype == np.uint8
        assert set(np.unique(new_mask)) <= set(np.unique(mask))
        assert new_image.flags.c_contiguous and new_image.flags.writeable and new_mask.flags.writeable
        moves_only = Augmentation(*MOVES)(image, mask, generator(seed))[0]
        assert moves_only.min() >= image.min() and moves_only.max() <= image.max()
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(mask, before[1])


def test_read_only_arrays_are_accepted_and_never_returned():
    image, mask = noise(6, 6)
    image.flags.writeable = mask.flags.writeable = False
    new = Augmentation()(image, mask, generator())
    assert all(array.flags.writeable for array in new)
    np.testing.assert_array_equal(new[0], image)


@pytest.mark.parametrize(
    "image, mask",
    [
        (np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 1), np.uint8)),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4, 1), bool)),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5, 1), np.uint8)),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint8)),
        (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 1), np.uint8)),
    ],
)
def test_other_arrays_are_refused(image, mask):
    with pytest.raises(ValueError, match=r"must be uint8 \(H, W, 3\) and uint8 or uint16 \(H, W, L\)"):
        PRESETS["full"](image, mask, generator())


# ---- colors ----


def recolored(transform, color, end):
    image = np.array(color, np.uint8).reshape(1, 1, 3)
    return Augmentation(transform)(image, np.ones((1, 1, 1), np.uint8), Drawn(end))[0].ravel().tolist()


def test_colors_by_hand():
    assert recolored(Brightness(1), (10, 50, 200), "high") == [20, 100, 255]  # 400 is cut
    assert recolored(Brightness(1), (10, 50, 200), "low") == [5, 25, 100]
    assert recolored(Contrast(1), (100, 150, 0), "high") == [73, 173, 0]  # 127.5 + 2 (100 - 127.5) = 72.5
    assert recolored(Contrast(1), (100, 150, 0), "low") == [114, 139, 64]
    # bright as the gray 0.299 * 100 + 0.587 * 200 + 0.114 * 50 = 153
    assert recolored(Saturation(1), (100, 200, 50), "low") == [153, 153, 153]
    assert recolored(Saturation(0.5), (100, 200, 50), "high") == [74, 224, 0]  # 153 + 1.5 (100 - 153) = 73.5
    assert recolored(Tint(0.5), (100, 20, 3), "high") == [150, 30, 5]


def test_tint_gives_each_channel_its_own_factor():
    image = np.full((2, 2, 3), 100, np.uint8)
    new = Augmentation(Tint(0.5))(image, np.zeros((2, 2, 1), np.uint8), generator(2))[0]
    assert len(set(new[0, 0].tolist())) == 3 and (new == new[0, 0]).all()


def test_colors_follow_each_other_and_are_cut_only_at_the_end():
    image, mask = np.full((1, 1, 3), 200, np.uint8), np.ones((1, 1, 1), np.uint8)
    plan = Plan(1, 1)
    plan.recolor(np.diag([2, 2, 2, 1]))
    half_and_ten_more = np.diag([0.5, 0.5, 0.5, 1])
    half_and_ten_more[:3, 3] = 10
    plan.recolor(half_and_ten_more)
    assert plan.apply(image, mask)[0].tolist() == [[[210, 210, 210]]]


@pytest.mark.parametrize("transform", COLORS)
def test_colors_leave_the_mask_alone(transform):
    image, mask = noise(9, 8)
    new_image, new_mask = Augmentation(transform)(image, mask, generator(4))
    np.testing.assert_array_equal(new_mask, mask)
    assert (new_image != image).mean() > 0.5


# ---- chances ----


@pytest.mark.parametrize("kind", [type(transform) for transform in MOVES + COLORS])
def test_probability_0_and_strength_0_are_the_identity(kind):
    image, mask = noise(23, 31)
    strength = () if kind in (Flip, FlipVertical, QuarterTurn) else (0.02,)
    still = [kind(*strength, probability=0)] + ([kind(0)] if strength else [])
    for transform in still:
        for seed in range(5):
            new_image, new_mask = Augmentation(transform)(image, mask, generator(seed))
            np.testing.assert_array_equal(new_image, image)
            np.testing.assert_array_equal(new_mask, mask)


def test_a_transform_is_made_as_often_as_its_probability_says():
    image, mask = noise(2, 3)
    augment, rng = Augmentation(Flip(probability=0.3)), generator()
    flipped = sum(not np.array_equal(augment(image, mask, rng)[0], image) for _ in range(1000))
    assert 240 < flipped < 360  # four standard deviations around 300


def test_the_generator_alone_decides_whatever_the_threads_and_the_order():
    images = [noise(40, 30, seed) for seed in range(30)]

    def changed(number):
        return PRESETS["full"](*images[number], generator(number))

    one_by_one = [changed(number) for number in range(30)]
    with ThreadPoolExecutor(4) as threads:
        backwards = list(threads.map(changed, reversed(range(30))))[::-1]
    for first, second in zip(one_by_one, backwards):
        assert np.array_equal(first[0], second[0]) and np.array_equal(first[1], second[1])
    other = PRESETS["full"](*images[0], generator(99))
    assert not np.array_equal(other[0], one_by_one[0][0])


@pytest.mark.parametrize("kind", [type(transform) for transform in MOVES + COLORS])
@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, math.inf])
def test_numbers_out_of_range_are_refused(kind, value):
    strength = () if kind in (Flip, FlipVertical, QuarterTurn) else (0.1,)
    with pytest.raises(ValueError, match=f"{kind.__name__}: probability is {value}: it must be between 0 and 1"):
        kind(*strength, probability=value)
    if strength and not (kind is Rotate and value == 1.1):
        with pytest.raises(ValueError, match=f"{kind.__name__}: strength is {value}: it must be between 0 and"):
            kind(value)


def test_rotate_takes_degrees_and_elastic_a_grid():
    assert Rotate(180).strength == 180
    with pytest.raises(ValueError, match="Rotate: strength is 181: it must be between 0 and 180"):
        Rotate(181)
    with pytest.raises(ValueError, match="Elastic: grid is 0: it must be an integer of at least 1"):
        Elastic(0.1, grid=0)


@pytest.mark.parametrize("preset", [name for name in PRESETS if name != "none"])
@pytest.mark.parametrize("size", [(17, 40), (32, 32)])
def test_all_channels_of_labels_move_as_a_mask_does(preset, size):
    """Labels of 16 bits and several channels: as if each value had been a mask of its own."""
    image, mask = noise(*size)
    big = mask.astype(np.uint16) * 257  # 0, 257 and 65535
    labels = np.concatenate([big, 60000 - big // 2, mask], axis=2)
    for seed in range(8):
        new_image, new_mask = PRESETS[preset](image, mask, generator(seed))
        same_image, new_labels = PRESETS[preset](image, labels, generator(seed))
        assert np.array_equal(same_image, new_image) and new_labels.dtype == np.uint16
        moved = new_mask.astype(np.uint16) * 257
        assert np.array_equal(new_labels, np.concatenate([moved, 60000 - moved // 2, new_mask], axis=2))


def test_presets():
    assert list(PRESETS) == ["none", "flip", "light", "full", "flips", "cells", "elastic"] and PRESETS["none"] is None
    kinds = {name: {type(t) for t in PRESETS[name].transforms} for name in ("light", "full")}
    assert kinds["light"] == {Flip, Rotate, Scale, Shift, Brightness, Contrast}
    assert kinds["full"] == {type(t) for t in MOVES + COLORS} - {FlipVertical, QuarterTurn}
    assert {type(t) for t in PRESETS["flips"].transforms} == {Flip, FlipVertical, QuarterTurn}
    assert {type(t) for t in PRESETS["flip"].transforms} == {Flip}
    assert {type(t) for t in PRESETS["elastic"].transforms} >= {Shift, Rotate, Elastic}
    assert {type(t) for t in PRESETS["cells"].transforms} >= {Flip, FlipVertical, QuarterTurn, Rotate, Elastic}
    assert "Rotate(probability=0.75, strength=10)" in repr(PRESETS["light"])


def test_the_presets_are_those_that_were_measured():
    """(how often, how far): the README's figures hold for these. A change of any is a change of recipe."""

    def recipe(name):
        return [(each.probability, getattr(each, "strength", None)) for each in PRESETS[name].transforms]

    seldom, often, always = 0.5, 0.75, 1.0
    assert recipe("flip") == [(seldom, None)]
    moves = [(often, 10), (often, 0.15), (often, 0.05)]
    assert recipe("light") == [(seldom, None), *moves, (seldom, 0.15), (seldom, 0.15)]
    moves = [(often, 20), (often, 0.3), (often, 0.1), (seldom, 0.03)]
    assert recipe("full") == [(seldom, None), *moves, *((seldom, strength) for strength in (0.3, 0.3, 0.5, 0.07))]
    flips = [(seldom, None), (seldom, None), (always, None)]
    assert recipe("flips") == flips
    names = [type(each).__name__ for each in PRESETS["cells"].transforms]
    assert names[:3] == [type(each).__name__ for each in PRESETS["flips"].transforms]  # in this order they draw
    assert names == ["Flip", "FlipVertical", "QuarterTurn", "Rotate", "Scale", "Elastic", "Brightness", "Contrast"]
    assert recipe("cells") == [*flips, *((seldom, strength) for strength in (15, 0.15, 0.02, 0.2, 0.2))]
    assert recipe("elastic") == [(seldom, None), (always, None), (seldom, 15), (seldom, 0.05), (always, 0.02)]
