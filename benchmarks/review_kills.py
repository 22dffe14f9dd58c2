"""Whether a killed review server loses an edit that it has answered.

usage: python benchmarks/review_kills.py [--kills N] [--seed N]

Serves a made library by the installed command, edits pictures one after the other, kills the server (SIGKILL) after a
random time, and starts it again, N times (by default 50). Every answered edit must be in the library, nothing else but
the one edit that was under way, each old text in the history, and `capcli library check` must find nothing. If not, it
says what is lost and exits with 1.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import tempfile
import threading
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from machine import command, describe

from capcli.library.contents import find_faults
from capcli.library.database import changing, open_to_write, reading

PICTURES = 20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"machine: {describe()}")
    chance = random.Random(options.seed)
    answered = lost = 0
    with tempfile.TemporaryDirectory() as folder:
        library = make_library(Path(folder))
        texts = {number: f"Caption {number}." for number in range(1, PICTURES + 1)}
        for turn in range(options.kills):
            done, under_way = edit_until_killed(library, texts, turn, chance.uniform(0.005, 0.3))
            answered += done
            lost += compare(library, texts, under_way)
        faults = find_faults(library)
    print(f"{options.kills} kills, {answered} edits answered, {lost} lost or changed, faults: {faults or 'none'}")
    if lost or faults:
        raise SystemExit(1)


def make_library(folder: Path) -> Path:
    connection = open_to_write(folder / "photos.db")
    with changing(connection):
        connection.execute("INSERT INTO model (id, name, sha256) VALUES (1, 'made up', '')")
        for number in range(1, PICTURES + 1):
            values = number, str(folder / f"{number}.jpg"), f"Caption {number}."
            connection.execute(
                "INSERT INTO picture (id, path, caption, confidence, model) VALUES (?, ?, ?, 0.5, 1)", values
            )
    connection.close()
    return folder / "photos.db"


def edit_until_killed(library: Path, texts: dict[int, str], turn: int, seconds: float) -> tuple[int, tuple[int, str]]:
    """Edits pictures in turns until the server is killed; `texts` gets what it answered.

    Returns:
        how many edits were answered, and the picture and the text of the one that was not.
    """
    words = [command(), "review", str(library), "--port", "0", "--quiet"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        place = urlsplit(server.stdout.readline().strip())
        assert place.hostname is not None
        connection = HTTPConnection(place.hostname, place.port)
        headers = {"Origin": f"http://{place.netloc}", "Content-Type": "application/json"}
        timer = threading.Timer(seconds, server.kill)
        timer.start()
        count = 0
        while True:
            picture = count % PICTURES + 1
            text = f"Text {turn}.{count}."
            try:
                connection.request("GET", f"{place.path}rows/{picture}", None, headers)
                version = json.loads(connection.getresponse().read())["row"]["version"]
                change = json.dumps({"version": version, "status": "accepted", "caption": text})
                connection.request("POST", f"{place.path}rows/{picture}", change, headers)
                reply = connection.getresponse()
                stored = json.loads(reply.read())["row"]["caption"]
            except (OSError, HTTPException, ValueError):
                timer.join()
                return count, (picture, text)
            assert (reply.status, stored) == (200, text)
            texts[picture] = text
            count += 1


def compare(library: Path, texts: dict[int, str], under_way: tuple[int, str]) -> int:
    """How many pictures have neither the text that was answered nor the one under way, or lack their first text."""
    wrong = 0
    with reading(library) as connection:
        for picture, caption in connection.execute("SELECT id, caption FROM picture").fetchall():
            if (picture, caption) == under_way:
                texts[picture] = caption
            first = connection.execute(
                "SELECT old FROM history WHERE picture = ? AND field = 'caption' ORDER BY id LIMIT 1", (picture,)
            ).fetchone()
            kept = first[0] if first else caption
            if caption != texts[picture] or kept != f"Caption {picture}.":
                print(f"picture {picture} has {caption!r}, not {texts[picture]!r}; its first text is {kept!r}")
                wrong += 1
    return wrong


if __name__ == "__main__":
    main()
