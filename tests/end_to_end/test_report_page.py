"""The report in a real browser: nothing fetched, nothing cut off, legible in the light and in the dark."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from axe import find_violations
from PIL import Image

if TYPE_CHECKING:
    import subprocess

    from chromium import Chromium

    Run = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.browser

_WORDS = ("dog", "cat", "man", "child", "runs", "sits", "jumps", "red", "blue", "street", "grass", "water", "ball")
_IMAGES = 60


@pytest.fixture(scope="module")
def page(capcli: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on pictures of noise with captions of shuffled words, in a name that HTML could trip over."""
    folder = tmp_path_factory.mktemp("data <&> more")
    noise = np.random.default_rng(0)
    references, rows = {}, []
    for number in range(_IMAGES):
        name = f"{number}.jpg"
        Image.fromarray(noise.integers(0, 255, (300, 400, 3), dtype=np.uint8)).save(folder / name)
        references[name] = [" ".join(noise.choice(_WORDS, 8)) for _ in range(3)]
        caption = " ".join(references[name][0].split()[: number % 9])
        rows.append({"path": name, "caption": caption, "confidence": number % 9 / 10})
    rows[0]["caption"] = '<script>alert("x")</script> & a very' + "long" * 40 + "word"
    (folder / "references.json").write_text(json.dumps(references))
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    done = capcli(
        *("score", "rows.jsonl", "--references", "references.json"),
        *("--human", "--no-java", "--bootstrap-samples", 100, "--html", "report.html"),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return folder / "report.html"


def test_it_is_one_small_file_that_fetches_nothing(browser: Chromium, page: Path) -> None:
    assert browser.fetched(page) == []
    assert browser.chrome.get_log("browser") == []
    assert page.stat().st_size < 1_500_000


@pytest.mark.parametrize("dark", [False, True])
def test_it_breaks_no_rule_of_accessibility(browser: Chromium, page: Path, dark: bool) -> None:
    browser.open(page, dark=dark)
    assert find_violations(browser) == []
    browser.ask("document.querySelectorAll('details').forEach(one => { one.open = true })")
    assert find_violations(browser) == []


def test_a_broken_rule_is_found(browser: Chromium, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<html lang=en><title>A</title><main><h1>A</h1><img src='data:,'></main>")
    browser.open(tmp_path / "page.html")
    assert [rule for rule, _ in find_violations(browser)] == ["image-alt"]


def test_every_picture_is_shown_and_described(browser: Chromium, page: Path) -> None:
    browser.open(page)
    assert browser.ask("document.images.length") == 24
    assert browser.ask("[...document.images].every(image => image.complete && image.naturalWidth > 0 && image.alt)")
    assert browser.ask("[...document.querySelectorAll('svg')].every(svg => svg.getAttribute('aria-label'))")


def test_headings_and_tables_tell_what_is_where(browser: Chromium, page: Path) -> None:
    browser.open(page)
    headings = browser.ask("[...document.querySelectorAll('h1, h2')].map(heading => heading.textContent)")
    assert headings == [
        f"Caption evaluation: rows.jsonl on references, {_IMAGES} images",
        "Figures",
        "Scores of single images",
        "Confidence against quality",
        "Best captions",
        "Worst captions",
        "How this was measured",
    ]
    assert browser.ask("document.documentElement.lang") == "en"
    assert browser.ask("[...document.querySelectorAll('tbody tr')].every(row => row.firstChild.scope == 'row')")
    assert browser.ask("[...document.querySelectorAll('thead th')].every(head => head.scope == 'col')")


def test_captions_stay_text(browser: Chromium, page: Path) -> None:
    browser.open(page)
    assert browser.ask("document.scripts.length") == 0
    assert '<script>alert("x")</script>' in browser.ask("document.body.textContent")


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_nothing_is_wider_than_the_screen(browser: Chromium, page: Path, width: int) -> None:
    browser.open(page, width)
    browser.chrome.execute_script("document.querySelectorAll('details').forEach(one => { one.open = true })")
    assert browser.fits()
    # In an SVG as wide as its place, 12 units of text are that many pixels on a phone.
    scale = "svg => svg.getBoundingClientRect().width / svg.viewBox.baseVal.width"
    assert browser.ask(f"Math.min(...[...document.querySelectorAll('svg')].map({scale}))") > 0.8


def test_light_and_dark_differ_and_can_both_be_read(browser: Chromium, page: Path) -> None:
    colours = []
    for dark in (False, True):
        browser.open(page, dark=dark)
        colours.append(browser.ask("getComputedStyle(document.body).backgroundColor"))
        assert (
            browser.contrast("h1, h2, h3, p, td, th, dt, dd, figcaption, li, summary") >= 4.5
        )  # WCAG 2.2, success criterion 1.4.3
    assert len(set(colours)) == 2


def test_the_keyboard_reaches_what_scrolls_or_opens(browser: Chromium, page: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    browser.open(page, 360)
    reached = []
    for _ in range(5):
        browser.press(Keys.TAB)
        reached.append(browser.ask("document.activeElement.className || document.activeElement.tagName"))
    assert reached[:4] == ["skip", "scroll", "SUMMARY", "SUMMARY"]
