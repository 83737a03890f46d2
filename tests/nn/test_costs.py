"""Costs of a step, against numbers counted by hand for a network small enough."""

import numpy as np
import pytest

from minunet import Function, Tensor, UNet, nn, ops
from minunet.models import UNet2015
from minunet.nn import costs


def small_net():
    """One level, two filters: 3→2, 2→2 | pool | 2→4, 4→4 | up 4→1 | join 1 + 2 | 3→4, 4→4 | 4→1."""
    return UNet(depth=1, width=2, seed=0)


def test_arithmetic_by_hand():
    pixels, below = 4 * 4, 2 * 2
    products = [  # how many products, pixels, taps, channels in, channels out
        (2, pixels, 9, 3, 2),
        (3, pixels, 9, 2, 2),
        (3, below, 9, 2, 4),
        (3, below, 9, 4, 4),
        (3, below, 4, 4, 1),
        (3, pixels, 9, 3, 4),
        (3, pixels, 9, 4, 4),
        (3, pixels, 1, 4, 1),
    ]
    by_hand = sum(2 * np.prod(numbers) for numbers in products)
    assert by_hand == 37056
    assert costs.training_costs(small_net(), (4, 4)).flop == by_hand


def test_traffic_by_hand():
    layers = [  # how often it is read and written, numbers in, numbers out
        (2, 48, 32),
        (3, 32, 32),
        (2, 32, 8),
        (3, 8, 16),
        (3, 16, 16),
        (3, 16, 16),
        # the concatenation is neither written nor read
        (3, 48, 64),
        (3, 64, 64),
        (3, 64, 16),
    ]
    by_hand = sum(times * (read + written) for times, read, written in layers)
    assert costs.training_costs(small_net(), (4, 4)).moved == 4 * by_hand


def test_costs_grow_with_the_image_and_with_the_dtype():
    small, large = (costs.training_costs(small_net(), size) for size in ((4, 4), (8, 12)))
    assert large.flop == 6 * small.flop and large.moved == 6 * small.moved
    double = costs.training_costs(small_net().astype("float64"), (4, 4))
    assert double.flop == small.flop and double.moved == 2 * small.moved and double.peak > 1.9 * small.peak


def test_the_model_is_left_unchanged():
    model = UNet(depth=1, width=2, batch_norm=True, dropout=0.5)
    before = model.state_dict()
    costs.training_costs(model, (4, 4))
    assert all((array == before[name]).all() for name, array in model.state_dict().items())


def test_an_array_held_by_two_functions_counts_once_and_parameters_do_not_count():
    x = Tensor(np.zeros((1, 4, 4, 3), np.float32))
    w, v = (Tensor(np.ones((3, 3, c, 2), np.float32), requires_grad=True) for c in (3, 2))
    first = ops.conv2d(x, w, activation="relu")  # holds x, and y for the ReLU
    second = ops.conv2d(first, v, activation="relu")  # holds that y as its x, and its own y
    assert costs.bytes_of_graph(second, leaving_out=[w, v]) == 4 * (48 + 32 + 32)
    assert costs.bytes_of_graph(second) == 4 * (48 + 32 + 32) + w.data.nbytes + v.data.nbytes


def test_one_convolution_by_hand():
    layer = nn.Conv2D(3, 8, 3, stride=2, activation="relu", name="conv")
    (row,) = costs.layer_costs(layer, (4, 6))
    assert row == (
        "conv",
        "Conv2D",
        (2, 3, 8),
        3 * 3 * 3 * 8 + 8,
        2 * (2 * 3) * (3 * 3 * 3 * 8),
        4 * (4 * 6 * 3 + 2 * 3 * 8),  # the input, for gW, and the output, for the ReLU
    )


def test_a_small_network_layer_by_layer_by_hand():
    assert [tuple(row[2:]) for row in costs.layer_costs(small_net(), (4, 4))] == [
        # shape, parameters, flop, bytes: floats of 4 bytes, but 1 byte for each maximum
        ((4, 4, 2), 9 * 3 * 2 + 2, 2 * 16 * 9 * 3 * 2, 4 * 16 * (3 + 2)),
        ((4, 4, 2), 9 * 2 * 2 + 2, 2 * 16 * 9 * 2 * 2, 4 * 16 * 2),
        ((2, 2, 2), 0, 0, 4 * 2),
        ((2, 2, 4), 9 * 2 * 4 + 4, 2 * 4 * 9 * 2 * 4, 4 * 4 * (2 + 4)),
        ((2, 2, 4), 9 * 4 * 4 + 4, 2 * 4 * 9 * 4 * 4, 4 * 4 * 4),
        ((4, 4, 1), 4 * 4 * 1 + 1, 2 * 4 * 4 * 4 * 1, 0),  # its input is there, its output nobody needs
        ((4, 4, 3), 0, 0, 0),
        ((4, 4, 4), 9 * 3 * 4 + 4, 2 * 16 * 9 * 3 * 4, 4 * 16 * (1 + 4)),  # the skip is there
        ((4, 4, 4), 9 * 4 * 4 + 4, 2 * 16 * 9 * 4 * 4, 4 * 16 * 4),
        ((4, 4, 1), 4 + 1, 2 * 16 * 4, 4 * 16),  # the sigmoid keeps its output
    ]


def test_the_lecture_s_network_layer_by_layer():
    rows = {row.name: row for row in costs.layer_costs(UNet(), (256, 256))}
    assert len(rows) == 2 * 6 + 6 + 2 + 6 * 4 + 1
    assert sum(row.parameters for row in rows.values()) == 6_667_639
    assert rows["Conv_Bottle_2"] == ("Conv_Bottle_2", "Conv2D", (4, 4, 512), 2_359_808, 75_497_472, 32_768)
    assert rows["Conv_Classif_1"].kept == 4 * 256 * 256 * (2 + 16)  # the skip's 8 channels are kept by Conv_Down_1_2


@pytest.mark.parametrize(
    ("model", "size"),
    [
        (UNet(depth=2, width=2), (8, 12)),
        (UNet(depth=2, width=2, batch_norm=True, dropout=0.5), (8, 8)),
        (UNet2015(depth=1, width=2, mirror=True), (4, 4)),
        (UNet(depth=1, width=2, activation="softmax", out_channels=3).astype("float64"), (4, 4)),
    ],
)
def test_the_layers_costs_add_up_to_those_of_the_network(model, size):
    before = model.state_dict()
    rows, whole = costs.layer_costs(model, size), costs.training_costs(model, size)
    assert sum(row.kept for row in rows) == whole.kept
    assert sum(row.parameters for row in rows) == sum(p.size for p in model.parameters())
    assert all((array == before[name]).all() for name, array in model.state_dict().items())


def test_frozen_layers_count_their_parameters_and_keep_nothing():
    model = small_net()
    for parameter in model.encoder[0].convolutions.parameters():
        parameter.requires_grad = False
    rows = costs.layer_costs(model, (4, 4))
    assert [row.parameters for row in rows[:2]] == [9 * 3 * 2 + 2, 9 * 2 * 2 + 2]
    assert [row.kept for row in rows[:5]] == [0, 0, 0, 4 * 4 * (2 + 4), 4 * 4 * 4]
    assert sum(row.kept for row in rows) == costs.training_costs(model, (4, 4)).kept


def test_what_lies_between_layers_counts_with_the_next_and_what_follows_with_the_last():
    class Twice(nn.Module):
        """One layer called twice, with a square before each call and behind the second."""

        in_channels = 2

        def __init__(self):
            self.layer = nn.Conv2D(2, 2, 1)

        def forward(self, x):
            y = self.layer(x * x)
            y = self.layer(y * y)
            return y * y

    first, second = costs.layer_costs(Twice(), (3, 3))
    image = 4 * 3 * 3 * 2
    assert (first.name, second.name) == ("conv2d_1", "conv2d_2")
    assert (first.parameters, second.parameters) == (6, 0)
    assert (first.kept, second.kept) == (image, 3 * image)  # x² | y, y², and y for the last square


def test_the_peak_is_what_a_step_needs(array_on):
    """Within a tenth, for a network whose images, not its weights, need the memory."""
    from minunet import optim
    from minunet.cuda import release_memory
    from minunet.device import array_module, to_device
    from minunet.tasks import Binary

    cupy = array_module(array_on("gpu")(np.ones(1)))
    pool = cupy.get_default_memory_pool()

    class Hook(cupy.cuda.memory_hook.MemoryHook):
        name, peak = "peak", 0

        def malloc_postprocess(self, **about):
            self.peak = max(self.peak, pool.used_bytes())

    model, batch = UNet(depth=2, width=4).to("gpu"), 4
    optimizer = optim.SGD(model.parameters(), lr=1e-3)
    release_memory("gpu")
    before = pool.used_bytes()
    images, masks = np.zeros((batch, 64, 64, 3), np.uint8), np.zeros((batch, 64, 64, 1), np.uint8)
    with Hook() as hook:
        x, t, weights = Binary().targets(to_device(images, "gpu"), to_device(masks, "gpu"))
        ops.binary_cross_entropy_with_logits(model.logits(Tensor(x)), t, weights).backward()
        optimizer.step()
    assert hook.peak - before == pytest.approx(batch * costs.training_costs(model, (64, 64)).peak, rel=0.1)


def test_numbers_are_no_arrays_that_wait_for_backward():
    class Scaled(Function):
        def forward(self, x):
            self.factor, self.x = np.float64(3), x
            return x * self.factor

        def backward(self, gy):
            return gy * self.factor

    assert costs.bytes_of_graph(Scaled()(Tensor(np.zeros(10), requires_grad=True))) == 80
