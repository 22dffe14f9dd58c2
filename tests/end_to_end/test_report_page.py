"""The report in a real browser: nothing fetched, nothing cut off, legible in the light and in the dark."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    import subprocess

    from selenium.webdriver import Chrome

    Run = Callable[..., "subprocess.CompletedProcess[str]"]

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_WORDS = ("dog", "cat", "man", "child", "runs", "sits", "jumps", "red", "blue", "street", "grass", "water", "ball")
_IMAGES = 60


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    webdriver = pytest.importorskip("selenium.webdriver")
    program = next(filter(None, map(shutil.which, _BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if not program or not driver:
        pytest.skip("needs Chromium and its chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    profile = tmp_path_factory.mktemp("profile")
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", f"user-data-dir={profile}"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with webdriver.Chrome(options=options, service=webdriver.ChromeService(driver)) as chrome:
        yield chrome


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
        said = " ".join(references[name][0].split()[: number % 9])
        rows.append({"path": name, "caption": said, "confidence": number % 9 / 10})
    rows[0]["caption"] = '<script>alert("x")</script> & a very' + "long" * 40 + "word"
    (folder / "references.json").write_text(json.dumps(references))
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    done = capcli(
        *("eval", "--predictions", "rows.jsonl", "--references", "references.json"),
        *("--human", "--no-java", "--bootstrap-samples", 100, "--html", "report.html"),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return folder / "report.html"


def opened(browser: Chrome, page: Path, width: int = 1280, *, dark: bool = False) -> None:
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
    browser.get(page.as_uri())


def asked(browser: Chrome, script: str) -> Any:
    return browser.execute_script(f"return {script}")


def test_it_is_one_small_file_that_fetches_nothing(browser: Chrome, page: Path) -> None:
    browser.get_log("performance")  # of the browser's own start page
    opened(browser, page)
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert page.as_uri() in urls
    assert [url for url in urls if not url.startswith("data:") and url != page.as_uri()] == []
    assert browser.get_log("browser") == []
    assert page.stat().st_size < 1_500_000


def test_every_picture_is_shown_and_described(browser: Chrome, page: Path) -> None:
    opened(browser, page)
    assert asked(browser, "document.images.length") == 24
    assert asked(browser, "[...document.images].every(image => image.complete && image.naturalWidth > 0 && image.alt)")
    assert asked(browser, "[...document.querySelectorAll('svg')].every(svg => svg.getAttribute('aria-label'))")


def test_headings_and_tables_tell_what_is_where(browser: Chrome, page: Path) -> None:
    opened(browser, page)
    headings = asked(browser, "[...document.querySelectorAll('h1, h2')].map(heading => heading.textContent)")
    assert headings == [
        f"Caption evaluation: rows.jsonl on references, {_IMAGES} images",
        "Figures",
        "Scores of single images",
        "Confidence against quality",
        "Best captions",
        "Worst captions",
        "How this was measured",
    ]
    assert asked(browser, "document.documentElement.lang") == "en"
    assert asked(browser, "[...document.querySelectorAll('tbody tr')].every(row => row.firstChild.scope == 'row')")
    assert asked(browser, "[...document.querySelectorAll('thead th')].every(head => head.scope == 'col')")


def test_captions_stay_text(browser: Chrome, page: Path) -> None:
    opened(browser, page)
    assert asked(browser, "document.scripts.length") == 0
    assert '<script>alert("x")</script>' in asked(browser, "document.body.textContent")


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_nothing_is_wider_than_the_screen(browser: Chrome, page: Path, width: int) -> None:
    opened(browser, page, width)
    browser.execute_script("document.querySelectorAll('details').forEach(one => { one.open = true })")
    assert asked(browser, "document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    # In an SVG as wide as its place, 12 units of text are that many pixels on a phone.
    scale = "svg => svg.getBoundingClientRect().width / svg.viewBox.baseVal.width"
    assert asked(browser, f"Math.min(...[...document.querySelectorAll('svg')].map({scale}))") > 0.8


_CONTRAST = """(() => {
  const numbers = colour => colour.match(/[\\d.]+/g).slice(0, 3).map(Number)
  const light = colour => {
    const [r, g, b] = numbers(colour).map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    return .2126 * r + .7152 * g + .0722 * b
  }
  const paper = light(getComputedStyle(document.body).backgroundColor)
  const written = document.querySelectorAll('h1, h2, h3, p, td, th, dt, dd, figcaption, li, summary')
  return Math.min(...[...written].map(one => {
    const ink = light(getComputedStyle(one).color)
    return (Math.max(ink, paper) + .05) / (Math.min(ink, paper) + .05)
  }))
})()"""


def test_light_and_dark_differ_and_can_both_be_read(browser: Chrome, page: Path) -> None:
    colours = []
    for dark in (False, True):
        opened(browser, page, dark=dark)
        colours.append(asked(browser, "getComputedStyle(document.body).backgroundColor"))
        assert asked(browser, _CONTRAST) >= 4.5  # WCAG 2.2, success criterion 1.4.3
    assert len(set(colours)) == 2


def test_the_keyboard_reaches_what_scrolls_or_opens(browser: Chrome, page: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    opened(browser, page, 360)
    reached = []
    for _ in range(5):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        reached.append(asked(browser, "document.activeElement.className || document.activeElement.tagName"))
    assert reached[:4] == ["skip", "scroll", "SUMMARY", "SUMMARY"]
