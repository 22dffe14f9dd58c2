"""Films and cameras by the installed command: killed, interrupted, on a terminal, on a page."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageOps

pytest.importorskip("av")

from made_films import grey, write_film

if TYPE_CHECKING:
    from chromium import Chromium

EXAMPLES = Path(__file__).parents[2] / "examples"
FOREVER = [0.0, 600.0]
"""Times of two frames: a film that plays as long as no test waits."""

Live = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def live(stand_in: list[str], environment: dict[str, str], tmp_path: Path) -> Iterator[Live]:
    """Starts `capcli live --camera FILM` of a film that shows one frame for ten minutes."""
    film = write_film(tmp_path / "film.mp4", map(grey, (40, 220)), times=FOREVER)
    started = []

    def begin(*arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        variables = options.pop("variables", {})
        process = subprocess.Popen(
            [*stand_in, "live", "--camera", str(film), *arguments],
            **{"env": {**environment, **variables}, **pipes, **options},
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        with process:
            process.kill()


def shown(count: int) -> Iterator[Any]:
    """Frames of scenes that differ, one a second."""
    return (np.random.default_rng(number).integers(0, 256, (48, 64, 3), dtype=np.uint8) for number in range(count))


@pytest.mark.slow
def test_the_shipped_model_captions_a_film_of_photographs(capcli: Callable[..., Any], tmp_path: Path) -> None:
    photographs = [
        np.asarray(ImageOps.fit(Image.open(EXAMPLES / f"{name}.jpg").convert("RGB"), (320, 240)))
        for name in ("coffee", "photographer")
    ]
    film = write_film(tmp_path / "film.mp4", [photograph for photograph in photographs for _ in range(20)], rate=5)
    done = capcli("caption", film, "--format", "jsonl")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["start"], row["end"]) for row in rows] == [(0, 4), (4, 8)]
    assert "coffee" in rows[0]["caption"]
    assert "man" in rows[1]["caption"]
    assert all(0 < row["confidence"] < 1 for row in rows)


def test_a_killed_run_leaves_no_half_file_and_the_next_one_makes_it_whole(
    start: Callable[..., Any], caption: Callable[..., Any], eventually: Callable[..., None], tmp_path: Path
) -> None:
    write_film(tmp_path / "film.mkv", shown(40), rate=1)
    begun = tmp_path / "begun"
    arguments = ("film.mkv", "--every", "1", "--scene-change", "0", "-o", "film.vtt")
    process = start(*arguments, variables={"BATCHES_BEGUN": str(begun), "BATCH_SECONDS": "0 0 60"})
    eventually(lambda: begun.exists() and begun.stat().st_size == 3)
    process.kill()
    process.wait()
    assert not (tmp_path / "film.vtt").exists()
    done = caption(*arguments)
    assert done.returncode == 0
    assert (tmp_path / "film.vtt").read_text().count(" --> ") == 40
    assert sorted(path.name for path in tmp_path.iterdir()) == ["begun", "film.mkv", "film.vtt"]


def test_an_interrupted_film_is_not_written(
    start: Callable[..., Any], eventually: Callable[..., None], tmp_path: Path
) -> None:
    write_film(tmp_path / "film.mkv", shown(40), rate=1)
    begun = tmp_path / "begun"
    variables = {"BATCHES_BEGUN": str(begun), "BATCH_SECONDS": "0.2"}
    process = start("film.mkv", "--every", "1", "-o", "film.srt", variables=variables)
    eventually(lambda: begun.exists() and begun.stat().st_size == 1)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate()
    assert (process.returncode, stdout) == (130, b"")
    assert stderr.startswith(b"capcli: interrupted: film.mkv: looked at ")
    assert stderr.endswith(b"film.srt is not written\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["begun", "film.mkv"]


def test_ctrl_c_ends_a_camera_with_an_account(live: Live) -> None:
    process = live()
    assert process.stdout is not None
    time, sentence, delay = process.stdout.readline().decode().split("\t")
    assert time.startswith("00:00:0")
    assert sentence.startswith("A picture of ")
    assert delay.endswith(" ms\n")
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, stdout) == (130, b"")
    assert stderr.startswith(b"capcli: interrupted: looked at 1 frame, captioned 1, delay ")


@pytest.mark.skipif(os.name == "nt", reason="there are no such terminals")
def test_a_terminal_shows_the_picture_and_is_left_as_it_was(live: Live) -> None:
    import pty

    ours, theirs = pty.openpty()
    process = live(stdout=theirs, variables={"TERM": "xterm-256color", "COLORTERM": "truecolor"})
    os.close(theirs)
    output = b""
    while b"Ctrl-C ends it" not in output:
        output += os.read(ours, 1 << 16)
    process.send_signal(signal.SIGINT)
    try:
        while part := os.read(ours, 1 << 16):
            output += part
    except OSError:  # nobody holds the other side any more
        pass
    process.wait(20)
    os.close(ours)
    assert output.startswith(b"\x1b[?1049h\x1b[?25l")
    assert output.endswith(b"\x1b[?25h\x1b[?1049l")
    assert "▀".encode() in output
    assert b"A picture of " in output
    assert process.returncode == 130


def test_a_page_is_served_until_ctrl_c(live: Live) -> None:
    pytest.importorskip("uvicorn")
    process = live("--page", "--port", "0")
    assert process.stdout is not None
    address = process.stdout.readline().decode().strip()
    with urllib.request.urlopen(f"{address}state?after=0") as answer:
        state = json.load(answer)
    assert state["sentence"].startswith("A picture of ")
    with urllib.request.urlopen(f"{address}picture?number=1") as answer:
        assert answer.read(2) == b"\xff\xd8"
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert b"open this address in a browser" in stderr
    assert b"Traceback" not in stderr


@pytest.mark.browser
def test_the_page_says_in_a_browser_what_is_seen(browser: Chromium, live: Live) -> None:
    pytest.importorskip("uvicorn")
    process = live("--page", "--port", "0")
    assert process.stdout is not None
    browser.chrome.get_log("browser")
    browser.open(process.stdout.readline().decode().strip())
    browser.wait("document.getElementById('sentence').textContent.startsWith('A picture of ')")
    browser.wait("document.getElementById('picture').naturalWidth === 64")
    assert browser.ask("document.getElementById('delay').textContent").endswith(" ms from frame to sentence")
    assert browser.chrome.get_log("browser") == []
    process.send_signal(signal.SIGINT)
    browser.wait("document.getElementById('gone').textContent !== ''")
    assert process.wait(20) == 130


def test_nothing_of_it_is_loaded_for_help_and_photographs(imports: Callable[..., Any]) -> None:
    done, modules = imports("--help")
    assert done.returncode == 0
    loaded = {name for name in modules if name.partition(".")[0] == "av" or name.startswith("capcli.video.")}
    assert loaded == {"capcli.video.options"}
