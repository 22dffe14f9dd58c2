"""The library on the command line: made by caption, looked into, checked, exported and searched."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_captioner import FakeCaptioner
from PIL import Image
from typer.testing import CliRunner, Result

from capcli.cli import app
from capcli.known import know_model
from capcli.pictures.read import read_picture
from capcli.runs.finding import find_in_library


class Matching(FakeCaptioner):
    """Knows the words luminous and dark, and matches them with how bright a picture is."""

    matches = True

    def caption_and_embed_arrays(self, arrays: Any, options: Any, chooser: Any = None) -> list[Any]:
        return list(zip(self.caption_arrays(arrays, options, chooser), self.picture_vectors(arrays), strict=True))

    def picture_vectors(self, arrays: Any) -> Any:
        angles = [array.mean() / 255 * np.pi / 2 for array in arrays]
        return np.array([(np.cos(angle), np.sin(angle)) for angle in angles], np.float32)

    def sentence_vectors(self, sentences: Any) -> Any:
        return np.array([(0, 1) if "luminous" in sentence else (1, 0) for sentence in sentences], np.float32)

    def find_unknown(self, words: Any) -> list[str]:
        return [word for word in words if word not in ("luminous", "dark")]

    def prepare(self, picture: Any) -> Any:
        return np.asarray(read_picture(picture).resize((8, 8)))


@pytest.fixture
def fake() -> Matching:
    return Matching()


def run(fake: FakeCaptioner, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments], obj=fake.load)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "in").mkdir()
    for level in (0, 120, 240):
        Image.new("RGB", (9, 6), (level,) * 3).save(tmp_path / "in" / f"{level}.png")
    (tmp_path / "in" / "bad.png").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_library_holds_what_rows_hold(fake: Matching, folder: Path) -> None:
    options = ["--num-captions", "2", "--min-confidence", "0.6", "--with-words"]
    assert run(fake, "caption", "in", "-o", "photos.db", *options).exit_code == 1
    assert run(fake, "caption", str(folder / "in"), "-o", "rows.jsonl", *options).exit_code == 1
    exported = run(fake, "library", "export", "photos.db", "--format", "jsonl")
    assert exported.stdout == Path("rows.jsonl").read_text()
    done = run(fake, "library", "export", "photos.db", "-o", "again.csv")
    assert done.stderr == "capcli: exported 4 pictures to again.csv\n"
    assert sorted(path.name for path in Path().iterdir()) == [
        ".rows.jsonl.origin.json",
        "again.csv",
        "in",
        "photos.db",
        "rows.jsonl",
    ]
    refused = run(fake, "library", "export", "photos.db", "-o", "other.db")
    assert (refused.exit_code, len(refused.stderr.splitlines())) == (2, 1)


def test_a_library_is_resumed_as_rows_are(fake: Matching, folder: Path) -> None:
    run(fake, "caption", "in", "-o", "photos.db")
    assert "exists; --resume" in run(fake, "caption", "in", "-o", "photos.db").stderr
    Image.new("RGB", (9, 6), (60,) * 3).save("in/60.png")
    done = run(fake, "caption", "in", "-o", "photos.db", "--resume")
    assert "captioned 1, skipped 4 (1 failed before" in done.stderr
    refused = run(fake, "caption", "in", "-o", "photos.db", "--resume", "--beam-size", "1")
    assert "photos.db was made with --beam-size" in refused.stderr
    Image.new("RGB", (9, 6), (30,) * 3).save("in/bad.png")
    done = run(fake, "caption", "in", "-o", "photos.db", "--resume-anyway", "--beam-size", "1")
    assert "captioned 1, skipped 4" in done.stderr
    assert json.loads(run(fake, "library", "info", "photos.db", "--json").stdout)["failed"] == 0


def test_a_library_is_looked_into_and_checked(fake: Matching, folder: Path) -> None:
    run(fake, "caption", "in", "-o", "photos.db")
    info = run(fake, "library", "info", "photos.db").stdout
    assert [line.split()[:2] for line in info.splitlines()[1:5]] == [
        ["pictures", "4"],
        ["captioned", "3"],
        ["uncertain", "0"],
        ["failed", "1"],
    ]
    account = json.loads(run(fake, "library", "info", "photos.db", "--json").stdout)
    assert (account["vectors"], account["models"][0][0]) == (3, "fake")
    checked = run(fake, "library", "check", "photos.db")
    assert (checked.exit_code, checked.stdout) == (0, "sound: 4 pictures\n")
    content = bytearray(Path("photos.db").read_bytes())
    content[8192 * 4 : 8192 * 8] = os.urandom(8192 * 4)
    Path("photos.db").write_bytes(content)
    assert run(fake, "library", "check", "photos.db").exit_code == 1


def test_search_prints_scores_or_bare_paths(fake: Matching, folder: Path) -> None:
    run(fake, "caption", "in", "-o", "photos.db")
    shown = run(fake, "search", "luminous", "photos.db")
    assert [line.split()[2] for line in shown.stdout.splitlines()[1:]] == ["in/240.png", "in/120.png"]
    assert shown.stderr == ""
    bare = run(fake, "search", "luminous", "photos.db", "-0", "--top", "1")
    assert bare.stdout == f"{folder / 'in' / '240.png'}\0"
    like = run(fake, "search", "photos.db", "--like", "in/0.png", "-f", "-n", "1")
    assert like.stdout == f"{folder / 'in' / '0.png'}\n"
    (hit,) = json.loads(run(fake, "search", "120", "photos.db", "--json").stdout)
    assert (Path(hit["path"]).name, hit["caption"], hit["score"]) == ("120.png", "brightness 120", None)


def test_a_search_uses_the_index_of_a_library_while_it_is_up_to_date(
    fake: Matching, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if find_spec("usearch") is None:
        pytest.skip("usearch is not installed")
    monkeypatch.setattr("capcli.runs.finding.find_in_library", partial(find_in_library, large=0))
    run(fake, "caption", "in", "-o", "photos.db")
    done = run(fake, "search", "luminous", "photos.db")
    assert "`capcli library index photos.db` makes searches of it faster" in done.stderr
    assert json.loads(run(fake, "library", "info", "photos.db", "--json").stdout)["index"] is None

    indexed = run(fake, "library", "index", "photos.db")
    assert (indexed.exit_code, indexed.stdout) == (0, "")
    assert indexed.stderr.splitlines()[0].startswith("capcli: indexed 3 vectors in photos.db.usearch (0.0 MB)")
    assert "compares every vector" in indexed.stderr.splitlines()[1]
    by_index = run(fake, "search", "luminous", "photos.db")
    assert (by_index.stdout, by_index.stderr) == (done.stdout, "")
    state = json.loads(run(fake, "library", "info", "photos.db", "--json").stdout)["index"]
    assert (state["vectors"], state["unfit"]) == (3, None)
    assert "3 vectors, 0.0 MB, up to date" in run(fake, "library", "info", "photos.db").stdout
    assert run(fake, "library", "check", "photos.db").exit_code == 0

    Image.new("RGB", (9, 6), (250,) * 3).save("in/250.png")
    run(fake, "caption", "in", "-o", "photos.db", "--resume")
    reason = "does not have the library's present vectors"
    assert f"not used: it {reason}" in run(fake, "library", "info", "photos.db").stdout
    done = run(fake, "search", "luminous", "photos.db", "-f")
    assert done.stdout.splitlines()[0] == f"{folder / 'in' / '250.png'}"
    assert done.stderr.count("\n") == 1
    assert reason in done.stderr
    assert run(fake, "search", "luminous", "photos.db", "--exact").stderr == ""
    assert "indexed 4 vectors" in run(fake, "library", "index", "photos.db").stderr
    assert run(fake, "search", "luminous", "photos.db").stderr == ""

    Path("photos.db.usearch").write_bytes(b"no index")
    checked = run(fake, "library", "check", "photos.db")
    assert (checked.exit_code, checked.stdout.count("\n")) == (1, 1)
    assert "photos.db.usearch is damaged; delete it, or make it anew" in checked.stdout
    for arguments in (["absent.db"], ["photos.db", "--model", "absent"]):
        refused = run(fake, "library", "index", *arguments)
        assert (refused.exit_code, len(refused.stderr.splitlines())) == (2, 1)


def test_nothing_found_and_unknown_words_are_said(fake: Matching, folder: Path) -> None:
    run(fake, "caption", "in", "-o", "photos.db")
    done = run(fake, "search", "xyzzy", "photos.db")
    assert (done.exit_code, done.stdout) == (1, "")
    unknown = "capcli: no caption has the word 'xyzzy', and the model does not know it\n"
    assert done.stderr == f"{unknown}capcli: nothing found\n"
    Path("other").mkdir()
    for name, hint in {
        "gone": "capcli: photos.db has no picture in gone, and there is no such folder\n",
        "other": "capcli: photos.db has no picture in other\n",
        "in": "",
    }.items():
        done = run(fake, "search", "xyzzy", "photos.db", "--folder", name)
        assert (done.exit_code, done.stderr) == (1, f"{unknown}{hint}capcli: nothing found\n")
    done = run(fake, "search", "dark xyzzy", "photos.db")
    assert (done.exit_code, done.stderr) == (0, unknown)
    for arguments in (["photos.db"], ["dark", "absent.db"], ["dark", "photos.db", "-f", "--json"]):
        done = run(fake, "search", *arguments)
        assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)


def test_words_of_not_that_nobody_knows_leave_out_nothing_and_are_named(fake: Matching, folder: Path) -> None:
    run(fake, "caption", "in", "-o", "photos.db")
    search = ("search", "luminous", "photos.db", "--min-score", "-1", "-f")
    found = run(fake, *search).stdout
    assert found.count("\n") == 2
    for word, note in {
        "xyzzy": "no caption has the word 'xyzzy', and the model does not know it",
        "***": "--not '***' has no word, and leaves out nothing",
    }.items():
        done = run(fake, *search, "--not", word)
        assert (done.stdout, done.stderr) == (found, f"capcli: {note}\n")
    assert run(fake, *search, "--not", "dark").stdout.count("\n") == 1
    by_caption = run(fake, *search, "--not", "240")
    assert (by_caption.stdout.count("\n"), by_caption.stderr) == (1, "")
    by_words = run(fake, "search", "120", "photos.db", "--not", "dark", "-f")
    assert by_words.stdout == f"{folder / 'in' / '120.png'}\n"


@pytest.mark.parametrize("like", ["in/absent.png", "in/bad.png"])
def test_a_picture_that_cannot_be_compared_is_not_told_as_nothing_found(
    fake: Matching, folder: Path, like: str
) -> None:
    run(fake, "caption", "in", "-o", "photos.db")
    done = run(fake, "search", "photos.db", "--like", like)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"capcli: error: {like}: ")


def test_captions_without_vectors_are_searched_by_words_alone(folder: Path) -> None:
    fake = FakeCaptioner()
    run(fake, "caption", "in", "-o", "photos.db")
    with pytest.MonkeyPatch.context() as patch:
        known = know_model("base")
        patch.setattr("capcli.runs.finding.know_model", lambda model: replace(known, matches=False))
        done = run(fake, "search", "brightness 120", "photos.db", "-f", "-n", "1")
        assert done.stdout == f"{folder / 'in' / '120.png'}\n"
        assert "captions alone are searched" in done.stderr
        assert run(fake, "search", "photos.db", "--like", "in/0.png").exit_code == 2


def test_an_edited_table_is_taken_back(fake: Matching, folder: Path) -> None:
    run(fake, "caption", "in", "-o", "photos.db")
    run(fake, "library", "export", "photos.db", "-o", "captions.csv")
    table = Path("captions.csv")
    table.write_text(table.read_text().replace("brightness 120,", "Dusk.,", 1))
    done = run(fake, "library", "import", "photos.db", "captions.csv", "--reviewer", "Ann")
    assert (done.exit_code, done.stderr) == (0, "capcli: changed 1, left as they were 3, refused 0\n")
    rows = [
        json.loads(line)
        for line in run(fake, "library", "export", "photos.db", "--format", "jsonl").stdout.split("\n")[:-1]
    ]
    assert {(row.get("caption"), row.get("status")) for row in rows} >= {("Dusk.", "edited"), ("brightness 0", None)}
    assert json.loads(run(fake, "library", "info", "photos.db", "--json").stdout)["reviewed"] == 1
    table.write_text(table.read_text().replace("Dusk.", "Dawn."))
    done = run(fake, "library", "import", "photos.db", "captions.csv")
    assert done.exit_code == 1
    assert "it has 'Dusk.' (edited), the table 'Dawn.' (edited)" in done.stderr
    for arguments in (["absent.db", "captions.csv"], ["photos.db", "absent.csv"]):
        done = run(fake, "library", "import", *arguments)
        assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)


def test_an_export_names_only_options_that_it_has(fake: Matching, folder: Path) -> None:
    run(fake, "caption", "in", "-o", "photos.db")
    help_text = run(fake, "library", "export", "--help").stdout
    for name in ("photos.csv", "photos.jsonl"):
        export = ("library", "export", "photos.db", "-o", name)
        Path(name).touch()  # as mktemp does; an empty file holds nothing to lose
        assert run(fake, *export).exit_code == 0
        before = Path(name).read_bytes()
        again = run(fake, *export)
        assert (again.exit_code, again.stderr) == (2, f"capcli: error: {name} exists; --overwrite replaces it\n")
        assert Path(name).read_bytes() == before
        assert run(fake, *export, "--overwrite").exit_code == 0
    for impossible in ("vtt", "srt", "library", "sidecars", "--on ray"):
        assert impossible not in help_text.split("Options:")[1]
    refused = run(fake, "library", "export", "photos.db", "-o", "more.csv", "--part-rows", "5")
    assert (refused.exit_code, "--part-rows is of Parquet" in refused.stderr) == (2, True)
    assert not Path("more.csv").exists()


def test_a_damaged_library_ends_in_one_line(fake: Matching, folder: Path) -> None:
    run(fake, "caption", "in", "-o", "photos.db", "--num-captions", "2", "--with-words")
    content = bytearray(Path("photos.db").read_bytes())
    for place in range(content.index(b'[["brightness'), len(content), 97):
        content[place] ^= 0xFF
    Path("photos.db").write_bytes(content)
    for arguments in (
        ("library", "export", "photos.db", "--format", "jsonl"),
        ("library", "export", "photos.db", "-o", "rows.csv"),
        ("apply", "photos.db", "--dry-run"),
    ):
        done = run(fake, *arguments)
        assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
        assert "; `capcli library check` says what is whole" in done.stderr
    assert run(fake, "library", "check", "photos.db").exit_code == 1


@pytest.mark.parametrize(("kept", "filled"), [(20_000, 0), (100_000, 9_000)])
def test_a_check_of_a_damaged_library_says_what_can_be_done(
    fake: Matching, folder: Path, kept: int, filled: int
) -> None:
    run(fake, "caption", "in", "-o", "photos.db")
    content = Path("photos.db").read_bytes()
    rest = content[kept + filled :] if filled else b""
    Path("photos.db").write_bytes(content[:kept] + b"\7" * filled + rest)
    done = run(fake, "library", "check", "photos.db")
    remedy, *faults = done.stdout.splitlines()
    assert (done.exit_code, done.stderr) == (1, "")
    assert remedy == ("the library is damaged; put a backup of it back, or caption the pictures anew into another file")
    assert len(faults) == (3 if filled else 1)
    assert not any("\\n" in fault or "library check" in fault for fault in faults)
    found = json.loads(run(fake, "library", "check", "photos.db", "--json").stdout)
    assert found == {"library": "photos.db", "sound": False, "faults": [remedy, *faults]}


def test_numbers_agree_with_their_nouns(fake: Matching, folder: Path) -> None:
    run(fake, "caption", "in/120.png", "-o", "single.db")
    assert run(fake, "library", "check", "single.db").stdout == "sound: 1 picture\n"
    assert run(fake, "library", "export", "single.db", "-o", "rows.csv").stderr.endswith(
        "exported 1 picture to rows.csv\n"
    )
    assert ", 1 caption" in run(fake, "library", "info", "single.db").stdout
    shutil.copy("in/120.png", "in/121.png")
    run(fake, "caption", "in/120.png", "in/121.png", "-o", "pair.db")
    assert run(fake, "duplicates", "pair.db").stderr == "capcli: 1 group, 1 picture beside those to keep\n"


def test_duplicates_list_no_copy_that_is_the_last(fake: Matching, folder: Path) -> None:
    shutil.copy("in/0.png", "in/1.png")
    run(fake, "caption", "in", "-o", "photos.db")
    listed = run(fake, "duplicates", "photos.db", "-f", "--min-score", "1")
    assert (listed.stdout, listed.stderr.count("\n")) == (f"{folder / 'in' / '1.png'}\n", 1)
    Path("in/0.png").unlink()
    listed = run(fake, "duplicates", "photos.db", "-f", "--min-score", "1")
    assert (listed.exit_code, listed.stdout) == (0, "")
    assert "left out 1 picture that is gone or changed since" in listed.stderr


@pytest.mark.parametrize("name", ["photos.db", "linked.csv", "hard.jsonl", "photos"])
def test_no_rows_take_the_place_of_a_library(fake: Matching, folder: Path, name: str) -> None:
    run(fake, "caption", "in", "-o", "photos.db")
    before = Path("photos.db").read_bytes()
    if name != "photos.db":
        make = {"linked.csv": os.symlink, "hard.jsonl": os.link, "photos": shutil.copy}[name]
        make("photos.db", name)
    target = ("-o", name, "--overwrite", "--format")
    for arguments in (
        ("library", "export", "photos.db", *target, "csv"),
        ("library", "export", "photos.db", "-o", name, "--format", "jsonl"),
        ("caption", "in/0.png", *target, "csv"),
        ("caption", "in/0.png", *target, "parquet"),
        ("caption", "in/0.png", "-o", name, "--format", "jsonl", "--resume"),
        ("caption", "in/0.png", "-o", "rows.csv", "--errors", name, "--overwrite"),
        ("merge", name, "in/0.png", "--format", "csv", "--overwrite"),
    ):
        refused = run(fake, *arguments)
        assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1), arguments
        assert f"{name} is a library or another database, which is never overwritten" in refused.stderr
    assert Path(name).read_bytes() == before
    assert run(fake, "caption", "in", *target, "library").exit_code == 1


@pytest.mark.parametrize(
    "arguments", [["absent.db"], ["photos.db", "--reviewer", "capcli"], ["photos.db", "--port", "70000"]]
)
def test_a_review_that_is_impossible_is_one_line(fake: Matching, folder: Path, arguments: list[str]) -> None:
    run(fake, "caption", "in", "-o", "photos.db")
    done = run(fake, "review", *arguments)
    assert (done.exit_code, len(done.stderr.splitlines()), done.stdout) == (2, 1, "")


def test_without_the_extra_a_review_says_how_to_get_it(
    fake: Matching, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(fake, "caption", "in", "-o", "photos.db")
    monkeypatch.delitem(sys.modules, "capcli.web.serving", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    done = run(fake, "review", "photos.db")
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert 'pip install "capcli[review]"' in done.stderr
