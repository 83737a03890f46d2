"""A recorded training step gives the numbers of one that is not, bit for bit."""

import itertools

import numpy as np
import pytest

from minunet import UNet, cuda_graph, optim
from minunet.cli.train.arguments import parse_arguments
from minunet.cli.train.recipes import make_trainer
from minunet.cuda import synchronize
from minunet.cuda_graph import RecordedStep
from minunet.data.augment import PRESETS
from minunet.data.drawn_pets import DrawnPets
from minunet.data.drawn_scenes import CLASSES, DrawnScenes
from minunet.data.loader import Loader
from minunet.data.sample import Relabeled
from minunet.device import OutOfMemory, array_module, to_numpy
from minunet.models import UNet2015
from minunet.precision import half_dtype, resolve_precision, use_precision
from minunet.tasks import Binary, Instance, Panoptic, Semantic
from minunet.training.loop import Trainer
from minunet.training.run_folder import RunFolder
from minunet.training.schedules import Cosine, Plateau

WIDE = {"depth": 1, "width": 32}  # its lower level is made of products by cuBLAS
PETS = DrawnPets(7, size=16)
SMALL = {"depth": 1, "width": 3}


@pytest.fixture(autouse=True, params=["gpu"])
def gpu(request, array_on):
    array_on(request.param)


def start(optimizer, loss="bce", task=None, data=None, batch=2, model=None, graph=True, **options):
    """A Trainer on the GPU, with the Loaders that it learns from: a last batch that is smaller among them."""
    task, data = task or Binary(), data or PETS
    make = {"out_channels": task.out_channels, "activation": task.activation, "seed": 1} | (model or SMALL)
    network = make.pop("network", UNet)(3, **make) if "network" in make else UNet(**make)
    network.to("gpu")
    trainer = Trainer(network, optimizer(network.parameters()), loss, task=task, graph=graph, **options)
    trainer.warn = pytest.fail
    data = Relabeled(data, task.prepare)
    training = Loader(data, batch, augment=PRESETS["flips"], encode=task.encode)
    return trainer, training, Loader(data, batch, shuffle=False, encode=task.encode)


def replays(trainer):
    """Counts in a list how often the trainer's graph is launched."""
    count, record = [], trainer.recorded._record

    def counting():
        done = record()
        graph = trainer.recorded.graph
        if done:

            class Counted:
                def launch(self):
                    count.append(1)
                    graph.launch()

            trainer.recorded.graph = Counted()
        return done

    trainer.recorded._record = counting
    return count


def outcome(trainer, rows):
    """All numbers that a training has led to."""
    rows = [{name: value for name, value in row.items() if name != "seconds"} for row in rows]
    return rows, trainer.model.state_dict(), trainer.optimizer.state_dict()


def assert_same(found, expected):
    assert found[0] == expected[0]
    for ours, other in zip(found[1:], expected[1:]):
        assert ours.keys() == other.keys()
        for name in ours:
            np.testing.assert_array_equal(ours[name], other[name], err_msg=name)


def with_cosine(**options):
    return lambda: options | {"schedule": Cosine(1e-2, steps=15, warmup=3)}


RECIPES = {
    "lecture": (optim.RMSprop, dict),
    "wide": (optim.RMSprop, lambda: {"model": WIDE, "data": DrawnPets(3, size=16), "batch": 1}),
    "momentum": (lambda params: optim.SGD(params, momentum=0.9), lambda: {"loss": "dice"}),
    "best": (
        lambda params: optim.Adam(params, weight_decay=0.1),
        with_cosine(clip_norm=0.05, model=SMALL | {"batch_norm": True}, loss="bce+dice"),
    ),
    "dropout": (optim.Adam, lambda: {"model": SMALL | {"dropout": 0.3}, "schedule": Plateau(1e-2, patience=1)}),
    "paper": (
        lambda params: optim.SGD(params, momentum=0.9),
        lambda: {
            "model": SMALL | {"network": UNet2015, "mirror": True, "dropout": 0.5},
            "data": DrawnPets(3, size=16),
            "batch": 1,
        },
    ),
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recorded_training_is_the_training(name):
    optimizer, options = RECIPES[name]
    outcomes = []
    for graph in (False, True):
        trainer, *loaders = start(optimizer, graph=graph, **options())
        launched = replays(trainer) if graph else None
        outcomes.append(outcome(trainer, trainer.epochs(*loaders, 2)))
    full = len(loaders[0].dataset) // loaders[0].batch_size  # the last batch may be smaller
    assert len(launched) == 2 * full - 2
    assert_same(outcomes[1], outcomes[0])


TASKS = {
    "semantic": (Semantic(CLASSES, [1, 2, 1, 1, 1, 1, 3, 3]), "ce+dice", lambda a: a[..., :1].astype(np.uint8)),
    "instance": (Instance(), "focal", lambda a: a[..., 1:]),
    "panoptic": (Panoptic(CLASSES, class_weights=[1, 2, 1, 1, 1, 1, 3, 3]), "ce", None),
    "panoptic by boundaries": (Panoptic(CLASSES, "boundaries", [1] * 8), "dice", None),
}


@pytest.mark.parametrize("name", TASKS)
def test_a_recorded_training_of_each_task(name):
    task, loss, relabel = TASKS[name]
    scenes = DrawnScenes(2, size=32)
    outcomes = []
    for graph in (False, True):
        data = Relabeled(scenes, relabel) if relabel else scenes
        trainer, *loaders = start(optim.Adam, loss, task, data, batch=1, graph=graph, clip_norm=1.0)
        launched = replays(trainer) if graph else None
        outcomes.append(outcome(trainer, trainer.epochs(*loaders, 2)))
    assert len(launched) == 2 * 2 - 2
    assert_same(outcomes[1], outcomes[0])


def stop_in_the_middle(trainer, training, validation, folder):
    """Trains for three steps, in the middle of the first epoch, and leaves its checkpoint in the folder."""
    steps = []
    trainer.after_step = lambda: steps.append(1)
    trainer.stop = lambda: len(steps) == 3
    with RunFolder(folder, {}, trainer.parts()) as run:
        assert list(trainer.epochs(training, validation, 2)) == []
        run.finish("interrupted", trainer.model)


def test_a_run_that_is_resumed_in_the_middle_ends_with_the_same_numbers(tmp_path):
    options = {"model": SMALL | {"batch_norm": True, "dropout": 0.2}, "clip_norm": 1.0}
    whole, *loaders = start(optim.Adam, graph=False, **options)
    expected = outcome(whole, whole.epochs(*loaders, 2))
    stop_in_the_middle(*start(optim.Adam, **options), tmp_path / "run")
    second, *loaders = start(optim.Adam, **options)
    with RunFolder(tmp_path / "run", {}, second.parts(), resume=second.model):
        launched = replays(second)
        found = outcome(second, second.epochs(*loaders, 2))
    assert len(launched) == 3 - 2  # the full batches of the second epoch, less two to warm up
    assert_same(found, expected)


# ---- precisions ----------------------------------------------------------------------------------------------


@pytest.fixture(params=["tf32", "mixed"])
def precision(request):
    try:
        return resolve_precision(request.param, "gpu:0")
    except ValueError as error:
        pytest.skip(str(error))


def test_a_recorded_training_in_each_precision(precision):
    options = {"model": SMALL | {"batch_norm": True, "dropout": 0.2}, "clip_norm": 1.0}
    outcomes, scales = [], []
    for graph in (False, True):
        trainer, *loaders = start(lambda params: optim.Adam(params, weight_decay=0.1), graph=graph, **options)
        if precision == "mixed" and half_dtype("gpu:0") == np.float16:
            trainer.loss_scale.load_state_dict({"scale": 2.0**20, "steps": 1997})  # overflows first, then grows
        launched = replays(trainer) if graph else None
        with use_precision(precision):
            outcomes.append(outcome(trainer, trainer.epochs(*loaders, 2)))
        scales.append(trainer.loss_scale.state_dict())
    assert len(launched) == 2 * 3 - 2
    assert_same(outcomes[1], outcomes[0])
    assert scales[0] == scales[1]


def test_an_overflow_in_a_replay_skips_its_step_and_no_other():
    if half_dtype("gpu:0") != np.float16:
        pytest.skip("bfloat16 does not overflow")
    histories = []
    for graph in (False, True):
        trainer, *loaders = start(optim.Adam, graph=graph)
        trainer.loss_scale.load_state_dict({"scale": 2.0**16, "steps": 1997})
        history = []

        def after_step(trainer=trainer, history=history):
            weights = np.concatenate([to_numpy(p.data).ravel() for p in trainer.model.parameters()])
            history.append((weights, trainer.loss_scale.state_dict()["scale"]))
            if len(history) == 5:
                trainer.loss_scale.numbers[0] = 2.0**60

        trainer.after_step = after_step
        with use_precision("mixed"):
            list(trainer.epochs(*loaders, 2))
        histories.append(history)
    for found, expected in zip(*reversed(histories), strict=True):
        np.testing.assert_array_equal(found[0], expected[0])
        assert found[1] == expected[1]
    weights, scales = zip(*histories[1])
    assert scales[:3] == (2.0**16, 2.0**16, 2.0**17)  # the third good step in a row, after 1997
    assert scales[5] == 2.0**59
    changed = [not np.array_equal(a, b) for a, b in itertools.pairwise(weights)]
    assert changed[:4] == [True] * 4 and not changed[4]


def test_a_run_in_mixed_precision_is_resumed_with_the_same_numbers(tmp_path):
    with use_precision("mixed"):
        whole, *loaders = start(optim.Adam)
        expected = outcome(whole, whole.epochs(*loaders, 2))
        first, *loaders = start(optim.Adam)
        if half_dtype("gpu:0") == np.float16:
            assert first.loss_scale.state_dict() == {}
        stop_in_the_middle(first, *loaders, tmp_path / "run")
        second, *loaders = start(optim.Adam)
        with RunFolder(tmp_path / "run", {}, second.parts(), resume=second.model):
            assert second.loss_scale.state_dict() == first.loss_scale.state_dict()
            found = outcome(second, second.epochs(*loaders, 2))
    assert_same(found, expected)
    assert second.loss_scale.state_dict() == whole.loss_scale.state_dict()
    other, *loaders = start(optim.Adam)  # and a checkpoint does not depend on the precision
    with RunFolder(tmp_path / "run", {}, other.parts(), resume=other.model):
        list(other.epochs(*loaders, 3))


def test_another_precision_is_recorded_anew():
    outcomes = []
    for graph in (False, True):
        trainer, *loaders = start(optim.RMSprop, graph=graph)
        launched, rows = replays(trainer) if graph else None, []
        for epoch, name in enumerate(("float32", "mixed", "float32"), 1):
            with use_precision(name):
                rows += trainer.epochs(*loaders, epoch)
        outcomes.append(outcome(trainer, rows))
    assert len(launched) == 3 * (3 - 2)
    assert_same(outcomes[1], outcomes[0])


# ---- what changes on the way -------------------------------------------------------------------------------


def freeze_a_layer(trainer):
    trainer.model.parameters()[0].requires_grad = False


def freeze_the_statistics(trainer):
    next(module for module in trainer.model.modules() if type(module).__name__ == "BatchNorm").eval()


def load_other_weights(trainer):
    trainer.model.load_state_dict({name: a * 0.5 for name, a in trainer.model.state_dict().items()})


def clip_harder(trainer):
    trainer.clip_norm = 0.01


def decay(trainer):
    trainer.optimizer.weight_decay = 0.1


def leave_a_gradient(trainer):
    p = trainer.model.parameters()[0]
    p.grad = array_module(p.data).ones_like(p.data)


CHANGES = (freeze_a_layer, freeze_the_statistics, load_other_weights, clip_harder, decay, leave_a_gradient)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_what_is_changed_between_two_steps_is_recorded_anew(change):
    outcomes = []
    for graph in (False, True):
        trainer, *loaders = start(optim.RMSprop, graph=graph, clip_norm=1.0, model=SMALL | {"batch_norm": True})
        launched = replays(trainer) if graph else None

        def after_step(trainer=trainer):
            if trainer.optimizer.steps == 5:
                change(trainer)

        trainer.after_step = after_step
        outcomes.append(outcome(trainer, trainer.epochs(*loaders, 2)))
    assert 0 < len(launched) < 2 * 3 - 2
    assert_same(outcomes[1], outcomes[0])


def test_a_learning_rate_set_by_hand_holds_from_the_next_step_on():
    outcomes = []
    for graph in (False, True):
        trainer, *loaders = start(optim.RMSprop, graph=graph)

        def after_step(trainer=trainer):
            trainer.optimizer.lr *= 0.7

        trainer.after_step = after_step
        outcomes.append(outcome(trainer, trainer.epochs(*loaders, 2)))
    assert_same(outcomes[1], outcomes[0])


# ---- what cannot be recorded -------------------------------------------------------------------------------


class Signs(optim.SGD):
    """Has a rule and no kernel: its learning rate would be frozen."""

    def __init__(self, params):
        super().__init__(params, lr=1e-3)
        self.rule, self.cuda = (lambda w, g, lr: w.__isub__(lr * array_module(w).sign(g))), None


def reads_back(z, t, weights):
    loss = Binary().losses["bce"](z, t, weights)
    return loss * (1.0 if float(loss.data) > 0 else 2.0)


@pytest.mark.parametrize(
    "optimizer, loss, reason",
    [(Signs, "bce", "NotRecordable: the numbers of an optimizer's rule"), (optim.RMSprop, reads_back, "captur")],
)
def test_what_cannot_be_recorded_runs_without_a_graph_and_says_so_once(optimizer, loss, reason):
    outcomes, told = [], []
    for graph in (False, True):
        trainer, *loaders = start(optimizer, loss, graph=graph)
        trainer.warn = told.append
        outcomes.append(outcome(trainer, trainer.epochs(*loaders, 2)))
    (text,) = told
    assert text.startswith("the training step is not recorded as a CUDA graph, and runs without one: ")
    assert reason in text and "\n" not in text
    assert_same(outcomes[1], outcomes[0])


def test_groups_of_batches_are_not_recorded():
    trainer, *_ = start(optim.RMSprop, accumulate=2)
    assert trainer.recorded is None


@pytest.mark.parametrize("flags, recorded", [([], True), (["--no-graph"], False), (["--accumulate", "2"], False)])
def test_the_command_line_records_unless_told_otherwise(flags, recorded):
    args = parse_arguments(flags)
    trainer = make_trainer(args, UNet(**SMALL).to("gpu"), Binary(), batches=5)
    assert (trainer.recorded is not None) == recorded


# ---- memory ------------------------------------------------------------------------------------------------


def test_a_replay_writes_over_nothing_that_others_made(array_on):
    """The graph has a memory pool of its own: what is freed within a step is given to nobody else."""
    cupy = array_module(array_on("gpu")(np.ones(1)))
    scale = array_on("gpu")(np.ones(1, np.float32))

    def step(x):
        y = x * scale + 1
        return ((y * 2 - 1) * y,)

    recorded = RecordedStep(step, "gpu:0")
    with recorded.in_its_stream():
        for k in range(4):
            others = [cupy.full(1000, 7, np.float32) for _ in range(8)]
            (found,) = recorded(cupy.full(1000, k, np.float32))
            assert (to_numpy(found) == (2 * (k + 1) - 1) * (k + 1)).all()
            assert all((to_numpy(other) == 7).all() for other in others)
    assert recorded.graph is not None
    synchronize("gpu:0")


@pytest.mark.parametrize("free, launches", [(1 << 40, 2 * 3 - 2), (0, 2 * (3 - 2))])
def test_where_memory_is_scarce_the_graph_gives_way_to_a_smaller_batch(monkeypatch, free, launches):
    plain, *loaders = start(optim.RMSprop, graph=False)
    expected = outcome(plain, plain.epochs(*loaders, 2))
    monkeypatch.setattr(cuda_graph, "memory_free", lambda device: free)
    trainer, *loaders = start(optim.RMSprop)
    launched = replays(trainer)
    assert_same(outcome(trainer, trainer.epochs(*loaders, 2)), expected)
    assert len(launched) == launches


def test_too_large_a_batch_names_one_that_fits(array_on):
    cupy = array_module(array_on("gpu")(np.ones(1)))
    pool = cupy.get_default_memory_pool()
    pool.free_all_blocks()
    trainer, training, _ = start(optim.RMSprop, data=DrawnPets(32, size=64), batch=32)
    validation = Loader(DrawnPets(2, size=64), 2)
    before = pool.get_limit()
    pool.set_limit(pool.used_bytes() + 8_000_000)
    try:
        with pytest.raises(OutOfMemory, match="a batch size of") as caught:
            list(trainer.epochs(training, validation, 1))
        named = int(str(caught.value).partition("a batch size of ")[2].split()[0])
        again = Trainer(trainer.model, trainer.optimizer, "bce", graph=True)
        again.warn = pytest.fail
        launched = replays(again)
        assert len(list(again.epochs(Loader(DrawnPets(4 * named, size=64), named), validation, 1))) == 1
        assert len(launched) == 4 - 2
    finally:
        pool.set_limit(before)
        pool.free_all_blocks()
