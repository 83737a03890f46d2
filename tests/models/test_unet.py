"""The U-Net: the lecture's layers and numbers, sizes, predictions, and memory that is freed after each step."""

import contextlib
import gc
import tracemalloc
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from minunet import Tensor, UNet, nn, no_grad, ops, optim
from minunet.autograd import Function
from minunet.device import to_device, to_numpy
from minunet.models import UNet2015
from minunet.models.double_conv import DoubleConv
from minunet.nn.module import forward_hook
from minunet.ops.concatenate import ConcatenateFunction

# layer: kernel shape. Written down from the lecture's Keras model.
LECTURE = {
    "Conv_Down_1_1": (3, 3, 3, 8),
    "Conv_Down_1_2": (3, 3, 8, 8),
    "Conv_Down_2_1": (3, 3, 8, 16),
    "Conv_Down_2_2": (3, 3, 16, 16),
    "Conv_Down_3_1": (3, 3, 16, 32),
    "Conv_Down_3_2": (3, 3, 32, 32),
    "Conv_Down_4_1": (3, 3, 32, 64),
    "Conv_Down_4_2": (3, 3, 64, 64),
    "Conv_Down_5_1": (3, 3, 64, 128),
    "Conv_Down_5_2": (3, 3, 128, 128),
    "Conv_Down_6_1": (3, 3, 128, 256),
    "Conv_Down_6_2": (3, 3, 256, 256),
    "Conv_Bottle_1": (3, 3, 256, 512),
    "Conv_Bottle_2": (3, 3, 512, 512),
    "Conv_Transp_Bottle": (2, 2, 64, 512),
    "Conv_Up_1_1": (3, 3, 320, 256),
    "Conv_Up_1_2": (3, 3, 256, 256),
    "Conv_Transp_Up_1": (2, 2, 32, 256),
    "Conv_Up_2_1": (3, 3, 160, 128),
    "Conv_Up_2_2": (3, 3, 128, 128),
    "Conv_Transp_Up_2": (2, 2, 16, 128),
    "Conv_Up_3_1": (3, 3, 80, 64),
    "Conv_Up_3_2": (3, 3, 64, 64),
    "Conv_Transp_Up_3": (2, 2, 8, 64),
    "Conv_Up_4_1": (3, 3, 40, 32),
    "Conv_Up_4_2": (3, 3, 32, 32),
    "Conv_Transp_Up_4": (2, 2, 4, 32),
    "Conv_Up_5_1": (3, 3, 20, 16),
    "Conv_Up_5_2": (3, 3, 16, 16),
    "Conv_Transp_Up_5": (2, 2, 2, 16),
    "Conv_Classif_1": (3, 3, 10, 16),
    "Conv_Classif_2": (3, 3, 16, 16),
    "Conv_Out": (1, 1, 16, 1),
}


def small(**options):
    return UNet(**({"depth": 2, "width": 3, "seed": 1} | options))


def random_images(*shape, seed=0):
    return np.random.default_rng(seed).uniform(0, 1, shape).astype("float32")


# ---- the lecture's model -----------------------------------------------------------------------------------


def test_parameters_of_the_lecture():
    shapes = {name: p.shape for name, p in UNet().named_parameters()}
    assert sum(np.prod(shape) for shape in shapes.values()) == 6_667_639
    expected = {}
    for layer, (KH, KW, a, b) in LECTURE.items():
        expected[f"{layer}/kernel"] = (KH, KW, a, b)
        expected[f"{layer}/bias"] = (a if "Transp" in layer else b,)
    assert list(shapes.items()) == list(expected.items())


def test_initial_weights_match_keras():
    """Glorot-uniform kernels, zero biases."""
    for name, p in UNet().named_parameters():
        if name.endswith("bias"):
            assert not p.data.any()
        else:
            KH, KW, a, b = p.shape
            limit = (6 / (KH * KW * (a + b))) ** 0.5
            assert abs(p.data).max() <= limit * (1 + 1e-6)
            assert abs(p.data).max() > 0.9 * limit or p.size < 100


def test_upsampled_channels_come_first_and_the_skip_second():
    """A forward hook sees what Concatenate receives, and from which layers."""
    model, calls = small(), []
    with forward_hook(lambda layer, inputs, y: calls.append((layer.name, inputs, y))):
        model(random_images(1, 8, 8, 3))
    outputs = {name: y for name, _, y in calls}
    inputs = {name: x for name, x, _ in calls}
    for name, (upsampled, skip) in {
        "Concatenate_Bottle": ("Conv_Transp_Bottle", "Conv_Down_2_2"),
        "Concatenate_Up_1": ("Conv_Transp_Up_1", "Conv_Down_1_2"),
    }.items():
        assert inputs[name][0] is outputs[upsampled] and inputs[name][1] is outputs[skip]
        channels = outputs[upsampled].shape[3]
        np.testing.assert_array_equal(outputs[name].data[..., :channels], outputs[upsampled].data)
        np.testing.assert_array_equal(outputs[name].data[..., channels:], outputs[skip].data)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_no_concatenation_is_written(monkeypatch, batch_norm):
    """Neither by forward nor by backward; with a hook that looks at the data, the same numbers come out."""

    def outputs_and_gradients(hook):
        model = UNet(depth=2, width=4, batch_norm=batch_norm).astype("float64")
        with forward_hook(hook):
            y = model(np.random.default_rng(0).random((2, 8, 12, 3)))
        y.backward(np.random.default_rng(1).standard_normal(y.shape))
        return [y.data, *(p.grad for p in model.parameters())]

    seen = outputs_and_gradients(lambda layer, inputs, y: y.data)
    monkeypatch.setattr(ConcatenateFunction, "forward", lambda *_: pytest.fail("a concatenation was written"))
    for found, expected in zip(outputs_and_gradients(lambda layer, inputs, y: y.shape), seen, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_a_layer_in_place_of_the_concatenation_counts():
    class Swapped(nn.Concatenate):
        def forward(self, upsampled, skip):
            return super().forward(skip * 0, upsampled)

    model, x = small(), random_images(1, 8, 8, 3)
    before = model(x).numpy()
    for up in model.decoder:
        kernel, half = up.convolutions.first.kernel, up.upsample.out_channels
        kernel.data = np.concatenate([kernel.data[:, :, half:], kernel.data[:, :, :half]], axis=2)
        up.concatenate = Swapped()
    without_skips = model(x).numpy()
    assert abs(without_skips - before).max() > 1e-4
    for up in model.decoder:
        up.convolutions.first.kernel.data[:, :, : -up.upsample.out_channels] = 0
    np.testing.assert_allclose(model(x).numpy(), without_skips, rtol=0, atol=1e-6)


def test_the_first_rows_of_the_next_kernel_belong_to_the_upsampled_channels():
    """With the rows of the skip set to 0, the skip has no effect: the finest features come from below alone."""
    model, x = small(), random_images(1, 8, 8, 3)
    model.decoder[-2].convolutions.second.bias.data[:] = 0.3
    kernel = model.decoder[-1].convolutions.first.kernel.data
    upsampled = model.decoder[-1].upsample.out_channels
    assert kernel.shape[2] == upsampled + 3
    kernel[:, :, upsampled:] = 0
    before = model(x).data
    model.encoder[0].convolutions.second.kernel.data[...] *= 2  # doubles skip 1, and what is pooled from it
    model.encoder[1].convolutions.first.kernel.data[...] /= 2
    np.testing.assert_allclose(model(x).data, before, rtol=1e-5)
    kernel[:, :, upsampled:] = 0.1
    assert not np.allclose(model(x).data, before, rtol=1e-3)


@pytest.mark.parametrize(
    "options, shape, parameters",
    [
        ({"depth": 1, "width": 1, "in_channels": 1, "out_channels": 1}, (2, 4, 6, 1), None),
        ({"depth": 3, "width": 8, "in_channels": 4, "out_channels": 5}, (1, 16, 8, 4), None),
        ({"depth": 2, "width": 4}, (2, 8, 12, 3), None),
    ],
)
def test_depth_width_and_channels_are_arguments(options, shape, parameters):
    model = UNet(**options)
    y = model(random_images(*shape))
    assert y.shape == (*shape[:3], options.get("out_channels", 1)) and y.dtype == np.float32
    assert ((0 < y.data) & (y.data < 1)).all()
    filters = [options["width"] * 2**level for level in range(options["depth"] + 1)]
    kernels = dict(model.named_parameters())
    for level in range(options["depth"]):
        assert kernels[f"Conv_Down_{level + 1}_2/kernel"].shape[2:] == (filters[level],) * 2
    assert kernels["Conv_Bottle_2/kernel"].shape[2:] == (filters[-1],) * 2
    assert kernels["Conv_Transp_Bottle/kernel"].shape == (2, 2, max(1, filters[-1] // 8), filters[-1])


def test_logits_are_the_output_before_the_sigmoid():
    model, x = small(), random_images(2, 8, 12, 3)
    np.testing.assert_allclose(model(x).data, 1 / (1 + np.exp(-model.logits(x).data)), rtol=1e-6)


def test_the_seed_decides_the_initial_weights():
    one, same, other = (small(seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not any(np.array_equal(one[name], other[name]) for name in one if name.endswith("kernel"))


@pytest.mark.parametrize("argument", ["in_channels", "out_channels", "depth", "width"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "8", None])
def test_invalid_arguments(argument, value):
    with pytest.raises(ValueError, match=f"UNet: {argument} is .*: it must be an integer of at least 1"):
        UNet(**{argument: value})


# ---- sizes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "H, W, message",
    [
        (
            100,
            128,
            "the image is 100x128: .* multiples of 64. Resize or pad it to 64x128 or 128x128, or call model.predict",
        ),
        (130, 65, "to 128x64 or 192x128"),
        (10, 128, "to 64x128, or"),
        (1, 1, "to 64x64, or"),
        (0, 64, "to 64x64, or"),
    ],
)
def test_a_size_that_does_not_fit_names_the_nearest_ones_that_do(H, W, message):
    with pytest.raises(ValueError, match=message):
        UNet()(np.zeros((1, H, W, 3), "float32"))


@pytest.mark.parametrize("shape", [(64, 64, 3), (1, 3, 64, 64), (1, 64, 64, 1), (1, 64, 64)])
def test_a_shape_that_does_not_fit(shape):
    with pytest.raises(ValueError, match=r"UNet: the input has shape .*must be \(N, H, W, 3\), channels last"):
        UNet(depth=1, width=1)(np.zeros(shape, "float32"))


def test_an_empty_batch_is_not_called_a_wrong_size():
    try:
        y = small()(np.zeros((0, 8, 8, 3), "float32"))
    except ValueError as error:
        assert "resize" not in str(error)
    else:
        assert y.shape == (0, 8, 8, 1)


def test_images_of_another_dtype_are_refused():
    with pytest.raises(TypeError, match="conv2d: the dtypes are x float64, .* float32: they must all be the same"):
        small()(np.zeros((1, 8, 8, 3)))
    with pytest.raises(TypeError, match=r"UNet: the input is uint8: .* / 255, or call model.predict"):
        small()(np.zeros((1, 8, 8, 3), "uint8"))


# ---- predict -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (5, 300), (8, 12), (7, 3), (64, 1), (17, 16)])
def test_predict_equals_the_direct_call_on_the_padded_image(size):
    model, (H, W) = small(), size
    image = random_images(H, W, 3)
    height, width = -(-H // 4) * 4, -(-W // 4) * 4
    padded = np.stack([[image[mirrored(i, H), mirrored(j, W)] for j in range(width)] for i in range(height)])
    p = model.predict(image)
    assert type(p) is np.ndarray and p.shape == (H, W, 1) and p.dtype == np.float32
    np.testing.assert_allclose(p, model(padded[None]).data[0, :H, :W], rtol=1e-6)


def mirrored(i, n):
    """Which of n rows stands at position i when the image is reflected at its last row (then its first)."""
    period = max(2 * n - 2, 1)
    return min(i % period, period - i % period)


def test_predict_takes_bytes_and_batches():
    model = small()
    images = np.random.default_rng(0).integers(0, 256, (3, 5, 6, 3)).astype("uint8")
    p = model.predict(images)
    assert p.shape == (3, 5, 6, 1)
    for image, expected in zip(images, p):
        np.testing.assert_allclose(model.predict(image), expected, rtol=1e-5)
        np.testing.assert_allclose(model.predict((image / 255).astype("float32")), expected, rtol=1e-5)
        np.testing.assert_allclose(model.predict(image / 255), expected, rtol=1e-5)  # float64, too


def test_predict_leaves_everything_as_it_was():
    model, image = small(), random_images(5, 6, 3)
    before, state = image.copy(), model.state_dict()
    for training in (True, False):
        model.train(training)
        model.predict(image)
        assert all(module.training == training for module in model.modules())
    np.testing.assert_array_equal(image, before)
    assert all(np.array_equal(state[name], array) for name, array in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert (model.out.kernel * 1).requires_grad


def test_a_forward_hook_sees_the_last_layer_give_the_logits():
    model, x, seen = small(), random_images(1, 8, 8, 3), {}
    with forward_hook(lambda layer, inputs, y: seen.setdefault(layer.name, y)):
        z = model.logits(x)
    assert seen["Conv_Out"] is z
    np.testing.assert_allclose(1 / (1 + np.exp(-z.data)), model(x).data, rtol=1e-5)


def test_predict_runs_in_eval_mode_and_builds_no_graph():
    model, seen = small(), []
    with forward_hook(lambda layer, inputs, y: seen.append((layer.training, y.requires_grad))):
        model.predict(random_images(4, 4, 3))
    assert set(seen) == {(False, False)}


def test_predict_returns_to_training_mode_after_an_error(monkeypatch):
    model = small()
    monkeypatch.setattr(model, "_check", lambda x: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model.predict(random_images(4, 4, 3))
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predict_refuses_floats_of_0_to_255(dtype):
    with pytest.raises(ValueError, match=r"holds 0 to 255: it must hold 0 to 1; divide it by 255"):
        small().predict(np.linspace(0, 255, 4 * 4 * 3).reshape(4, 4, 3).astype(dtype))
    small().predict(np.full((4, 4, 3), 1.05, dtype))  # as resizing leaves it beside an edge


def test_predict_leaves_each_layer_in_the_mode_it_was_in():
    model = small(batch_norm=True, dropout=0.5)
    frozen = model.encoder[0].convolutions.first_norm.eval()
    model.predict(random_images(4, 4, 3))
    assert not frozen.training and all(part.training for part in model.modules() if part is not frozen)


def test_dropout_switched_on_in_a_model_that_predicts_shows_what_it_is_unsure_of():
    model, image = small(dropout=0.5).eval(), random_images(8, 8, 3)
    assert (model.predict(image) == model.predict(image)).all()
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.train()
    assert (model.predict(image) != model.predict(image)).any() and not model.training


def test_many_threads_predict_with_a_model_in_training_mode_as_one_does():
    """Each used to switch the whole model to evaluation and back, under the hands of the others."""
    model = small(batch_norm=True, dropout=0.5)
    images = [random_images(8, 8, 3, seed=i) for i in range(8)]
    expected, before = [model.predict(image) for image in images], model.state_dict()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(model.predict, images * 40))
    wrong = [i for i, answer in enumerate(answers) if not np.array_equal(answer, expected[i % 8])]
    assert not wrong and all(np.array_equal(array, before[name]) for name, array in model.state_dict().items())


@pytest.mark.parametrize("shape", [(5, 6), (5, 6, 4), (1, 2, 5, 6, 3), (3,)])
def test_predict_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match=r"UNet.predict: .* has shape .*\(H, W, 3\) or \(N, H, W, 3\)"):
        small().predict(np.zeros(shape, "float32"))


@pytest.mark.parametrize("dtype", ["int64", "uint16", "bool"])
def test_predict_refuses_dtypes_whose_range_it_cannot_know(dtype):
    """0 to 255 in int64 would silently go through the network undivided."""
    with pytest.raises(TypeError, match=rf"UNet.predict.*{dtype}.*uint8"):
        small().predict(np.ones((4, 4, 3), dtype))


def test_predict_refuses_an_empty_image():
    with pytest.raises(ValueError, match="UNet"):
        small().predict(np.zeros((0, 4, 3), "uint8"))


# ---- modes and weights -------------------------------------------------------------------------------------


def test_train_and_eval():
    model = small()
    assert model.eval() is model and not any(module.training for module in model.modules())
    assert model.train() is model and all(module.training for module in model.modules())


def test_weights_are_restored_into_another_model():
    model, other, x = small(seed=1), small(seed=2), random_images(1, 8, 8, 3)
    other.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(other(x).data, model(x).data)


def test_all_differences_are_listed_before_anything_changes():
    model = small(seed=1)
    before = model.state_dict()
    with pytest.raises(ValueError) as caught:
        model.load_state_dict(UNet(depth=3, width=4).state_dict())
    assert "Conv_Down_1_1/kernel: the model has (3, 3, 3, 3), the file (3, 3, 3, 4)" in str(caught.value)
    assert "unknown: Conv_Down_3_1/kernel" in str(caught.value)
    assert "unknown: Conv_Up_2_2/bias" in str(caught.value)
    assert all(np.array_equal(before[name], array) for name, array in model.state_dict().items())


# ---- training ----------------------------------------------------------------------------------------------


def test_every_parameter_receives_a_gradient_and_the_loss_falls(xp_array):
    x, t = random_images(2, 8, 8, 3), (random_images(2, 8, 8, 1, seed=3) > 0.5).astype("float32")
    device = Tensor(xp_array(x)).device
    model = UNet(depth=2, width=4, seed=1).to(device)
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    x, t, losses = xp_array(x), xp_array(t), []
    for _ in range(12):
        loss = ops.bce_dice_loss(model.logits(x), t)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad.dtype == np.float32 and to_numpy(p.grad).any() for p in model.parameters())
        optimizer.step()
    assert losses[-1] < 0.9 * losses[0]
    assert {p.dtype for p in model.parameters()} == {np.dtype("float32")} and model.device == device


def test_training_twice_gives_the_same_bits():
    def trained():
        model = small()
        optimizer = optim.RMSprop(model.parameters())
        for seed in range(3):
            optimizer.zero_grad()
            x, t = random_images(2, 16, 16, 3, seed=seed), random_images(2, 16, 16, 1, seed=seed)
            ops.bce_dice_loss(model.logits(x), t).backward()
            optimizer.step()
        return b"".join(array.tobytes() for array in model.state_dict().values())

    assert trained() == trained()


# ---- memory ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["backward", "loss dropped", "error", "no_grad"])
def test_memory_comes_back_after_each_step(no_collector, one_thread, monkeypatch, how):
    """Every Function and every result of a step is dead when it is over, by reference counting alone."""
    model, x, t = UNet(depth=2, width=4), random_images(4, 64, 64, 3), random_images(4, 64, 64, 1, seed=1)
    optimizer, created, call = optim.RMSprop(model.parameters()), [], Function.outputs

    def watched(function, *inputs):
        ys = call(function, *inputs)
        created.extend(map(weakref.ref, [function, *ys, *(y.data for y in ys)]))
        return ys

    def step():
        loss = ops.bce_dice_loss(model.logits(x), t)
        optimizer.zero_grad()
        if how == "backward":
            loss.backward()
            optimizer.step()
        if how == "error":
            raise ArithmeticError

    monkeypatch.setattr(Function, "outputs", watched)
    levels = []
    tracemalloc.start()
    try:
        for _ in range(5):
            mode = no_grad() if how == "no_grad" else contextlib.nullcontext()
            with contextlib.suppress(ArithmeticError), mode:
                step()
            assert len(created) > 50 and [ref for ref in created if ref() is not None] == []
            created.clear()
            levels.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    # The first step leaves gradients, the optimizer's state and scratch memory. Later ones leave nothing
    # but what Python keeps for reuse: small tuples, far below one activation of the first level.
    assert abs(levels[-1] - levels[1]) < 4 * 64 * 64 * 4 * 4 / 2, levels
    assert gc.collect() == 0  # and the garbage collector, called now, finds nothing to do


def peak_memory(function):
    """The most bytes that Python and NumPy held while function() ran, beyond what they held before."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_forward_without_gradients_holds_two_of_its_largest_activations(one_thread):
    """The input and the output of Conv_Classif_2, 16 channels at full size, and not the concatenation before them."""
    model, x = UNet(), np.zeros((1, 512, 512, 3), np.float32)
    with no_grad():
        model(Tensor(x))  # makes scratch memory, which is kept
        peak = peak_memory(lambda: model(Tensor(x)))
    assert peak < 2.2 * 512 * 512 * 16 * 4


def test_predict_holds_the_activations_of_one_group_of_images(one_thread, monkeypatch):
    monkeypatch.setattr("minunet.models.segmentation_model.GROUP_PIXELS", 2 * 128 * 128)
    model, images = UNet(depth=2, width=8), random_images(16, 128, 128, 3)
    model.predict(images[:2])
    outputs = 16 * 128 * 128 * 4  # for a moment twice: group by group, and as one array
    assert peak_memory(lambda: model.predict(images)) < 2.2 * 2 * 128 * 128 * 16 * 4 + 2 * outputs


@pytest.mark.parametrize(
    ("size", "groups"), [((64, 64), [3, 3, 1]), ((64, 64), [3, 1]), ((61, 65), [3, 3, 1]), ((200, 200), [1] * 7)]
)
def test_images_are_predicted_in_groups_and_the_answers_stay_in_order(monkeypatch, size, groups, xp_array):
    monkeypatch.setattr("minunet.models.segmentation_model.GROUP_PIXELS", 3 * 64 * 65)
    model, images, seen = small(batch_norm=True, dropout=0.5), random_images(sum(groups), *size, 3), []
    model.to("cpu" if isinstance(xp_array(images), np.ndarray) else "gpu")
    with forward_hook(lambda layer, inputs, y: seen.append(len(y)) if layer.name == "Conv_Out" else None):
        together = model.predict(images)
    assert seen == (groups if model.device == "cpu" else [len(images)])
    for image, expected in zip(images, together, strict=True):
        np.testing.assert_allclose(model.predict(image), expected, rtol=1e-5)


def test_a_layer_left_in_training_mode_sees_all_images_at_once(monkeypatch):
    monkeypatch.setattr("minunet.models.segmentation_model.GROUP_PIXELS", 1)
    model, images = small(batch_norm=True).eval(), random_images(3, 8, 8, 3)
    model.encoder[0].convolutions.first_norm.train()
    with no_grad():
        expected = model(Tensor(images)).numpy()
    np.testing.assert_allclose(model.predict(images), expected, rtol=1e-5)


# ---- batch normalization and dropout -----------------------------------------------------------------------


def test_options_do_not_change_the_initial_kernels():
    plain, regular = UNet(depth=2, width=4, seed=3), UNet(depth=2, width=4, seed=3, dropout=0.5, batch_norm=True)
    kernels = {name: array for name, array in plain.state_dict().items() if name.endswith("kernel")}
    assert all(np.array_equal(regular.state_dict()[name], array) for name, array in kernels.items())
    new = {name.split("/")[1] for name in set(regular.state_dict()) - set(plain.state_dict())}
    assert new == {"gamma", "beta", "moving_mean", "moving_variance", "random_state"}


def test_dropout_is_at_the_two_deepest_levels():
    names = [name for name, _ in UNet(depth=3, width=2, dropout=0.1).named_random_states()]
    assert names == ["Dropout_Down_3/random_state", "Dropout_Bottle/random_state"]


def test_batch_norm_has_no_bias_before_it():
    names = {name for name, _ in UNet(depth=1, width=2, batch_norm=True).named_parameters() if name.endswith("bias")}
    assert names == {"Conv_Transp_Bottle/bias", "Conv_Out/bias"}


def regular_net():
    return UNet(depth=2, width=4, dropout=0.5, batch_norm=True)


def test_predicting_changes_no_state_and_training_does():
    model, x = regular_net(), np.random.default_rng(0).uniform(0, 1, (2, 8, 8, 3)).astype("float32")
    model(x)
    before = model.state_dict()
    first = model.predict(x)
    np.testing.assert_array_equal(model.predict(x), first)
    np.testing.assert_allclose(model.predict(x[0]), first[0], atol=1e-6)
    assert model.training and all(np.array_equal(before[name], array) for name, array in model.state_dict().items())
    model(x)
    after = model.state_dict()
    state = [*model.named_buffers(), *model.named_random_states()]
    assert len(state) == 22 and all((before[name] != after[name]).any() for name, _ in state)


def test_a_network_with_dropout_and_batch_norm_continues_from_its_state_bit_for_bit():
    x = np.random.default_rng(0).uniform(0, 1, (2, 8, 8, 3)).astype("float32")
    model, other = regular_net(), UNet(depth=2, width=4, dropout=0.5, batch_norm=True, seed=9)
    model(x)
    other.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(model(x).data, other(x).data)


def test_a_gpu_gives_the_same_with_batch_norm_and_dropout(array_on):
    array_on("gpu")  # or skip
    x, gy = np.random.default_rng(0).uniform(0, 1, (2, 2, 16, 16, 3)).astype("float32")
    found = []
    for where in ("cpu", "gpu"):
        model = regular_net().to(where)
        model.logits(Tensor(to_device(x, where))).backward(to_device(gy[..., :1], where))
        found.append((model.state_dict(), [to_numpy(p.grad) for p in model.parameters()]))
    for name, array in found[0][0].items():
        np.testing.assert_allclose(found[1][0][name], array, rtol=1e-4, atol=1e-5, err_msg=name)
    for cpu, gpu in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_allclose(gpu, cpu, rtol=1e-3, atol=1e-3 * abs(cpu).max())


@pytest.mark.parametrize("dropout", [1, -0.5, float("nan")])
def test_an_invalid_dropout_rate(dropout):
    with pytest.raises(ValueError, match="dropout is .*: it must be at least 0 and below 1"):
        UNet(dropout=dropout)


@pytest.mark.parametrize("network", [UNet, UNet2015])
@pytest.mark.parametrize("call", ["__call__", "logits"])
def test_floats_of_0_to_255_are_refused_with_the_fix(network, call):
    model = network(depth=1, width=1)
    x = np.random.default_rng(0).integers(0, 256, (1, 24, 24, model.in_channels)).astype(np.float32)
    x[0, 0, :2, 0] = 0, 255
    with pytest.raises(ValueError, match="the input holds 0 to 255: it must hold 0 to 1; divide it by 255"):
        getattr(model, call)(x)
    for allowed in (x / 255, (x / 255 - 0.5) * 4):
        getattr(model, call)(allowed)


def test_dropout_in_a_unet_drops_whole_maps():
    model, seen = UNet(depth=2, width=4, dropout=0.5), []
    with forward_hook(lambda layer, inputs, y: seen.append(y.data) if isinstance(layer, nn.Dropout) else None):
        model(np.random.default_rng(0).random((4, 16, 16, 3), np.float32))
    assert len(seen) >= 2
    for y in seen:
        dropped = (y == 0).all(axis=(1, 2))  # of each image and map
        assert 0.2 < dropped.mean() < 0.8


@pytest.mark.parametrize("whole_maps, options", [(True, {}), (False, {"whole_maps": False})])
def test_a_block_drops_maps_unless_it_is_told_to_drop_numbers(whole_maps, options):
    assert DoubleConv(3, 4, "Conv_X", 0, dropout=0.5, **options).dropout.whole_maps is whole_maps
