"""The pages of `attend` in a real browser: the right map over the picture, by pointer, keys and touch."""

from __future__ import annotations

import base64
import io
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from axe import find_violations
from PIL import Image

from capcli.attribution.smooth_map import heatmap
from capcli.caption import Caption, Word
from capcli.heatmap.overlay import OPACITY, overlay
from capcli.heatmap.page import Entry, index, page, thumbnail
from capcli.metrics import tokenize

if TYPE_CHECKING:
    from chromium import Chromium

pytestmark = pytest.mark.browser

TEXT = 'A "young" dog\'s zyzzyva runs <fast> over the grass.'
WORDS = tokenize(TEXT)
GRID = (4, 7)
BOX = (-0.07, -0.12, 0.93, 0.88)


def caption(text: str = TEXT, grid: tuple[int, int] = GRID) -> Caption:
    source = np.random.default_rng(1)
    words = []
    for token in tokenize(text):
        weights = source.dirichlet(np.full(math.prod(grid), 0.5), 7).reshape(7, *grid).astype(np.float32)
        known = token != "zyzzyva"
        heads = weights[1:].reshape(2, 3, *grid)
        words.append(Word(token, -0.4 if known else -math.inf, weights[0], heads, known, BOX))
    return Caption(text, tuple(words), 0.42)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Path:
    """Pages of a photograph, a panorama, a tower and a dot, and their index, in a folder HTML could trip over."""
    pages = tmp_path_factory.mktemp("pages <&> #more?")
    photograph = Image.open(examples / "rocket.jpg").convert("RGB").resize((512, 384))
    pictures = {
        "photograph": photograph,
        "panorama": photograph.resize((1600, 160)),
        "tower": photograph.resize((160, 1600)),
        "dot": photograph.resize((16, 12)),
    }
    entries = []
    for name, picture in pictures.items():
        content = page(picture, caption(), name=f"{name}.jpg", method="gradient", model="base", index="index.html")
        (pages / f"{name}.html").write_bytes(content)
        entries.append(Entry(f"{name}.jpg", f"{name}.html", f"The {name} & more.", len(name) / 10, thumbnail(picture)))
    odd = os.fsdecode(b"caf\xe9 %41?#.html")
    try:
        (pages / odd).write_bytes(b"<!doctype html><title>reached</title>")
    except OSError:  # file systems that take no such name
        odd = "cafe %41?#.html"
        (pages / odd).write_bytes(b"<!doctype html><title>reached</title>")
    entries.append(Entry("odd", odd, "Odd.", None, None))
    entries.append(Entry("broken.jpg", error="is truncated"))
    (pages / "index.html").write_bytes(index(entries, title="Where base looked"))
    long = Caption("x" * 60 + " and " + "word " * 39, caption("x" * 60 + " and " + "word " * 39).words, 0.1)
    (pages / "long.html").write_bytes(page(photograph, long, name="n" * 200, method="gradient", model="base"))
    return pages


@pytest.fixture
def photograph(browser: Chromium, folder: Path) -> Iterator[Path]:
    """The page of the photograph, opened without fades, so that every change is there at once."""
    browser.open(folder / "photograph.html", still=True)
    yield folder / "photograph.html"
    assert browser.chrome.get_log("browser") == []


def composite(browser: Chromium) -> Image.Image:
    """The picture with what the canvas lays over it, as the browser composites them."""
    uri = browser.ask(
        """(() => {
          const [picture, heat] = [document.images[0], document.getElementById("heat")]
          const both = document.createElement("canvas")
          Object.assign(both, { width: heat.width, height: heat.height })
          const pen = both.getContext("2d")
          pen.drawImage(picture, 0, 0, both.width, both.height)
          pen.globalAlpha = Number(heat.style.opacity)
          pen.drawImage(heat, 0, 0)
          return both.toDataURL()
        })()"""
    )
    return image(uri)


def image(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB")


def shown(browser: Chromium) -> str:
    """What the canvas holds, to tell whether it changed."""
    return browser.ask("document.getElementById('heat').toDataURL()")


def word_text(browser: Chromium) -> str:
    return browser.ask("document.getElementById('word').textContent")


def checked(browser: Chromium) -> int:
    """Place of the one word that is chosen."""
    states = browser.ask("[...document.querySelectorAll('[role=radio]')].map(word => word.ariaChecked)")
    assert states.count("true") == 1
    assert browser.ask("document.querySelectorAll('[role=radio][tabindex=\"0\"]').length") == 1
    return states.index("true")


def test_it_fetches_nothing(browser: Chromium, folder: Path) -> None:
    for name in ("photograph.html", "index.html"):
        assert browser.fetched(folder / name) == []
        assert browser.chrome.get_log("browser") == []
    assert (folder / "photograph.html").stat().st_size < 400_000


def agrees(browser: Chromium, weights: np.ndarray, opacity: float) -> None:
    picture = image(browser.ask("document.images[0].src"))
    mine = np.asarray(overlay(picture, heatmap(weights, picture.size, BOX), opacity), int)
    difference = np.abs(np.asarray(composite(browser), int) - mine)
    assert difference.mean() < 1
    assert difference.max() <= 6


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", ["photograph.html", "index.html"])
def test_it_breaks_no_rule_of_accessibility(browser: Chromium, folder: Path, name: str, dark: bool) -> None:
    browser.open(folder / name, dark=dark, still=True)
    assert find_violations(browser) == []


@pytest.mark.parametrize("place", [0, 4, len(WORDS) - 1])
def test_the_canvas_agrees_with_overlay(browser: Chromium, photograph: Path, place: int) -> None:
    from selenium.webdriver.common.keys import Keys

    browser.press(*[Keys.ARROW_RIGHT] * place)
    weights = caption().words[place].attention
    assert weights is not None
    agrees(browser, weights, OPACITY)


@pytest.mark.parametrize(("choice", "heads"), [("1-6", np.s_[:, :]), ("4-6", np.s_[1:, :]), ("5", np.s_[1:, 1:2])])
def test_heads_and_their_means_agree_with_overlay(
    browser: Chromium, photograph: Path, choice: str, heads: tuple[slice, slice]
) -> None:
    from selenium.webdriver.support.select import Select

    before = word_text(browser)
    select = Select(browser.chrome.find_element("id", "heads"))
    select.select_by_value(choice)
    weights = caption().words[0].heads
    assert weights is not None
    agrees(browser, weights[heads].mean((0, 1)), OPACITY)
    assert before != word_text(browser) == f"a: 67 %, {select.first_selected_option.text}"


def test_the_slider_sets_the_opacity(browser: Chromium, photograph: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    slider = browser.chrome.find_element("id", "opacity")
    weights = caption().words[0].attention
    assert weights is not None
    for key, opacity in ((Keys.END, 1.0), (Keys.HOME, 0.0)):
        slider.send_keys(key)
        agrees(browser, weights, opacity)
        assert browser.ask("document.getElementById('percent').textContent") == f"{opacity:.0%}".replace("%", " %")
    assert checked(browser) == 0  # the keys are the slider's here


def test_pointing_at_a_word_moves_the_heatmap(browser: Chromium, photograph: Path) -> None:
    from selenium.webdriver import ActionChains

    found = {shown(browser)}
    for place in (2, 5):
        word = browser.chrome.find_elements("css selector", "[role=radio]")[place]
        ActionChains(browser.chrome, duration=20).move_to_element(word).perform()
        assert checked(browser) == place
        assert word_text(browser).startswith(f"{WORDS[place]}: ")
        found.add(shown(browser))
    assert len(found) == 3


def test_keys_go_from_word_to_word(browser: Chromium, photograph: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    last = len(WORDS) - 1
    steps = [(Keys.ARROW_RIGHT, 1), (Keys.ARROW_LEFT, 0), (Keys.ARROW_LEFT, last), (Keys.ARROW_RIGHT, 0)]
    steps += [(Keys.END, last), (Keys.HOME, 0), (Keys.ARROW_DOWN, 1), (Keys.ARROW_UP, 0)]
    for key, place in steps:
        browser.press(key)
        assert checked(browser) == place
        assert browser.ask(f"document.activeElement === document.querySelectorAll('[role=radio]')[{place}]")
        assert word_text(browser).startswith(f"{WORDS[place]}: ")


def test_a_finger_taps_words_and_slides_over_them(browser: Chromium, folder: Path) -> None:
    browser.open(folder / "photograph.html", 360, still=True)
    words = browser.chrome.find_elements("css selector", "[role=radio]")

    def touch(kind: str, place: int | None) -> None:
        points = []
        if place is not None:
            browser.chrome.execute_script("arguments[0].scrollIntoView({ block: 'center' })", words[1])
            box = browser.chrome.execute_script(
                "const { x, y, width, height } = arguments[0].getBoundingClientRect();"
                "return { x: x + width / 2, y: y + height / 2 }",
                words[place],
            )
            points = [box]
        browser.chrome.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 2)
    touch("touchEnd", None)
    assert checked(browser) == 2
    touch("touchStart", 0)
    assert checked(browser) == 0
    before = shown(browser)
    touch("touchMove", 1)
    assert checked(browser) == 1
    assert shown(browser) != before
    touch("touchEnd", None)


def test_play_lights_up_one_word_after_the_other(browser: Chromium, photograph: Path) -> None:
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.wait import WebDriverWait

    play = browser.chrome.find_element("id", "play")
    play.click()
    assert play.text == "Pause"
    for place in (1, 2):
        WebDriverWait(browser.chrome, 20, 0.05).until(lambda _, place=place: checked(browser) == place)
    play.click()
    assert play.text == "Play"
    browser.press(Keys.ARROW_RIGHT)
    assert checked(browser) >= 3


_DRAWN = """
  const put = CanvasRenderingContext2D.prototype.putImageData
  window.drawn = 0
  CanvasRenderingContext2D.prototype.putImageData = function (...given) { window.drawn++; put.apply(this, given) }
"""


@pytest.mark.parametrize("still", [True, False])
def test_heatmaps_fade_unless_the_user_prefers_no_motion(browser: Chromium, folder: Path, still: bool) -> None:
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.wait import WebDriverWait

    browser.open(folder / "photograph.html", still=still)
    browser.chrome.execute_script(_DRAWN)
    browser.press(Keys.ARROW_RIGHT)
    if still:
        assert browser.ask("new Promise(done => setTimeout(() => done(window.drawn), 300))") == 1
    else:
        WebDriverWait(browser.chrome, 20, 0.05).until(lambda _: browser.ask("window.drawn") > 1)
    # And in the end both show the same.
    weights = caption().words[1].attention
    assert weights is not None
    browser.ask("new Promise(done => setTimeout(done, 300))")
    agrees(browser, weights, OPACITY)


def test_the_keyboard_reaches_everything(browser: Chromium, photograph: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    reached = []
    for _ in range(7):
        browser.press(Keys.TAB)
        reached.append(browser.ask("document.activeElement.id || document.activeElement.tagName"))
        outline = browser.ask("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid" or reached[-1] == "BODY"
    assert reached[:6] == ["A", "BUTTON", "play", "heads", "opacity", "SUMMARY"]
    assert reached[6] in ("BODY", "A")


def test_screen_readers_are_told_what_is_what(browser: Chromium, photograph: Path) -> None:
    assert browser.ask("document.images[0].alt") == TEXT
    assert browser.ask("document.getElementById('word').ariaLive") == "polite"
    nodes = browser.chrome.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    named = [
        (node["role"]["value"], node["name"]["value"])
        for node in nodes
        if not node["ignored"] and node.get("name", {}).get("value")
    ]
    assert [name for role, name in named if role == "radio"] == [
        *("A", "young", "dog", "'s", "zyzzyva", "runs", "<", "fast", ">", "over", "the", "grass")
    ]
    for expected in (
        ("radiogroup", "Words"),
        ("image", TEXT),
        ("heading", "photograph.jpg"),
        ("button", "Play"),
        ("combobox", "Show"),
        ("slider", "Opacity"),
        ("image", "Colour scale from weak to strong"),
        ("link", "All pictures"),
    ):
        assert expected in named


def test_the_table_has_what_the_heatmaps_show(browser: Chromium, photograph: Path) -> None:
    browser.chrome.find_element("tag name", "summary").click()
    rows = browser.ask("[...document.querySelectorAll('tbody tr')].map(row => row.innerText.split('\\t'))")
    assert [row[0] for row in rows] == WORDS
    assert [row[1] for row in rows] == ["unknown" if word == "zyzzyva" else "67 %" for word in WORDS]
    assert word_text(browser) == f"a: 67 %, strongest: {rows[0][2]}"


@pytest.mark.parametrize("name", ["photograph", "panorama", "tower", "dot", "long", "index"])
@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_nothing_is_wider_than_the_screen(browser: Chromium, folder: Path, name: str, width: int) -> None:
    browser.open(folder / f"{name}.html", width)
    browser.chrome.execute_script("document.querySelectorAll('details').forEach(one => { one.open = true })")
    assert browser.fits()
    # Phones widen their screen to what overflows it, and then all seems to fit.
    assert browser.ask("document.documentElement.clientWidth") <= width
    outside = "box => box.left < -1 || box.right > document.documentElement.clientWidth + 1"
    parts = "[...document.body.querySelectorAll('*')].filter(one => one.checkVisibility())"
    assert browser.ask(f"{parts}.map(one => one.getBoundingClientRect()).filter({outside}).length") == 0
    if name != "index":
        # Heat and picture lie on each other exactly, and are large enough to see.
        boxes = browser.ask("['img', '#heat'].map(one => document.querySelector(one).getBoundingClientRect().toJSON())")
        assert boxes[0] == boxes[1]
        assert min(boxes[0]["width"], boxes[0]["height"]) > 25
        overlap = """(() => {
          const boxes = [...document.querySelectorAll('[role=radio]')].map(word => word.getBoundingClientRect())
          return boxes.some((one, place) => boxes.slice(place + 1).some(other =>
            one.left < other.right - 1 && other.left < one.right - 1 && one.top < other.bottom - 1 &&
            other.top < one.bottom - 1))
        })()"""
        assert not browser.ask(overlap)


def test_light_and_dark_differ_and_can_both_be_read(browser: Chromium, folder: Path) -> None:
    for name in ("photograph", "index"):
        colours = []
        for dark in (False, True):
            browser.open(folder / f"{name}.html", dark=dark)
            browser.chrome.execute_script("document.querySelectorAll('details').forEach(one => { one.open = true })")
            colours.append(browser.ask("getComputedStyle(document.body).backgroundColor"))
            # WCAG 2.2, success criterion 1.4.3
            assert browser.contrast("body *:not(script, noscript, bdi, img, canvas, i, input)") >= 4.5
        assert len(set(colours)) == 2


def test_without_scripts_there_are_picture_sentence_and_table(browser: Chromium, folder: Path) -> None:
    browser.open(folder / "photograph.html", script=False)
    visible = browser.chrome.find_element("tag name", "body").text
    assert "Without JavaScript" in visible
    buttons = browser.chrome.find_elements("css selector", "button, [role=radio], input, select")
    assert not any(button.is_displayed() for button in buttons)
    assert "zyzzyva" in browser.chrome.find_element("id", "sentence").text
    assert browser.chrome.find_element("tag name", "img").size["width"] > 300
    assert len(browser.chrome.find_elements("css selector", "tbody tr")) == len(WORDS)


def test_the_index_leads_to_the_pages_and_back(browser: Chromium, folder: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    browser.open(folder / "index.html")
    assert browser.ask("[...document.images].every(image => image.complete || image.loading == 'lazy')")
    reached = []
    for _ in range(8):
        browser.press(Keys.TAB)
        active = browser.ask("document.activeElement.id || document.activeElement.textContent")
        reached.append(" ".join(active.split()))
    names = ("photograph", "panorama", "tower", "dot")
    assert reached == [
        "1 failed",
        "search",
        "order",
        *(f"The {name} & more." for name in names),
        "no picture here Odd.",
    ]
    browser.press(Keys.ENTER)
    assert browser.chrome.title == "reached"
    browser.open(folder / "index.html")
    browser.chrome.find_element("partial link text", "The tower").click()
    assert browser.ask("document.querySelector('h1').textContent") == "tower.jpg"
    browser.chrome.find_element("link text", "All pictures").click()
    assert browser.ask("document.querySelector('h1').textContent") == "Where base looked"
    assert "broken.jpg: is truncated" in browser.chrome.find_element("id", "failed").text


def test_the_index_can_be_searched_and_sorted(browser: Chromium, folder: Path) -> None:
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.select import Select

    browser.open(folder / "index.html")
    there = "[...document.querySelectorAll('#cards > li')].filter(card => card.checkVisibility())"
    titles = f"{there}.map(card => card.querySelector('strong').textContent.split(' ')[1] ?? 'odd')"
    assert browser.ask(titles) == ["photograph", "panorama", "tower", "dot", "odd"]
    order = Select(browser.chrome.find_element("id", "order"))
    order.select_by_value("unsure")
    assert browser.ask(titles) == ["dot", "tower", "panorama", "photograph", "odd"]
    order.select_by_value("surest")
    assert browser.ask(titles) == ["photograph", "panorama", "tower", "dot", "odd"]
    search = browser.chrome.find_element("id", "search")
    search.send_keys("MORE tow")
    assert browser.ask(titles) == ["tower"]
    assert browser.ask("document.getElementById('found').textContent") == "1 of 5"
    search.send_keys(Keys.ESCAPE)
    order.select_by_value("given")
    assert len(browser.ask(titles)) == 5


def test_thousands_of_pictures_stay_light(browser: Chromium, folder: Path, examples: Path) -> None:
    small = thumbnail(Image.open(examples / "cat.jpg").convert("RGB"))
    many = folder / "many.html"
    many.write_bytes(index([Entry(f"{n}.jpg", "dot.html", "A cat.", 0.5, small) for n in range(3000)], title="Many"))
    browser.open(many)
    assert browser.ask("document.querySelectorAll('#cards > li').length") == 3000
    # The browser reports what it skips.
    skipped = "[...document.querySelectorAll('#cards > li')].filter(card => !card.firstElementChild.checkVisibility("
    assert browser.ask(f"{skipped}{{ contentVisibilityAuto: true }})).length") > 2500
