"""Whether killed rating servers lose an answer that they have given.

usage: python benchmarks/rating_kills.py [--kills N] [--seed N]

Two raters answer into one file at once, each through an installed `capcli review --rate` of their own. Both servers are
killed (SIGKILL) after a random time and started again, N times (by default 25, which is 50 kills). Every answer that a
server confirmed must be what the file holds, but for the one that was under way, and `capcli score --ratings` must read
it. If not, it says what is lost and exits with 1.
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
from PIL import Image

from capcli.ratings.record import read_ratings

PICTURES = 20
RATERS = ("Ann", "Bob")
FILE = "ratings.jsonl"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"machine: {describe()}")
    chance = random.Random(options.seed)
    confirmed: dict[tuple[str, frozenset[str]], str | None] = {}
    answered = lost = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_rows(folder)
        for _ in range(options.kills):
            seconds = chance.uniform(0.02, 0.4)
            turns = [Turn(folder, rater, seconds, chance.randrange(1000)) for rater in RATERS]
            for turn in turns:
                turn.join()
                answered += len(turn.confirmed)
                for key, value in turn.confirmed:
                    confirmed[turn.rater, key] = value
            lost += compare(folder, confirmed, {(turn.rater, turn.under_way[0]): turn.under_way[1] for turn in turns})
        words = [command(), "score", "--ratings", FILE, "--no-java"]
        scored = subprocess.run(words, cwd=folder, capture_output=True, check=False).returncode
    print(f"{2 * options.kills} kills, {answered} answers confirmed, {lost} lost or changed, score ended with {scored}")
    if lost or scored:
        raise SystemExit(1)


def make_rows(folder: Path) -> None:
    """Rows of two systems that never say the same, and their pictures."""
    for number in range(PICTURES):
        Image.new("RGB", (9, 9)).save(folder / f"{number}.png")
    for system in "ab":
        rows = ({"path": f"{number}.png", "caption": f"{system} says {number}"} for number in range(PICTURES))
        (folder / f"{system}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


class Turn(threading.Thread):
    """One rater, who answers until the server is killed.

    Attributes:
        rater: who.
        confirmed: captions and the better one of each answer that the server confirmed.
        under_way: the same of the one that it did not.
    """

    def __init__(self, folder: Path, rater: str, seconds: float, seed: int) -> None:
        super().__init__()
        self.rater, self._folder, self._seconds, self._chance = rater, folder, seconds, random.Random(seed)
        self.confirmed: list[tuple[frozenset[str], str | None]] = []
        self.under_way: tuple[frozenset[str], str | None] = frozenset(), None
        self.start()

    def run(self) -> None:
        words = [command(), "review", "--rate", "a.jsonl", "b.jsonl", "--rater", self.rater, "--port", "0", "--quiet"]
        with subprocess.Popen(words, cwd=self._folder, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            place = urlsplit(server.stdout.readline().strip())
            assert place.hostname is not None
            timer = threading.Timer(self._seconds, server.kill)
            timer.start()
            connection = HTTPConnection(place.hostname, place.port)
            headers = {"Origin": f"http://{place.netloc}", "Content-Type": "application/json"}
            while True:
                path = f"{place.path}questions/{self._chance.randrange(PICTURES)}"
                value = self._chance.randrange(3)
                try:
                    connection.request("GET", path, None, headers)
                    captions = json.loads(connection.getresponse().read())["question"]["captions"]
                    self.under_way = frozenset(captions), captions[value - 1] if value else None
                    connection.request("POST", path, json.dumps({"preference": value}), headers)
                    stored = json.loads(connection.getresponse().read())["question"]["values"]
                except (OSError, HTTPException, ValueError):
                    timer.join()
                    return
                assert stored == {"preference": value}
                self.confirmed.append(self.under_way)


def compare(
    folder: Path,
    confirmed: dict[tuple[str, frozenset[str]], str | None],
    under_way: dict[tuple[str, frozenset[str]], str | None],
) -> int:
    """How many questions have neither the confirmed answer nor the one under way; the latter counts from now on."""
    if not (folder / FILE).read_bytes():
        return len(confirmed)
    held = {(key[0], key[3]): rating.preferred for key, rating in read_ratings(folder / FILE)[0].items()}
    for key, better in under_way.items():
        if key in held and held[key] == better:
            confirmed[key] = better
    wrong = [key for key, better in confirmed.items() if key not in held or held[key] != better]
    for rater, captions in wrong:
        print(f"{rater} on {sorted(captions)}: not {confirmed[rater, captions]!r}")
    return len(wrong)


if __name__ == "__main__":
    main()
