"""Of a burst one picture is captioned, and each row of the others says from which one its caption was copied."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_captioner import FakeCaptioner
from made_bursts import shoot
from typer.testing import CliRunner, Result

from capcli.cli import app
from capcli.library.contents import find_faults
from capcli.library.database import reading
from capcli.library.review import decide, read_row, undo
from capcli.library.vectors import read_holders


class Matching(FakeCaptioner):
    """Tells pictures apart to the last bit."""

    matches, size = True, 32

    def caption_and_embed_arrays(self, arrays: Any, options: Any, chooser: Any = None) -> list[Any]:
        vectors = [np.array([array.mean(), 1], np.float32) for array in arrays]
        return list(zip(self.caption_arrays(arrays, options, chooser), vectors, strict=True))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def caption(fake: FakeCaptioner, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["caption", "in", "-o", "photos.db", *arguments], obj=fake.load)


def rows(library: str = "photos.db") -> dict[str, dict[str, Any]]:
    shown = CliRunner().invoke(app, ["library", "export", library, "--format", "jsonl"])
    found = [json.loads(line) for line in shown.stdout.splitlines()]
    return {Path(row["path"]).name: row for row in found}


def sources() -> dict[str, str | None]:
    return {name: Path(row["copied_from"]).name if "copied_from" in row else None for name, row in rows().items()}


BURST = {"a1.png": None, "a2.png": "a1.png", "a3.png": "a1.png"}


@pytest.fixture
def burst(folder: Path) -> Path:
    for number, second in enumerate((0, 2, 5), 1):
        shoot(folder / f"a{number}.png", 1, second, number)
    return folder


def test_one_of_a_burst_is_captioned_and_the_others_say_from_where(burst: Path) -> None:
    shoot(burst / "b.png", 2, 6)  # another scene of the same moment
    shoot(burst / "c.png", 1, 60, 9)  # the same scene later
    shoot(burst / "d.png", 1, None, 1)  # no time, and the pixels of a1
    shoot(burst / "e.png", 1, None, 5)  # no time
    fake = Matching()
    done = caption(fake, "--one-per-burst", "--sidecar", "json")
    assert done.exit_code == 0, done.output
    assert "captioned 7 (3 by another picture of their burst)" in done.stderr
    assert fake.captioned == 4
    assert sources() == {**BURST, "b.png": None, "c.png": None, "d.png": "a1.png", "e.png": None}
    by_name = rows()
    for name in ("a2.png", "a3.png", "d.png"):
        assert (by_name[name]["caption"], by_name[name]["model"]) == (by_name["a1.png"]["caption"], "fake")
        assert (
            json.loads((burst / name).with_suffix(".json").read_text())["copied_from"] == by_name[name]["copied_from"]
        )
    with reading(Path("photos.db")) as connection:  # so that a search finds them
        assert len(set(read_holders(connection))) == 7
    assert find_faults(Path("photos.db")) == []
    table = CliRunner().invoke(app, ["library", "export", "photos.db", "--format", "csv"]).stdout
    assert table.splitlines()[0].endswith("copied_from")


def test_without_the_option_each_is_captioned(burst: Path) -> None:
    fake = Matching()
    caption(fake)
    assert (fake.captioned, set(sources().values())) == (3, {None})


@pytest.mark.parametrize(("first", "batch"), [(1, "2"), (2, "2"), (3, "2"), (2, "16")])
def test_a_resumed_run_ends_as_an_undisturbed_one(burst: Path, first: int, batch: str) -> None:
    more = ["--one-per-burst", "--batch-size", batch]
    shoot(burst / "b.png", 2, 6)
    caption(Matching(), *more)
    expected = rows()
    Path("photos.db").unlink()
    # A run that ended after some pictures has their rows, and the files come in the same order.
    away = sorted(burst.iterdir())[first:]
    for path in away:
        path.rename(path.with_suffix(".away"))
    caption(Matching(), *more)
    for path in away:
        path.with_suffix(".away").rename(path)
    assert caption(Matching(), *more, "--resume").exit_code == 0
    assert {name: (row["caption"], row["model"]) for name, row in rows().items()} == {
        name: (row["caption"], row["model"]) for name, row in expected.items()
    }
    assert sources() == {**BURST, "b.png": None}


def test_moved_files_keep_what_they_are_copies_of(burst: Path) -> None:
    caption(Matching(), "--one-per-burst")
    (burst / "a1.png").rename(burst / "z1.png")
    (burst / "a3.png").rename(burst / "z3.png")
    caption(Matching(), "--one-per-burst", "--resume")
    assert sources() == {"z1.png": None, "a2.png": "z1.png", "z3.png": "z1.png"}
    assert len(rows()) == 3


def test_a_picture_that_changed_is_of_its_burst_no_longer(burst: Path) -> None:
    caption(Matching(), "--one-per-burst")
    shoot(burst / "a2.png", 7, 2)
    fake = Matching()
    caption(fake, "--one-per-burst", "--resume")
    assert sources() == {**BURST, "a2.png": None}


def test_a_rejected_caption_is_copied_no_further(burst: Path) -> None:
    (burst / "a3.png").rename("a3.png")
    caption(Matching(), "--one-per-burst")
    table = CliRunner().invoke(app, ["library", "export", "photos.db", "-o", "captions.csv"])
    assert table.exit_code == 0
    text = Path("captions.csv").read_text().splitlines(keepends=True)
    text[1] = text[1].replace(",,0,", ",rejected,0,")
    Path("captions.csv").write_text("".join(text))
    assert CliRunner().invoke(app, ["library", "import", "photos.db", "captions.csv"]).exit_code == 0
    assert rows()["a1.png"]["status"] == "rejected"
    Path("a3.png").rename(burst / "a3.png")
    caption(Matching(), "--one-per-burst", "--resume")
    assert sources()["a3.png"] is None


def test_the_copy_of_an_edited_caption_is_no_caption_of_the_model(burst: Path) -> None:
    for name in ("a2.png", "a3.png"):
        (burst / name).rename(name)
    shoot(burst / "b.png", 2, 60)
    caption(Matching(), "--one-per-burst")
    library, before = Path("photos.db"), rows()["a1.png"]["caption"]
    decide(library, 1, 0, "accepted", "Two hens.", "Eva")
    Path("a2.png").rename(burst / "a2.png")  # is new
    shutil.copy("a3.png", burst / "b.png")  # has a row, of another picture
    caption(Matching(), "--one-per-burst", "--resume")
    assert sources() == {"a1.png": None, "a2.png": "a1.png", "b.png": "a1.png"}
    for number in (2, 3):
        found = read_row(library, number)
        assert found is not None
        row, changes = found
        assert (row.caption, row.status) == ("Two hens.", None)
        assert (changes[0].old, changes[0].new, changes[0].by) == (before, "Two hens.", "Eva")
        assert undo(library, number, row.version, "Jan").caption == before
    assert find_faults(library) == []


def test_what_it_needs_is_said_in_one_line(burst: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Matching()
    refused = CliRunner().invoke(app, ["caption", "in", "-o", "rows.jsonl", "--one-per-burst"], obj=fake.load)
    assert (refused.exit_code, len(refused.stderr.splitlines())) == (2, 1)
    assert "--one-per-burst needs a library" in refused.stderr
    monkeypatch.setitem(sys.modules, "imagehash", None)
    refused = caption(fake, "--one-per-burst")
    assert (refused.exit_code, 'pip install "capcli[bursts]"' in refused.stderr) == (2, True)
    assert not Path("photos.db").exists()
