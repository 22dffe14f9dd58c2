"""The rating page in a real browser: by keys alone, with a screen reader, when the server is gone, and killed."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from chromium import Chromium

pytest.importorskip("uvicorn")
pytestmark = pytest.mark.browser

EXAMPLES = Path(__file__).parents[2] / "examples"
SAID = {
    "greedy-model.jsonl": {"cat.jpg": "A cat is wearing a striped shirt.", "coffee.jpg": "A cup on a table."},
    "beam-model.jsonl": {"cat.jpg": "A tabby cat is laying on a bed.", "coffee.jpg": "A red cup of coffee."},
}
TAB, ENTER, RIGHT, DOWN = "\ue004", "\ue007", "\ue014", "\ue015"
GRADES = ("--scale", "adequacy-fluency")

Serve = Callable[..., "tuple[str, subprocess.Popen[str]]"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, captions in SAID.items():
        rows = [{"path": picture, "caption": text} for picture, text in captions.items()]
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    for picture in ("cat.jpg", "coffee.jpg"):
        shutil.copy(EXAMPLES / picture, tmp_path)
    return tmp_path


@pytest.fixture
def serve(review: Serve, folder: Path) -> Serve:
    """Starts the command; returns the address that it prints, and the process."""

    def start(*more: str, port: int = 0, rater: str = "Ann") -> tuple[str, subprocess.Popen[str]]:
        return review("--rate", *SAID, "--rater", rater, *more, port=port)

    return start


def stored(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "ratings.jsonl").read_text().splitlines()]


def shown(browser: Chromium, title: str) -> None:
    browser.wait(f"document.getElementById('name').textContent === '{title}'")


def test_a_preference_is_given_by_keys_alone(browser: Chromium, serve: Serve, folder: Path) -> None:
    address, server = serve()
    browser.open("about:blank")  # the page of another test may still ask for its server
    browser.chrome.get_log("browser")
    browser.open(address)
    shown(browser, "Question 1 of 2")
    texts = [browser.ask(f"document.getElementById('text-{side}').textContent") for side in (1, 2)]
    page = browser.ask("document.documentElement.outerHTML")
    assert "model" not in page
    browser.press("2")
    shown(browser, "Question 2 of 2")
    (first,) = stored(folder)
    assert (first["rater"], first["captions"][first["value"] - 1]) == ("Ann", texts[1])
    browser.press(DOWN)
    browser.wait("document.activeElement.id === 'nothing'")
    assert "All is answered" in browser.ask("document.getElementById('nothing').textContent")
    browser.press("u")
    shown(browser, "Question 2 of 2")
    browser.press("u")
    shown(browser, "Question 1 of 2")
    browser.press(RIGHT)
    shown(browser, "Question 2 of 2")
    assert [judgement["value"] for judgement in stored(folder)][1:4] == [0, None, None]
    browser.press("k")
    shown(browser, "Question 1 of 2, answered")
    assert browser.ask("document.querySelector('[aria-pressed=true]').value") == "2"
    browser.press("o")
    shown(browser, "Question 2 of 2")
    assert browser.chrome.get_log("browser") == []
    server.send_signal(signal.SIGINT)
    assert server.wait(60) == 0


def test_grades_are_given_by_two_digits_or_by_radios(browser: Chromium, serve: Serve, folder: Path) -> None:
    address, _ = serve(*GRADES)
    browser.open(address)
    shown(browser, "Question 1 of 4")
    browser.press("4")
    assert browser.ask("document.getElementById('unsent').textContent") == "Not stored yet."
    browser.press("5")
    shown(browser, "Question 2 of 4")
    assert [(judgement["scale"], judgement["value"]) for judgement in stored(folder)] == [
        ("adequacy", 4),
        ("fluency", 5),
    ]
    browser.press(ENTER)
    browser.wait("document.getElementById('problem').textContent === 'Choose adequacy and fluency first.'")
    assert browser.ask("document.activeElement.name") == "adequacy"
    # Arrows choose among radios, and nothing is stored by them.
    browser.press(RIGHT, TAB, RIGHT, RIGHT)
    assert len(stored(folder)) == 2
    browser.press(ENTER)
    shown(browser, "Question 3 of 4")
    assert [judgement["value"] for judgement in stored(folder)][2:] == [2, 3]
    # A digit is for the scale that has the focus.
    browser.press(ENTER)
    browser.wait("document.activeElement.name === 'adequacy'")
    browser.press("1", "5")
    shown(browser, "Question 4 of 4")
    assert [judgement["value"] for judgement in stored(folder)][4:] == [1, 5]


def test_a_screen_reader_and_every_eye_can_use_it(browser: Chromium, serve: Serve) -> None:
    text = "h1, h2, p:not(:empty), label, small, button, kbd, legend, .text"
    for more in ((), GRADES):
        address, server = serve(*more)
        browser.open(address)
        browser.wait("document.getElementById('picture').naturalWidth > 0")
        found = browser.accessible()
        roles = {role for role, _ in found}
        assert {"banner", "main", "contentinfo", "status", "alert", "heading", "group", "image"} <= roles
        controls = ("button", "radio", "checkbox", "image", "link", "group")
        assert not [role for role, name in found if role in controls and not name.strip()]
        names = [name for role, name in found if role in ("group", "radio")]
        if more:
            assert any(name.startswith("Adequacy: ") for name in names)
            assert names.count("3") == 2
        else:
            assert "Which caption is better?" in names
        stops = []
        for _ in range(5):
            browser.press(TAB)
            stops.append(browser.ask("document.activeElement.value || document.activeElement.textContent"))
        assert "1" in stops  # the first choice comes before the buttons that go elsewhere
        for dark in (False, True):
            for width in (1280, 400):
                browser.open(address, width, dark=dark)
                browser.wait("!document.getElementById('main').hidden")
                assert browser.contrast(text) >= 4.5
                assert browser.fits()
                assert browser.ask("scrollY") == 0
        server.kill()


def test_an_answer_outlives_the_server(browser: Chromium, serve: Serve, folder: Path) -> None:
    address, server = serve(*GRADES)
    browser.open(address)
    shown(browser, "Question 1 of 4")
    browser.press("3")
    server.kill()
    server.wait()
    browser.press("2")
    browser.wait("document.getElementById('gone').textContent.includes('The server is gone')")
    assert stored(folder) == []
    again, _ = serve(*GRADES, port=int(address.split(":")[2].split("/")[0]))
    browser.open(again)
    shown(browser, "Question 1 of 4")
    chosen = "[...document.querySelectorAll('.scale :checked')].map(one => one.value).join()"
    assert browser.ask(chosen) == "3,2"
    assert browser.ask("document.getElementById('unsent').textContent") == "Not stored yet."
    browser.press(ENTER)
    shown(browser, "Question 2 of 4")
    assert [judgement["value"] for judgement in stored(folder)] == [3, 2]


def test_two_raters_at_once_lose_nothing(browser: Chromium, serve: Serve, folder: Path) -> None:
    addresses = [serve(rater=rater)[0] for rater in ("Ann", "Bob")]
    for address in addresses:
        browser.open(address)
        shown(browser, "Question 1 of 2")
        browser.press("1")
        shown(browser, "Question 2 of 2")
    browser.open(addresses[0])
    shown(browser, "Question 2 of 2")
    browser.press("2")
    browser.wait("document.activeElement.id === 'nothing'")
    assert [judgement["rater"] for judgement in stored(folder)] == ["Ann", "Bob", "Ann"]
