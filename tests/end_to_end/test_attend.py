"""Heatmaps by the installed command and the shipped model."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from preloaded import ForkedRun

from capcli.model.options import BATCH

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Fork = Callable[..., ForkedRun]


@pytest.mark.slow
def test_every_example_has_its_grid(capcli: Run, examples: Path, captions: dict[str, str], tmp_path: Path) -> None:
    done = capcli("attend", examples, "-o", "grids", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.splitlines() == [f"{examples / name}.jpg\tgrids{os.sep}{name}.png" for name in sorted(captions)]
    for name, caption in captions.items():
        with Image.open(tmp_path / "grids" / f"{name}.png") as grid:
            assert (grid.width, grid.info["Description"]) == (1200, caption)
            grid.load()


@pytest.mark.slow
def test_pages_are_small_and_fetch_nothing(
    capcli: Run, examples: Path, captions: dict[str, str], tmp_path: Path
) -> None:
    done = capcli("attend", examples, "-o", tmp_path / "pages", "--as", "html")
    assert done.returncode == 0
    assert done.stderr.splitlines()[0] == f"capcli: index: {tmp_path / 'pages' / 'index.html'}"
    index = unescape((tmp_path / "pages" / "index.html").read_text("utf-8"))
    for name, caption in captions.items():
        page = (tmp_path / "pages" / f"{name}.html").read_bytes()
        assert len(page) < 400_000
        assert not re.search(rb"""(?:src|href)=["']?(?:https?:)?//""", page)
        assert f"{name}.html" in index and caption in index


@pytest.mark.slow
def test_a_sentence_of_one_s_own_leads_to_what_it_names(capcli: Run, examples: Path, tmp_path: Path) -> None:
    asked = ("--as", "npz", "--caption", "a man and a zebracorn", "--words", "man,zebracorn")
    done = capcli("attend", examples / "photographer.jpg", "-o", "raw", *asked, cwd=tmp_path)
    assert done.returncode == 0
    (warning,) = done.stderr.splitlines()
    assert warning.startswith("capcli: the model does not know the word 'zebracorn'")
    with np.load(tmp_path / "raw" / "photographer.npz", allow_pickle=False) as raw:
        maps, size, words = raw["attention"], tuple(raw["size"]), list(raw["words"])
    with Image.open(examples / "photographer.jpg") as picture:
        assert (size, words) == (picture.size, ["man", "zebracorn"])
    np.testing.assert_allclose(maps.sum((1, 2)), 1, rtol=1e-4)
    row, column = np.unravel_index(maps[0].argmax(), maps[0].shape)
    # The man stands in the middle, from the top third to the bottom.
    assert row >= 1 and 1 <= column <= maps.shape[2] - 2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C reaches a process otherwise there")
def test_ctrl_c_ends_it_after_the_picture_in_hand(fork: Fork, examples: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(60):
        shutil.copy(examples / "cat.jpg", tmp_path / "in" / f"{number}.jpg")
    reading, writing = os.pipe()
    with open(reading, encoding="utf-8") as stream, open(writing, "wb") as stdout:  # noqa: PTH123 - descriptors
        process = fork("attend", "in", "-o", "out", cwd=tmp_path, stdout=stdout)
        stdout.close()
        first = stream.readline()
        process.send_signal(signal.SIGINT)
        rows = [first, *stream]
    errors = process.communicate()[1].decode()
    assert process.returncode == 130
    assert errors.splitlines()[-1].startswith(f"capcli: interrupted: captioned {len(rows)}, skipped 0, failed 0")
    assert len(rows) < BATCH  # not even the batch was drawn to its end
    drawn = [path for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")]
    assert sorted(path.name for path in drawn) == sorted(f"{n}.png" for n in range(len(rows)))
    for path in drawn:
        Image.open(path).load()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_a_terminal_is_drawn_into_in_colour(fork: Fork, examples: Path, captions: dict[str, str]) -> None:
    leader, follower = os.openpty()
    variables = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "COLUMNS": "72"}
    shown = b""
    with open(follower, "wb", buffering=0) as terminal:  # noqa: PTH123 - a descriptor
        process = fork("attend", examples / "cat.jpg", "--terminal", variables=variables, stdout=terminal)
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:  # the way in which Linux says that the other end is closed
            break
        if not part:
            break
        shown += part
    assert (process.wait(), process.communicate()[1]) == (0, b"")
    os.close(leader)
    lines = shown.decode().replace("\r\n", "\n").splitlines()
    assert lines[0] == captions["cat"]
    assert any("\x1b[38;2;" in line and "▀" in line for line in lines)
    bare = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
    assert max(map(len, bare)) <= 72
    last = captions["cat"].rstrip(".").split()[-1]
    assert all(any(re.search(rf"\b{word}  \d+ %", line) for line in bare) for word in ("cat", last))
