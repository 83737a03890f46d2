"""A browser without a screen, and pages opened in it: every error and every request is noted."""

import shutil

import pytest

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
ARGUMENTS += ["--disable-sync", "--no-first-run"]


@pytest.fixture(scope="session")
def browser():
    """Chromium, driven by playwright; skips the test where one of them is missing."""
    api = pytest.importorskip("playwright.sync_api", reason="no playwright to drive a browser: pip install playwright")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium to open a page in: apt-get install chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """open_page(path, **options) → the page, drawn. In the end it must have complained of nothing, fetched nothing."""
    complaints, requests, contexts = [], [], []

    def note(route):
        if not route.request.url.startswith(("file:", "data:", "blob:")):
            requests.append(route.request.url)
            route.abort()
        else:
            route.continue_()

    def open_it(path, **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.on(
            "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else 0
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.route("**/*", note)
        page.goto(path.as_uri())
        page.wait_for_selector("#computed")
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert complaints == [] and requests == []
