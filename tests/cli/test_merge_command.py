"""Shards of a run, and what becomes of them together."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_captioner import FakeCaptioner
from PIL import Image
from typer.testing import CliRunner, Result

from capcli.cli import app
from capcli.library.contents import find_faults, read_results

PICTURES, SHARDS = 43, 3

MADE = [f"part{number}.jsonl" for number in range(1, SHARDS + 1)]


def run(*arguments: object, fake: FakeCaptioner | None = None) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)], obj=(fake or FakeCaptioner()).load)


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures in `photos` and a folder below it, some of them broken, and with three shards of them."""
    place = tmp_path_factory.mktemp("made")
    (place / "photos" / "more").mkdir(parents=True)
    for number in range(PICTURES):
        path = place / "photos" / ("more" if number % 3 else "") / f"{number}.png"
        Image.new("RGB", (9, 9), (number, number, number)).save(path)
        if number % 11 == 5:
            path.write_bytes(b"broken")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        caption_shards("jsonl")
    return place


@pytest.fixture
def folder(sharded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, a copy of that."""
    shutil.copytree(sharded, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def caption(output: str, *arguments: object, code: int = 1, fake: FakeCaptioner | None = None) -> Result:
    """Captions the photographs. The captioner's confidence depends on how many pictures it gets at once."""
    done = run("caption", "-r", "photos", "--batch-size", 4, "-o", output, *arguments, fake=fake)
    assert done.exit_code == code, done.output
    return done


class Matching(FakeCaptioner):
    """Gives vectors, too."""

    matches = True

    def caption_and_embed_arrays(self, arrays: Any, options: Any, chooser: Any = None) -> list[Any]:
        vectors = [np.array([array.mean(), 1, array[0, 0, 0]], np.float32) for array in arrays]
        return list(zip(self.caption_arrays(arrays, options, chooser), vectors, strict=True))


def caption_shards(ending: str, *arguments: object, of: int = SHARDS, fake: FakeCaptioner | None = None) -> list[str]:
    names = [f"part{number}.{ending}" for number in range(1, of + 1)]
    for number, name in enumerate(names, 1):
        done = run(
            "caption", "-r", "photos", "--batch-size", 4, "-o", name, "--shard", f"{number}/{of}", *arguments, fake=fake
        )
        assert done.exit_code in (0, 1), done.output
    return names


def refused(*arguments: object) -> str:
    done = run("merge", *arguments)
    assert done.exit_code == 2, done.output
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.output
    return done.stderr


def test_its_help_is_of_shards_alone() -> None:
    shown = " ".join(run("merge", "--help").stdout.split())
    assert "merge [OPTIONS] OUT SHARDS... Join" in shown
    assert "Rows of each Parquet file. (of at least 1; default 10,000)" in shown and "--on" not in shown


def test_shards_together_are_the_undisturbed_run(folder: Path) -> None:
    caption("whole.jsonl")
    done = run("merge", "merged.jsonl", *reversed(MADE))
    assert done.exit_code == 0, done.output
    assert Path("merged.jsonl").read_bytes() == Path("whole.jsonl").read_bytes()
    assert f"merged {SHARDS} shards of {PICTURES} pictures" in done.stderr


def test_a_run_goes_on_with_what_was_merged(folder: Path) -> None:
    assert run("merge", "merged.jsonl", *MADE).exit_code == 0
    before, fake = Path("merged.jsonl").read_bytes(), FakeCaptioner()
    caption("merged.jsonl", "--resume", fake=fake)
    assert fake.captioned == 0
    assert Path("merged.jsonl").read_bytes() == before
    result = caption("merged.jsonl", "--resume", "--beam-size", 1, code=2)
    assert "with --beam-size 3; you ask for 1" in result.stderr


def tables(library: Path) -> dict[str, list[Any]]:
    assert not find_faults(library)
    with sqlite3.connect(library) as connection:
        names = ("about", "model", "picture", "history", "vector", "block")
        return {name: connection.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall() for name in names}


def test_libraries_of_shards_together_are_the_undisturbed_one(folder: Path) -> None:
    caption("whole.db", fake=Matching())
    assert run("merge", "merged.db", *caption_shards("db", fake=Matching())).exit_code == 0
    assert tables(Path("merged.db")) == tables(Path("whole.db"))
    assert len(list(read_results(Path("merged.db")))) == PICTURES
    assert len(tables(Path("merged.db"))["block"]) == 1
    assert "a library is never replaced" in refused("merged.db", *MADE, "--overwrite")


def test_a_shard_goes_on_where_it_stopped_and_is_no_other(folder: Path) -> None:
    first, whole = MADE[0], Path(MADE[0]).read_bytes()
    lines = whole.splitlines(keepends=True)
    Path(first).write_bytes(b"".join(lines[:3]) + lines[3][:9])
    assert "half a row" in refused("merged.jsonl", *MADE)
    caption(first, "--shard", f"1/{SHARDS}", "--resume")
    assert Path(first).read_bytes() == whole
    result = caption(first, "--shard", f"2/{SHARDS}", "--resume", code=2)
    assert f"was made with --shard 1/{SHARDS}; you ask for 2/{SHARDS}" in result.stderr
    assert run("merge", "merged.jsonl", *MADE).exit_code == 0


def test_a_shard_that_goes_on_knows_the_failures_without_rows_of_before(folder: Path) -> None:
    how = ("--shard", "1/1", "--errors", "errors.jsonl")
    caption("part.tsv", *how)
    whole = Path("part.tsv").read_bytes()
    Path("part.tsv").write_bytes(b"".join(whole.splitlines(keepends=True)[:9]))
    stderr = caption("part.tsv", *how, "--resume").stderr
    assert "4 failed before" in stderr
    assert Path("part.tsv").read_bytes() == whole
    assert run("merge", "merged.tsv", "part.tsv").exit_code == 0
    assert Path("merged.tsv").read_bytes() == whole


def test_other_places_and_spellings_of_a_folder_make_the_same_shards(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(folder / "photos", folder / "elsewhere" / "mounted")
    monkeypatch.chdir(folder / "elsewhere")
    last = f"{SHARDS}/{SHARDS}"
    run("caption", "-r", folder / "elsewhere" / "mounted", "-o", MADE[-1], "--shard", last, "--batch-size", 4)
    names = [[Path(json.loads(row)["path"]).name for row in lines(Path(place, MADE[-1]))] for place in (folder, ".")]
    assert names[0] == names[1]
    assert run("merge", "merged.jsonl", *(folder / shard for shard in MADE[:-1]), MADE[-1]).exit_code == 0


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def change(path: str, change: Callable[[list[bytes]], list[bytes]]) -> None:
    Path(path).write_bytes(b"".join(change(lines(Path(path)))))


def replace(path: str, old: str, new: str) -> None:
    assert old in Path(path).read_text()
    Path(path).write_text(Path(path).read_text().replace(old, new))


def copy_shard(old: str, new: str) -> None:
    for before, end in (("", ""), (".", ".shard.json"), (".", ".origin.json")):
        shutil.copy(f"{before}{old}{end}", f"{before}{new}{end}")


def record(**values: object) -> None:
    place = Path(".part3.jsonl.shard.json")
    place.write_text(json.dumps({**json.loads(place.read_text()), **values}))


BREAK: dict[str, tuple[Callable[[], object], str]] = {
    "a shard is gone": (lambda: Path("part3.jsonl").unlink(), "part3.jsonl: no such file"),
    "a row is missing": (lambda: change("part3.jsonl", lambda rows: rows[:-1]), "part3.jsonl lacks rows of 1 of its"),
    "a picture is doubled": (lambda: change("part3.jsonl", lambda rows: [*rows, rows[0]]), "has a picture twice"),
    "a row of another": (lambda: change("part3.jsonl", lambda rows: [*rows, *lines(Path(MADE[1]))]), "none of its"),
    "half a row": (lambda: change("part3.jsonl", lambda rows: [*rows[:-1], rows[-1][:-4]]), "ends in half a row"),
    "something else": (
        lambda: Path("part3.jsonl").write_text("no rows\n"),
        "not hold rows of the format jsonl (row 1",
    ),
    "no record": (lambda: Path(".part3.jsonl.shard.json").unlink(), "part3.jsonl is no shard"),
    "other options": (
        lambda: replace(".part3.jsonl.origin.json", '"beam_size": 3', '"beam_size": 1'),
        "part3.jsonl was made with --beam-size 1; part1.jsonl was made with 3; caption all shards alike",
    ),
    "other pixels": (
        lambda: replace(".part3.jsonl.origin.json", '"pixels": ', '"pixels": 9'),
        "part3.jsonl was made from pictures prepared by rules",
    ),
    "another model": (
        lambda: replace(".part3.jsonl.origin.json", '"sha256": "', '"sha256": "0'),
        "part3.jsonl was made with --model base",
    ),
    "a number twice": (lambda: copy_shard("part2.jsonl", "part3.jsonl"), "part3.jsonl are both shard 2/3"),
    "of another number": (lambda: record(of=6), "part3.jsonl is shard 3/6, and part1.jsonl is one of 3"),
    "of other pictures": (
        lambda: record(listed="other", total=44),
        "part3.jsonl is of another list of pictures than part1.jsonl (44 and 43 pictures)",
    ),
    "of overlapping pictures": (
        lambda: record(places=[0, *json.loads(Path(".part3.jsonl.shard.json").read_text())["places"][1:]]),
        "do not hold every picture once",
    ),
    "unfinished": (lambda: record(finished=False), "part3.jsonl: its run has not come to its end"),
}


@pytest.mark.parametrize("what", BREAK)
def test_what_does_not_fit_together_is_one_line_and_makes_nothing(folder: Path, what: str) -> None:
    do, message = BREAK[what]
    do()
    assert message in refused("merged.jsonl", *MADE)
    assert not list(folder.glob("*merged*"))


@pytest.mark.parametrize(
    ("output", "form", "ending"),
    [("all.parquet", "parquet", "csv"), ("all.db", "library", "csv"), ("all.jsonl", "jsonl", "db")],
)
def test_shards_of_another_format_than_the_output_are_refused(
    folder: Path, output: str, form: str, ending: str
) -> None:
    caption(f"part.{ending}", "--shard", "1/1")
    kind = "a library" if ending == "db" else "a file of rows"
    line = refused(output, f"part.{ending}")
    assert f"part.{ending} is {kind}, and {output} would be of the format {form}; OUT has the format" in line
    assert "part1.jsonl does not hold rows of the format text (row 1: " in refused("all.txt", *MADE)


def test_shards_that_are_not_named_are_told(folder: Path) -> None:
    assert "there is no shard 2/3, 3/3 among the 1 that you name" in refused("merged.jsonl", MADE[0])
    assert "both shard 1/3" in refused("merged.jsonl", MADE[0], MADE[0])


def test_an_output_that_is_there_stays_unless_it_is_to_go(folder: Path) -> None:
    Path("merged.jsonl").write_text("mine")
    assert "merged.jsonl exists" in refused("merged.jsonl", *MADE)
    assert "has the name of a picture" in refused("merged.png", *MADE, "--overwrite", "--format", "jsonl")
    assert "is one of the shards" in refused(MADE[0], *MADE, "--overwrite")
    assert "a folder is never replaced" in refused("photos", *MADE)
    assert "--part-rows is of Parquet" in refused("merged.jsonl", *MADE, "--overwrite", "--part-rows", "5")
    assert Path("merged.jsonl").read_text() == "mine"
    assert run("merge", "merged.jsonl", *MADE, "--overwrite").exit_code == 0
    assert len(Path("merged.jsonl").read_text().splitlines()) == PICTURES


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such files there")
def test_a_pipe_is_never_replaced(folder: Path) -> None:
    os.mkfifo("pipe.jsonl")
    assert "pipe.jsonl is not a regular file" in refused("pipe.jsonl", *MADE, "--overwrite")
    assert Path("pipe.jsonl").is_fifo()


@pytest.mark.parametrize("shard", ["0/4", "5/4", "x/y"])
def test_a_shard_that_is_none_captions_nothing(folder: Path, shard: str) -> None:
    result = run("caption", "-r", "photos", "--shard", shard)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert run("caption", "--watch", "photos", "--shard", "1/2").exit_code == 2
