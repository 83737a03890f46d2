"""The report: one file that loads nothing, parsed here, and opened in a real browser where there is one."""

import base64
import io
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from minunet.learn.experiments import Experiment, Result
from minunet.learn.experiments.report import png, report_html

VOID = {"meta", "link", "input", "img"}


def result(answer):
    figure = Figure(figsize=(6, 4))
    figure.subplots().plot([0, answer])
    text = "Below 1 & above 0: see minunet/ops/relu.py and `x > 0`.\n\n    y = max(x, 0)\n    z = <y>"
    return Result("It was 0.5 < 1.", answer, ("a", "b"), (("x & y", "1"), ("z", "2")), text, figure)


EXPERIMENTS = {
    name: Experiment(name, f"Is {name} < 1?", ("No", "Yes & no", "Yes"), 5, result)
    for name in ("skips", "batch-norm", "losses")
}


class Page(HTMLParser):
    """The elements of a page with what they hold; fails where one is not closed in its turn."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements = [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        element = {"tag": tag, "inside": [e["tag"] for e in self.open], "text": "", **dict(attributes)}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def all(self, tag):
        return [element for element in self.elements if element["tag"] == tag]


@pytest.fixture(scope="module")
def text():
    return report_html(EXPERIMENTS, {"skips": result(2), "batch-norm": result(0)}, seed=3)


def test_what_the_page_says(text):
    page = Page(text)
    assert [article["id"] for article in page.all("article")] == ["skips", "batch-norm"]
    assert [link["href"] for link in page.all("a")] == ["#skips", "#batch-norm"]
    skips = page.all("article")[0]["text"]
    assert "Is skips < 1?" in skips and "It was 0.5 < 1." in skips and "Below 1 & above 0" in skips
    assert [label["text"] for label in page.all("label")] == ["No", "Yes & no", "Yes"] * 2
    assert [label.get("class") for label in page.all("label")] == [None, None, "right", "right", None, None]
    assert [cell["text"] for cell in page.all("td")][:4] == ["x & y", "1", "z", "2"]
    assert page.all("pre")[0]["text"] == "    y = max(x, 0)\n    z = <y>"
    assert [code["text"] for code in page.all("code")][1:3] == ["minunet/ops/relu.py", "x > 0"]
    assert "Not measured so far: losses." in text and "--seed 3" in text


def test_the_answer_is_hidden_and_the_guess_is_not(text):
    page = Page(text)
    assert all("details" in each["inside"] for tag in ("img", "table", "strong") for each in page.all(tag))
    assert not any("details" in each["inside"] for each in page.all("input"))
    assert not any("open" in each for each in page.all("details"))


def test_pictures_are_in_the_page(text):
    images = Page(text).all("img")
    assert len(images) == 2
    for image in images:
        kind, data = image["src"].split(",")
        assert kind == "data:image/png;base64"
        assert Image.open(io.BytesIO(base64.b64decode(data))).size == (600, 400)
    assert "http" not in text and "<script" not in text


def test_png():
    pixels = np.asarray(Image.open(io.BytesIO(png(Figure(figsize=(1, 1), dpi=20, facecolor="red")))).convert("RGB"))
    assert pixels.shape == (20, 20, 3) and (pixels == (255, 0, 0)).all()


def test_in_a_browser(browser, text, tmp_path):
    file = tmp_path / "experiments.html"
    file.write_text(text, encoding="utf-8")
    page = browser.new_page(viewport={"width": 360, "height": 700})
    complaints, requests = [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(file.as_uri())
    article = page.locator("article#skips")
    picture, right = article.locator("img"), article.locator("label.right")
    assert not picture.is_visible()
    mark = "element => getComputedStyle(element, '::after').content"
    assert right.evaluate(mark) == "none"

    article.get_by_text("Yes & no").click()  # a wrong guess
    article.locator("summary").focus()
    page.keyboard.press("Enter")
    assert picture.is_visible() and picture.evaluate("image => image.naturalWidth") == 600
    assert right.evaluate(mark) == '"✓"'
    struck = "element => getComputedStyle(element).textDecorationLine"
    assert [label.evaluate(struck) for label in article.locator("label").all()] == ["none", "line-through", "none"]

    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    assert complaints == [] and [url for url in requests if not url.startswith("data:")] == [file.as_uri()]
    page.close()
