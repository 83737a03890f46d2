"""What the texts of the operations say in numbers, where no doctest of theirs computes it."""

import importlib

import numpy as np
import pytest

from minunet import Tensor, UNet, models, nn, ops
from minunet.kernels.windows import output_size
from minunet.nn.module import forward_hook
from minunet.ops.windows import transposed_size, window_pads


def text(name):
    """The text of an operation's file, on a single line."""
    return " ".join(importlib.import_module(f"minunet.ops.{name}").__doc__.split())


def row(*numbers):
    """One image of one row and one channel."""
    return np.array(numbers, float).reshape(1, 1, -1, 1)


def taps(*numbers):
    return np.array(numbers, float).reshape(1, -1, 1, 1)


def leaf(array):
    return Tensor(np.array(array, float), requires_grad=True)


# ---- convolution -------------------------------------------------------------------------------------------

X, GY = (1, 2, 3), (1, 10, 100)
P = np.array([[1.0, 2], [2, 3], [3, 0]])
A = np.array([[5.0, 1, 0], [0, 5, 1], [0, 0, 5]])


def test_a_convolution_is_the_matrix_that_is_written_out():
    columns = [ops.conv2d(row(*unit), taps(5, 1)).data.ravel() for unit in np.eye(3)]
    assert np.array_equal(np.transpose(columns), A)
    assert (P @ [5, 1]).tolist() == (A @ X).tolist() == [7, 13, 15]
    assert (P.T @ GY).tolist() == [321, 32]
    assert (A.T @ GY).tolist() == [5, 51, 510]
    assert np.outer(GY, [5, 1]).tolist() == [[5, 1], [50, 10], [500, 100]]


def test_the_bias_collects_the_whole_gradient():
    b = leaf([0.0])
    ops.conv2d(row(*X), taps(5, 1), b).backward(row(*GY))
    assert b.grad.tolist() == [111]


def test_a_pixel_collects_a_term_from_every_window_over_it():
    x = leaf(np.zeros((1, 4, 4, 1)))
    ops.conv2d(x, np.ones((3, 3, 1, 1))).backward(np.ones((1, 4, 4, 1)))
    assert x.grad[0, :2, :2, 0].tolist() == [[4, 6], [6, 9]]


def test_windows_of_one_pixel_are_a_matrix_product_at_each():
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 3, 3, 4)), rng.standard_normal((1, 1, 4, 5))
    assert np.allclose(ops.conv2d(x, w).data, x @ w[0, 0], rtol=0, atol=1e-12)


def test_the_largest_patch_matrix_of_the_lectures_network():
    sizes = {}

    def measure(layer, inputs, y):
        if isinstance(layer, nn.Conv2D):
            (x,), (KH, KW, C, _) = inputs, layer.kernel.shape
            sizes[layer.name] = (y.shape[1] * y.shape[2], KH * KW * C, x.data.nbytes)

    network = UNet()
    with forward_hook(measure):
        network(np.zeros((1, 256, 256, 3), np.float32))
    name, (rows, numbers, of_x) = max(sizes.items(), key=lambda item: item[1][0] * item[1][1])
    megabytes, says = rows * numbers * 4 / 1e6, text("conv2d")
    assert f"that of {name}, at 256x256: {rows:,} rows of 9·16 numbers" in says
    assert f"{megabytes:.1f} MB for one image in float32 and {16 * megabytes:.0f} MB for a batch of 16" in says
    assert f"where x has {of_x / 1e6:.1f} MB" in says


# ---- transposed convolution --------------------------------------------------------------------------------

DOWN = np.array([[1.0, 2, 4, 0, 0], [0, 0, 1, 2, 4]])  # from five pixels to two
STRIDE = {"stride": (1, 2), "padding": "valid"}


def test_a_transposed_convolution_is_the_transpose_and_not_the_inverse():
    down = [ops.conv2d(row(*unit), taps(1, 2, 4), **STRIDE).data.ravel() for unit in np.eye(5)]
    up = [ops.conv_transpose2d(row(*unit), taps(1, 2, 4), **STRIDE).data.ravel() for unit in np.eye(2)]
    assert np.array_equal(np.transpose(down), DOWN)
    assert np.array_equal(up, DOWN)
    y = ops.conv_transpose2d(row(3, 5), taps(1, 2, 4), **STRIDE)
    assert ops.conv2d(y, taps(1, 2, 4), **STRIDE).data.ravel().tolist() == [83, 117]
    assert 11 * 3 + 14 * 5 == 1 * 3 + 1 * 6 + 2 * 17 + 0 * 10 + 3 * 20 == 103


def test_a_transposed_convolution_is_a_convolution_over_zeros_between_the_pixels():
    spread = ops.conv2d(row(0, 0, 3, 0, 5, 0, 0), taps(4, 2, 1), padding="valid")
    assert spread.data.ravel().tolist() == [3, 6, 12 + 5, 10, 20]


def test_windows_of_three_with_stride_two_overlap():
    painted = ops.conv_transpose2d(np.ones((1, 3, 3, 1)), np.ones((3, 3, 1, 1)), padding="valid").data[0, :, :, 0]
    counts = np.array([1, 1, 2, 1, 2, 1, 1])
    assert np.array_equal(painted, counts[:, None] * counts)
    assert set(painted.ravel()) == {1, 2, 4}
    assert (ops.conv_transpose2d(np.ones((1, 3, 3, 1)), np.ones((2, 2, 1, 1))).data == 1).all()


# ---- windows -----------------------------------------------------------------------------------------------


def test_the_six_rows_that_are_drawn():
    size, kernel, stride = (6, 6), (3, 3), (2, 2)
    valid, same = (window_pads(size, kernel, stride, padding, "test") for padding in ("valid", "same"))
    assert output_size(size, kernel, stride, valid) == (2, 2)
    assert output_size(size, kernel, stride, same) == (3, 3)
    assert same == ((0, 1), (0, 1))
    x = leaf(row(1, 2, 3, 4, 5, 6))
    ops.conv2d(x, taps(1, 1, 1), **STRIDE).backward(row(1, 1))
    assert x.grad.ravel().tolist() == [1, 1, 2, 1, 1, 0]  # the sixth lies in no window


def test_several_sizes_become_the_same():
    for size in (7, 8):
        x = np.zeros((1, size, size, 1))
        assert ops.conv2d(x, np.ones((3, 3, 1, 1)), stride=2).shape == (1, 4, 4, 1)
    assert transposed_size((4, 4), (3, 3), (2, 2), "same") == (8, 8)


# ---- ReLU and pooling --------------------------------------------------------------------------------------


def kept(y):
    """The arrays that the operation which made y holds for backward."""
    return [value for value in vars(y.creator).values() if isinstance(value, np.ndarray)]


def test_a_relu_shares_its_array_with_a_convolution_and_not_with_a_pooling():
    y = ops.relu(leaf(np.ones((1, 4, 4, 1))))
    after = ops.conv2d(y, np.ones((3, 3, 1, 1))), ops.max_pool2d(y), ops.concatenate([y, y])
    shared = [any(array is y.data for array in kept(z)) for z in after]
    assert shared == [True, False, False]
    assert [array.dtype for array in kept(after[1])] == [np.uint8]
    assert kept(after[1])[0].shape == (1, 2, 2, 1)  # a byte per window and channel


def test_ties_at_zero_do_not_matter_after_a_relu():
    x = leaf(np.full((1, 2, 2, 1), -1.0))
    ops.max_pool2d(ops.relu(x)).backward(np.ones((1, 1, 1, 1)))
    assert not x.grad.any()


@pytest.mark.parametrize("pixel", [0, 1])
def test_with_a_tie_the_maximum_rises_and_does_not_fall(pixel):
    changes = []
    for step in (0.5, -0.5):
        x = row(2.0, 2.0)
        x[0, 0, pixel, 0] += step
        changes.append(ops.max_pool2d(x, (1, 2)).item() - 2)
    assert changes == [0.5, 0]


# ---- skips -------------------------------------------------------------------------------------------------


def test_a_convolution_over_a_concatenation_is_a_sum_of_two():
    rng = np.random.default_rng(0)
    a, b, w = rng.standard_normal((1, 5, 5, 2)), rng.standard_normal((1, 5, 5, 3)), rng.standard_normal((3, 3, 5, 4))
    together = ops.conv2d(ops.concatenate([a, b]), w).data
    apart = ops.conv2d(a, w[:, :, :2]).data + ops.conv2d(b, w[:, :, 2:]).data
    assert np.allclose(together, apart, rtol=0, atol=1e-12)
    swapped = ops.conv2d(ops.concatenate([b, a]), np.concatenate([w[:, :, 2:], w[:, :, :2]], axis=2)).data
    assert np.allclose(together, swapped, rtol=0, atol=1e-12)


def test_the_crop_at_the_lowest_skip_of_the_paper():
    shapes = {}

    def note(layer, inputs, y):
        if isinstance(layer, nn.Crop):
            shapes[layer.name] = inputs[0].shape[1], y.shape[1]

    with forward_hook(note):
        models.UNet2015(width=1).logits(np.zeros((1, 572, 572, 1), np.float32))
    assert min(shapes.values()) == (64, 56)


# ---- batch normalization -----------------------------------------------------------------------------------


def test_float32_cannot_hold_the_shorter_formula_of_the_variance():
    assert np.spacing(np.float32(5000**2)) == 2
    x = np.array([5000, 5001, 5002], np.float32).reshape(1, 1, 3, 1)
    _, (_, variance) = ops.batch_norm(x, np.ones(1, np.float32), np.zeros(1, np.float32))
    assert variance[0] == pytest.approx(2 / 3, rel=1e-6)


def test_a_bias_before_batch_normalization_is_useless():
    rng = np.random.default_rng(0)
    x, w, b = rng.standard_normal((2, 4, 4, 3)), rng.standard_normal((3, 3, 3, 2)), leaf([0.5, -2.0])
    with_bias, _ = ops.batch_norm(ops.conv2d(x, w, b), np.ones(2), np.zeros(2))
    without, _ = ops.batch_norm(ops.conv2d(x, w), np.ones(2), np.zeros(2))
    with_bias.backward(rng.standard_normal(with_bias.shape))
    assert np.allclose(with_bias.data, without.data, rtol=0, atol=1e-12)
    assert np.allclose(b.grad, 0, rtol=0, atol=1e-12)


# ---- losses ------------------------------------------------------------------------------------------------


def test_log_softmax_by_hand():
    z = leaf([1.0, 2.0, 3.0])
    ops.log_softmax(z).backward(np.array([1.0, 0.0, 0.0]))
    assert z.grad.round(4).tolist() == [0.91, -0.2447, -0.6652]
    assert ops.softmax([0.0, 1.7]).data[1] == pytest.approx(1 / (1 + np.exp(-1.7)))


def test_a_clipped_probability_cannot_be_learned_from():
    p = leaf([1.0])
    loss = ops.binary_cross_entropy(p, np.array([0.0]))
    loss.backward()
    assert loss.item() == pytest.approx(16.1, abs=0.05)
    assert p.grad.tolist() == [0]
    p = leaf([0.75, 0.75])
    ops.binary_cross_entropy(p, np.array([1.0, 0.0])).backward()
    assert np.allclose(p.grad, [-4 / 3 / 2, 4 / 2])


def test_the_squared_error_hardly_pulls_where_it_is_confidently_wrong():
    z = leaf([10.0])
    ops.mean_squared_error(ops.sigmoid(z), np.array([0.0])).backward()
    assert 0 < z.grad[0] < 1e-4  # 2 · 1 · σ'(10), where the cross entropy has 1


def test_small_pets():
    truth = np.zeros((1, 10_000))
    truth[0, :100] = 1

    def losses(p):
        predicted = np.full(truth.shape, p)
        return ops.binary_cross_entropy(predicted, truth).item(), ops.dice_loss(predicted, truth).item()

    assert losses(0.01) == pytest.approx((0.056, 0.985), abs=5e-4)
    assert losses(0.5)[0] == pytest.approx(0.693, abs=5e-4)
    assert 1 - losses(0.0)[1] == pytest.approx(1 / 101)
    z = leaf([[-10.0, -10.0]])
    ops.dice_loss(ops.sigmoid(z), np.array([[1.0, 0.0]])).backward()
    assert abs(z.grad).max() < 1e-4


def test_one_pixel_too_many_in_an_image_without_a_pet():
    assert ops.dice_loss(np.array([[1.0, 0.0, 0.0]]), np.zeros((1, 3))).item() == 0.5
    assert ops.dice_loss(np.zeros((1, 3)), np.zeros((1, 3))).item() == 0


def test_the_factor_of_the_focal_loss():
    for q, expected in ((0.9, 0.029), (0.1, 1.22)):
        gradients = []
        for gamma in (2.0, 0.0):
            z = leaf([[0.0, np.log(q / (1 - q))]])
            ops.focal_loss_with_logits(z, np.array([1]), gamma=gamma).backward()
            gradients.append(z.grad[0, 0])
        assert gradients[0] / gradients[1] == pytest.approx(expected, abs=0.005)


def test_a_class_that_is_nowhere_scores_little_when_a_trace_of_it_is_everywhere():
    p = np.array([0.999, 0.001])
    z = np.broadcast_to(np.log(p), (1, 10_000, 2))
    loss = ops.multiclass_dice_loss_with_logits(z, np.zeros((1, 10_000), int), class_weights=[0.0, 1.0])
    assert 1 - loss.item() == pytest.approx(1 / 11)


def test_a_mask_without_its_last_axis_would_broadcast():
    assert np.broadcast_shapes((1, 256, 256), (1, 256, 256, 1)) == (1, 256, 256, 256)
