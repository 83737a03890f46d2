"""What `minunet train` and `minunet predict` do about odd files, labels, packages and sizes, for every task."""

import importlib
import json
import shutil

import numpy as np
import pytest
from PIL import Image

import minunet
from minunet import UNet
from minunet.cli.evaluation import KnownLabels, find_document
from minunet.data import DataError
from minunet.data.classes import Classes
from minunet.data.drawn_scenes import CLASSES
from minunet.data.images import ImageFile, UprightImage
from minunet.inference.coco_file import CocoFile, is_answers
from minunet.inference.outputs import write_outputs
from minunet.inference.predict import predict_tiled
from minunet.tasks import Instance, Panoptic, Semantic
from minunet.tasks.panoptic import PanopticAnswer

TINY = ["--device", "cpu", "--image-size", "64", "--epochs", "1", "--batch-size", "3", "--width", "2"]


def network(folder, task, metadata=None, **options):
    """A weights file of a small network that has learned nothing. Returns its path."""
    model = UNet(out_channels=task.out_channels, activation=task.activation, depth=2, width=2, seed=3, **options)
    minunet.save(folder / "model.npz", model, {"image_size": 64, **task.metadata(), **(metadata or {})})
    return folder / "model.npz"


def refused(result, *words):
    code, output, errors = result
    lines = [line for line in errors.splitlines() if not line.startswith("warning: no ")]  # classes that are rare
    assert code == 2 and len(lines) == 1 and lines[0].startswith("error: "), (code, errors)
    for word in words:
        assert word in errors
    return output


# ---- packages ----


@pytest.fixture
def without_skimage(monkeypatch):
    real = importlib.import_module

    def refuse(name, package=None):
        if name.split(".")[0] == "skimage":
            raise ModuleNotFoundError("No module named 'skimage'", name="skimage")
        return real(name, package)

    monkeypatch.setattr("minunet.tasks.regions.importlib.import_module", refuse)


@pytest.mark.parametrize("words", [["instance"], ["panoptic", "--separate-by", "boundaries"]])
def test_a_missing_package_is_named_before_training_starts(words, run, tmp_path, without_skimage):
    output = refused(
        run("train", "--task", *words, "--limit", "2", *TINY, "--out", tmp_path / "run"), "minunet[instances]"
    )
    assert "epoch" not in output and not (tmp_path / "run").exists()


def test_a_missing_package_is_named_before_images_are_predicted(run, scenes, tmp_path, without_skimage):
    model = network(tmp_path, Instance())
    refused(run("predict", model, scenes / "images", "--out", tmp_path / "out"), "scikit-image", "minunet[instances]")
    assert not (tmp_path / "out").exists()


# ---- labels ----


@pytest.mark.parametrize("task", ["binary", "semantic", "instance"])
def test_labels_without_a_pixel_that_counts_end_in_a_line(task, run, tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for name in "abc":
        Image.new("RGB", (64, 64)).save(tmp_path / "images" / f"{name}.png")
        value = 65535 if task == "instance" else 255
        Image.fromarray(np.full((64, 64), value, np.uint16)).save(tmp_path / "masks" / f"{name}.png")
    flags = {
        "binary": ["--mask-values", "255=ignore"],
        "semantic": ["--classes", "0=a,1=b,255=ignore"],
        "instance": [],
    }[task]
    words = ["--images", tmp_path / "images", "--masks", tmp_path / "masks", *flags, *TINY]
    refused(run("train", "--task", task, *words, "--out", tmp_path / "run"), "ignored")


def test_a_single_class_is_refused(run, scenes, tmp_path):
    numbers = ",".join(f"{k}=all" for k in range(len(CLASSES)))
    words = ["--images", scenes / "images", "--masks", scenes / "classes", "--classes", f"{numbers},255=ignore"]
    refused(run("train", "--task", "semantic", *words, *TINY, "--out", tmp_path / "run"), "at least two")


def test_a_list_of_segments_without_things_is_refused(run, scenes, tmp_path):
    document = json.loads((scenes / "panoptic.json").read_text())
    for category in document["categories"]:
        category["isthing"] = 0
    (tmp_path / "panoptic.json").write_text(json.dumps(document))
    words = ["--images", scenes / "images", "--masks", scenes / "panoptic", "--panoptic-json"]
    words += [tmp_path / "panoptic.json", *TINY]
    refused(run("train", "--task", "panoptic", *words, "--out", tmp_path / "run"), "is a thing")


def test_a_limit_holds_for_lists_of_names_and_for_images_to_validate_with(run, scenes, tmp_path):
    words = ["--task", "instance", "--images", scenes / "images", "--masks", scenes / "instances", *TINY]
    lists = ["--names", scenes / "train.txt", "--validation-names", scenes / "test.txt"]
    code, output, _ = run("train", *words, *lists, "--limit", "2", "--out", tmp_path / "run")
    assert code == 0 and "2 to train, 2 to validate" in output


@pytest.mark.parametrize(
    "words, reason",
    [
        (["--task", "semantic", "--classes", "0=a,1=b"], "--classes goes with --images"),
        (["--task", "semantic", "--trimap"], "--data-dir or --download"),
        (["--task", "panoptic", "--boundary", "2"], "--separate-by boundaries"),
        (["--task", "panoptic", "--panoptic-json", "x"], "--panoptic-json goes with --images"),
        (["--task", "instance", "--border", "ignore"], "--border is for the task binary or semantic"),
        (["--task", "semantic", "--validation-panoptic-json", "x"], "is for the task panoptic"),
        (["--images", "a", "--masks", "b", "--validation-masks", "c"], "--validation-images or --validation-names"),
    ],
)
def test_flags_that_would_mean_nothing(words, reason, run, tmp_path):
    refused(run("train", *words, "--out", tmp_path / "run"), reason)


def test_a_run_is_not_resumed_with_other_classes(run, scenes, tmp_path):
    shutil.copytree(scenes, tmp_path / "scenes")
    words = ["--images", tmp_path / "scenes" / "images", "--masks", tmp_path / "scenes" / "panoptic"]
    words += ["--panoptic-json", tmp_path / "scenes" / "panoptic.json", *TINY]
    assert run("train", "--task", "panoptic", *words, "--out", tmp_path / "run")[0] == 0
    document = json.loads((tmp_path / "scenes" / "panoptic.json").read_text())
    document["categories"][0]["name"] = "something else"
    (tmp_path / "scenes" / "panoptic.json").write_text(json.dumps(document))
    refused(run("train", "--resume", tmp_path / "run", "--epochs", "2"), "(other classes)", "cannot continue")
    refused(run("train", "--resume", tmp_path / "run", "--task", "instance"), "--panoptic-json is for the task")


# ---- known labels ----


def test_crowds_are_neither_missed_nor_found(tmp_path):
    """COCO: a thing without a number is no segment; what is predicted there is no false positive."""
    classes = Classes(("grass", "cat"), values=(1, 2), things=(False, True))
    image = UprightImage(np.zeros((1, 4, 3), np.uint8), 1)
    known = [
        ([1, 1, 2, 2], [{"id": 1, "category_id": 1}, {"id": 2, "category_id": 2, "iscrowd": 1}], "PQ 1.000"),
        ([2, 2, 2, 2], [{"id": 2, "category_id": 2, "iscrowd": 1}], None),
    ]
    for ids, segments, expected in known:
        write_panoptic(tmp_path, "a", np.array([ids]), segments)
        labels = KnownLabels(tmp_path, "pet", Panoptic(classes))
        answer = PanopticAnswer(np.array([ids], np.uint8) - 1, np.array([[0, 0, 1, 2]], np.uint16) * (ids[2] == 2))
        found = ImageFile(tmp_path / "a.jpg", tmp_path / "a.jpg")
        if expected is None:
            with pytest.raises(DataError, match=r"a\.png: there is nothing to score"):
                labels.compare(found, image, answer)
            assert labels.summary().startswith("scores      none")
        else:
            assert labels.compare(found, image, answer) == expected and labels.summary().startswith(
                f"scores      {expected}"
            )


def write_panoptic(folder, name, ids, segments):
    """A panoptic PNG and its JSON file, with the classes grass and cat."""
    Image.fromarray(np.stack([ids, 0 * ids, 0 * ids], -1).astype(np.uint8)).save(folder / f"{name}.png")
    categories = [{"id": 1, "name": "grass", "isthing": 0}, {"id": 2, "name": "cat", "isthing": 1}]
    H, W = ids.shape
    document = {
        "images": [{"id": 1, "file_name": f"{name}.jpg", "height": H, "width": W}],
        "annotations": [{"image_id": 1, "file_name": f"{name}.png", "segments_info": segments}],
        "categories": categories,
    }
    (folder / "panoptic.json").write_text(json.dumps(document))


def test_the_list_of_segments_lies_in_the_folder_or_beside_it(scenes, tmp_path, monkeypatch):
    shutil.copytree(scenes / "panoptic", tmp_path / "panoptic_v1.2")
    shutil.copy(scenes / "panoptic.json", tmp_path / "panoptic_v1.json")  # of another folder
    with pytest.raises(DataError, match=r"panoptic_v1\.2\.json: what are"):
        find_document(tmp_path / "panoptic_v1.2")
    shutil.copy(scenes / "panoptic.json", tmp_path / "panoptic_v1.2.json")
    assert len(find_document(tmp_path / "panoptic_v1.2").entries) == 8
    monkeypatch.chdir(tmp_path / "panoptic_v1.2")
    assert len(find_document(type(tmp_path)(".")).entries) == 8


# ---- sizes ----


@pytest.mark.parametrize("size", [True, 10**30, -1, [64], [64, 10**30], [True, 64], "large", None, 0])
def test_a_size_in_a_file_that_is_none_is_not_taken(size, run, scenes, tmp_path):
    model = network(tmp_path, Semantic(CLASSES), {"image_size": size})
    code, output, errors = run("predict", model, next((scenes / "images").iterdir()), "--out", tmp_path / "out")
    assert code == 0 and "resized to 256 x 256" in output and "256 is assumed" in errors


@pytest.mark.parametrize(
    "words, manner",
    [
        ([], "resized to 96 x 64"),
        (["--image-size", "32x48"], "resized to 48 x 32"),
        (["--image-size", "40"], "resized to 40 x 40"),
        (["--image-size", "original"], "at full resolution"),
        (["--native"], "at full resolution"),
        (["--tile", "--tile-size", "64"], "in tiles of 64 x 64"),
        (["--flips"], "96 x 64 for the network, and flipped"),
        (["--mirror"], "96 x 64 for the network, and mirrored"),
    ],
)
@pytest.mark.parametrize("task", [Semantic(CLASSES), Instance(), Panoptic(CLASSES), Panoptic(CLASSES, "boundaries")])
def test_images_of_any_size_in_every_manner(task, words, manner, run, tmp_path):
    model = network(tmp_path, task, {"image_size": [64, 96]})
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for height, width in [(1, 1), (1, 37), (50, 3), (33, 70)]:
        pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{height} {width} ü.png")
    code, output, errors = run("predict", model, tmp_path / "images", "--out", tmp_path / "out", *words)
    assert (code, errors) == (0, "") and manner in output
    labels = {"semantic": ".classes.png", "instance": ".labels.png", "panoptic": ".panoptic.png"}[task.name]
    for path in (tmp_path / "images").iterdir():
        with Image.open(path) as image, Image.open(tmp_path / "out" / (path.stem + labels)) as made:
            assert made.size == image.size


@pytest.mark.parametrize(
    "task",
    [
        Instance(smallest=1),
        Instance(separate_by="inside", smallest=1),
        Instance(separate_by="components", smallest=1),
        Panoptic(CLASSES, smallest=1, smallest_stuff=1),
        Panoptic(CLASSES, "boundaries", smallest=1, smallest_stuff=1),
    ],
)
def test_objects_across_tiles_are_one_object(task):
    """Tiles are put together before objects are separated: the answer is that of the whole image."""
    model = UNet(out_channels=task.out_channels, activation=task.activation, depth=1, width=4, seed=5)
    for name, p in model.named_parameters():  # so that a network that has learned nothing says something everywhere
        p.data *= 3 if name.endswith("kernel") else 1
    image = np.random.default_rng(2).integers(0, 256, (70, 90, 3), np.uint8)
    image[20:50, 10:80] //= 4
    whole, tiled = model.predict(image), predict_tiled(model, image, 32)
    np.testing.assert_allclose(tiled, whole, atol=1e-4 * np.abs(whole).max())
    margin = np.sort(whole, axis=-1)
    assert (margin[..., -1] - margin[..., -2]).max() > 1e-3
    one, other = task.answer(whole), task.answer(tiled)
    segments = one.segments if isinstance(task, Panoptic) else one
    same = segments == (other.segments if isinstance(task, Panoptic) else other)
    assert same.mean() > 0.99 and segments.max() >= 1
    # some object lies in more than one tile: the first answers for rows and columns before 32 - 12
    sides = [set(np.unique(part)) - {0} for part in (segments[:, :18], segments[:, 24:])]
    assert sides[0] & sides[1]


# ---- files ----


def test_what_other_tasks_left_in_a_folder_is_no_image(run, scenes, tmp_path):
    shutil.copytree(scenes / "images", tmp_path / "images")
    for task in (Semantic(CLASSES), Instance(), Panoptic(CLASSES)):
        code, output, _ = run("predict", network(tmp_path, task), tmp_path / "images")
        assert code == 0 and "images      8," in output
        assert f"NAME{', NAME'.join(s for s in task.suffixes if s != '.labels.tif')} are" in output


def test_pngs_are_written_before_what_carries_no_mark(tmp_path, monkeypatch):
    from minunet.inference import outputs

    order = []
    monkeypatch.setattr(outputs, "atomic_write", lambda path, content: order.append(path.name))
    files = Instance().files(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint16))
    write_outputs(tmp_path / "a", dict(reversed(files.items())))
    assert [name.endswith(".png") for name in order] == [True, True, True, False]


def test_answers_in_one_file_of_coco(run, scenes, tmp_path):
    (tmp_path / "images" / "deep").mkdir(parents=True)
    for number, path in enumerate(sorted((scenes / "images").iterdir())[:2]):
        shutil.copy(path, tmp_path / "images" / ("deep" if number else "") / "one.jpg")
    model = network(tmp_path, Panoptic(CLASSES))
    words = ["predict", model, tmp_path / "images", "--out", tmp_path / "out", "--coco"]
    for _ in range(2):  # the second call replaces the file of the first
        assert run(*words, tmp_path / "all.json")[0] == 0
    document = json.loads((tmp_path / "all.json").read_text())
    for annotation in document["annotations"]:
        assert (tmp_path / "out" / annotation["file_name"]).is_file()
    assert {annotation["file_name"] for annotation in document["annotations"]} == {
        "one.panoptic.png",
        "deep/one.panoptic.png",
    }
    assert {image["file_name"] for image in document["images"]} == {"one.jpg", "deep/one.jpg"}

    (tmp_path / "mine.json").write_text("{}")
    refused(run(*words, tmp_path / "mine.json"), "was not written by a prediction")
    refused(run(*words, tmp_path / "images" / "one.jpg"), "must end in .json")
    refused(run(*words, tmp_path / "nowhere" / "all.json"), "no folder")
    refused(run(*words, tmp_path / "all.json", "--polygons"), "--polygons is for objects")
    assert (tmp_path / "mine.json").read_text() == "{}"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"info": 3}', '{"info": {"description": "x"}}', "[" * 9999, None])
def test_what_is_no_file_of_answers(content, tmp_path):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_text(content)
    assert not is_answers(path)
    CocoFile(Instance()).write(path)
    assert is_answers(path)
