"""The review page in a real browser: by keys alone, with a screen reader, and when the server is gone."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from axe import find_violations
from kept_results import make_kept

from capcli.library.keeping import LibraryFile
from capcli.modelfile.identity import identify_model
from capcli.pictures.read import read_described

if TYPE_CHECKING:
    from chromium import Chromium

    from capcli.modelfile.checkpoint import Checkpoint

pytest.importorskip("uvicorn")
pytestmark = pytest.mark.browser

EXAMPLES = Path(__file__).parents[2] / "examples"
CAPTIONS = {
    "cat.jpg": ("A tabby cat with yellow eyes on top of it.", 0.2),
    "astronaut.jpg": ("A boy in an orange shirt is sitting at a table.", 0.3),
    "rocket.jpg": ("Two tall towers rise against a dark blue sky.", 0.4),
    "coffee.jpg": ("A red cup of coffee on a wooden table.", 0.6),
}
ENTER, ESCAPE, TAB, RIGHT = "\ue007", "\ue00c", "\ue004", "\ue014"

Serve = Callable[..., "tuple[str, subprocess.Popen[str]]"]


@pytest.fixture
def library(tmp_path: Path) -> Path:
    with LibraryFile(tmp_path / "photos.db") as kept:
        for name, (text, confidence) in CAPTIONS.items():
            shutil.copy(EXAMPLES / name, tmp_path)
            result = make_kept(tmp_path / name, text, confidences=(confidence, 0.1))
            kept.write(replace(result, captions=(text, "Another text.")))
    return tmp_path / "photos.db"


@pytest.fixture
def serve(review: Serve, library: Path) -> Serve:
    """Starts the command; returns the address that it prints, and the process."""

    def start(port: int = 0, model: Path | None = None) -> tuple[str, subprocess.Popen[str]]:
        return review(library, "--reviewer", "Ann", *(() if model is None else ("--model", model)), port=port)

    return start


def stored(library: Path) -> dict[str, tuple[str, str | None]]:
    with sqlite3.connect(library) as connection:
        found = connection.execute("SELECT path, caption, status FROM picture").fetchall()
    return {Path(path).name: (caption, status) for path, caption, status in found}


def shown(browser: Chromium, name: str) -> None:
    browser.wait(f"document.getElementById('name').textContent === '{name}'")


def test_captions_are_reviewed_by_keys_alone(browser: Chromium, serve: Serve, library: Path) -> None:
    address, server = serve()
    browser.open("about:blank")  # the page of another test may still ask for its server
    browser.chrome.get_log("browser")
    browser.open(address)
    shown(browser, "cat.jpg")
    browser.press("e", "!", ESCAPE, "1", ESCAPE, "a")
    shown(browser, "astronaut.jpg")
    assert stored(library)["cat.jpg"] == ("Another text.", "edited")
    browser.press("a")
    shown(browser, "rocket.jpg")
    browser.press("r")
    shown(browser, "coffee.jpg")
    browser.press("e", " Steaming.", ENTER)
    browser.wait("document.getElementById('status').textContent.startsWith('edited by Ann')")
    assert "last picture" in browser.ask("document.getElementById('said').textContent")
    browser.press("f")
    browser.wait("document.getElementById('status').textContent.startsWith('flagged by Ann')")
    assert stored(library) == {
        "cat.jpg": ("Another text.", "edited"),
        "astronaut.jpg": (CAPTIONS["astronaut.jpg"][0], "accepted"),
        "rocket.jpg": (CAPTIONS["rocket.jpg"][0], "rejected"),
        "coffee.jpg": ("A red cup of coffee on a wooden table. Steaming.", "flagged"),
    }
    browser.press("u")
    browser.wait("document.getElementById('status').textContent.startsWith('edited')")
    browser.press("u")
    browser.wait("document.getElementById('status').textContent === 'not reviewed'")
    browser.press("u")
    shown(browser, "rocket.jpg")
    browser.wait("document.getElementById('status').textContent === 'not reviewed'")
    assert stored(library)["coffee.jpg"] == (CAPTIONS["coffee.jpg"][0], None)
    # The last one was decided before the list held others.
    browser.ask(
        "void(document.getElementById('show').value = 'rejected', "
        "document.getElementById('show').dispatchEvent(new Event('change')))"
    )
    browser.wait("!document.getElementById('nothing').hidden")
    browser.press("u")
    browser.wait("document.getElementById('said').textContent.startsWith('Taken back: astronaut.jpg')")
    assert stored(library)["astronaut.jpg"] == (CAPTIONS["astronaut.jpg"][0], None)
    assert browser.chrome.get_log("browser") == []
    server.send_signal(signal.SIGINT)
    assert server.wait(60) == 0


def test_the_field_has_the_direction_of_its_text(browser: Chromium, serve: Serve) -> None:
    address, _ = serve()
    browser.open(address)
    shown(browser, "cat.jpg")
    field = "document.getElementById('caption')"
    assert browser.ask(f"getComputedStyle({field}).direction") == "ltr"
    browser.press("e")
    browser.ask(f"{field}.select()")
    browser.press("كلب أبيض يركض في الثلج.")
    browser.wait(f"getComputedStyle({field}).direction === 'rtl'", 5)


def test_a_screen_reader_and_every_eye_can_use_it(browser: Chromium, serve: Serve, library: Path) -> None:
    address, _ = serve()
    browser.open(address)
    shown(browser, "cat.jpg")
    browser.wait("document.getElementById('picture').naturalWidth > 0")
    found = browser.accessible()
    roles = {role for role, _ in found}
    assert {"banner", "main", "navigation", "contentinfo", "status", "alert", "heading"} <= roles
    controls = ("button", "textbox", "combobox", "checkbox", "image", "group", "link")
    assert not [role for role, name in found if role in controls and not name.strip()]
    assert ("textbox", "Caption") in found
    assert ("image", "The picture cat.jpg") in found
    # Editing comes before the list, of which one entry alone is on the way.
    stops = []
    for _ in range(15):
        browser.press(TAB)
        stops.append(browser.ask("document.activeElement.id || document.activeElement.closest('ol, ul, #words')?.id"))
    first = ["show", "words", "caption", "accept", "reject"]
    assert first in (stops[:5], stops[1:6])
    assert (stops.count("list"), stops.count("words")) == (1, 1)
    text = "h1, p:not(:empty), label, button, #list span, #list small, dt, dd, li, summary, textarea, select"
    for dark in (False, True):
        for width in (1280, 400):
            browser.open(address, width, dark=dark)
            shown(browser, "cat.jpg")
            assert browser.contrast(text) >= 4.5
            assert browser.fits()
            assert browser.ask("scrollY") == 0


@pytest.mark.parametrize("dark", [False, True])
def test_it_breaks_no_rule_of_accessibility(browser: Chromium, serve: Serve, library: Path, dark: bool) -> None:
    address, _ = serve()
    browser.open(address, dark=dark)
    shown(browser, "cat.jpg")
    assert find_violations(browser) == []
    browser.press("f")  # stored, so that there is a history
    shown(browser, "astronaut.jpg")
    browser.press("e", " Mine.")  # else the page may take the other text before it is asked to store anything
    with sqlite3.connect(library) as connection:
        connection.execute("UPDATE picture SET caption = 'Theirs.' WHERE path LIKE '%astronaut.jpg'")
    browser.press(ENTER)
    browser.wait("!document.getElementById('conflict').hidden")
    assert find_violations(browser) == []
    browser.press("k")
    browser.wait("document.getElementById('changes').children.length > 0")
    browser.ask("document.getElementById('past').open = true")
    assert find_violations(browser) == []
    browser.open(address, 390, dark=dark)
    shown(browser, "astronaut.jpg")
    assert find_violations(browser) == []


def test_a_text_outlives_the_server(browser: Chromium, serve: Serve, library: Path) -> None:
    address, server = serve()
    browser.open(address)
    shown(browser, "cat.jpg")
    browser.press("e", " Purring.")
    server.kill()
    server.wait()
    browser.press(ENTER)
    browser.wait("document.getElementById('gone').textContent.includes('The server is gone')")
    text = f"{CAPTIONS['cat.jpg'][0]} Purring."
    assert browser.ask("document.getElementById('caption').value") == text
    assert stored(library)["cat.jpg"][1] is None
    port = int(address.split(":")[2].split("/")[0])
    again, _ = serve(port)
    browser.press(ENTER)
    browser.wait("document.getElementById('gone').textContent.includes('Another server')")
    browser.open(again)
    shown(browser, "cat.jpg")
    assert browser.ask("document.getElementById('caption').value") == text
    assert browser.ask("document.getElementById('unsent').textContent") == "Not stored yet."
    browser.press("a")
    shown(browser, "astronaut.jpg")
    assert stored(library)["cat.jpg"] == (text, "edited")


def test_two_browsers_lose_nothing(browser: Chromium, serve: Serve, library: Path) -> None:
    address, _ = serve()
    browser.open(address)
    shown(browser, "cat.jpg")
    browser.press("e", " Mine.")
    with sqlite3.connect(library) as connection:
        connection.execute("UPDATE picture SET caption = 'Theirs.' WHERE path LIKE '%cat.jpg'")
    browser.press(ENTER)
    browser.wait("!document.getElementById('conflict').hidden")
    assert "Theirs." in browser.ask("document.getElementById('theirs').textContent")
    assert browser.ask("document.activeElement.id") == "mine"
    browser.press(ENTER)
    shown(browser, "astronaut.jpg")
    assert stored(library)["cat.jpg"] == (f"{CAPTIONS['cat.jpg'][0]} Mine.", "edited")


@pytest.mark.slow
def test_it_shows_where_the_model_looked_and_leaves_no_process_behind(
    browser: Chromium,
    serve: Serve,
    library: Path,
    tmp_path: Path,
    tiny_checkpoint: Callable[..., Checkpoint],
    eventually: Callable[[Callable[[], object]], None],
) -> None:
    model = tmp_path / "tiny.safetensors"
    tiny_checkpoint().save(model)
    cat, rocket = (read_described(tmp_path / name, 64)[1].pixels for name in ("cat.jpg", "rocket.jpg"))
    with sqlite3.connect(library) as connection:
        connection.execute("UPDATE model SET name = 'tiny', sha256 = ?", (identify_model(model).sha256,))
        change = "UPDATE picture SET caption = ?, pixels = ? WHERE path LIKE ?"
        connection.execute(change, ("A dog, Rex.", cat, "%cat.jpg"))
        connection.execute(change, ("A ball.", rocket, "%rocket.jpg"))
    address, server = serve(model=model)
    browser.open(address, still=True)
    shown(browser, "cat.jpg")
    browser.wait("document.getElementById('picture').naturalWidth > 0")
    assert workers(server.pid) == []
    status_text = "document.getElementById('said').textContent"
    heat_shown = "document.getElementById('heat').classList.contains('shown')"
    browser.press("h")
    browser.wait(f"{status_text}.startsWith('“A”: the model gives it ') && {heat_shown}", 180)
    (worker,) = workers(server.pid)
    places = ("document.getElementById('heat')", "document.getElementById('picture')")
    heat, picture = (browser.ask(f"JSON.stringify({place}.getBoundingClientRect())") for place in places)
    assert heat == picture
    assert browser.ask("getComputedStyle(document.getElementById('heat')).transitionDuration") == "0s"
    browser.press(RIGHT, RIGHT)
    browser.wait(f"{status_text}.startsWith('“Rex”: the model does not know this word.')")
    assert find_violations(browser) == []
    # One stop on the way, and two ways out.
    browser.press(TAB)
    assert browser.ask("document.activeElement.id") == "caption"
    browser.wait(f"!{heat_shown}")
    browser.press(ESCAPE, "h")
    assert browser.ask("document.activeElement.textContent") == "Rex"
    browser.wait(heat_shown)
    browser.press(ESCAPE)
    assert browser.ask("document.activeElement.id") == "name"
    browser.wait(f"!{heat_shown}")
    browser.press("h", "j")
    shown(browser, "astronaut.jpg")
    assert browser.ask("document.activeElement.id") == "name"
    assert not browser.ask(heat_shown)
    looked = "document.getElementById('looked').textContent"
    browser.point("#words button")
    browser.wait(f"{looked} === 'No heatmap: the picture has changed since it was captioned; caption it again.'")
    assert not browser.ask(heat_shown)
    browser.press("j")
    shown(browser, "rocket.jpg")
    browser.point("#words button:last-of-type")
    browser.wait(f"{looked}.startsWith('“ball”') && {heat_shown}")
    browser.press(ESCAPE)
    browser.wait(f"!{heat_shown}")
    assert workers(server.pid) == [worker]
    server.kill()
    server.wait()
    eventually(lambda: not Path(f"/proc/{worker}/cmdline").exists() or not Path(f"/proc/{worker}/cmdline").read_bytes())


def test_a_caption_of_another_model_has_no_heatmap_and_starts_no_process(browser: Chromium, serve: Serve) -> None:
    address, server = serve()
    browser.open(address, 390, dark=True)
    shown(browser, "cat.jpg")
    browser.chrome.find_element("css selector", "#words button").click()
    browser.wait("document.getElementById('looked').textContent.startsWith('No heatmap: the model fake wrote')")
    assert find_violations(browser) == []
    assert browser.fits()
    assert workers(server.pid) == []


def workers(server: int) -> list[int]:
    """The processes that a server has started."""
    by_thread = [file.read_text() for file in Path(f"/proc/{server}/task").glob("*/children")]
    return [int(pid) for pids in by_thread for pid in pids.split()]


def test_a_port_that_is_taken_is_one_line(
    command: str, environment: dict[str, str], serve: Serve, library: Path
) -> None:
    address, _ = serve()
    port = address.split(":")[2].split("/")[0]
    done = subprocess.run(
        [command, "review", str(library), "--port", port], env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"capcli: error: port {port} is taken; --port 0 takes a free one, or end the other program\n"
