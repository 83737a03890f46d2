"""What the flags of `minunet train` make: the task, the data, the network and the optimizer."""

import numpy as np
import pytest

from minunet.cli.evaluation import KnownLabels
from minunet.cli.predict.arguments import parse_arguments as parse_predict
from minunet.cli.predict.command import _predict
from minunet.cli.train import datasets
from minunet.cli.train.arguments import parse_arguments
from minunet.cli.train.datasets import load_data
from minunet.cli.train.recipes import make_model, make_trainer
from minunet.cli.train.task_arguments import make_task
from minunet.data import DataError
from minunet.data.classes import Classes
from minunet.data.images import ImageFile, UprightImage
from minunet.data.pets import SPECIES_CLASSES, TRIMAP_CLASSES
from minunet.models import UNet2015
from minunet.tasks import Instance

CLASSES = Classes(("grass", "cat", "dog"), things=(False, True, True))


def task_of(*words):
    """The task of these flags, for four images of grass, in one of which a quarter is cat."""
    image, grass = np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2, 2), np.uint16)
    cat = grass.copy()
    cat[0, 0] = 1, 1
    return make_task(parse_arguments(list(words)), [(image, labels) for labels in (grass, grass, cat, grass)], CLASSES)


def test_instance():
    task = task_of("--task", "instance", "--boundary", "3", "--no-weight-map", "--separate-by", "inside")
    assert (task.boundary, task.weigh, task.separate_by) == (3, False, "inside")
    task = task_of("--task", "instance", "--images", "a", "--masks", "b")
    assert (task.boundary, task.weigh, task.separate_by) == (1, True, "distance")
    assert task_of("--task", "instance").separate_by == "inside"  # drawn animals are not round


@pytest.mark.parametrize(
    "words", [["semantic"], ["panoptic"], ["panoptic", "--separate-by", "boundaries", "--boundary", "4"]]
)
def test_classes_and_their_weights(words):
    task = task_of("--task", *words, "--class-weights", "median")
    # frequencies 15/16 and 1/4, their median 19/32; a class that never occurs weighs 1
    weights = task.weights_of(np.array([0, 1, 2, 255])).tolist()
    assert weights == pytest.approx([19 / 30, 19 / 8, 1, 0], rel=1e-6)
    milder = task_of("--task", *words, "--class-weights", "sqrt").weights_of(np.array([0, 1, 2, 255])).tolist()
    assert milder == pytest.approx([0.795822, 1.541104, 1, 0], rel=1e-5)  # their square roots
    assert task.classes == CLASSES
    if words[0] == "panoptic":
        assert task.separate_by == ("boundaries" if len(words) > 1 else "centers")
        assert task.boundary == (4 if len(words) > 1 else 1)
    assert task_of("--task", *words).weights_of is None


@pytest.mark.parametrize("task, channels, kind", [("semantic", 1, "u1"), ("instance", 1, "u2"), ("panoptic", 2, "u2")])
def test_drawn_scenes_to_train_and_to_validate_with_are_different(task, channels, kind):
    data = load_data(parse_arguments(["--task", task, "--limit", "3", "--image-size", "64"]))
    assert len(data.training) == len(data.validation) == 3 and not {*data.training.names} & {*data.validation.names}
    assert data.training[0][1].shape == (64, 64, channels) and data.training[0][1].dtype == kind
    pixels = [image.tobytes() for part in (data.training, data.validation) for image, _ in part]
    assert len(set(pixels)) == 6


@pytest.mark.parametrize(
    "words, labels, classes",
    [
        ([], "mask", None),
        (["--task", "semantic"], "species", SPECIES_CLASSES),
        (["--task", "semantic", "--trimap"], "trimap", TRIMAP_CLASSES),
    ],
)
def test_what_the_pixels_of_pets_say(words, labels, classes, monkeypatch, tmp_path):
    asked = []

    class Pets(list):
        root, skipped = tmp_path, ()

        def __init__(self, root, split, **options):
            asked.append((split, options["labels"]))

    monkeypatch.setattr(datasets, "Pets", Pets)
    data = load_data(parse_arguments([*words, "--data-dir", str(tmp_path)]))
    assert asked == [("trainval", labels), ("test", labels)] and data.classes == classes


def test_the_preset_of_the_paper_and_flags_that_overrule_it():
    words = ["--task", "instance", "--preset", "paper", "--width", "3"]
    args = parse_arguments(words)
    model = make_model(args, Instance())
    trainer = make_trainer(args, model, Instance(), 10)
    assert isinstance(model, UNet2015) and model.options["width"] == 3 and args.batch_size == 1
    assert trainer.optimizer.momentum == 0.99
    args = parse_arguments([*words, "--momentum", "0.5", "--network", "unet"])
    model = make_model(args, Instance())
    assert not isinstance(model, UNet2015) and make_trainer(args, model, Instance(), 10).optimizer.momentum == 0.5


def test_known_objects_of_which_every_pixel_is_ignored(tmp_path):
    from PIL import Image

    Image.fromarray(np.full((2, 3), 65535, np.uint16)).save(tmp_path / "a.png")
    known = KnownLabels(tmp_path, "pet", Instance())
    with pytest.raises(DataError, match=r"a\.png: every pixel is ignored"):
        known.compare(
            ImageFile(tmp_path / "a.jpg", tmp_path / "a.jpg"),
            UprightImage(np.zeros((2, 3, 3), np.uint8), 1),
            np.ones((2, 3), np.uint16),
        )


def test_polygons_and_tiffs_reach_the_files(tmp_path, monkeypatch):
    import json

    import minunet
    from minunet import UNet
    from minunet.cli.predict import command as predict

    task = Instance(boundary=0, separate_by="components", smallest=1)
    model = UNet(out_channels=2, depth=1, width=1, activation="softmax")
    minunet.save(tmp_path / "m.npz", model, task.metadata() | {"image_size": 8})
    square = np.zeros((8, 8, 2), np.float32)
    square[..., 0], square[2:5, 2:6] = 1, (0, 1)
    monkeypatch.setattr(predict, "predict_resized", lambda model, images, size, rescale: [square] * len(images))
    from PIL import Image

    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg")
    for words, suffix, kind in [([], "png", dict), (["--polygons", "--tiff"], "tif", list)]:
        out = tmp_path / suffix
        words = [str(tmp_path / "m.npz"), str(tmp_path / "a.jpg"), "--out", str(out), *words]
        assert _predict(parse_predict([*words, "--coco", str(tmp_path / "a.json"), "--device", "cpu"])) == 0
        (annotation,) = json.loads((tmp_path / "a.json").read_text())["annotations"]
        assert type(annotation["segmentation"]) is kind and annotation["bbox"] == [2, 2, 4, 3]
        assert [path.suffix[1:] for path in out.glob("a.labels.*")] == [suffix]
