"""A person who opens TensorBoard sees the pictures."""

import shutil
import time
from typing import Any

import pytest

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (BROWSER and DRIVER), reason="needs chromium and chromedriver on the PATH"
)

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1500,1100",
)
# The page is custom elements within custom elements, so a plain query finds nothing.
EVERY_ELEMENT = """
    const every = (root, found = []) => {
        for (const element of root.querySelectorAll('*')) {
            found.push(element);
            if (element.shadowRoot) every(element.shadowRoot, found);
        }
        return found;
    };
    const within = host => host.shadowRoot ? every(host.shadowRoot) : every(host);
    const text = host => [...within(host), host].filter(e => !e.matches('style'))
        .flatMap(e => [...e.childNodes]).filter(n => n.nodeType === Node.TEXT_NODE)
        .map(n => n.nodeValue.trim()).join(' ');
"""
IMAGE_CARDS = """
    return every(document).filter(e => e.matches('tf-image-loader')).map(card => {
        const image = within(card).find(e => e.matches('img'));
        const slider = within(card).find(e => e.matches('paper-slider'));
        return {
            text: text(card),
            width: image ? image.naturalWidth : 0,
            height: image ? image.naturalHeight : 0,
            shown: image ? image.getBoundingClientRect().width : 0,
            rendering: image ? getComputedStyle(image).imageRendering : '',
            steps: slider ? Number(slider.getAttribute('aria-valuemax')) + 1 : 0,
        };
    });
"""
SERIES_CARDS = """
    return every(document).filter(e => e.matches('image-card')).map(card => {
        const image = within(card).find(e => e.matches('img'));
        return {text: text(card), width: image ? image.naturalWidth : 0};
    });
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def _wait_for(browser: Any, script: Any, enough: Any) -> Any:
    cards = []
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        cards = browser.execute_script(EVERY_ELEMENT + script)
        if enough(cards):
            return cards
        time.sleep(0.5)
    raise AssertionError(f"the page shows only {cards}")


def _of_source(cards: Any) -> Any:
    return [c for c in cards if "source/cifar10" in c["text"].replace(" ", "") and c["width"] > 0]


def test_the_images_page_shows_every_picture_of_the_tag_enlarged_and_unsmoothed(
    server: Any, written: Any, browser: Any
) -> None:
    browser.get(f"{server.url}#images")
    cards = _of_source(_wait_for(browser, IMAGE_CARDS, lambda all_: len(_of_source(all_)) == 4))
    for number, card in enumerate(cards, start=1):
        assert f"sample: {number} of 4" in card["text"]
        assert (card["width"], card["height"]) == (72, 24)
        assert card["shown"] > 300
        assert card["rendering"] == "pixelated"
        assert card["steps"] == len(written.steps)
        assert written.description in card["text"]  # behind the card's (i)


def test_the_time_series_page_shows_the_pictures_too(server: Any, browser: Any) -> None:
    browser.get(f"{server.url}?tagFilter=source#timeseries")
    cards = _of_source(_wait_for(browser, SERIES_CARDS, lambda all_: len(_of_source(all_)) == 4))
    assert [card["width"] for card in cards] == [72] * 4
