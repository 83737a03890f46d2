"""The pictures in the page show the right numbers: maps, heat maps, answers, the drawing, and the bars of memory."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from minunet.learn.explain.gradients import loss_gradients
from minunet.learn.explain.trace import as_batch, trace
from minunet.learn.receptive_field import effective_field
from minunet.nn.costs import layer_costs

PIXELS = """canvas => {
    const {width, height} = canvas;
    return [height, width, [...canvas.getContext("2d").getImageData(0, 0, width, height).data]];
}"""
LOOK = "async (changes) => { choose(changes); await drawMap(state); await drawField(state); await drawSum(state); }"


def colors(canvas):
    """The pixels of a canvas, (H, W, 4): red, green, blue, opacity."""
    height, width, values = canvas.evaluate(PIXELS)
    return np.array(values, float).reshape(height, width, 4)


def alike(a, b):
    return np.corrcoef(np.ravel(a), np.ravel(b))[0, 1]


@pytest.fixture
def lecture(written, open_page):
    """(the page, the network, its image, {name: (number, Record)})."""
    path, model, _, image = written("lecture")
    records = {record.name: (n, record) for n, record in enumerate(trace(model, as_batch(model, image)))}
    return open_page(path), model, image, records


def test_maps_are_bright_where_numbers_are_high(lecture):
    page, _, _, records = lecture
    number, record = records["Conv_Down_1_2"]
    page.evaluate(LOOK, {"layer": number})
    thumbnails = page.locator(f"#level [data-layer='{number}'] canvas")
    for c in range(4):
        page.evaluate(LOOK, {"map": c})
        for canvas in (page.locator("#map canvas"), thumbnails.nth(c)):
            assert alike(colors(canvas)[..., 1], record.output[..., c]) > 0.95  # there is more green in bright colors


def test_gradients_are_orange_above_zero_and_blue_below(lecture, written):
    page, model, image, records = lecture
    number, _ = records["Conv_Down_1_1"]
    truth = (records["Conv_Out"][1].output > 0.5).astype(np.uint8)
    task = written("lecture")[2]
    _, gradients = loss_gradients(model, task, task.losses["bce"], image, truth)
    for c in (0, 3):
        page.evaluate(LOOK, {"layer": number, "map": c, "mode": "gradients"})
        shown = colors(page.locator("#map canvas"))
        assert alike(shown[..., 0] - shown[..., 2], gradients[number][..., c]) > 0.8
        nothing = np.unravel_index(np.abs(gradients[number][..., c]).argmin(), shown.shape[:2])
        assert np.ptp(shown[nothing][:3]) < 30  # a gradient of almost 0 is gray


def test_the_heat_map_lies_where_the_gradient_is(lecture):
    for layer, pixel in (("Conv_Down_1_2", (30, 7)), ("MaxPool_Down_2", (2, 9)), ("Conv_Transp_Up_1", (35, 9))):
        check_heat(*lecture, layer, pixel)


def check_heat(page, model, image, records, layer, pixel):
    page.evaluate(LOOK, {"layer": records[layer][0], "pixel": pixel})
    i, j = page.evaluate("heatOf(LAYERS[state.layer].field, ...pixelOf(state)).place")
    gradient = np.sqrt(effective_field(model, image, layer, (i, j)))
    canvas = page.locator("#photograph canvas")
    top, left, height, width = (
        float(canvas.evaluate(f"node => parseFloat(node.style.{side})")) * n / 100
        for side, n in (("top", 40), ("left", 48), ("height", 40), ("width", 48))
    )
    rows, columns = (np.round([start, start + size]).astype(int) for start, size in ((top, height), (left, width)))
    inside = gradient[slice(*rows), slice(*columns)]
    assert np.isclose(inside.sum(), gradient.sum())
    assert alike(colors(canvas)[..., 3], inside) > 0.85  # the more it matters, the more opaque
    said = page.locator("#field-note").inner_text()
    where = page.evaluate("pixelOf(state)")
    H, W, _ = records[layer][1].output.shape
    assert (
        abs(i - where[0]) <= H / 6 + 1 and abs(j - where[1]) <= W / 6 + 1
    )  # of three places along an axis, the nearest
    assert (f"row {i}, column {j}" in said) == (where != [i, j])


def test_from_a_concatenation_to_where_its_maps_come_from(lecture):
    page, _, _, records = lecture
    names = page.locator("#drawing .crosses").evaluate_all("nodes => nodes.map(n => n.getAttribute('aria-label'))")
    assert [name.split(",")[0] for name in names] == ["Conv_Down_1_2", "Conv_Down_2_2"]
    number, record = records["Concatenate_Up_1"]  # [upsampled 1, skip 4]
    page.evaluate(LOOK, {"layer": number, "map": 3, "pixel": [20, 20]})
    i, j = page.evaluate("pixelOf(state)")
    said = page.locator("#sum").inner_text()
    assert "half of the skip connection" in said and f"map 2 of Conv_Down_1_2, row {i}, column {j}" in said
    page.locator("#origin").click()
    assert page.evaluate("[LAYERS[state.layer].name, state.map]") == ["Conv_Down_1_2", 2]


def test_of_equal_numbers_in_a_pooling_the_first_counts(lecture):
    best = lecture[0].evaluate(
        "values => accountOfPooling({facts: {kernel: [2, 2]}}, {windows: {shape: [1, 1, 2, 2, 1], values}},"
        " {row: 0, column: 0, map: 0}).best",
        [0, 5, 5, 1],
    )
    assert best == [0, 1]


def test_memory_rises_layer_by_layer_and_falls_in_reverse(written, open_page):
    path, model, _, image = written("normalized")
    page = open_page(path)
    page.locator("[data-mode='memory']").click()
    heights = page.locator("#memory .stair").evaluate_all(
        "nodes => nodes.map(n => [...n.querySelectorAll('rect')].map(r => [r.x.baseVal.value, r.height.baseVal.value]))"
    )
    heights = [held + added for (_, held), (_, added) in sorted(heights)]  # from left to right
    try:
        kept = np.cumsum([costs.kept for costs in layer_costs(model.train(), image.shape[:2])])
    finally:
        model.eval()
    steps = [*kept, *kept[::-1]]
    assert np.allclose(heights, np.multiply(steps, heights[len(kept)] / kept[-1]), atol=0.01)


def test_answers_and_what_changes(lecture):
    page, _, _, records = lecture
    page.get_by_role("button", name="all skips", exact=True).click()
    whole, other, difference = (
        np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGBA"))
        for url in page.locator("#answers figure img:last-child").evaluate_all("nodes => nodes.map(n => n.src)")
    )
    mask = records["Conv_Out"][1].output[..., 0] > 0.5
    assert np.array_equal(whole[..., 3] > 0, mask)
    changed = (other[..., 3] > 0) != mask
    assert changed.any() and np.array_equal(difference[..., 0] == 255, changed)
    assert f"{changed.sum():,} pixels" in page.locator("#answer-text").inner_text()
