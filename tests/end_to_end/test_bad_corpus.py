"""Some five hundred bad files around forty good ones: none is lost, none stops the run."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from capcli.modelfile.header import read_header
from capcli.modelfile.shipped import find_model

pytestmark = pytest.mark.slow

STEP = 64
# Noise of these sides takes four to six kilobytes, which are 60 to 100 truncations.
SIDES = {"jpg": 80, "png": 41, "webp": 72, "gif": 64, "tif": 41}
EXTENSIONS = (*SIDES, "bmp", "avif", "heic")
WINDOWS = sys.platform == "win32"
NAMES = ["plain", "two words", "ümlaut", "日本", "🐈", "-r", "a,b;c", "it's", "%s{0}", "[x]"]
NAMES += [] if WINDOWS else ["new\nline", "tab\t", 'quo"te', "back\\slash", "star*", "\x1b[31m"]
NAMES += [os.fsdecode(b"\xff\xfe"), os.fsdecode(b"caf\xe9")] if sys.platform == "linux" else []


@dataclass
class Corpus:
    """Paths relative to `home`, as the command is expected to write them.

    Attributes:
        good: the example each one is a copy of.
        hopeless: files out of which nobody can make a picture.
        doubtful: damaged files, of which some still show a picture.
    """

    home: Path
    good: dict[str, str] = field(default_factory=dict)
    hopeless: list[str] = field(default_factory=list)
    doubtful: list[str] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        return [*self.good, *self.hopeless, *self.doubtful]

    def new(self, paths: list[str], name: str, content: bytes = b"") -> Path:
        path = Path("corpus", name)
        (self.home / path).parent.mkdir(parents=True, exist_ok=True)
        (self.home / path).write_bytes(content)
        paths.append(str(path))
        return self.home / path


def noise(kind: str, side: int) -> bytes:
    pixels = np.random.default_rng(side).integers(0, 256, (side, side, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, {"jpg": "JPEG", "tif": "TIFF"}.get(kind, kind.upper()))
    return stream.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(side: int, *extra: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = (chunk(b"IHDR", header), *extra, chunk(b"IDAT", zlib.compress(bytes(64))), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def claiming(side: int) -> Iterator[tuple[str, bytes]]:
    """Small files by their extension, whose headers claim side x side pixels; the side fits into 16 bits."""

    def patched(kind: str, at: int, sides: bytes) -> tuple[str, bytes]:
        content = noise(kind, 16)
        return kind, content[:at] + sides + content[at + len(sides) :]

    yield "png", png(side)
    yield "ppm", f"P6 {side} {side} 255\n".encode() + bytes(64)
    yield "qoi", b"qoif" + struct.pack(">IIBB", side, side, 3, 0) + bytes(64)
    yield "tga", struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, side, side, 24, 0) + bytes(64)
    yield patched("gif", 6, struct.pack("<HH", side, side))
    yield patched("bmp", 18, struct.pack("<ii", side, side))
    yield patched("jpg", noise("jpg", 16).index(b"\xff\xc0") + 5, struct.pack(">HH", side, side))


def add_truncations(corpus: Corpus) -> None:
    for kind, side in SIDES.items():
        whole = noise(kind, side)
        cuts = range(0, len(whole), STEP)
        assert 60 <= len(cuts) <= 100, (kind, len(whole))
        for cut in cuts:
            kept = corpus.hopeless if cut <= STEP else corpus.doubtful
            corpus.new(kept, f"truncated/{kind}{cut}.{kind}", whole[:cut])


def add_flips(corpus: Corpus) -> None:
    random = np.random.default_rng(0)
    for kind in (*SIDES, "bmp", "avif"):
        for i in range(10):
            content = np.frombuffer(noise(kind, 24), np.uint8).copy()
            # Ever more of them, and half of the files are hit in their headers, where it hurts most.
            reach = 64 if i % 2 else len(content)
            content[random.integers(0, reach, 1 + i)] ^= 1 << random.integers(0, 8, 1 + i).astype(np.uint8)
            corpus.new(corpus.doubtful, f"flipped/{i}.{kind}", content.tobytes())


def add_contents(corpus: Corpus) -> None:
    for extension in EXTENSIONS:
        corpus.new(corpus.hopeless, f"contents/empty.{extension}")
        corpus.new(corpus.hopeless, f"contents/zeros.{extension}", bytes(5000))
        corpus.new(corpus.hopeless, f"contents/text.{extension}", b"No picture, whatever its name says.\n" * 9)
        corpus.new(corpus.hopeless, f"contents/program.{extension}", b"\x7fELF\x02\x01\x01" + bytes(100))
        corpus.new(corpus.doubtful, f"contents/png.{extension}", noise("png", 8))
    for extension, content in claiming(0):
        corpus.new(corpus.doubtful, f"contents/nothing.{extension}", content)
    for extension, content in claiming(60_000):
        corpus.new(corpus.doubtful, f"contents/huge.{extension}", content)
    # Nine million letters in a few kilobytes.
    corpus.new(
        corpus.doubtful, "contents/wordy.png", png(8, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(9_000_000))))
    )


def add_entries(corpus: Corpus) -> None:
    """What is no file at all, or not one's own to read."""
    home = corpus.home / "corpus" / "entries"
    home.mkdir()

    def entry(name: str) -> Path:
        corpus.hopeless.append(str(Path("corpus", "entries", name)))
        return home / name

    if not WINDOWS:
        entry("broken.jpg").symlink_to(home / "absent.jpg")
        entry("itself.jpg").symlink_to(home / "itself.jpg")
        entry("there.jpg").symlink_to(home / "back.jpg")
        entry("back.jpg").symlink_to(home / "there.jpg")
        for name in ("up", "up.jpg"):
            (home / name).symlink_to(home.parent, target_is_directory=True)
        (home / "itself").symlink_to(home / "itself")
        os.mkfifo(entry("pipe.jpg"))
        with socket.socket(socket.AF_UNIX) as server, pytest.MonkeyPatch.context() as patch:
            patch.chdir(entry("socket.jpg").parent)  # a socket may have no long path
            server.bind("socket.jpg")
        if os.geteuid() != 0:
            corpus.new(corpus.hopeless, "entries/closed.jpg", noise("jpg", 8)).chmod(0)


def add_good(corpus: Corpus, examples: Path) -> None:
    pictures = sorted(examples.glob("*.jpg"))
    folders = ("", "album.jpg/", "contents/", "entries/deep/er/")
    for i in range(40):
        name = f"{folders[i % len(folders)]}{NAMES[i % len(NAMES)]}.good{i}.jpg"
        shutil.copy(pictures[i % len(pictures)], corpus.new([], name))
        corpus.good[str(Path("corpus", name))] = pictures[i % len(pictures)].stem


@pytest.fixture(scope="module")
def corpus(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    corpus = Corpus(tmp_path_factory.mktemp("bad"))
    add_truncations(corpus)
    add_flips(corpus)
    add_contents(corpus)
    add_entries(corpus)
    for name in NAMES:
        corpus.new(corpus.hopeless, f"names/{name}.jpg", b"no picture")
    add_good(corpus, examples)
    assert len(corpus.hopeless) + len(corpus.doubtful) >= 500
    assert len(corpus.good) == 40
    return corpus


@pytest.fixture(scope="module")
def run(stand_in: list[str], environment: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Runs `capcli caption ARGUMENTS`; in the place of the model is one that gets pictures as the model gets them."""
    size = read_header(find_model("base")).described["encoder"]["size"]

    def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*stand_in, "caption", *map(str, arguments)],
            cwd=cwd,
            env={**environment, "SIZE": str(size)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=900,
        )

    return run


@pytest.fixture(scope="module")
def done(run: Callable[..., subprocess.CompletedProcess[bytes]], corpus: Corpus) -> subprocess.CompletedProcess[bytes]:
    return run("-r", "corpus", "-o", "rows.jsonl", cwd=corpus.home)


@pytest.fixture(scope="module")
def alone(run: Callable[..., subprocess.CompletedProcess[bytes]], examples: Path, empty: Path) -> dict[str, str]:
    """Captions of the examples by file name without its ending, from a run with no bad files."""
    lines = run(examples, "--format", "jsonl", cwd=empty).stdout.splitlines()
    captions = {Path(row["path"]).stem: row["caption"] for row in map(json.loads, lines)}
    assert len(set(captions.values())) == len(captions) == len(list(examples.glob("*.jpg")))
    return captions


@pytest.fixture(scope="module")
def rows(done: subprocess.CompletedProcess[bytes], corpus: Corpus) -> list[dict[str, Any]]:
    content = (corpus.home / "rows.jsonl").read_text(encoding="utf-8", errors="surrogateescape")
    return [json.loads(line) for line in content.split("\n")[:-1]]


def test_the_run_ends_and_tells_that_pictures_failed(done: subprocess.CompletedProcess[bytes]) -> None:
    assert done.returncode == 1, done.stderr
    assert b"Traceback" not in done.stderr


def test_every_file_is_accounted_for_exactly_once(rows: list[dict[str, Any]], corpus: Corpus) -> None:
    assert Counter(row["path"] for row in rows) == Counter(corpus.paths)


def test_every_row_is_either_captions_or_an_error_with_its_reason(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        if "error" in row:
            assert set(row) == {"path", "error"}
            assert row["error"]
        else:
            assert set(row) == {"path", "caption", "captions", "confidence", "model"}
            assert row["caption"]


def test_every_good_picture_gets_the_caption_it_gets_alone(
    rows: list[dict[str, Any]], corpus: Corpus, alone: dict[str, str]
) -> None:
    captions = {row["path"]: row.get("caption") for row in rows}
    assert {path: captions[path] for path in corpus.good} == {path: alone[stem] for path, stem in corpus.good.items()}


def test_nothing_is_said_of_what_is_no_picture(rows: list[dict[str, Any]], corpus: Corpus) -> None:
    failed = {row["path"] for row in rows if "error" in row}
    assert set(corpus.hopeless) <= failed


def test_no_file_was_changed_or_added(rows: list[dict[str, Any]], corpus: Corpus, examples: Path) -> None:
    assert sorted(os.listdir(corpus.home)) == [".rows.jsonl.origin.json", "corpus", "rows.jsonl"]  # noqa: PTH208 - names are compared
    for path, stem in corpus.good.items():
        assert (corpus.home / path).read_bytes() == (examples / f"{stem}.jpg").read_bytes()
