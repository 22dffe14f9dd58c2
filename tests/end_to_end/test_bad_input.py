"""Whatever is wrong: one line that says what, no traceback; exit 2 for wrong usage, 1 for failed pictures."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from capcli.modelfile.shipped import find_model

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Caption = Callable[..., "subprocess.CompletedProcess[bytes]"]

# The stand-in sees as many pixels as the shipped model does, so that pictures are read in the same way.
SIDE = {"SIZE": "224"}


def bomb(path: Path, side: int) -> None:
    """A small, valid PNG of side x side black pixels, written row by row."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    row = bytes(1 + (side + 7) // 8)
    pixels = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))


def assert_refused(done: subprocess.CompletedProcess[str], *, saying: str) -> None:
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("capcli: error: ")
    assert saying in done.stderr


@pytest.fixture(scope="module")
def folder(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two good photographs among files that are none."""
    folder = tmp_path_factory.mktemp("mixed")
    shutil.copy(examples / "astronaut.jpg", folder / "a.jpg")
    bomb(folder / "bomb.png", 20_000)
    (folder / "empty.jpg").touch()
    (folder / "text.jpg").write_text("not a picture, whatever its name says\n")
    whole = (examples / "coffee.jpg").read_bytes()
    (folder / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    shutil.copy(examples / "cat.jpg", folder / "z.jpg")
    return folder


@pytest.mark.parametrize("batch_size", [1, 16])
def test_unreadable_files_cost_one_line_each_and_the_rest_goes_on(
    caption: Caption, examples: Path, folder: Path, batch_size: int
) -> None:
    done = caption(".", "--batch-size", batch_size, cwd=folder, variables=SIDE)
    assert done.returncode == 1
    alone = caption(examples / "astronaut.jpg", examples / "cat.jpg", variables=SIDE).stdout.decode().splitlines()
    captions = [row.split("\t")[1] for row in alone]
    assert done.stdout.decode().splitlines() == [f"a.jpg\t{captions[0]}", f"z.jpg\t{captions[1]}"]
    *errors, _ = done.stderr.decode().splitlines()
    assert [line.split(": ")[:2] for line in errors] == [
        ["capcli", name] for name in ("bomb.png", "empty.jpg", "text.jpg", "truncated.jpg")
    ]
    for line, reason in zip(errors, ("pixels", "empty", "not a picture", "truncated"), strict=True):
        assert reason in line


@pytest.mark.slow
def test_json_accounts_for_every_file_once(capcli: Run, captions: dict[str, str], folder: Path) -> None:
    done = capcli("caption", ".", "--format", "jsonl", cwd=folder)
    rows = {row["path"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == len(rows) == 6
    by_path = {path: row["caption"] for path, row in rows.items() if "caption" in row}
    assert by_path == {"a.jpg": captions["astronaut"], "z.jpg": captions["cat"]}
    assert all(("caption" in row) != ("error" in row) for row in rows.values())


def test_a_single_unreadable_file_prints_no_caption(caption: Caption, folder: Path) -> None:
    done = caption("text.jpg", cwd=folder, variables=SIDE)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"capcli: text.jpg: is not a picture capcli can read\n"


@pytest.mark.slow
def test_the_smallest_and_a_huge_picture_are_captioned(caption: Caption, tmp_path: Path) -> None:
    Image.new("RGB", (1, 1), "red").save(tmp_path / "dot.png")
    Image.new("L", (20_000, 20_000), 128).save(tmp_path / "huge.jpg")
    done = caption("dot.png", "huge.jpg", variables=SIDE)
    assert done.returncode == 0
    rows = done.stdout.decode().splitlines()
    assert [row.split("\t")[0] for row in rows] == ["dot.png", "huge.jpg"]
    assert all(row.split("\t")[1] for row in rows)


def test_no_such_path(capcli: Run) -> None:
    assert_refused(capcli("caption", "absent.jpg"), saying="no such file or folder: absent.jpg")


def test_folders_without_pictures(capcli: Run, tmp_path: Path) -> None:
    assert_refused(capcli("caption", tmp_path), saying="no pictures in")
    (tmp_path / "notes.txt").write_text("no picture")
    assert_refused(capcli("caption", tmp_path), saying="no pictures in")
    (tmp_path / "deep").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "deep" / "a.png")
    assert_refused(capcli("caption", tmp_path), saying="-r")


@pytest.mark.parametrize(
    ("arguments", "saying"),
    [
        (["--beam-size", "0"], "--beam-size"),
        (["--batch-size", "many"], "--batch-size"),
        (["--no-such-option"], "--no-such-option"),
        (["--top-k", "3"], "--sample"),
        (["--min-length", "9", "--max-length", "8"], "min-length 9 is above max-length 8"),
    ],
)
def test_wrong_options(capcli: Run, examples: Path, arguments: list[str], saying: str) -> None:
    assert_refused(capcli("caption", examples, *arguments), saying=saying)


def test_a_command_that_is_none(capcli: Run) -> None:
    assert_refused(capcli("captoin", "a.jpg"), saying="captoin")
    assert_refused(capcli("caption"), saying="name photographs")


@pytest.mark.slow
@pytest.mark.parametrize("device", ["cuda:99", "abacus"])
def test_a_device_that_is_not_there(capcli: Run, examples: Path, device: str) -> None:
    assert_refused(capcli("caption", examples, "--device", device), saying=device)


@pytest.mark.slow
def test_a_model_that_is_not_there(capcli: Run, examples: Path) -> None:
    done = capcli("caption", examples, "--model", "absent.safetensors")
    assert_refused(done, saying="absent.safetensors: no such model file")
    assert "base" in done.stderr  # what there is instead


@pytest.fixture(scope="module")
def described() -> dict[str, str]:
    """Metadata of the shipped model."""
    with safe_open(find_model("base"), framework="numpy") as file:
        return dict(file.metadata())


@pytest.mark.slow
def test_a_truncated_model(capcli: Run, examples: Path, tmp_path: Path) -> None:
    content = find_model("base").read_bytes()
    for length in (5, len(content) // 2, len(content) - 1):
        (tmp_path / "cut.safetensors").write_bytes(content[:length])
        done = capcli("caption", examples, "--model", "cut.safetensors", cwd=tmp_path)
        assert_refused(done, saying="cut.safetensors: not a whole safetensors file")


@pytest.mark.slow
def test_something_else_renamed_to_a_model(capcli: Run, examples: Path, tmp_path: Path) -> None:
    (tmp_path / "text.safetensors").write_text("A long story. " * 100)
    done = capcli("caption", examples, "--model", "text.safetensors", cwd=tmp_path)
    assert_refused(done, saying="text.safetensors")


@pytest.mark.slow
def test_a_model_of_another_program(capcli: Run, examples: Path, tmp_path: Path) -> None:
    save_file({"lm_head.weight": np.zeros((2, 2), np.float32)}, tmp_path / "other.safetensors")
    done = capcli("caption", examples, "--model", "other.safetensors", cwd=tmp_path)
    assert_refused(done, saying="other.safetensors: not a capcli model")


@pytest.mark.slow
def test_tensors_by_other_names_than_the_config_asks(
    capcli: Run, examples: Path, described: dict[str, str], tmp_path: Path
) -> None:
    save_file({"lm_head.weight": np.zeros((2, 2), np.float32)}, tmp_path / "odd.safetensors", described)
    done = capcli("caption", examples, "--model", "odd.safetensors", cwd=tmp_path)
    assert_refused(done, saying="odd.safetensors: its tensors do not fit its config")


@pytest.mark.slow
def test_tensors_of_other_shapes_than_the_config_asks(
    capcli: Run, examples: Path, described: dict[str, str], tmp_path: Path
) -> None:
    config = json.loads(described["capcli"])
    config["vocabulary"].pop()
    changed = {**described, "capcli": json.dumps(config)}
    save_file(load_file(find_model("base")), tmp_path / "misfit.safetensors", changed)
    done = capcli("caption", examples, "--model", "misfit.safetensors", cwd=tmp_path)
    assert_refused(done, saying="misfit.safetensors: its tensors do not fit its config")


@pytest.mark.slow
def test_a_description_that_is_no_json(capcli: Run, examples: Path, described: dict[str, str], tmp_path: Path) -> None:
    save_file({"x": np.zeros(1, np.float32)}, tmp_path / "odd.safetensors", {**described, "capcli": "{"})
    done = capcli("caption", examples, "--model", "odd.safetensors", cwd=tmp_path)
    assert_refused(done, saying="odd.safetensors: its description is broken")
