"""The figures of a run, by what can be found in the files."""

import matplotlib
import numpy as np
import pytest
from PIL import Image

from minunet.tasks import Binary
from minunet.tasks.outline import COLOR
from minunet.tasks.task import Panel
from minunet.training import plots


def history(epochs):
    keys = ("epoch", "train_loss", "val_loss", "train_iou", "val_iou")
    return [dict(zip(keys, (e, 1 / e, 1.5 / e, 1 - 1 / e, 0.6 - 0.5 / e))) for e in range(1, epochs + 1)]


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def shows(path, color):
    """How many pixels have nearly this color."""
    rgb = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return int((abs(pixels(path) - rgb).max(axis=2) < 12).sum())


@pytest.mark.parametrize("epochs", [0, 1, 2, 100])
def test_curves_of_any_length_show_both_lines(tmp_path, epochs):
    path = tmp_path / "curves.png"
    plots.save_curves(path, history(epochs), baseline=("all pet", 0.3))
    for color in (plots.TRAIN, plots.VALIDATION):
        half = pixels(path).shape[1] // 2
        assert half > 400
        assert shows(path, color) > (200 if epochs == 100 else 20)
    assert [f.name for f in tmp_path.iterdir()] == ["curves.png"]


def test_a_higher_loss_is_drawn_higher(tmp_path):
    plots.save_curves(tmp_path / "c.png", [{**history(1)[0], "train_loss": 0.2, "val_loss": 0.8}])
    image = pixels(tmp_path / "c.png")
    panel = image[int(0.15 * len(image)) :, : image.shape[1] // 2]  # below the legend

    def row_of(color):
        rgb = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
        return np.argwhere(abs(panel - rgb).max(axis=2) < 12)[:, 0].mean()

    assert row_of(plots.VALIDATION) < row_of(plots.TRAIN) - 100


def test_a_sheet_of_predictions_has_a_row_per_image(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 60, (3, 64, 64, 3), np.uint8)
    masks = np.zeros((3, 64, 64, 1), np.uint8)
    masks[:, 16:48, 16:48] = 1
    masks[2] = 255
    before = dict(matplotlib.rcParams)
    rows = [Binary().panels(*triple) for triple in zip(images, masks, (masks == 1) * 0.9)]
    plots.save_panels(tmp_path / "1.png", rows[:1])
    names = ["a", "b_$1$", "a$ü"]
    plots.save_panels(tmp_path / "3.png", rows, names, "Three images")
    assert dict(matplotlib.rcParams) == before
    one, three = pixels(tmp_path / "1.png"), pixels(tmp_path / "3.png")
    assert one.shape[1] == three.shape[1] and three.shape[0] > 2 * one.shape[0]
    outline = "#{:02x}{:02x}{:02x}".format(*COLOR)
    assert shows(tmp_path / "1.png", outline) > 100
    assert shows(tmp_path / "3.png", outline) > 1.3 * shows(tmp_path / "1.png", outline)
    assert shows(tmp_path / "3.png", "#808080") > 10_000  # the ignored mask is gray


@pytest.mark.parametrize("count, rows", [(1, 1), (3, 1), (4, 2), (7, 3)])
def test_a_sheet_shows_each_image_with_its_outline(tmp_path, count, rows):
    masks = [np.zeros((64, 64, 1), np.uint8) for _ in range(count)]
    for mask in masks:
        mask[16:48, 16:48] = 1
        mask[:8] = 255
    images = [np.full((64, 64, 3), (10, 90, 10), np.uint8)] * count
    path = tmp_path / "sheet.png"
    plots.save_sheet(path, images, masks, [f"a_$1$ {n}" for n in range(count)], columns=3)
    green = (abs(pixels(path) - (10, 90, 10)).max(axis=2) < 12)[:, :, None]
    outline = shows(path, "#{:02x}{:02x}{:02x}".format(*COLOR))
    side = int(green.any(axis=(1, 2))[: len(green) // rows].sum())  # of one image on the sheet
    assert green.sum() + outline == pytest.approx(count * side**2, rel=0.02)
    assert outline == pytest.approx(count * (32**2 - 30**2) * (side / 64) ** 2, rel=0.1)


def test_a_sheet_is_written_in_the_format_of_its_name(tmp_path):
    for name, format in [("a.png", "PNG"), ("a.JPG", "JPEG"), ("a.jpeg", "JPEG")]:
        image, mask = np.zeros((9, 9, 3), np.uint8), np.ones((9, 9, 1), np.uint8)
        plots.save_sheet(tmp_path / name, [image], [mask], ["a"])
        with Image.open(tmp_path / name) as image:
            assert image.format == format


def test_a_figure_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path
    with pytest.raises(OSError):
        plots.save_curves(path, history(2))


def test_a_confusion_matrix_has_a_light_cell_where_a_class_is_recognized(tmp_path):
    matrix = np.array([[90, 10, 0], [0, 0, 0], [50, 0, 50]])
    plots.save_confusion(tmp_path / "c.png", ["sky", "road", "a car"], matrix)
    image = pixels(tmp_path / "c.png")
    light = (image.sum(axis=2) > 600) & (image[..., 2] < 230)  # nearly the top of the color scale, and not white
    top_left = light[: len(image) // 3, : 6 * image.shape[1] // 10]
    assert top_left.sum() > 0.7 * light.sum() > 1000


@pytest.mark.parametrize("name", ["$\\frac$", "$_$"])
def test_names_are_no_formulas(tmp_path, name):
    plots.save_panels(tmp_path / "a.png", [[Panel(name, np.zeros((4, 4, 3), np.uint8), name)]], [name], name)
    plots.save_confusion(tmp_path / "b.png", [name, "b"], np.ones((2, 2), int))
    plots.save_curves(tmp_path / "c.png", [], (name, 0.5))
