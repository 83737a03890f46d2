"""What every task offers, whichever it is: asked of all four."""

import inspect

import numpy as np
import pytest

from minunet.autograd import Tensor, gradcheck
from minunet.data.classes import Classes
from minunet.device import to_numpy
from minunet.tasks import TASKS, Binary, Instance, Panoptic, Semantic, Task, from_metadata
from minunet.tasks.centers import HEAT_UNIT, OFFSET_UNIT
from minunet.tasks.panoptic import PanopticAnswer

CLASSES = Classes(("grass", "cat", "dog"), values=(3, 7, 9), things=(False, True, True))
MAKERS = {
    "binary": Binary,
    "semantic": lambda: Semantic(CLASSES),
    "semantic, weighted": lambda: Semantic(CLASSES, [0.5, 1, 4]),
    "instance": Instance,
    "instance without boundary": lambda: Instance(boundary=0, weigh=False),
    "panoptic by centers": lambda: Panoptic(CLASSES, smallest=1, smallest_stuff=1),
    "panoptic by boundaries": lambda: Panoptic(CLASSES, "boundaries", [1, 2, 3], smallest=1, smallest_stuff=1),
}


@pytest.fixture(params=MAKERS)
def task(request):
    return MAKERS[request.param]()


def labels_for(task, rng, size=(12, 16)):
    """Labels (H, W, L) as a dataset has them: two objects, one class of stuff, some ignored pixels."""
    segments = np.zeros(size, np.uint16)
    segments[2:7, 1:6] = 1
    segments[2:9, 6:13] = 2  # touches the other
    if isinstance(task, Instance):
        segments[0, :3] = 65535
        return segments[..., None]
    classes = np.array([0, 1, 2], np.uint8)[segments]
    classes[0, :3] = 255
    if isinstance(task, Panoptic):
        return np.stack([classes, segments], axis=-1).astype(np.uint16)
    return (np.where(classes == 255, 255, classes > 0) if isinstance(task, Binary) else classes)[..., None].astype(
        np.uint8
    )


def batch_for(task, rng):
    labels = np.stack([task.encode(task.prepare(labels_for(task, rng))) for _ in range(2)])
    return rng.integers(0, 256, (*labels.shape[:3], 3), np.uint8), labels


def test_it_offers_what_the_interface_asks_for(task):
    names = [name for name in vars(Task) if not name.startswith("_")]
    assert len(names) >= 15
    for name in names:
        offered = getattr(task, name)
        asked = inspect.getattr_static(Task, name)
        if inspect.isfunction(asked):
            assert list(inspect.signature(offered).parameters) == list(inspect.signature(asked).parameters)[1:], name
    assert TASKS[task.name] is type(task) and "mean_iou" in task.score_names


def test_a_weights_file_can_make_it_again(task):
    again = from_metadata({"epochs": 3, **task.metadata()})
    assert type(again) is type(task) and again.metadata() == task.metadata()
    assert again.out_channels == task.out_channels and again.activation == task.activation


@pytest.mark.parametrize("metadata", [{"task": "sorting"}, {"task": "semantic"}, {"task": "semantic", "classes": {}}])
def test_what_is_no_task_is_refused(metadata):
    with pytest.raises(ValueError, match="task|class"):
        from_metadata(metadata)


def test_a_file_that_says_nothing_is_binary():
    assert isinstance(from_metadata({}), Binary)


@pytest.mark.parametrize("loss", ["bce", "dice", "bce+dice", "ce", "ce+dice", "focal"])
def test_the_gradient_of_every_loss(task, loss):
    """From labels as they are on disk to the gradient of the logits, against differences."""
    if loss not in task.losses:
        pytest.skip("a loss of other tasks")
    rng = np.random.default_rng(3)
    images, labels = batch_for(task, rng)
    _, targets, weights = task.targets(images, labels)
    z = Tensor(rng.standard_normal((*labels.shape[:3], task.out_channels)), requires_grad=True)
    targets, weights = as_float64(targets), as_float64(weights)
    assert gradcheck(lambda z: task.losses[loss](z, targets, weights), [z], directions=4).checked == 4


def as_float64(values):
    """Targets or weights with all floats in double precision, in which gradients are checked."""
    if isinstance(values, tuple):
        return tuple(map(as_float64, values))
    return values.astype(np.float64) if values is not None and values.dtype.kind == "f" else values


def test_targets_are_the_same_on_both_devices(task, xp_array):
    images, labels = batch_for(task, np.random.default_rng(4))

    def flat(targets):
        return [
            to_numpy(t) for part in targets for t in (part if isinstance(part, tuple) else (part,)) if t is not None
        ]

    here, there = flat(task.targets(images, labels)), flat(task.targets(xp_array(images), xp_array(labels)))
    assert len(here) == len(there) >= 2
    for one, other in zip(here, there):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=1e-6)


def perfect_outputs(task, labels):
    """Outputs (H, W, K) that a network would have that knows the labels; something that is not ignored where they
    are."""
    image = np.zeros((1, *labels.shape[:2], 3), np.uint8)
    _, targets, _ = task.targets(image, task.encode(task.prepare(labels))[None])
    if isinstance(task, Binary):
        return targets[0].astype(np.float32)
    classes = targets[0] if isinstance(targets, tuple) else targets
    classes = np.where(classes == 255, 0, classes).astype(int)[0, ..., 0]
    K = task.out_channels - (3 if isinstance(targets, tuple) else 0)
    one_hot = 0.9 * np.eye(K, dtype=np.float32)[classes] + 0.1 / K
    if isinstance(task, Panoptic) and task.separate_by == "boundaries":  # below the boundary, the class
        one_hot[..., : K - 1] += 0.05 * np.eye(K - 1)[np.where(labels[..., 0] == 255, 0, labels[..., 0]).astype(int)]
    if not isinstance(targets, tuple):
        return one_hot
    return np.concatenate([one_hot, targets[1][0] / HEAT_UNIT, targets[2][0] / OFFSET_UNIT], -1)


def test_who_knows_the_labels_scores_one(task):
    rng = np.random.default_rng(5)
    if isinstance(task, Instance) and not task.boundary:
        pytest.skip("without a boundary, what touches is one object")
    labels = labels_for(task, rng)
    evaluation = task.evaluation()
    evaluation.update(task.answer(perfect_outputs(task, labels)), labels)
    result = evaluation.result()
    best = {"binary": "iou", "semantic": "mean_iou", "instance": "ap", "panoptic": "pq"}[task.name]
    assert result[best] == pytest.approx(1)
    table = evaluation.table()
    assert not table or [row[0] for row in table] == ["class", *CLASSES.names]


def test_pixels_without_an_answer_are_missed():
    evaluation = Panoptic(CLASSES).evaluation()
    labels = np.zeros((2, 8, 2), np.uint16)
    labels[:, 4:, 0], labels[:, 4:, 1] = 1, 3
    classes = labels[..., 0].astype(np.uint8)
    classes[0, :3] = 255  # three of eight pixels of grass
    classes[1, 4] = 0  # one of eight of the cat is taken for grass
    evaluation.update(PanopticAnswer(classes, np.where(classes == 1, 3, 0).astype(np.uint16)), labels)
    assert [row[-1] for row in evaluation.table()] == ["IoU", f"{5 / 9:.3f}", f"{7 / 8:.3f}", "nan"]


def test_flipped_outputs_flip_back(task):
    """Of the flipped labels, perfect outputs flipped back are those of the labels themselves."""
    labels = labels_for(task, np.random.default_rng(6))
    for axis in (0, 1):
        flipped = perfect_outputs(task, np.ascontiguousarray(np.flip(labels, axis)))
        np.testing.assert_allclose(task.unflip(flipped, axis), perfect_outputs(task, labels), atol=1e-3)


def test_training_scores_and_baselines(task):
    rng = np.random.default_rng(7)
    images, labels = batch_for(task, rng)
    scores = task.training_scores()
    scores.update(rng.standard_normal((*labels.shape[:3], task.out_channels)), labels)
    assert set(task.score_names) <= set(scores.result())
    again = task.training_scores()
    again.load_state_dict(scores.state_dict())
    assert again.result() == scores.result()
    fractions = task.fractions([labels])
    assert all(0 < fraction < 1 for fraction in fractions.values())
    assert isinstance(task, Binary) or sum(fractions.values()) == pytest.approx(1)
    for name, row in task.baselines([labels]).items():
        assert name.startswith("all ") and set(task.score_names) <= set(row)


def test_a_baseline_is_what_its_answer_scores(task):
    """The scores of "all …", computed from the class fractions, are those of a network that says so everywhere."""
    rng = np.random.default_rng(8)
    images, labels = batch_for(task, rng)
    ((name, row),) = list(task.baselines([labels]).items())[:1]
    outputs = np.full((*labels.shape[:3], task.out_channels), -1.0)
    place = 0 if isinstance(task, Binary) else list(task.fractions([labels])).index(name.removeprefix("all "))
    outputs[..., place] = 1
    scores = task.training_scores()
    scores.update(outputs, labels)
    for key in task.score_names:
        assert row[key] == pytest.approx(scores.result()[key])


def test_its_files_and_words(task, tmp_path):
    rng = np.random.default_rng(9)
    labels = labels_for(task, rng)
    image = rng.integers(0, 256, (*labels.shape[:2], 3), np.uint8)
    answer = task.answer(perfect_outputs(task, labels))
    files = task.files(image, answer)
    assert set(files) <= set(task.suffixes) and len(files) >= 2
    assert all(content for content in files.values() if isinstance(content, str))
    words = task.describe(answer)
    assert words and "\n" not in words
    panels = task.panels(image, labels, perfect_outputs(task, labels))
    assert panels[0].title == "image" and len(panels) >= 4 and panels[-1].caption
    for panel in panels:
        assert panel.pixels.shape[:2] == image.shape[:2]


def test_only_ignored_pixels(task):
    """An image without a pixel that counts has a loss of 0 and no gradient, and adds nothing to the scores."""
    size = (8, 8)
    labels = nothing_known(task, size)
    batch = task.encode(task.prepare(labels))[None]
    _, targets, weights = task.targets(np.zeros((1, *size, 3), np.uint8), batch)
    z = Tensor(np.random.default_rng(0).standard_normal((1, *size, task.out_channels)), requires_grad=True)
    for name, loss in task.losses.items():
        if "dice" in name:
            continue  # two empty masks agree: Dice is 1, its loss 0, whatever the logits
        value = loss(z, targets, weights)
        value.backward()
        assert value.item() == 0 and not np.any(z.grad.data if isinstance(z.grad, Tensor) else z.grad)
    evaluation = task.evaluation()
    outputs = np.zeros((*size, task.out_channels), np.float32)
    outputs[..., 0] = 1
    evaluation.update(task.answer(outputs), labels)
    if task.name in ("binary", "semantic", "panoptic"):
        with pytest.raises(ValueError):
            evaluation.result()


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (8, 8)])
def test_no_object_or_one_that_fills_the_image(task, size):
    for number in (0, 1):
        segments = np.full(size, number, np.uint16)
        labels = {
            "binary": segments.astype(np.uint8)[..., None],
            "semantic": segments.astype(np.uint8)[..., None],
            "instance": segments[..., None],
            "panoptic": np.stack([segments, segments], -1),
        }[task.name]
        outputs = perfect_outputs(task, labels)
        answer = task.answer(outputs)
        evaluation = task.evaluation()
        evaluation.update(answer, labels)
        assert evaluation.result() and task.describe(answer)
        task.files(np.zeros((*size, 3), np.uint8), answer)


def nothing_known(task, size=(8, 8)):
    """Labels (H, W, L) of which every pixel is ignored."""
    return {
        "binary": np.full((*size, 1), 255, np.uint8),
        "semantic": np.full((*size, 1), 255, np.uint8),
        "instance": np.full((*size, 1), 65535, np.uint16),
        "panoptic": np.stack([np.full(size, 255), np.zeros(size)], -1).astype(np.uint16),
    }[task.name]


def test_without_a_pixel_that_counts_there_are_no_fractions_and_the_panels_say_so(task):
    labels = nothing_known(task)
    for count in (task.fractions, task.baselines):
        with pytest.raises(ValueError, match="ignored"):
            count([labels[None]])
    outputs = np.zeros((8, 8, task.out_channels), np.float32)
    outputs[..., 0] = 1
    if isinstance(task, Panoptic):  # things of which no two pixels agree: no object, and no class
        outputs[..., :2] = 0, 1
        outputs[..., 3] = 0
    panels = task.panels(np.zeros((8, 8, 3), np.uint8), labels, outputs)
    assert panels[-1].caption in ("all pixels ignored", "nothing to score")
    if isinstance(task, Panoptic) and task.separate_by == "centers":
        assert task.describe(task.answer(outputs)) == "no objects; no class"


# ---- crowds, and what is cut off ----


def test_nothing_is_learned_from_crowds():
    """A thing without a number has a class; where its objects end, nobody knows."""
    labels = np.array([[[0, 0], [1, 0], [1, 1], [2, 0], [2, 2], [255, 0]]], np.uint16)
    images = np.zeros((1, 1, 6, 3), np.uint8)
    for task in (Panoptic(CLASSES), Panoptic(CLASSES, "boundaries", boundary=1)):
        _, targets, _ = task.targets(images, task.encode(labels)[None])
        classes = (targets[0] if isinstance(targets, tuple) else targets)[0, 0, :, 0].tolist()
        assert classes == [0, 255, 1, 255, 2, 255]
        if isinstance(targets, tuple):
            assert targets[3].ravel().tolist() == [1, 0, 1, 0, 1, 0] and targets[4].ravel().tolist() == [
                0,
                0,
                1,
                0,
                1,
                0,
            ]
        assert task.fractions([labels[None]]) == pytest.approx({"grass": 1 / 3, "cat": 1 / 3, "dog": 1 / 3})
        scores = task.training_scores()
        scores.update(np.tile(np.eye(6)[0], (1, 1, 6, 1)), labels[None])  # "grass" everywhere
        assert scores.result()["accuracy"] == pytest.approx(1 / 3)


def test_an_object_that_is_cut_off_by_ignored_pixels_has_no_boundary_there():
    segments = np.array([[0, 0, 0, 0], [0, 1, 1, 65535], [0, 1, 1, 65535], [0, 1, 1, 65535]], np.uint16)
    assert Instance().class_map(segments[None, ..., None])[0, ..., 0].tolist() == [
        [0, 0, 0, 0],
        [0, 2, 2, 255],
        [0, 2, 1, 255],
        [0, 2, 1, 255],
    ]
    known = segments != 65535
    labels = np.stack([np.where(known, segments, 255), np.where(known, segments, 0)], -1)
    _, classes, _ = Panoptic(CLASSES, "boundaries").targets(np.zeros((1, 4, 4, 3), np.uint8), labels[None])
    assert classes[0, ..., 0].tolist() == [[0, 0, 0, 0], [0, 3, 3, 255], [0, 3, 1, 255], [0, 3, 1, 255]]


# ---- class weights ----


def test_the_weight_of_a_pixel_is_that_of_its_true_class(xp_array):
    images, labels = np.zeros((1, 1, 4, 3), np.uint8), np.array([[[[0], [1], [2], [255]]]], np.uint8)
    _, _, weights = Semantic(CLASSES, [0.5, 1, 4]).targets(xp_array(images), xp_array(labels))
    assert to_numpy(weights).ravel().tolist() == [0.5, 1, 4, 0]
    segments = np.array([[0, 1, 1, 0]])  # the second and third pixel are boundary on their outer sides
    labels = np.stack([np.array([[0, 1, 1, 255]]), segments], -1).astype(np.uint16)[None]
    _, classes, weights = Panoptic(CLASSES, "boundaries", [0.5, 1, 4]).targets(xp_array(images), xp_array(labels))
    assert to_numpy(classes).ravel().tolist() == [0, 3, 1, 255]
    assert to_numpy(weights).ravel().tolist() == [0.5, 4, 1, 0]


def test_a_table_of_weights_goes_to_a_device_once(monkeypatch):
    from minunet.tasks import semantic

    task, copies = Semantic(CLASSES, [1, 2, 3]), []
    monkeypatch.setattr(semantic, "device_of", lambda array: "gpu:0")
    monkeypatch.setattr(semantic, "to_device", lambda array, device: copies.append(device) or array)
    for _ in range(3):
        task.targets(np.zeros((1, 1, 1, 3), np.uint8), np.zeros((1, 1, 1, 1), np.uint8))
    assert copies == ["gpu:0"]


@pytest.mark.parametrize("weights", [[1, 2], [1, 2, -1], [1, 2, np.nan], [1, 2, np.inf]])
@pytest.mark.parametrize("kind", [Semantic, lambda classes, weights: Panoptic(classes, class_weights=weights)])
def test_class_weights_that_cannot_be(kind, weights):
    with pytest.raises(ValueError, match="class weight"):
        kind(CLASSES, weights)


# ---- options, as a weights file has them ----


@pytest.mark.parametrize(
    "make",
    [
        lambda: Semantic(Classes(("all",))),
        lambda: Panoptic(Classes(("all",), things=(True,))),
        lambda: Panoptic(Classes(("a", "b"))),
        lambda: Panoptic(CLASSES, "distance"),
        lambda: Panoptic(CLASSES, boundary=0),
        lambda: Panoptic(CLASSES, sigma=0),
        lambda: Panoptic(CLASSES, smallest=-1),
        lambda: Panoptic(CLASSES, smallest_stuff=-1),
        lambda: Instance(boundary=-1),
        lambda: Instance(boundary=65),
        lambda: Instance(separate_by="centers"),
        lambda: Instance(smallest=-1),
        lambda: Instance(object_name="two\nlines"),
        lambda: Binary(object_name=""),
    ],
)
def test_options_out_of_range(make):
    with pytest.raises(ValueError, match=r"is|class"):
        make()


def test_metadata_that_can_say_anything():
    """A weights file may lie: there is a task that works, or a ValueError."""
    nonsense = [None, -1, 0, 2.5, "2", "", [], [2], {}, {"a": 1}, True, 10**30, float("nan"), float("inf"), "a\nb"]
    for kind in (Binary(), Semantic(CLASSES), Instance(), Panoptic(CLASSES)):
        intact = kind.metadata()
        changes = [{key: value} for key in intact for value in nonsense]
        if "classes" in intact:
            changes += [
                {"classes": {**intact["classes"], key: value}} for key in intact["classes"] for value in nonsense
            ]
            changes.append({"classes": {key: value[:1] for key, value in intact["classes"].items()}})
        refused = 0
        for change in changes:
            try:
                task = from_metadata({**intact, **change})
            except ValueError:
                refused += 1
                continue
            answer = task.answer(np.full((8, 8, task.out_channels), 0.5, np.float32))
            assert task.describe(answer), change
            task.files(np.zeros((8, 8, 3), np.uint8), answer)
        assert refused >= len(changes) // 3, (kind.name, refused, len(changes))
