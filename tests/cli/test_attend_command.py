"""The command in this process, with a tiny model of random weights that knows eight words."""

from __future__ import annotations

import dataclasses
import errno
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from capcli.attribution.methods import DEFAULT_METHOD, METHODS
from capcli.caption import Caption
from capcli.captioner import Captioner
from capcli.cli import app
from capcli.decoding.options import DecodingOptions
from capcli.heatmap.options import KINDS, AttendOptions
from capcli.model.options import ModelOptions
from capcli.modelfile.checkpoint import Checkpoint
from capcli.pictures.options import InputOptions

Attend = Callable[..., Result]

ENDINGS = {"grid": ".png", "html": ".html", "gif": ".gif", "webp": ".webp", "npz": ".npz", "json": ".json"}
SENTENCE = ("--caption", "a dog runs")


@pytest.fixture
def attend(small_file: Path) -> Attend:
    """Runs `capcli attend ARGUMENTS` with the tiny model."""

    def run(*arguments: object, **extra: Any) -> Result:
        model = [] if "--model" in arguments else ["--model", str(small_file), "--device", "cpu"]
        result = CliRunner().invoke(app, ["attend", *map(str, arguments), *model], **extra)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        return result

    return run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with three pictures, one of them deeper."""
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for number, name in enumerate(("a.jpg", "b.png", "deep/a.jpg")):
        save(tmp_path / "in" / name, number)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save(path: Path, seed: int = 0, size: tuple[int, int] = (40, 30)) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (*reversed(size), 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def files(folder: Path) -> list[str]:
    """Those of the folder, without the records of what made them."""
    there = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".origin.json"))
    return sorted(path.relative_to(folder).as_posix() for path in there)


def states(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {name: ((folder / name).read_bytes(), (folder / name).stat().st_mtime_ns) for name in files(folder)}


@pytest.mark.parametrize("kind", ENDINGS)
def test_every_picture_has_a_file_where_its_folder_has_its_place(attend: Attend, folder: Path, kind: str) -> None:
    before = states(folder / "in")
    result = attend("in", "-r", "-o", "out/new", "--as", kind, *SENTENCE)
    ending = ENDINGS[kind]
    index = ["index.html"] if kind == "html" else []
    assert files(folder / "out" / "new") == sorted([f"a{ending}", f"b{ending}", f"deep/a{ending}", *index])
    assert (result.exit_code, result.stdout.splitlines()) == (
        0,
        [f"in/{name}.{kept}\tout/new/{name}{ending}" for name, kept in (("a", "jpg"), ("b", "png"), ("deep/a", "jpg"))],
    )
    *index_line, tally = result.stderr.splitlines()
    assert index_line == (["capcli: index: out/new/index.html"] if index else [])
    assert tally.startswith("capcli: captioned 3, skipped 0, failed 0, ")
    assert states(folder / "in") == before


def test_pictures_and_animations_can_be_opened(attend: Attend, folder: Path) -> None:
    for kind, frames in (("grid", 1), ("gif", 3), ("webp", 3)):
        assert attend("in/a.jpg", "-o", "out", "--as", kind, *SENTENCE).exit_code == 0
        with Image.open(folder / "out" / f"a{ENDINGS[kind]}") as image:
            assert getattr(image, "n_frames", 1) >= frames
            image.load()
            if kind == "grid":
                assert image.width == 1200
                assert image.info["Description"] == "a dog runs"


def test_overlays_are_one_file_for_each_word_in_a_folder_of_the_picture(attend: Attend, folder: Path) -> None:
    result = attend("in/a.jpg", "in/b.png", "-o", "out", "--as", "overlays", *SENTENCE)
    expected = [f"{picture}/{name}" for picture in "ab" for name in ("01-a.png", "02-dog.png", "03-runs.png")]
    assert files(folder / "out") == expected
    assert [line.split("\t")[1] for line in result.stdout.splitlines()] == [f"out/{name}" for name in expected]
    assert {Image.open(folder / "out" / name).size for name in expected} == {(40, 30)}


def test_numbers_are_what_the_api_gives(attend: Attend, folder: Path, small_file: Path) -> None:
    save(folder / "in" / "turned.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(folder / "in" / "turned.jpg").save(folder / "in" / "turned.jpg", exif=exif)
    assert attend("in/turned.jpg", "-o", "out", "--as", "json").exit_code == 0
    assert attend("in/turned.jpg", "-o", "out", "--as", "npz").exit_code == 0
    caption = Captioner.load(small_file, "cpu").attend("in/turned.jpg")
    document = json.loads((folder / "out" / "turned.json").read_text())
    assert document["caption"] == caption.text
    assert [word["word"] for word in document["words"]] == [word.text for word in caption.words]
    assert DEFAULT_METHOD in json.dumps(document)
    assert "[30, 40]" in json.dumps(document)  # upright
    with np.load(folder / "out" / "turned.npz", allow_pickle=False) as arrays:
        held = [arrays[name] for name in arrays.files]
    maps = np.stack([word.attention for word in caption.words])
    assert any(array.shape == maps.shape and np.allclose(array, maps, atol=1e-5) for array in held)


@pytest.mark.parametrize("method", METHODS)
def test_the_method_is_the_one_asked_for(attend: Attend, folder: Path, small_file: Path, method: str) -> None:
    attend("in/a.jpg", "-o", "out", "--as", "npz", "--method", method, *SENTENCE)
    expected = Captioner.load(small_file, "cpu").attend("in/a.jpg", caption="a dog runs", method=method)
    maps = np.stack([word.attention for word in expected.words])
    with np.load(folder / "out" / "a.npz", allow_pickle=False) as arrays:
        held = [arrays[name] for name in arrays.files]
    assert any(array.shape == maps.shape and np.allclose(array, maps, atol=1e-5) for array in held)


def test_stems_that_collide_keep_their_endings(attend: Attend, folder: Path) -> None:
    for name in ("c.jpg", "c.png", "index.jpg", "Index.png"):
        save(folder / "in" / name)
    attend("in", "-o", "out", "--as", "npz", *SENTENCE)
    assert files(folder / "out") == sorted(
        ["a.npz", "b.npz", "c.jpg.npz", "c.png.npz", "index.jpg.npz", "Index.png.npz"]
    )


def test_a_picture_called_index_leaves_the_index_its_name(attend: Attend, folder: Path) -> None:
    save(folder / "in" / "index.jpg")
    assert attend("in", "-o", "out", "--as", "html", *SENTENCE).exit_code == 0
    assert files(folder / "out") == ["a.html", "b.html", "index.html", "index.jpg.html"]
    assert "index.jpg.html" in (folder / "out" / "index.html").read_text()


def test_the_index_leads_to_pages_and_names_what_failed(attend: Attend, folder: Path) -> None:
    (folder / "in" / "b.png").write_bytes(b"")
    result = attend("in", "-r", "-o", "out", "--as", "html", *SENTENCE)
    assert result.exit_code == 1
    assert "capcli: in/b.png: is empty (0 bytes)" in result.stderr.splitlines()
    index = (folder / "out" / "index.html").read_text()
    assert 'href="a.html"' in index and 'href="deep/a.html"' in index
    assert "is empty (0 bytes)" in index
    assert 'href="../index.html"' in (folder / "out" / "deep" / "a.html").read_text()


def test_one_picture_has_a_page_and_no_index(attend: Attend, folder: Path) -> None:
    result = attend("in/a.jpg", "-o", "out", "--as", "html", *SENTENCE)
    assert (result.exit_code, result.stderr) == (0, "")
    assert files(folder / "out") == ["a.html"]


def test_words_are_chosen_by_the_model_s_tokens(attend: Attend, folder: Path) -> None:
    wanted = ("--as", "overlays", "--words", "Dog, BALL,'s", "--caption", "A dog's ball, on the dog")
    assert attend("in/a.jpg", "-o", "out", *wanted).exit_code == 0
    assert [name.split("-")[1] for name in files(folder / "out" / "a")] == ["dog.png", "s.png", "ball.png", "dog.png"]


def test_a_picture_without_the_words_costs_a_line_and_no_file(attend: Attend, folder: Path) -> None:
    result = attend("in", "-o", "out", "--words", "zebra,ball", *SENTENCE)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        "capcli: in/a.jpg: none of ball, zebra is in its caption, 'a dog runs'",
        "capcli: in/b.png: none of ball, zebra is in its caption, 'a dog runs'",
        "capcli: in no caption: ball, zebra",
        "capcli: captioned 0, skipped 0, failed 0, nothing to draw 2, 0.0 images/s",
    ]
    assert files(folder / "out") == []


def of_other_sentences(monkeypatch: pytest.MonkeyPatch, sentences: list[str]) -> None:
    """Gives the pictures these captions, one after another."""
    attended, left = Captioner.attend_arrays, iter(sentences)

    def attend_arrays(self: Captioner, arrays: np.ndarray, *rest: Any, **extra: Any) -> list[Caption]:
        extra.pop("caption")
        return [attended(self, arrays[[place]], *rest, **extra, caption=next(left))[0] for place in range(len(arrays))]

    monkeypatch.setattr(Captioner, "attend_arrays", attend_arrays)


def test_words_that_no_caption_has_are_named_at_the_end(
    attend: Attend, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The resumed run has the picture that it skips computed again, to fill up the batch.
    of_other_sentences(monkeypatch, ["a dog runs", "a ball", "a dog runs", "a dog runs"])
    result = attend("in", "-o", "out", "--as", "json", "--words", "zebra,ball,dog,hat")
    assert result.exit_code == 0
    assert result.stderr.splitlines()[0] == "capcli: in no caption: hat, zebra"
    assert files(folder / "out") == ["a.json", "b.json"]
    # Pictures that are skipped may have the words.
    (folder / "out" / "b.json").unlink()
    resumed = attend("in", "-o", "out", "--as", "json", "--words", "ball", "--resume-anyway")
    assert resumed.exit_code == 0
    assert "none of ball is in its caption" in resumed.stderr
    assert "in no caption" not in resumed.stderr


def test_the_index_says_why_a_picture_without_the_words_has_no_page(
    attend: Attend, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_other_sentences(monkeypatch, ["a dog runs", "a ball"])
    result = attend("in", "-o", "out", "--as", "html", "--words", "ball")
    assert result.exit_code == 0
    assert "captioned 1, skipped 0, failed 0, nothing to draw 1" in result.stderr
    assert files(folder / "out") == ["b.html", "index.html"]
    index = (folder / "out" / "index.html").read_text()
    assert "in/a.jpg</bdi>: none of ball is in its caption, &#39;a dog runs&#39;" in index
    assert 'href="b.html"' in index


def test_control_characters_are_written_out_once(attend: Attend, folder: Path) -> None:
    result = attend("in/a.jpg", "-o", "out", "--as", "json", "--words", "ball", "--caption", "a dog \x1b runs")
    assert result.stderr.splitlines() == [
        r"capcli: the model does not know the word '\x1b': drawn without a probability, by attention alone",
        r"capcli: in/a.jpg: none of ball is in its caption, 'a dog \x1b runs'",
        "capcli: in no caption: ball",
    ]


def test_a_sentinels_share_of_each_word_is_told(
    attend: Attend, folder: Path, small_checkpoint: Callable[..., Checkpoint]
) -> None:
    small_checkpoint("adaptive").save(folder / "adaptive.safetensors")
    model = ("--model", "adaptive.safetensors", "--device", "cpu")
    for kind in ("npz", "json"):
        assert attend("in/a.jpg", "-o", "out", "--as", kind, *model).exit_code == 0
    words = json.loads((folder / "out" / "a.json").read_text())["words"]
    shares = [word["sentinel"] for word in words]
    assert shares
    assert all(0 < share < 1 for share in shares)
    with np.load(folder / "out" / "a.npz", allow_pickle=False) as arrays:
        assert arrays["sentinel"].tolist() == pytest.approx(shares, abs=1e-6)
    result = CliRunner().invoke(app, ["caption", "in/a.jpg", "--with-words", "--format", "jsonl", *model])
    assert result.exit_code == 0
    row = json.loads(result.stdout)
    assert [word["word"] for word in row["words"]] == [word["word"] for word in words]
    assert [word["sentinel"] for word in row["words"]] == pytest.approx(shares, abs=1e-4)


def test_a_model_without_attention_is_refused_before_anything_is_drawn(
    attend: Attend, folder: Path, small_checkpoint: Callable[..., Checkpoint]
) -> None:
    small_checkpoint("inject").save(folder / "blind.safetensors")
    result = attend("in", "-o", "out", "--model", "blind.safetensors", "--device", "cpu")
    assert result.exit_code == 2
    assert "the model blind has no attention to show" in " ".join(result.stderr.split())
    assert not (folder / "out").exists()


@pytest.mark.parametrize("kind", ["grid", "json", "html"])
def test_words_the_model_does_not_know_are_said_once_and_drawn(attend: Attend, folder: Path, kind: str) -> None:
    result = attend("in", "-o", "out", "--as", kind, "--caption", "a Zebracorn runs zebracorn")
    assert result.exit_code == 0
    assert sum("does not know the word 'zebracorn'" in line for line in result.stderr.splitlines()) == 1
    assert any("b" in Path(name).parts[0] for name in files(folder / "out"))


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_of_any_shape_are_drawn_for_a_single_word(attend: Attend, folder: Path, kind: str) -> None:
    (folder / "odd").mkdir()
    for size in ((1, 1), (12, 40), (600, 60), (20, 400)):
        save(folder / "odd" / f"{size[0]}.png", size=size)
    assert attend("odd", "-o", "out", "--as", kind, "--caption", "dog").exit_code == 0
    assert len(files(folder / "out")) == (5 if kind == "html" else 4)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_there_is_not_touched_unasked(attend: Attend, folder: Path, kind: str) -> None:
    attend("in", "-r", "-o", "out", "--as", kind, *SENTENCE)
    before = states(folder / "out")
    refused = attend("in", "-r", "-o", "out", "--as", kind, *SENTENCE)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.startswith(f"capcli: error: 3 of 3 pictures have their {kind} in out already, such as out")
    assert "--overwrite replaces them" in refused.stderr
    assert states(folder / "out") == before
    replaced = attend("in", "-r", "-o", "out", "--as", kind, *SENTENCE, "--overwrite")
    assert replaced.exit_code == 0
    assert {name: content for name, (content, _) in states(folder / "out").items()} == {
        name: content for name, (content, _) in before.items()
    }
    assert states(folder / "out") != before


def test_an_index_that_is_there_is_not_touched_unasked(attend: Attend, folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "index.html").write_text("mine")
    result = attend("in", "-o", "out", "--as", "html", *SENTENCE)
    assert result.stderr == ("capcli: error: out/index.html is there and is not capcli's; name another folder by -o\n")
    assert files(folder / "out") == ["index.html"]
    (folder / "out" / "index.html").unlink()
    attend("in", "-o", "out", "--as", "html", *SENTENCE)
    for name in ("a.html", "b.html"):
        (folder / "out" / name).unlink()
    result = attend("in", "-o", "out", "--as", "html", *SENTENCE)
    assert result.stderr == "capcli: error: out/index.html is there already; --overwrite replaces them\n"


@pytest.mark.parametrize("flag", [[], ["--overwrite"], ["--resume"]])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_anybody_else_s_is_replaced_or_taken_for_a_drawing(
    attend: Attend, folder: Path, kind: str, flag: list[str]
) -> None:
    if kind == "html" and flag == ["--resume"]:
        pytest.skip("pages cannot be resumed")
    theirs = folder / "out" / ("b/01-a.png" if kind == "overlays" else f"b{ENDINGS[kind]}")
    theirs.parent.mkdir(parents=True)
    if kind in ("grid", "overlays", "gif", "webp"):
        save(theirs, 7)
    else:
        theirs.write_text('{"capcli": "mine"}')
    before = states(folder / "out")
    result = attend("in", "-o", "out", "--as", kind, *SENTENCE, *flag)
    assert (result.exit_code, result.stdout) == (2, "")
    name = theirs.relative_to(folder).as_posix()
    assert result.stderr == f"capcli: error: {name} is there and is not capcli's; name another folder by -o\n"
    assert states(folder / "out") == before


def test_a_folder_where_a_drawing_would_go_is_told_at_the_start(attend: Attend, folder: Path) -> None:
    (folder / "out" / "a.png").mkdir(parents=True)
    result = attend("in", "-o", "out", *SENTENCE, "--overwrite")
    assert result.exit_code == 2
    assert "out/a.png is there and is not capcli's" in result.stderr
    assert files(folder / "out") == []


@pytest.mark.parametrize("kind", ["grid", "overlays", "gif", "json"])
def test_a_run_goes_on_with_drawings_among_the_photographs(attend: Attend, folder: Path, kind: str) -> None:
    asked = ("in", "-r", "-o", "in/maps", "--as", kind, *SENTENCE)
    attend(*asked)
    whole = states(folder / "in")
    result = attend(*asked, "--resume")
    assert (result.exit_code, result.stderr) == (0, "capcli: captioned 0, skipped 3, failed 0\n")
    assert states(folder / "in") == whole
    save(folder / "in" / "maps" / "mine.png", 5)
    assert attend(*asked, "--resume").stderr.startswith("capcli: captioned 1, skipped 3, failed 0")


@pytest.mark.parametrize("kind", ["grid", "overlays", "html", "gif", "webp"])
def test_drawings_beside_their_photographs_keep_their_names(attend: Attend, folder: Path, kind: str) -> None:
    (folder / "in" / "b.png").rename(folder / "in" / "b.tif")
    attend("in", "-r", "-o", "in", "--as", "grid" if kind == "webp" else "webp", *SENTENCE)
    asked = ("in", "-r", "-o", "in", "--as", kind, *SENTENCE)
    assert attend(*asked).exit_code == 0
    whole = states(folder / "in")
    assert not any(name.startswith(("a.jpg.", "a.jpg/")) for name in whole)
    refused = attend(*asked)
    assert (refused.exit_code, "have their" in refused.stderr) == (2, True)
    if kind != "html":
        assert attend(*asked, "--resume").stderr == "capcli: captioned 0, skipped 3, failed 0\n"
        assert states(folder / "in") == whole
    assert attend(*asked, "--overwrite").exit_code == 0
    assert files(folder / "in") == sorted(whole)


def test_the_page_of_one_picture_is_resumed(attend: Attend, folder: Path) -> None:
    asked = ("in/a.jpg", "-o", "out", "--as", "html", *SENTENCE)
    attend(*asked)
    whole = states(folder / "out")
    result = attend(*asked, "--resume")
    assert (result.exit_code, states(folder / "out")) == (0, whole)
    other = attend("in/a.jpg", "-o", "out", "--as", "html", "--caption", "a cat", "--resume")
    assert (other.exit_code, "--resume-anyway goes on all the same" in other.stderr) == (2, True)
    (folder / "out" / "a.html").unlink()
    assert attend(*asked, "--resume").exit_code == 0
    assert files(folder / "out") == ["a.html"]


def test_drawings_of_another_kind_are_not_gone_on_with(attend: Attend, folder: Path) -> None:
    attend("in", "-o", "maps", *SENTENCE)
    result = attend("in", "-o", "maps", "--as", "npz", *SENTENCE, "--resume")
    assert (result.exit_code, result.stderr.count("\n")) == (0, 1)
    (folder / "maps" / ".capcli-npz.origin.json").unlink()
    result = attend("in", "-o", "maps", "--as", "npz", *SENTENCE, "--resume")
    assert result.stderr.startswith("capcli: nothing says what made maps; make sure that")
    for drawing in (folder / "maps").glob("*.npz"):
        drawing.unlink()
    assert attend("in", "-o", "maps", "--as", "npz", "--caption", "a cat", "--resume").exit_code == 0


def test_drawings_alone_are_no_photographs_to_draw(attend: Attend, folder: Path) -> None:
    attend("in", "-o", "maps", *SENTENCE)
    result = attend("maps", "-o", "maps", *SENTENCE, "--resume")
    assert (result.exit_code, result.stderr) == (
        2,
        "capcli: error: all pictures there are capcli's own drawings in maps; name photographs\n",
    )


@pytest.mark.parametrize("kind", ["grid", "overlays", "json"])
def test_a_resumed_run_draws_what_is_missing(attend: Attend, folder: Path, kind: str) -> None:
    attend("in", "-r", "-o", "out", "--as", kind, *SENTENCE)
    whole = states(folder / "out")
    # Of overlays the first is written last, so one without it is not complete.
    gone = folder / "out" / ("b/01-a.png" if kind == "overlays" else f"b{ENDINGS[kind]}")
    gone.unlink()
    result = attend("in", "-r", "-o", "out", "--as", kind, *SENTENCE, "--resume")
    assert result.exit_code == 0
    assert result.stderr.startswith("capcli: captioned 1, skipped 2, failed 0")
    after = states(folder / "out")
    assert after.keys() == whole.keys()
    kept = [name for name in whole if not name.startswith("b")]
    assert [after[name] for name in kept] == [whole[name] for name in kept]
    again = attend("in", "-r", "-o", "out", "--as", kind, *SENTENCE, "--resume")
    assert (again.exit_code, again.stderr) == (0, "capcli: captioned 0, skipped 3, failed 0\n")


def test_a_resumed_run_ends_as_one_that_was_not_stopped(attend: Attend, folder: Path) -> None:
    attend("in", "-r", "-o", "out", "--as", "json")
    whole = {name: content for name, (content, _) in states(folder / "out").items()}
    for name in ("b.json", "deep/a.json"):
        (folder / "out" / name).unlink()
    attend("in", "-r", "-o", "out", "--as", "json", "--resume")
    assert {name: content for name, (content, _) in states(folder / "out").items()} == whole


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--method", "attention"],
            "out was made with --method gradient; you ask for attention; --resume-anyway goes on ",
        ),
        (["--caption", "a ball"], "out was made with --caption 'a dog runs'; you ask for 'a ball'; --resume-anyway "),
        (["--words", "dog,a"], "out was made without --words; you ask for a,dog; --resume-anyway goes on "),
    ],
)
def test_drawings_that_were_made_otherwise_are_not_gone_on_with(
    attend: Attend, folder: Path, arguments: list[str], message: str
) -> None:
    attend("in", "-o", "out", "--as", "json", *SENTENCE)
    (folder / "out" / "b.json").unlink()
    before = states(folder / "out")
    sentence = () if "--caption" in arguments else SENTENCE
    asked = ("in", "-o", "out", "--as", "json", *sentence, *arguments)
    refused = attend(*asked, "--resume")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.startswith(f"capcli: error: {message}")
    assert states(folder / "out") == before
    assert attend(*asked, "--resume-anyway").stdout == "in/b.png\tout/b.json\n"
    # Of another kind nothing is there yet.
    assert attend("in", "-o", "out", "--as", "npz", *sentence, *arguments, "--resume").exit_code == 0


def test_overlays_of_other_words_go_and_other_files_stay(attend: Attend, folder: Path) -> None:
    attend("in/a.jpg", "-o", "out", "--as", "overlays", *SENTENCE)
    save(folder / "out" / "a" / "mine.png")
    attend("in/a.jpg", "-o", "out", "--as", "overlays", "--caption", "a ball", "--overwrite")
    assert files(folder / "out" / "a") == ["01-a.png", "02-ball.png", "mine.png"]


@pytest.mark.parametrize("flag", [[], ["--overwrite"], ["--resume"]])
def test_no_picture_is_taken_for_an_output(attend: Attend, folder: Path, flag: list[str]) -> None:
    before = states(folder / "in")
    result = attend("in", "-o", "in", *SENTENCE, *flag)
    assert result.exit_code == 2
    assert result.stderr == (
        "capcli: error: in/b.png is a picture that is to be drawn, and the grid would take its place; "
        "name another folder by -o\n"
    )
    assert states(folder / "in") == before


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_no_picture_is_replaced_through_a_link(attend: Attend, folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "a.png").symlink_to(folder / "in" / "b.png")
    before = states(folder / "in")
    result = attend("in", "-o", "out", *SENTENCE, "--overwrite")
    assert result.exit_code == 2
    assert "out/a.png is a picture that is to be drawn" in result.stderr
    assert states(folder / "in") == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["in"], "-o DIR says where to write; --terminal draws in the terminal instead"),
        (["-o", "out"], "name photographs or folders of them, or --from-file LIST"),
        (["in", "-o", "in/a.jpg"], "-o takes a folder, and in/a.jpg is none; name another"),
        (["in", "-o", "in/a.jpg/x/y"], "-o takes a folder, and in/a.jpg is none; name another"),
        (["in", "-o", "-"], "-o takes a folder; --terminal draws to stdout"),
        (["in", "-o", ""], "Invalid value for '--output' / '-o': an empty name is no path"),
        (
            ["in", "-o", "out/" + "x" * 300],
            f"the folder out/{'x' * 300} cannot be made (file name too long); name another by -o",
        ),
        (["in", "-o", "out", "--as", "gird"], f"as must be one of {', '.join(KINDS)}, not 'gird'; did you mean grid?"),
        (["in", "-o", "out", "--method", "x"], "method must be one of gradient, attention, occlusion, not 'x'"),
        (["in", "-o", "out", "--words", " ,"], "--words names no words; give some, such as --words dog,ball"),
        (["in", "-o", "out", "--words", ""], "--words names no words; give some, such as --words dog,ball"),
        (["in", "-o", "out", "--caption", "?"], "the caption '?' has no words; give some, such as 'a dog runs'"),
        (["in", "-o", "out", "--caption", ""], "the caption '' has no words; give some, such as 'a dog runs'"),
        (
            ["in", "-o", "out", "--caption", "a dog", "--prefix", "a"],
            "--caption is a sentence of your own, and --prefix is for finding one; leave one out",
        ),
        (
            ["in", "-o", "out", "--caption", "a dog", "--num-captions", "2"],
            "--caption is a sentence of your own, and --num-captions is for finding one; leave one out",
        ),
        (["in", "-o", "out", "--top-k", "3"], "top-k needs sampling: add --sample, in Python sample=True"),
        (
            ["in", "-o", "out", "--sample", "--beam-size", "4"],
            "beam-size is for a search, and sample draws captions without one; leave one out",
        ),
        (["in", "-o", "out", "--overwrite", "--resume"], "--overwrite and --resume contradict each other"),
        (["in", "--terminal", "--resume"], "--resume needs -o DIR, where the files so far are"),
        (
            ["in", "-o", "out", "--resume", "--as", "html"],
            "--as html makes an index of several pictures, so --resume cannot go on with it; take --overwrite",
        ),
        (
            ["in", "-o", "out", "--terminal"],
            "--terminal draws to stdout and writes no files; leave it or -o, --as, --overwrite out",
        ),
        (
            ["in", "--as", "gif", "--terminal"],
            "--terminal draws to stdout and writes no files; leave it or -o, --as, --overwrite out",
        ),
        (["gone.jpg", "-o", "out"], "no such file or folder: gone.jpg"),
        (
            ["https://example.org/a.jpg", "-o", "out"],
            "no such file or folder: https://example.org/a.jpg "
            "(capcli reads files; what has an address must be downloaded first)",
        ),
        (["in", "-o", "out", "--model", "absent"], None),
        (["in", "-o", "out", "--caption", " ".join(["dog"] * 41)], None),
    ],
)
def test_what_cannot_be_done_exits_2_and_makes_nothing(
    attend: Attend, folder: Path, arguments: list[str], message: str | None
) -> None:
    result = attend(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("capcli: error: ")
    if message is not None:
        assert line == f"capcli: error: {message}"
    assert files(folder) == ["in/a.jpg", "in/b.png", "in/deep/a.jpg"]
    assert not (folder / "out").exists()


def test_a_model_without_attention_is_refused_before_anything_is_made(
    attend: Attend, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    initialize = Captioner.__init__

    def blind(self: Captioner, *parts: Any) -> None:
        initialize(self, *parts)
        self.methods = ("occlusion",)

    monkeypatch.setattr(Captioner, "__init__", blind)
    for where in (["-o", "out"], ["--terminal"]):
        result = attend("in", *where)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "the model tiny has no attention to show; take one that has, such as base" in result.stderr
        assert not (folder / "out").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="has no folder that nothing can be made in")
def test_a_folder_that_cannot_be_made_is_told_before_torch_loads(folder: Path) -> None:
    program = "import sys\nfrom capcli.cli import app\ntry: app(sys.argv[1:])\nfinally: print('torch' in sys.modules)\n"
    command = [sys.executable, "-c", program, "attend", "in", "-o", "/proc/x"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "False\n")
    assert done.stderr.count("\n") == 1
    assert "/proc" in done.stderr and "name another by -o" in done.stderr


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write everywhere, Windows asks else")
def test_a_folder_that_may_not_be_written_is_one_line(attend: Attend, folder: Path) -> None:
    (folder / "shut").mkdir(mode=0o500)
    for place in ("shut", "shut/new"):
        result = attend("in", "-o", place)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.endswith("shut may not be written into; name another by -o\n")


def test_a_file_that_cannot_be_written_fails_its_picture_only(attend: Attend, folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "deep").write_text("a file where a folder should go")
    result = attend("in", "-r", "-o", "out", *SENTENCE)
    assert result.exit_code == 1
    assert files(folder / "out") == ["a.png", "b.png", "deep"]
    assert "capcli: in/deep/a.jpg: out/deep/a.png cannot be written (file exists)" in result.stderr.splitlines()
    assert "failed 1" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("kind", ["overlays", "html", "npz"])
def test_a_full_disk_ends_it_in_one_line_and_leaves_no_half_file(
    attend: Attend, folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    taken = []

    def write(file: io.FileIO, content: bytes) -> None:
        taken.append(content)
        if len(taken) == 2:
            file.write(content[: len(content) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        file.write(content)

    monkeypatch.setattr("capcli.files.atomic.write_whole", write)
    result = attend("in", "-o", "out", "--as", kind, *SENTENCE)
    assert result.exit_code == 1
    assert "no space left on device" in result.stderr.splitlines()[-1]
    (written,) = (path for path in (folder / "out").rglob("*") if path.is_file())
    assert written.read_bytes() == taken[0]


def test_bad_files_cost_a_line_each(attend: Attend, folder: Path) -> None:
    (folder / "in" / "0.png").write_bytes(b"")
    (folder / "in" / "1.png").write_text("text")
    result = attend("in", "gone.jpg", "-o", "out", "--as", "npz", *SENTENCE)
    assert result.exit_code == 1
    *errors, tally = result.stderr.splitlines()
    assert errors == [
        "capcli: in/0.png: is empty (0 bytes)",
        "capcli: in/1.png: is not a picture capcli can read",
        "capcli: gone.jpg: does not exist",
    ]
    assert tally.startswith("capcli: captioned 2, skipped 0, failed 3, ")
    assert len(files(folder / "out")) == 2


@pytest.mark.parametrize("kind", ["grid", "npz", "html"])
def test_a_picture_that_goes_away_meanwhile_has_failed(
    attend: Attend, folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    attended = Captioner.attend_arrays

    def attend_arrays(self: Captioner, arrays: np.ndarray, *rest: Any, **extra: Any) -> list[Caption]:
        if len(arrays):
            (folder / "in" / "a.jpg").unlink(missing_ok=True)
        return attended(self, arrays, *rest, **extra)

    monkeypatch.setattr(Captioner, "attend_arrays", attend_arrays)
    result = attend("in", "-o", "out", "--as", kind, *SENTENCE)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[0] == "capcli: in/a.jpg: does not exist"
    assert f"b{ENDINGS[kind]}" in files(folder / "out")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_finishes_the_picture_in_hand(
    attend: Attend, folder: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    attended = Captioner.attend_arrays

    def attend_arrays(self: Captioner, arrays: np.ndarray, *rest: Any, **extra: Any) -> list[Caption]:
        if len(arrays):
            signal.raise_signal(number)
        return attended(self, arrays, *rest, **extra)

    monkeypatch.setattr(Captioner, "attend_arrays", attend_arrays)
    result = attend("in", "-r", "-o", "out", "--as", "html", *SENTENCE)
    assert result.exit_code == 128 + number
    assert result.stderr.splitlines()[-1].startswith("capcli: interrupted: captioned 1, skipped 0, failed 0")
    assert files(folder / "out") == ["a.html", "index.html"]


def test_the_terminal_gets_the_drawing_and_no_file_is_made(attend: Attend, folder: Path) -> None:
    result = attend("in/a.jpg", "--terminal", *SENTENCE, env={"COLUMNS": "60"})
    assert (result.exit_code, result.stderr) == (0, "")
    assert "\x1b" not in result.stdout
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 60
    assert lines[0] == "a dog runs"
    assert all(any(line.lstrip().startswith(f"{word} ") for line in lines[1:]) for word in ("a", "dog", "runs")), lines
    assert "in/a.jpg" not in result.stdout
    assert files(folder) == ["in/a.jpg", "in/b.png", "in/deep/a.jpg"]


def test_a_sentence_cannot_steer_the_terminal(attend: Attend, folder: Path) -> None:
    result = attend("in/a.jpg", "--terminal", "--caption", "a dog\x1b[31m\truns\x07")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "a dog\N{REPLACEMENT CHARACTER}[31m runs\N{REPLACEMENT CHARACTER}"
    assert not set("\x1b\t\x07") & set(result.stdout)


def test_a_terminal_that_does_not_know_its_width_is_taken_for_a_common_one(attend: Attend, folder: Path) -> None:
    drawn = [attend("in/a.jpg", "--terminal", *SENTENCE, env={"COLUMNS": columns}) for columns in ("0", "80")]
    assert [result.exit_code for result in drawn] == [0, 0]
    assert drawn[0].stdout == drawn[1].stdout


def test_several_drawings_in_the_terminal_have_their_paths(attend: Attend, folder: Path) -> None:
    result = attend("in", "--terminal", *SENTENCE)
    named = [line for line in result.stdout.splitlines() if line.startswith("in/")]
    assert named == ["in/a.jpg\ta dog runs", "in/b.png\ta dog runs"]
    assert result.stderr.startswith("capcli: captioned 2, skipped 0, failed 0")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"COLORTERM": "truecolor"}, "\x1b[38;2;"),
        ({"COLORTERM": "", "TERM": "xterm-256color"}, "\x1b[38;5;"),
        ({"COLORTERM": "truecolor", "NO_COLOR": "1"}, None),
        ({"COLORTERM": "", "TERM": "dumb"}, None),
    ],
)
def test_a_terminal_gets_the_colours_it_has(
    attend: Attend,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    expected: str | None,
) -> None:
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    result = attend("in/a.jpg", "--terminal", *SENTENCE, env={"TERM": "xterm", "COLUMNS": "60", **variables})
    assert result.exit_code == 0
    assert ("\x1b[" in result.stdout) == (expected is not None)
    assert expected is None or expected in result.stdout


def test_further_captions_are_said_to_be_left_out(attend: Attend, folder: Path) -> None:
    result = attend("in/a.jpg", "-o", "out", "--num-captions", "2", "--min-length", "1")
    assert result.stderr == "capcli: the best caption of each picture is drawn, the others are not\n"
    assert files(folder / "out") == ["a.png"]


def test_doubt_is_counted(attend: Attend, folder: Path) -> None:
    result = attend("in", "-o", "out", "--as", "npz", *SENTENCE, "--min-confidence", "1")
    assert "captioned 2, skipped 0, failed 0, uncertain 2" in result.stderr
    with np.load(folder / "out" / "a.npz") as arrays:
        assert arrays["uncertain"].item() is True


def test_every_option_is_one_of_the_command() -> None:
    help_text = CliRunner().invoke(app, ["attend", "--help"], env={"COLUMNS": "200"}).stdout
    for options in (AttendOptions, DecodingOptions, InputOptions, ModelOptions):
        for field in dataclasses.fields(options):
            assert f"--{field.name.rstrip('_').replace('_', '-')}" in help_text


@pytest.mark.parametrize("arguments", [["attend", "--help"], ["attend", "/no/such/file.jpg", "-o", "x"]])
def test_nothing_heavy_is_imported_before_there_is_work(arguments: list[str]) -> None:
    program = (
        "import sys\n"
        "from capcli.cli import app\n"
        "try: app(sys.argv[1:])\n"
        "finally: print('heavy:', [n for n in ('torch', 'numpy', 'PIL') if n in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True)
    assert done.stdout.endswith("heavy: []\n")


def test_names_may_hold_anything(attend: Attend, folder: Path) -> None:
    if sys.platform in ("win32", "darwin"):
        pytest.skip("names are Unicode there, or hold no tabs")
    names = ["tab\there.png", "100% #1?.png", "o'\"<b>&.png"]
    for name in names:
        save(folder / "in" / name)
    result = attend(*(f"in/{name}" for name in names), "-o", "out", "--as", "html", *SENTENCE)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "in/tab\\there.png\tout/tab\\there.html"
    assert files(folder / "out") == sorted([*(f"{name[:-4]}.html" for name in names), "index.html"])


@pytest.fixture(autouse=True)
def own_signal_handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    assert {number: signal.getsignal(number) for number in before} == before


@pytest.mark.parametrize("kind", KINDS)
def test_letters_that_a_picture_cannot_show_are_named_once(attend: Attend, folder: Path, kind: str) -> None:
    result = attend("in", "-o", "out", "--as", kind, "--caption", "a Straße, пёс, 犬 and 狗 and 犬")
    assert result.exit_code == 0
    named = [line for line in result.stderr.splitlines() if "font" in line]
    line = "capcli: the font of the pictures lacks 犬 狗 and shows \ufffd instead; pages (--as html) show every letter"
    assert named == ([line] if kind in ("grid", "gif", "webp") else [])
