"""The shipped weights on real photographs, through the installed command and the Python API."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]

NAMES = ("astronaut", "cat", "coffee", "photographer", "rocket")
SENTENCE = re.compile(r"[A-Z0-9][^\t\n]*\.")


def test_one_photograph_gives_the_sentence_alone(capcli: Run, examples: Path, captions: dict[str, str]) -> None:
    done = capcli("caption", examples / "cat.jpg")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == captions["cat"] + "\n"


def test_every_caption_is_a_sentence(captions: dict[str, str]) -> None:
    assert sorted(captions) == sorted(NAMES)
    for caption in captions.values():
        assert SENTENCE.fullmatch(caption)
        assert 3 <= len(caption.split()) <= 40
        assert "<" not in caption  # no special of the vocabulary is said
        assert not caption.lower().startswith("this image")


# Words of which a good caption holds at least one. A rocket on its pad at night is nothing the training pictures
# show, so that anything tall, lit or nightly is a fair description; a wrong animal or a person is not.
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cat", "cat kitten"),
        ("coffee", "coffee cup mug bowl tea drink"),
        ("astronaut", "woman lady girl person man astronaut boy smiling"),
        ("photographer", "man person camera tripod photographer photograph photo picture pictures"),
        ("rocket", "rocket tower sky night city light lights lit building buildings bridge crane clock"),
    ],
)
def test_a_caption_names_what_is_there(captions: dict[str, str], name: str, words: str) -> None:
    caption_words = set(re.findall(r"[a-z]+", captions[name].lower()))
    assert caption_words & set(words.split()), captions[name]


def test_different_photographs_get_different_captions(captions: dict[str, str]) -> None:
    assert len(set(captions.values())) == len(captions)


def test_several_paths_give_rows_in_the_order_given(capcli: Run, examples: Path, captions: dict[str, str]) -> None:
    files = [examples / "rocket.jpg", examples / "cat.jpg", examples / "astronaut.jpg"]
    done = capcli("caption", *files)
    assert done.returncode == 0
    assert re.fullmatch(r"capcli: captioned 3, skipped 0, failed 0, [0-9.]+ images/s\n", done.stderr)
    assert done.stdout.splitlines() == [f"{file}\t{captions[file.stem]}" for file in files]


def test_json_rows_hold_path_caption_confidence_and_model(json_rows: list[dict[str, Any]], examples: Path) -> None:
    assert [row["path"] for row in json_rows] == [str(examples / f"{name}.jpg") for name in sorted(NAMES)]
    for row in json_rows:
        assert set(row) == {"path", "caption", "captions", "confidence", "model"}
        assert row["captions"] == [row["caption"]]
        assert 0 < row["confidence"] < 1
        assert row["model"] == "base"


@pytest.mark.slow
def test_folders_are_flat_unless_asked(capcli: Run, examples: Path, captions: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    shutil.copy(examples / "cat.jpg", tmp_path / "photos" / "here.jpg")
    shutil.copy(examples / "coffee.jpg", tmp_path / "photos" / "deep" / "there.jpg")
    (tmp_path / "photos" / "notes.txt").write_text("no picture")

    flat = capcli("caption", "photos", cwd=tmp_path)
    assert flat.returncode == 0
    assert flat.stdout == f"{Path('photos/here.jpg')}\t{captions['cat']}\n"

    deep = capcli("caption", "photos", "-r", cwd=tmp_path)
    assert deep.returncode == 0
    assert deep.stdout.splitlines() == [
        f"{Path('photos/here.jpg')}\t{captions['cat']}",
        f"{Path('photos/deep/there.jpg')}\t{captions['coffee']}",
    ]


@pytest.mark.parametrize("batch_size", [1, 8])
def test_captions_do_not_depend_on_the_batch_size(
    capcli: Run, examples: Path, captions: dict[str, str], batch_size: int
) -> None:
    done = capcli("caption", examples, "--format", "jsonl", "--batch-size", batch_size)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {Path(row["path"]).stem: row["caption"] for row in rows} == captions


@pytest.mark.slow
def test_decoding_options_reach_the_search(capcli: Run, examples: Path) -> None:
    done = capcli("caption", examples, "--format", "jsonl", "--beam-size", 1, "--max-length", 4)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == len(NAMES)
    assert all(len(row["caption"].split()) <= 4 for row in rows)


@pytest.mark.slow
def test_a_copy_of_the_model_s_files_says_the_same(
    capcli: Run, examples: Path, captions: dict[str, str], tmp_path: Path
) -> None:
    from capcli.modelfile.shipped import find_model

    def caption() -> tuple[int, str, str]:
        done = capcli("caption", examples / "cat.jpg", "--model", "copy.safetensors", cwd=tmp_path)
        return done.returncode, done.stdout, done.stderr

    shutil.copy(find_model("base"), tmp_path / "copy.safetensors")
    without = capcli("caption", examples / "cat.jpg", "--word-weight", "0")
    assert caption() == (0, without.stdout, "")
    # The words that it expects lie beside it, and go along.
    shutil.copy(find_model("base").with_suffix(".words"), tmp_path / "copy.words")
    assert caption() == (0, captions["cat"] + "\n", "") != (0, without.stdout, "")


def test_the_api_and_the_command_agree(examples: Path, json_rows: list[dict[str, Any]]) -> None:
    from capcli import Captioner

    found = Captioner.load(device="auto").caption([row["path"] for row in json_rows])
    assert [caption.text for caption in found] == [row["caption"] for row in json_rows]
    assert [caption.confidence for caption in found] == pytest.approx(
        [row["confidence"] for row in json_rows], rel=0.01
    )


def test_the_weights_ship_with_their_card_and_stay_small() -> None:
    from capcli.modelfile.shipped import find_model

    weights = find_model("base")
    assert weights.stat().st_size <= 64 * 1024 * 1024
    assert weights.with_suffix(".md").is_file()


def test_the_confidence_is_calibrated_and_the_surer_captions_are_better() -> None:
    from capcli.modelfile.checkpoint import Checkpoint
    from capcli.modelfile.shipped import find_model

    weights = find_model("base")
    calibration = Checkpoint.load(weights).calibration
    assert calibration is not None
    shares = [share for _, share, _ in calibration.table]
    assert len(shares) >= 8
    assert shares == sorted(shares)
    card = weights.with_suffix(".md").read_text(encoding="utf-8")
    assert f"{calibration.slope:.3f} log m + {calibration.intercept:.3f}" in card
    for least, share, count in calibration.table:
        assert f"| {least:.1f} | {count:,} | {share:.3f} |" in card
