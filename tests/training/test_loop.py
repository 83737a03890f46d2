"""The loop: what it learns, what it counts, how it stops."""

import math
import os
import signal
import threading

import numpy as np
import pytest

from minunet import UNet, metrics, optim
from minunet.autograd import Tensor, no_grad
from minunet.data.drawn_pets import DrawnPets
from minunet.data.loader import Loader
from minunet.nn.module import evaluation
from minunet.ops.losses import LOSSES
from minunet.tasks import Binary
from minunet.training import schedules
from minunet.training.baselines import constant_baselines
from minunet.training.batches import Prefetcher, ready_batches
from minunet.training.early_stopping import Patience
from minunet.training.interrupt import Interrupt
from minunet.training.loop import Trainer
from minunet.training.progress import Diverged, Losses


class Squares:
    """A dataset of N small images: a light square on a dark, noisy background."""

    def __init__(self, count, seed=0, size=16):
        self.names = [f"square_{i}" for i in range(count)]
        rng = np.random.default_rng(seed)
        self.pairs = []
        for _ in range(count):
            mask = np.zeros((size, size, 1), np.uint8)
            y, x = rng.integers(0, size - 8, 2)
            mask[y : y + 8, x : x + 8] = 1
            image = rng.integers(0, 120, (size, size, 3)) + 100 * mask
            self.pairs.append((image.astype(np.uint8), mask))

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, i):
        return self.pairs[i]


def small_net(seed=0):
    return UNet(depth=2, width=4, seed=seed)


def setup(count=6, batch_size=4, lr=1e-3, seed=0):
    """model, optimizer, training and validation Loader."""
    model = small_net(seed)
    optimizer = optim.RMSprop(model.parameters(), lr=lr)
    validation = Loader(Squares(3, seed=9), 2, shuffle=False)
    return model, optimizer, Loader(Squares(count), batch_size, seed), validation


def epochs(model, optimizer, loss, training, validation, count, stop=lambda: False, **options):
    """The rows of a Trainer made for this."""
    trainer = Trainer(model, optimizer, loss, **options)
    trainer.stop = stop
    return trainer.epochs(training, validation, count)


@pytest.mark.parametrize("name, bound", [("bce", 0.05), ("dice", 0.05), ("bce+dice", 0.05)])
def test_four_images_can_be_memorized(name, bound):
    model, optimizer, _, _ = setup()
    four = Loader(Squares(4), 4, shuffle=False)
    # At a constant rate RMSprop jumps around to the end, and chance decides which epoch is the last.
    steady = schedules.Cosine(1e-2, steps=60)
    rows = list(epochs(model, optimizer, LOSSES[name], four, four, 60, schedule=steady))
    assert rows[-1]["val_loss"] < bound < rows[0]["val_loss"]
    assert rows[-1]["val_mean_iou"] > 0.95


def test_four_drawn_pets_can_be_memorized():
    model = UNet(depth=3, width=8, seed=0)
    four = Loader(DrawnPets(4, size=32), 4, shuffle=False)
    optimizer = optim.Adam(model.parameters(), lr=5e-3)
    steady = schedules.Cosine(5e-3, steps=45)  # as above
    rows = list(epochs(model, optimizer, LOSSES["bce"], four, four, 45, schedule=steady))
    assert rows[-1]["val_loss"] < 0.45 < 0.6 < rows[0]["val_loss"]


def test_the_scores_in_a_row_can_be_recomputed():
    model, optimizer, training, validation = setup(lr=1e-9)  # weights that barely move
    (row,) = epochs(model, optimizer, LOSSES["bce"], training, validation, 1)
    for part, loader in (("train", training), ("val", validation)):
        images, masks = (np.stack(a) for a in zip(*(loader.dataset[i] for i in range(len(loader.dataset)))))
        with no_grad():
            p = model(Tensor(images.astype(np.float32) / 255)).numpy()
        true = masks == 1
        loss = -np.where(true, np.log(p), np.log(1 - p)).astype(np.float64).mean()
        assert row[f"{part}_loss"] == pytest.approx(loss, rel=1e-4)  # over images: batches are uneven
        assert row[f"{part}_iou"] == pytest.approx(metrics.iou(p, masks), abs=1e-3)
        assert row[f"{part}_mean_iou"] == pytest.approx(metrics.mean_iou(p, masks), abs=1e-3)
        assert row[f"{part}_accuracy"] == pytest.approx(((p > 0.5) == true).mean(), abs=1e-3)
    assert row["epoch"] == 1 and row["seconds"] > 0


def test_the_same_seed_gives_the_same_history_and_another_seed_another():
    def history(seed):
        rows = list(epochs(*setup_with_loss(seed), 2))
        return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]

    def setup_with_loss(seed):
        model, optimizer, training, validation = setup(seed=seed)
        return model, optimizer, LOSSES["bce"], training, validation

    assert history(1) == history(1)
    assert history(1) != history(2)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_gpu_learns_the_same(loss, array_on):
    array_on("gpu")  # or skip
    rows = []
    for where in ("cpu", "gpu"):
        model, _, training, validation = setup()
        optimizer = optim.SGD(model.to(where).parameters(), lr=0.01)
        rows.append(list(epochs(model, optimizer, LOSSES[loss], training, validation, 2)))
    for cpu, gpu in zip(*rows, strict=True):
        for name in ("train_loss", "val_loss"):
            assert gpu[name] == pytest.approx(cpu[name], rel=1e-5)
        assert all(gpu[name] == pytest.approx(cpu[name], abs=1e-3) for name in cpu if name != "seconds")


OPTIMIZERS = {
    "sgd": lambda params: optim.SGD(params, lr=0.05, momentum=0.9),
    "rmsprop": lambda params: optim.RMSprop(params, lr=1e-3),
    "adam": lambda params: optim.Adam(params, lr=1e-3),
}


def trained(where, make_optimizer, steps, state=None):
    """(weights, state of the optimizer) after some steps on a device, from a state that may come from another one."""
    model = small_net()
    if state is not None:
        model.load_state_dict(state[0])
    optimizer = make_optimizer(model.to(where).parameters())
    if state is not None:
        optimizer.load_state_dict(state[1])
    training = Loader(Squares(2 * steps, seed=0 if state is None else 1), 2, shuffle=False)
    rows = list(epochs(model, optimizer, LOSSES["bce"], training, training, 1))
    assert len(rows) == 1
    return model.state_dict(), optimizer.state_dict()


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("first, second", [("cpu", "gpu"), ("gpu", "cpu"), ("gpu", "gpu")])
def test_a_run_continues_on_another_device(first, second, name, array_on):
    array_on("gpu")  # or skip
    make = OPTIMIZERS[name]
    weights, memory = trained(second, make, 2, trained(first, make, 3))
    expected_weights, expected_memory = trained("cpu", make, 2, trained("cpu", make, 3))
    for found, expected in ((weights, expected_weights), (memory, expected_memory)):
        assert set(found) == set(expected)
        for key in expected:
            assert type(found[key]) is np.ndarray and found[key].dtype == expected[key].dtype
            if found[key].dtype.kind == "U":
                assert found[key] == expected[key]
            else:
                np.testing.assert_allclose(found[key], expected[key], rtol=1e-5, atol=1e-5)


def test_batches_become_numbers_between_zero_and_one_and_weights():
    images = np.array([0, 51, 255], np.uint8).reshape(1, 1, 1, 3)
    masks = np.array([[0, 1], [255, 1]], np.uint8).reshape(1, 2, 2, 1)
    (batch,) = ready_batches(Binary(), Prefetcher("cpu"), [(images, masks)])
    x, t, weights, same = batch
    assert len(batch) == 1 and x.dtype == t.dtype == weights.dtype == np.float32 and same.dtype == np.uint8
    assert x.data.ravel().tolist() == pytest.approx([0, 0.2, 1])
    assert t.ravel().tolist() == [0, 1, 0, 1] and weights.ravel().tolist() == [1, 1, 0, 1]


@pytest.mark.parametrize("name", LOSSES)
def test_what_the_network_says_about_ignored_pixels_changes_no_loss(name):
    masks = np.array([[0, 1], [255, 1]], np.uint8).reshape(1, 2, 2, 1)
    _, t, weights = Binary().targets(np.zeros((1, 2, 2, 3), np.uint8), masks)
    values, gradients = [], []
    for ignored in (-3.0, 4.0):
        z = Tensor(np.array([0.5, -1, ignored, 2], np.float32).reshape(1, 2, 2, 1), requires_grad=True)
        loss = LOSSES[name](z, t, weights)
        loss.backward()
        values.append(loss.item())
        gradients.append(z.grad.ravel())
    assert values[0] == values[1] and np.array_equal(*gradients)
    assert gradients[0][2] == 0 and (gradients[0][[0, 1, 3]] != 0).all()


def test_a_loss_that_is_not_finite_is_reported_with_its_epoch_and_step_and_yields_no_row():
    model, optimizer, training, validation = setup(count=12)
    calls, loss = [], LOSSES["bce"]

    def breaks_in_its_seventh_call(z, t, weights):
        calls.append(1)
        return loss(z, t, weights) * (math.nan if len(calls) == 7 else 1.0)

    rows = epochs(model, optimizer, breaks_in_its_seventh_call, training, validation, 5)
    assert next(rows)["epoch"] == 1  # 3 steps and 2 validation batches
    before = model.state_dict()
    with pytest.raises(Diverged, match=r"epoch 2, step 2: the loss is nan.*learning rate"):
        next(rows)
    assert all(np.isfinite(array).all() for array in model.state_dict().values())
    assert any((before[k] != array).any() for k, array in model.state_dict().items())  # step 1 was taken


def test_a_loss_that_is_read_late_is_still_named_by_its_step():
    losses = Losses("epoch 4", "cpu")
    for value in (1.0, math.inf, math.nan):
        losses.add(np.float32(value), 2)
    with pytest.raises(Diverged, match="epoch 4, step 2: the loss is inf"):
        losses.mean()


def test_an_overflowing_network_diverges_without_further_warnings():
    model, _, training, validation = setup()
    optimizer = optim.SGD(model.parameters(), lr=1e30)
    with pytest.raises(Diverged, match="epoch 1"):  # NumPy's own warnings are errors in these tests
        list(epochs(model, optimizer, LOSSES["bce"], training, validation, 3))


def test_weights_that_become_nan_in_the_last_step_are_noticed_before_they_could_be_saved():
    model, optimizer, _, validation = setup()
    one_step = Loader(Squares(4), 4)
    step = optimizer.step

    def step_off_the_cliff():
        step()
        for p in model.parameters():
            p.data[...] = np.nan

    optimizer.step = step_off_the_cliff
    with pytest.raises(Diverged, match="epoch 1, validation, step 1"):
        next(epochs(model, optimizer, LOSSES["bce"], one_step, validation, 2))


def test_stop_ends_a_validation_after_its_batch():
    model, optimizer, *_ = setup()
    asked = []
    trainer = Trainer(model, optimizer, "bce")
    trainer.stop = lambda: asked.append(1) is None and len(asked) == 2
    assert trainer.evaluate(Loader(Squares(6), 2, shuffle=False)) is None and len(asked) == 2
    trainer.stop = lambda: False
    assert trainer.evaluate(Loader(Squares(6), 2, shuffle=False))["loss"] > 0


def test_stop_ends_after_the_step_without_a_row():
    model, optimizer, training, validation = setup(count=12)
    steps = []
    step = optimizer.step
    optimizer.step = lambda: (step(), steps.append(1))
    loss, stop = LOSSES["bce"], lambda: len(steps) >= 5
    rows = list(epochs(model, optimizer, loss, training, validation, 5, stop))
    assert [row["epoch"] for row in rows] == [1] and len(steps) == 5
    assert all(p.grad is None for p in model.parameters())


def test_break_leaves_no_thread_behind():
    before = threading.active_count()
    for _ in epochs(*setup()[:2], LOSSES["bce"], *setup()[2:], 5):
        break
    assert not [t for t in threading.enumerate() if t.name.startswith("minunet-loader")]
    assert threading.active_count() <= before + 2  # the kernels keep their workers


def test_constant_answers():
    dataset = Squares(5)
    dataset.pairs[0][1][...] = 0  # an image without a pet: "all is background" is right there
    baselines = constant_baselines(Binary(), dataset)
    pet, background = baselines["all pet"], baselines["all background"]
    assert pet["iou"] == pet["foreground"] == pytest.approx(4 * 64 / (5 * 256))
    assert pet["mean_iou"] == pytest.approx(4 / 5 * 64 / 256)
    assert background["iou"] == 0 and background["mean_iou"] == pytest.approx(1 / 5)


# ---- what a step may be made of ------------------------------------------------------------------------------


class Steps(optim.SGD):
    """Keeps the gradients of each step."""

    def step(self):
        self.seen = [*getattr(self, "seen", []), [p.grad.copy() for p in self.params]]
        super().step()


def gradients_of_steps(batch_size, accumulate, loss="bce+dice", images=11, dataset=None):
    """The gradients of each step of an epoch."""
    model = small_net()
    optimizer = Steps(model.parameters(), lr=1e-3)
    training = Loader(dataset or Squares(images), batch_size, seed=5)
    list(epochs(model, optimizer, LOSSES[loss], training, training, 1, accumulate=accumulate))
    return optimizer.seen


@pytest.mark.parametrize("loss", LOSSES)
def test_accumulated_batches_make_the_step_of_one_large_batch(loss):
    """11 images: two groups of 6 and 5, in batches of 3, 3 | 3, 2 and, at once, of 6 | 5."""
    parts, whole = gradients_of_steps(3, 2, loss), gradients_of_steps(6, 1, loss)
    assert len(parts) == len(whole) == 2
    for part, one in zip(parts, whole, strict=True):
        for a, b in zip(part, one, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5 * abs(b).max())


def test_the_last_group_may_hold_a_single_batch():
    parts, whole = gradients_of_steps(2, 2, images=5), gradients_of_steps(4, 1, images=5)
    assert len(parts) == len(whole) == 2
    for a, b in zip(parts[1], whole[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5 * abs(b).max())


@pytest.mark.parametrize("batch_size, accumulate", [(6, 1), (6, 2), (3, 2), (3, 5)])
def test_a_step_with_fewer_images_is_no_shorter(batch_size, accumulate):
    """Five images, where there is room for more in the batch or in the group: the gradient is their mean."""
    (found,), (expected,) = gradients_of_steps(batch_size, accumulate, images=5), gradients_of_steps(5, 1, images=5)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5 * abs(b).max())


@pytest.mark.parametrize("batch_size, accumulate", [(3, 2), (2, 3), (4, 1), (1, 4)])
def test_the_gradient_of_each_group_is_the_mean_over_its_images(batch_size, accumulate):
    """By a loop of its own: image after image through the same weights, whatever batch or group it is in.

    Of 11 images the last group holds fewer, and its last batch fewer still."""
    found = gradients_of_steps(batch_size, accumulate, "bce")
    order = [image for images, _ in Loader(Squares(11), batch_size, seed=5).batches(1) for image in images]
    masks = {image.tobytes(): mask for image, mask in Squares(11).pairs}
    model = small_net()
    size, start = batch_size * accumulate, 0
    assert len(found) == math.ceil(11 / size)
    for step, gradients in enumerate(found):
        group, expected = order[start : start + size], [np.zeros(p.shape) for p in model.parameters()]
        for image in group:
            z = model.logits(Tensor(image[None].astype(np.float32) / 255))
            t = Tensor(masks[image.tobytes()][None].astype(np.float32))
            ((z.exp() + 1).log() - z * t).sum().backward()  # log(1 + eᶻ) is -log(1 - p); -log p is that less z
            for total, p in zip(expected, model.parameters()):
                total += p.grad / (256 * len(group))
                p.grad = None
        for a, b in zip(gradients, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-5 * abs(b).max(), err_msg=f"step {step}")
        for p, gradient in zip(model.parameters(), gradients, strict=True):
            p.data -= np.float32(1e-3) * gradient
        start += size


def test_where_pixels_are_ignored_each_batch_has_its_own_mean():
    """The documented difference: of one image a single pixel counts, a pet, and of the other all, background. In one
    batch that is 1 to 256, and the last bias must go down; in two batches it is half and half."""
    dataset = Squares(2)
    dataset.pairs[0][1][...] = 255
    dataset.pairs[0][1][0, 0] = 1
    dataset.pairs[1][1][...] = 0
    (parts,), (whole,) = (gradients_of_steps(b, a, "bce", dataset=dataset) for b, a in ((1, 2), (2, 1)))
    assert whole[-1] > 0.3 > 0.1 > abs(parts[-1])  # with p about 1/2: p - 1/257, and (p - 1) / 2 + p / 2


def test_no_step_is_left_half_done_when_it_stops():
    model, optimizer, _, validation = setup()
    training, asked = Loader(Squares(6), 1), []
    step = optimizer.step
    optimizer.step = lambda: (step(), asked.append("step"))

    def stop():
        asked.append("stop")
        return asked.count("step") == 2

    assert not list(epochs(model, optimizer, LOSSES["bce"], training, validation, 3, stop, accumulate=2))
    assert asked == ["stop", "step", "stop", "step", "stop"]  # before the epoch, then after whole steps only
    assert all(p.grad is None for p in model.parameters())


def test_accumulate_must_be_at_least_one():
    with pytest.raises(ValueError, match="accumulate is 0: it must be an integer of at least 1"):
        next(epochs(*setup_with_loss(), 1, accumulate=0))


def test_a_loss_is_a_function_or_one_of_the_names_of_the_task():
    model, optimizer, *_ = setup()
    assert Trainer(model, optimizer, "dice").loss is LOSSES["dice"] and Trainer(model, optimizer, max).loss is max
    with pytest.raises(ValueError, match="loss is 'focal': it must be one of bce, dice, bce.dice, or a function"):
        Trainer(model, optimizer, "focal")


def setup_with_loss():
    model, optimizer, training, validation = setup()
    return model, optimizer, LOSSES["bce"], training, validation


def test_clipping_shortens_the_gradient_of_each_step():
    model, _, training, validation = setup()
    optimizer = Steps(model.parameters(), lr=1e-3)
    list(epochs(model, optimizer, LOSSES["bce"], training, validation, 1, clip_norm=1e-3))
    for gradients in optimizer.seen:
        assert math.sqrt(sum((g.astype("float64") ** 2).sum() for g in gradients)) == pytest.approx(1e-3, rel=1e-5)


def test_the_schedule_is_asked_before_each_step_and_told_of_each_epoch():
    class Halving(schedules.Schedule):
        asked, told = [], []

        def __call__(self, t):
            self.asked.append(t)
            return self.lr * 0.5**t

        def epoch_done(self, row):
            self.told.append(row["epoch"])

    schedule = Halving(0.01)
    rows = list(epochs(*setup_with_loss(), 2, schedule=schedule))  # 2 steps in an epoch
    assert schedule.asked == [0, 1, 2, 3] and schedule.told == [1, 2]
    assert [row["lr"] for row in rows] == [0.005, 0.00125]  # of the last step of the epoch
    assert [row["lr"] for row in epochs(*setup_with_loss(), 1)] == [1e-3]


def test_each_epoch_has_its_own_order_and_validation_always_the_same():
    class Asked(Loader):
        def batches(self, epoch, start=0):
            epochs_asked_for.append((self is training, epoch, start))
            return super().batches(epoch, start)

    epochs_asked_for = []
    model, optimizer, *_ = setup()
    training, validation = Asked(Squares(4), 2, seed=3), Asked(Squares(2), 2)
    list(epochs(model, optimizer, LOSSES["bce"], training, validation, 3))
    expected = [(True, 1, 0), (False, 0, 0), (True, 2, 0), (False, 0, 0), (True, 3, 0), (False, 0, 0)]
    assert epochs_asked_for == expected
    assert len({tuple(training.order(epoch)) for epoch in (1, 2, 3)}) > 1


def test_validation_runs_in_eval_mode_and_training_in_training_mode():
    model = UNet(depth=2, width=4, dropout=0.5, batch_norm=True)
    trainer = Trainer(model, optim.SGD(model.parameters(), lr=1e-3), "bce")
    training, validation = Loader(Squares(4), 2), Loader(Squares(3, seed=9), 2, shuffle=False)
    rows, before = trainer.epochs(training, validation, 2), model.state_dict()
    for epoch in (1, 2):
        row, after = next(rows), model.state_dict()
        assert row["epoch"] == epoch and all((before[name] != after[name]).any() for name in before)
        with no_grad(), evaluation():  # no dropout, no mean over the batch
            p = model(Tensor(np.stack([image for image, _ in validation.dataset]).astype(np.float32) / 255)).numpy()
        true = np.stack([mask for _, mask in validation.dataset]) == 1
        assert row["val_loss"] == pytest.approx(-np.log(np.where(true, p, 1 - p)).astype(np.float64).mean(), rel=1e-4)
        before = after
    assert trainer.evaluate(validation)["loss"] == row["val_loss"]
    assert all(np.array_equal(array, before[name]) for name, array in model.state_dict().items())


def test_early_stopping_begins_no_further_epoch():
    model, _, training, validation = setup()
    patience = Patience("val_loss", 2)
    trainer = Trainer(model, optim.SGD(model.parameters(), lr=1e-30), "bce", early_stopping=patience)  # nothing changes
    assert [row["epoch"] for row in trainer.epochs(training, validation, 9)] == [1, 2, 3]
    assert trainer.progress.epoch == 4 and not list(trainer.epochs(training, validation, 9))
    patience.epochs = 3
    assert [row["epoch"] for row in trainer.epochs(training, validation, 9)] == [4]


def test_a_regularized_network_learns_and_repeats_itself():
    def rows():
        model = UNet(depth=2, width=4, dropout=0.2, batch_norm=True)
        optimizer = optim.Adam(model.parameters(), lr=3e-3, weight_decay=0.01)
        images, options = Loader(Squares(6), 3), {"schedule": schedules.Cosine(3e-3, 60, 6), "clip_norm": 5.0}
        found = list(epochs(model, optimizer, LOSSES["bce+dice"], images, images, 30, **options))
        return [{key: value for key, value in row.items() if key != "seconds"} for row in found]

    first = rows()
    assert first == rows()
    assert first[-1]["val_mean_iou"] > 0.85 > first[0]["val_mean_iou"]


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_the_first_signal_asks_to_stop_and_the_second_forces_it(capfd):
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), Interrupt() as interrupt:
        assert not interrupt()
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupt() and interrupt.signal == signal.SIGTERM
        assert "then saving" in capfd.readouterr().err
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("the second one must raise")
    assert signal.getsignal(signal.SIGINT) is before


def test_a_layer_frozen_in_evaluation_mode_stays_so_through_the_epochs():
    model = UNet(depth=2, width=4, batch_norm=True)
    norm = model.encoder[0].convolutions.first_norm
    norm.eval()
    model.encoder[0].convolutions.first.kernel.requires_grad = False
    before = model.state_dict()
    trainer = Trainer(model, optim.SGD(model.parameters(), lr=1e-2), "bce")
    list(trainer.epochs(Loader(Squares(4), 2), Loader(Squares(2, seed=9), 2, shuffle=False), 2))
    after = model.state_dict()
    kept = {name for name in before if np.array_equal(before[name], after[name])}
    assert kept == {
        "Conv_Down_1_1/kernel",
        "BatchNorm_Down_1_1/moving_mean",
        "BatchNorm_Down_1_1/moving_variance",
    }
    assert not norm.training and model.training


def test_a_model_in_evaluation_mode_is_switched_to_training_as_a_whole():
    model = UNet(depth=2, width=4, batch_norm=True).eval()
    before = model.state_dict()
    trainer = Trainer(model, optim.SGD(model.parameters(), lr=1e-2), "bce")
    next(trainer.epochs(Loader(Squares(4), 2), Loader(Squares(2, seed=9), 2, shuffle=False), 1))
    name = "BatchNorm_Down_1_1/moving_mean"
    assert model.training and not np.array_equal(before[name], model.state_dict()[name])
