"""Components, watershed and what separates objects."""

import builtins
import sys

import numpy as np
import pytest

from minunet.data.classes import Classes
from minunet.tasks import Panoptic, regions
from minunet.tasks.instance import METHODS, Instance, boundary, dilated
from minunet.tasks.regions import (
    MissingPackage,
    components,
    distance_to,
    grow,
    objects,
    require,
    split,
    without_small,
)

CLASSES = Classes(("grass", "cat"), things=(False, True))


def test_corners_connect_only_if_asked():
    mask = np.array([[1, 0], [0, 1]], bool)
    assert components(mask).max() == 2 and components(mask, diagonal=True).max() == 1


def test_water_meets_where_the_landscape_is_high():
    seeds = np.array([[1, 0, 0, 0, 0, 0, 2]])
    height = np.array([[0, 1, 2, 3, 9, 3, 0]])
    region = np.ones((1, 7), bool)
    found = grow(seeds, region, height)[0].tolist()
    assert found[:4] == [1, 1, 1, 1] and found[5:] == [2, 2] and found[4] in (1, 2)
    region[0, 3] = False
    assert grow(seeds, region, height)[0].tolist() == [1, 1, 1, 0, 2, 2, 2]


def test_a_part_in_which_nothing_is_inside_is_an_object_too():
    inside = np.array([[1, 0, 0, 0, 0, 0]], bool)
    region = np.array([[1, 1, 0, 0, 1, 1]], bool)
    found = objects(inside, region, np.zeros((1, 6)))[0]
    assert found[0] == found[1] > 0 and found[4] == found[5] > 0 and found[0] != found[4] and not found[2:4].any()


def test_a_small_seed_goes_to_its_neighbor():
    inside = np.array([[1, 1, 1, 0, 1, 0, 1, 1]], bool)
    region = np.ones((1, 8), bool)
    height = np.zeros((1, 8))
    assert len(set(objects(inside, region, height)[0])) == 3
    found = objects(inside, region, height, smallest=2)[0]
    assert len(set(found)) == 2 and set(found[:3]) == {found[0]} and found[6] == found[7] != found[0]
    assert set(objects(inside, region, height, smallest=9)[0]) == {1}  # no seed at all: the part is the object


def test_small_segments_are_dropped_and_the_others_renumbered():
    segments = np.array([[3, 3, 0, 8], [9, 9, 9, 0]])
    assert without_small(segments, 2).tolist() == [[1, 1, 0, 0], [2, 2, 2, 0]]
    assert without_small(segments, 4).max() == 0


def test_more_objects_than_16_bits_can_number():
    segments = np.arange(65536).reshape(256, 256)  # 65,535 objects
    with pytest.raises(ValueError, match="65535 objects.*65534"):
        without_small(segments, 1)
    segments[0, 1] = 0
    assert without_small(segments, 1).max() == 65534


def test_distances_by_hand():
    mask = np.zeros((4, 5), bool)
    mask[0, 0] = True
    assert distance_to(mask)[3, 4] == 5 and distance_to(mask)[0, 0] == 0


@pytest.mark.parametrize("missing, name", [("scipy", "SciPy"), ("skimage", "scikit-image")])
def test_a_missing_package_is_named_with_its_extra(monkeypatch, missing, name):
    real = builtins.__import__

    def refuse(module, *rest):
        if module.split(".")[0] == missing:
            raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)
        return real(module, *rest)

    for module in [module for module in sys.modules if module.split(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr("importlib.import_module", lambda module: refuse(module))
    outputs = np.zeros((4, 4, 3), np.float32)
    outputs[..., 1] = 1
    with pytest.raises(MissingPackage, match=rf"{name}.*minunet\[instances\]"):
        if missing == "scipy":
            Instance().answer(outputs)
        else:
            grow(np.ones((2, 2), int), np.ones((2, 2), bool), np.zeros((2, 2)))
    for task in (Instance(), Instance(separate_by="inside"), Panoptic(CLASSES, "boundaries")):
        with pytest.raises(MissingPackage, match=name):
            require(task.packages)
    require(Panoptic(CLASSES).packages)  # centers need none
    if missing == "skimage":
        require(Instance(separate_by="components").packages)


def test_what_is_required_is_all_that_answers_need(monkeypatch):
    """No answer imports a module that `packages` does not name."""
    asked, real = set(), regions._package
    monkeypatch.setattr(regions, "_package", lambda name: asked.add(name) or real(name))
    tasks = [Instance(separate_by=method) for method in METHODS]
    for task in [*tasks, Panoptic(CLASSES), Panoptic(CLASSES, "boundaries"), Panoptic(CLASSES, "boundaries")]:
        asked.clear()
        outputs = np.zeros((8, 8, task.out_channels), np.float32)
        outputs[..., 1] = 1
        task.answer(outputs)
        assert asked == set(task.packages), task.metadata()


def test_a_region_that_fills_the_image_is_split_where_the_network_is_unsure():
    region = np.ones((12, 40), bool)
    assert split(region, np.ones(region.shape)).max() == 1
    inside = np.where(abs(np.arange(40) - 20) < 2, 0.2, 1.0) * region
    found = split(region, inside)
    assert found.min() == 1 and found.max() == 2 and found[5, 3] != found[5, 36]


# ---- boundaries ----


def boundary_slowly(segments, width):
    edge = np.zeros(segments.shape, bool)
    for y, x in np.ndindex(segments.shape):
        window = segments[max(0, y - width) : y + width + 1, max(0, x - width) : x + width + 1]
        edge[y, x] = (window[window != 65535] != segments[y, x]).any() and segments[y, x] != 65535
    return edge


@pytest.mark.parametrize("width", [0, 1, 2, 3])
def test_a_boundary_is_where_another_number_is_near(width, xp_array):
    rng = np.random.default_rng(width)
    numbers = np.array([0, 3, 65534, 65535])[rng.integers(0, 4, (2, 5, 4))]  # the last one is ignored
    segments = np.kron(numbers, np.ones((1, 5, 6), int)).astype(np.uint16)
    found = boundary(xp_array(segments), width)
    found = found.get() if hasattr(found, "get") else found
    for image, edge in zip(segments, found):
        assert np.array_equal(edge, boundary_slowly(image, width))


def test_grown_step_by_step():
    segments = np.array([[1, 0, 0, 0, 0, 2]])
    assert dilated(segments, 1).tolist() == [[1, 1, 0, 0, 2, 2]]
    assert dilated(segments, 2).tolist() == [[1, 1, 1, 2, 2, 2]]


def test_two_disks_that_overlap_are_cut_and_one_with_a_rough_edge_is_not():
    y, x = np.mgrid[:40, :60]
    two = ((y - 20) ** 2 + (x - 18) ** 2 < 144) | ((y - 20) ** 2 + (x - 40) ** 2 < 144)
    found = split(two, np.ones(two.shape))
    assert found.max() == 2 and np.array_equal(found > 0, two)
    assert len(set(found[two & (x < 28)])) == len(set(found[two & (x > 30)])) == 1
    rough = (y - 20) ** 2 + (x - 30) ** 2 < 144 + 30 * np.sin(7 * np.arctan2(y - 20, x - 30))
    assert split(rough, np.ones(rough.shape)).max() == 1


def test_what_the_network_is_unsure_of_parts_objects():
    """A bar of constant width has no deepest place, but a line across it where "inside" is unlikely."""
    bar = np.zeros((17, 61), bool)
    bar[3:14, 4:57] = True
    inside = np.where(abs(np.arange(61) - 30) < 2, 0.2, 1.0) * bar
    found = split(bar, inside)
    assert found.max() == 2 and set(found[8, 5:28]) == {found[8, 5]} != set(found[8, 33:56]) == {found[8, 55]}


def test_each_method_of_separating_objects():
    """Two squares that touch: one component without a boundary, two with one; the watershed gives them all pixels."""
    segments = np.zeros((12, 20), np.uint16)
    segments[2:10, 2:9], segments[2:10, 9:17] = 1, 2
    for task, count, area in [
        (Instance(boundary=0, separate_by="components"), 1, 120),
        (Instance(separate_by="components"), 2, 120),
        (Instance(separate_by="inside"), 2, 120),
        (Instance(), 2, 120),
        (Instance(boundary=2), 2, 120),
        (Instance(separate_by="inside", smallest=60), 1, 64),
    ]:
        outputs = np.eye(task.out_channels, dtype=np.float32)[task.class_map(segments[None, ..., None])[0, ..., 0]]
        answer = task.answer(outputs)
        assert (answer.max(), (answer > 0).sum()) == (count, area), task.metadata()
        assert answer.dtype == np.uint16


def test_a_part_without_a_seed_has_a_number_of_its_own():
    region = np.array([[1, 1, 0, 1, 1, 0, 1, 1]], bool)
    inside = np.array([[0, 0, 0, 1, 1, 0, 1, 1]], bool)  # the first part has no seed, and would be number 1
    found = objects(inside, region, np.zeros((1, 8)))[0]
    assert len({found[0], found[3], found[6]}) == 3 and found[0] == found[1] > 0


def test_a_region_that_fills_the_image_is_as_deep_as_half_of_its_shorter_side():
    for shape in ((6, 20), (20, 6)):
        assert set(regions._depth(np.ones(shape, bool)).ravel().tolist()) == {3.0}
