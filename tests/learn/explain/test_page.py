"""The page in a browser: it shows the network's own numbers, fetches nothing, and can be used without a mouse.

What the page says about a pixel is compared with a calculation here, in NumPy, from what the layer has read.
"""

import numpy as np
import pytest

from minunet.autograd import no_grad
from minunet.learn.explain.trace import as_batch, network_input, trace
from minunet.nn.module import forward_hook


def choose(page, layer, number=0):
    """Chooses a layer, and one of its maps."""
    page.select_option("#layer-choice", label=layer)
    page.locator(f"#level [data-layer='{page.locator('#layer-choice').input_value()}']").nth(number).click()


def click(page, down, across):
    """Clicks on the map, at fractions of its height and width."""
    box = page.locator("#map").bounding_box()
    page.locator("#map").click(position={"x": box["width"] * across, "y": box["height"] * down})


def shown(page, layer):
    """((row, column, channel) that the page says it shows, the sum done again in it, the network's number)."""
    page.wait_for_selector(f"#sum[aria-busy='false'][data-layer='{layer}'] [data-row]")
    place = page.locator("#sum [data-row]")
    where = tuple(int(place.get_attribute(f"data-{name}")) for name in ("row", "column", "channel"))
    numbers = (float(page.locator(f"#{name}").get_attribute("data-value")) for name in ("computed", "network-number"))
    return where, *numbers


def logits(layer, x, i, j):
    """The sums of a convolution at one pixel, tap by tap: (F,)."""
    KH, KW = layer.kernel_size
    margin = KH // 2 if layer.padding == "same" else 0
    padded = np.pad(x.astype(float), ((margin, margin), (margin, margin), (0, 0)))
    bias = 0 if layer.bias is None else layer.bias.data
    return sum(padded[i + k, j + l] @ layer.kernel.data[k, l] for k in range(KH) for l in range(KW)) + bias


def expected(record, i, j, c):
    """The number of a layer at one pixel, from what it has read."""
    if record.kind == "Image":
        return record.output[i, j, c]
    x, layer = record.inputs[0], record.layer
    if record.kind == "Conv2D":
        z = logits(layer, x, i, j)
        active = {"relu": np.maximum(z, 0), "sigmoid": 1 / (1 + np.exp(-z)), "softmax": np.exp(z) / np.exp(z).sum()}
        return active.get(layer.activation, z)[c]
    if record.kind == "ConvTranspose2D":  # 2x2 with stride 2: tiles side by side
        return layer.kernel.data[i % 2, j % 2, c] @ x[i // 2, j // 2] + (
            0 if layer.bias is None else layer.bias.data[c]
        )
    if record.kind == "MaxPool2D":
        return x[2 * i : 2 * i + 2, 2 * j : 2 * j + 2, c].max()
    if record.kind == "BatchNorm":
        mean, variance = layer.moving_mean.data[c], layer.moving_variance.data[c]
        return max(0, layer.gamma.data[c] * (x[i, j, c] - mean) / (variance + 1e-3) ** 0.5 + layer.beta.data[c])
    if record.kind == "Concatenate":
        up = x.shape[2]
        return x[i, j, c] if c < up else record.inputs[1][i, j, c - up]
    if record.kind == "Crop":
        return x[i + layer.pixels, j + layer.pixels, c]
    if record.kind == "Mirror":  # 20 pixels beyond each edge, at depth 2
        rows, columns = (abs(abs(n - 20 - (size - 1)) - (size - 1)) for n, size in ((i, x.shape[0]), (j, x.shape[1])))
        return x[rows, columns, c]
    return x[i, j, c]  # Dropout in prediction, and the last crop


LAYERS = {  # of each kind, with each activation; before and behind what changes the size
    "lecture": (
        "Image",
        "Conv_Down_1_1",
        "MaxPool_Down_1",
        "Conv_Bottle_2",
        "Conv_Transp_Bottle",
        "Concatenate_Up_1",
        "Conv_Classif_1",
        "Conv_Out",
    ),
    "normalized": ("Conv_Down_2_1", "BatchNorm_Down_2_1", "Dropout_Bottle", "Conv_Out"),
    "paper": ("Mirror", "Conv_Contract_1_1", "Crop_1", "Concatenate_1", "UpConv_2", "Conv_Out", "Crop_Out"),
}


@pytest.mark.parametrize("network", LAYERS)
def test_a_click_shows_the_sum_behind_the_number(network, written, open_page):
    path, model, _, image = written(network)
    page = open_page(path)
    records = {record.name: record for record in traced(model, image)}
    for layer in LAYERS[network]:
        H, W, C = records[layer].output.shape
        choose(page, layer, 1 if C > 1 else 0)
        found = set()
        for down, across in ((0.01, 0.01), (0.4, 0.6), (0.99, 0.3)):  # two of them at an edge
            click(page, down, across)
            (i, j, c), computed, network_number = shown(page, layer)
            assert abs(i + 0.5 - down * H) <= H / 4 + 1 and abs(j + 0.5 - across * W) <= W / 4 + 1, layer
            number = expected(records[layer], i, j, c)
            assert abs(computed - number) < 1e-4 and abs(network_number - number) < 1e-4, layer
            assert page.locator(".verdict").inner_text().startswith("✓"), layer
            found.add((i, j))
        assert len(found) > 1 or H * W == 1, layer


def traced(model, image):
    was = getattr(model, "mirror", None)
    image = network_input(model, image)
    records = trace(model, as_batch(model, image))
    if was is not None:
        model.mirror = was
    return records


def test_the_window_of_another_channel(written, open_page):
    """Products add up channel by channel; each channel's window is shown when its button is pressed."""
    path, model, _, image = written("lecture")
    page = open_page(path)
    choose(page, "Conv_Down_2_1", 2)
    (i, j, c), _, _ = shown(page, "Conv_Down_2_1")
    x = {record.name: record for record in traced(model, image)}["MaxPool_Down_1"].output
    kernel = model.encoder[1].convolutions.first.kernel.data
    window = np.pad(x, ((1, 1), (1, 1), (0, 0)))[i : i + 3, j : j + 3]
    page.locator(".product[data-channel='3']").click()
    page.wait_for_selector(".product[data-channel='3'][aria-pressed='true']")
    tables = [
        [as_number(text) for text in table.locator("td").all_inner_texts()] for table in page.locator(".grid").all()
    ]
    for table, values in zip(tables, (window[..., 3], kernel[..., 3, c], window[..., 3] * kernel[..., 3, c])):
        np.testing.assert_allclose(table, values.ravel(), rtol=6e-3, atol=1e-6)
    by_channel = page.locator(".product").evaluate_all("nodes => nodes.map(node => node.getAttribute('aria-label'))")
    for channel, label in zip(
        page.locator(".product").evaluate_all("nodes => nodes.map(n => n.dataset.channel)"), by_channel
    ):
        number = (window[..., int(channel)] * kernel[..., int(channel), c]).sum()
        assert abs(as_number(label.rsplit(" ", 1)[1]) - number) < 1e-3 * max(1, abs(number))


def as_number(text):
    return 0.0 if text == "pad" else float(text.replace("−", "-"))


def test_the_halves_of_a_concatenation_and_what_comes_from_each(written, open_page):
    path, model, _, image = written("lecture")
    page = open_page(path)
    choose(page, "Concatenate_Up_1", 0)
    assert page.locator("#level button.thumbnail.up").count() == 1  # 8 maps from below, an eighth of them upsampled
    assert page.locator("#level button.thumbnail.skip").count() == 4
    choose(page, "Conv_Classif_1", 0)
    (i, j, c), _, _ = shown(page, "Conv_Classif_1")
    x = {record.name: record for record in traced(model, image)}["Concatenate_Up_1"].output
    kernel = model.decoder[1].convolutions.first.kernel.data
    products = (np.pad(x, ((1, 1), (1, 1), (0, 0)))[i : i + 3, j : j + 3] * kernel[..., c]).sum(axis=(0, 1))
    words = page.locator(".halves b").all_inner_texts()
    assert abs(as_number(words[0].split()[0]) - products[0]) < 1e-3 * max(1, abs(products[0]))
    assert abs(as_number(words[1].split()[0]) - products[1:].sum()) < 1e-3 * max(1, abs(products[1:].sum()))


def test_the_frame_is_the_receptive_field(written, open_page):
    page = open_page(written("lecture")[0])
    choose(page, "Conv_Down_1_2")
    click(page, 0.5, 0.5)
    (i, j, _), _, _ = shown(page, "Conv_Down_1_2")
    frame = [float(page.locator("#field-box").get_attribute(name)) for name in ("y", "x", "height", "width")]
    assert frame == [i - 2, j - 2, 5, 5]  # two 3x3 convolutions
    assert page.locator("#photograph canvas").is_visible()
    assert page.locator("#photograph path.mark").get_attribute("d").startswith(f"M{j + 0.5 - 48 / 40}")  # the cross
    choose(page, "Conv_Out")
    click(page, 0.5, 0.5)
    page.wait_for_selector("#sum[data-layer='Conv_Out']")
    assert [float(page.locator("#field-box").get_attribute(name)) for name in ("height", "width")] != [5, 5]


# ---- the switch ----


def test_gradients_of_the_loss(written, open_page):
    path, model, _, image = written("lecture")
    page = open_page(path)
    before = page.locator("#level canvas").first.evaluate("node => node.toDataURL()")
    page.get_by_role("button", name="Gradients of the loss", exact=True).click()
    assert "network's own answer is the target" in page.locator("#mode-text").inner_text()
    page.wait_for_function("before => document.querySelector('#level canvas').toDataURL() !== before", arg=before)
    choose(page, "Conv_Out")
    click(page, 0.3, 0.7)
    (i, j, _), _, _ = shown(page, "Conv_Out")
    p = traced(model, image)[-1].output[..., 0].astype(float)
    gradient = (p - (p > 0.5)) / p.size  # of the mean binary cross entropy, with respect to the logits
    assert abs(float(page.locator("#gradient-number").get_attribute("data-value")) - gradient[i, j]) < 1e-4 / p.size


def test_gradients_of_the_papers_network_are_those_of_its_logits(written, open_page):
    """Behind its last convolution, which makes probabilities of logits, its answer is cut once more."""
    page = open_page(written("paper")[0])
    page.locator("[data-mode='gradients']").click()
    for layer, said in (("Conv_Expand_1_2", "∂L/∂y"), ("Conv_Out", "∂L/∂z"), ("Crop_Out", "∂L/∂z")):
        choose(page, layer)
        shown(page, layer)
        assert page.locator("#sum .gradient b").inner_text().startswith(said), layer


def test_what_is_kept_for_backward(written, open_page):
    page = open_page(written("lecture")[0])
    assert not page.locator("#memory").is_visible()
    page.get_by_role("button", name="Kept for backward", exact=True).click()
    layers = page.locator("#drawing .block").count()
    assert page.locator("#memory .stair").count() == 2 * (layers - 1)  # up and down again, without the image
    page.get_by_role("button", name="Activations", exact=True).click()
    assert not page.locator("#memory").is_visible()


def test_what_a_layer_costs_is_told_where_the_mouse_is(written, open_page):
    page = open_page(written("lecture")[0])
    page.locator("#drawing .block[data-layer='2']").hover(force=True)
    text = page.locator("#hovered").inner_text()
    assert text.startswith("Conv_Down_1_2, convolution: 40 × 48 pixels, 4 maps")
    assert f"{9 * 4 * 4 + 4} parameters" in text and f"{2 * 40 * 48 * 9 * 4 * 4:,} FLOPs" in text


def test_parts_are_taken_away(written, open_page):
    path, model, _, image = written("lecture")
    page = open_page(path)
    whole = traced(model, image)[-1].output[..., 0] > 0.5
    slider = page.get_by_role("slider")
    assert slider.get_attribute("max") == "4"  # nothing, two skips, both, the bottleneck
    slider.focus()
    for skips in ([0], [1], [0, 1]):
        page.keyboard.press("ArrowRight")
        changed = int((without(model, image, skips) != whole).sum())
        said = page.locator("#answer-text").inner_text()
        assert changed > 1 and f"the answer changes at {changed:,} pixels" in said
        assert page.locator("#drawing .skip.removed").count() == len(skips)
    page.get_by_role("button", name="the bottleneck", exact=True).click()
    assert slider.input_value() == "4" and page.locator("#answers figure").count() == 3


def without(model, image, skips):
    """The mask with zeros in the place of the skips of these levels: the network's parts run one by one."""
    x = as_batch(model, network_input(model, image))
    with no_grad():
        kept = []
        for down in model.encoder:
            x, skip = down(x)
            kept.append(skip)
        x = model.bottleneck(x)
        for level, up in zip((1, 0), model.decoder):
            skip = kept[level].data * 0 if level in skips else kept[level]
            x = up.convolutions(up.join(x, skip))
        return model.out(x).numpy()[0, ..., 0] > 0.5


# ---- for everybody ----


def test_by_keyboard(written, open_page):
    page = open_page(written("lecture")[0])
    page.locator("#drawing .block.chosen").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "Enter"):
        page.keyboard.press(key)
    assert page.locator("#layer-title").inner_text().startswith("Conv_Down_1_2")
    assert page.evaluate("document.activeElement.dataset.layer") == "2"  # the focus stays where it was
    page.locator("#map").focus()
    where, _, _ = shown(page, "Conv_Down_1_2")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    moved, _, _ = shown(page, "Conv_Down_1_2")
    assert moved[0] > where[0] and moved[1] > where[1]
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "sum-title"
    page.locator("#layer-choice").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "next"
    page.keyboard.press("Enter")
    assert page.locator("#layer-title").inner_text().startswith("MaxPool_Down_1")


def test_everything_that_can_be_pressed_has_a_name(written, open_page):
    page = open_page(written("normalized")[0])
    nameless = page.locator("button, [role=button], select, input, [tabindex]").evaluate_all(
        "nodes => nodes.filter(n => !(n.getAttribute('aria-label') || n.textContent.trim() || n.labels?.length))"
        ".map(n => n.outerHTML.slice(0, 80))"
    )
    assert [node for node in nameless if "sum-title" not in node] == []


def test_on_a_phone(written, open_page):
    page = open_page(written("normalized")[0], viewport={"width": 390, "height": 844})
    for layer in ("Conv_Down_2_1", "BatchNorm_Down_1_1", "Conv_Out"):
        choose(page, layer)
        shown(page, layer)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for mode in ("memory", "gradients"):
        page.locator(f"[data-mode='{mode}']").click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_very_wide_image_on_a_phone(written, open_page):
    page = open_page(written("wide")[0], viewport={"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_an_image_with_mirrored_edges_says_so(written, open_page):
    page = open_page(written("odd")[0])
    page.select_option("#layer-choice", label="Image")
    words = page.locator("#layer-text").inner_text()
    assert "8 × 9 pixels" in words and "3 columns at the right" in words and "bottom" not in words


def test_names_with_html_in_them(written, open_page):
    page = open_page(written("<!--<script>{{BLOBS}}</script>&\"'")[0])
    assert page.locator("#subject").inner_text() == "<!--<script>{{BLOBS}}</script>&\"': UNet, task semantic"
    assert page.locator("#key li").all_inner_texts() == ["<!--<script>", "</script><b>", "{{SCRIPT}}"]


def test_light_and_dark(written, open_page):
    path = written("lecture")[0]
    background = "getComputedStyle(document.body).backgroundColor"
    colors = {scheme: open_page(path, color_scheme=scheme) for scheme in ("light", "dark")}
    light, dark = (page.evaluate(background) for page in colors.values())
    assert sum(map(int, light[4:-1].split(","))) > 600 > 150 > sum(map(int, dark[4:-1].split(",")))
    for page, other in ((colors["light"], dark), (colors["dark"], light)):
        page.locator("#theme").click()
        assert page.evaluate(background) == other


def test_the_hook_of_the_page_leaves_no_trace(written):
    """A network that was explained answers as before, in the mode and with the edges that it had."""
    _, model, _, _ = written("paper")
    calls = []
    with forward_hook(lambda layer, inputs, y: calls.append(layer)), no_grad():
        y = model(np.zeros((1, 44, 44, 3), np.float32))
    assert y.shape == (1, 4, 4, 1) and not any(type(layer).__name__ == "Mirror" for layer in calls)
