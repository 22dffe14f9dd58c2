"""How long the review page of a large library takes to appear, and an edit to be stored.

usage: python benchmarks/review_speed.py [--pictures N] [--edits N] [--no-browser]

Makes a library of N pictures (by default 100,000) with random confidences, of which the most doubtful ones are real
photographs of 12 megapixels, and serves it by the installed command. Prints how long Chromium takes to the first paint
and to the first window of rows, and the median and the slowest of the edits, each a request of its own that is answered
when the edit is on the disk. Then it asks for one heatmap after the other, by `base`, and times as many edits
meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from machine import command, describe
from PIL import Image

from capcli.library.database import changing, open_to_write
from capcli.modelfile.identity import identify_model

REAL = 120
"""Pictures that are there."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--edits", type=int, default=500)
    parser.add_argument("--no-browser", action="store_true")
    options = parser.parse_args()
    print(f"machine: {describe()}")
    with tempfile.TemporaryDirectory() as folder:
        library = make_library(Path(folder), options.pictures)
        with serve(library) as address:
            if not options.no_browser:
                painted, listed = open_page(address, Path(folder) / "profile")
                print(f"first paint {painted:.0f} ms, first window of rows {listed:.0f} ms")
            windows, edits = measure(address, options.edits)
            with heatmaps(address) as seconds:
                _, disturbed = measure(address, options.edits)
        named = {"window of rows": windows, "edit": edits, "edit during heatmaps": disturbed}
        for name, times in named.items():
            print(f"{name}: median {statistics.median(times):.1f} ms, slowest {max(times):.1f} ms of {len(times)}")
        first, *others = seconds or [float("nan")]
        print(f"heatmaps: the first after {first:.1f} s, with the model loaded")
        if others:
            print(f"heatmaps: {len(others)} more, a picture of 12 megapixels in {statistics.median(others):.2f} s each")


def make_library(folder: Path, pictures: int) -> Path:
    """A library whose most doubtful pictures are there."""
    noise = np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8)
    Image.fromarray(noise).resize((4000, 3000)).save(folder / "0.jpg")
    for number in range(1, min(REAL, pictures)):
        os.link(folder / "0.jpg", folder / f"{number}.jpg")
    chance = random.Random(0)
    connection = open_to_write(folder / "photos.db")
    with changing(connection):
        model = identify_model("base")
        connection.execute("INSERT INTO model (id, name, sha256) VALUES (1, ?, ?)", (model.name, model.sha256))
        connection.executemany(
            "INSERT INTO picture (path, caption, confidence, others, model) VALUES (?, ?, ?, ?, 1)",
            (
                (
                    str(folder / f"{number}.jpg"),
                    f"A dog runs over field {number}.",
                    number / 1e6 if number < REAL else chance.uniform(0.01, 1),
                    json.dumps([["A dog on grass.", 0.1], ["A brown dog.", 0.05]]),
                )
                for number in range(pictures)
            ),
        )
    connection.close()
    return folder / "photos.db"


@contextmanager
def serve(library: Path) -> Iterator[str]:
    """The address of the page while the command runs."""
    words = [command(), "review", str(library), "--port", "0", "--quiet"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def open_page(address: str, profile: Path) -> tuple[float, float]:
    """Milliseconds from the request to the first paint, and to the first window of rows on the screen."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", f"user-data-dir={profile}"):
        options.add_argument(f"--{argument}")
    with webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver"))) as chrome:
        chrome.get("about:blank")
        start = time.perf_counter()
        chrome.get(address)
        while not chrome.execute_script("return document.querySelector('#list li') !== null"):
            time.sleep(0.005)
        listed = 1000 * (time.perf_counter() - start)
        painted = chrome.execute_script("return performance.getEntriesByName('first-contentful-paint')[0].startTime")
        return float(painted), listed


@contextmanager
def heatmaps(address: str) -> Iterator[list[float]]:
    """Has one heatmap made after the other, from the first that is there on; seconds that each took."""
    place = urlsplit(address)
    assert place.hostname is not None
    connection = HTTPConnection(place.hostname, place.port)
    seconds: list[float] = []
    ended = threading.Event()

    def ask(picture: int) -> None:
        start = time.perf_counter()
        connection.request("GET", f"{place.path}rows/{picture}/heatmaps")
        reply = connection.getresponse()
        content = json.loads(reply.read())
        if reply.status != 200:
            raise SystemExit(f"heatmaps: {content}")
        seconds.append(time.perf_counter() - start)

    def go_on() -> None:
        for picture in range(2, REAL):
            if ended.is_set():
                return
            ask(picture)

    ask(1)
    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield seconds
    finally:
        ended.set()
        thread.join()


def measure(address: str, edits: int) -> tuple[list[float], list[float]]:
    """Milliseconds of windows from the beginning on, and of edits of all their rows."""
    place = urlsplit(address)
    assert place.hostname is not None
    connection = HTTPConnection(place.hostname, place.port)
    headers = {"Origin": f"http://{place.netloc}", "Content-Type": "application/json"}

    def ask(method: str, path: str, body: object = None) -> tuple[float, dict[str, object]]:
        start = time.perf_counter()
        connection.request(method, f"{place.path}{path}", None if body is None else json.dumps(body), headers)
        reply = connection.getresponse()
        content = json.loads(reply.read())
        took = 1000 * (time.perf_counter() - start)
        if reply.status != 200:
            raise SystemExit(f"{path}: {content}")
        return took, content

    windows: list[float] = []
    times: list[float] = []
    while len(times) < edits:
        took, window = ask("GET", "rows?show=")
        windows.append(took)
        rows = window["rows"]
        assert isinstance(rows, list)
        for row in rows[: edits - len(times)]:
            change = {"version": row["version"], "status": "accepted", "caption": f"{row['caption']} It is seen."}
            times.append(ask("POST", f"rows/{row['id']}", change)[0])
    return windows, times


if __name__ == "__main__":
    main()
