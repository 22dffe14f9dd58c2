from __future__ import annotations

import csv
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from everyday import PEOPLE, Remark, shuffle, write_sheets
from marks import read_key, read_marks
from PIL import Image

from capcli.errors import DatasetError, UnreadableImage, UsageError

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "everyday.py"
RunScript = Callable[..., "subprocess.CompletedProcess[str]"]
SOURCES = ("new", "old", PEOPLE)


def say(pictures: list[Path], *sources: str, confidence: float = 0.5) -> list[Remark]:
    return [
        Remark(source, picture, f"A picture called {picture.stem}.", None if source == PEOPLE else confidence)
        for source in sources
        for picture in pictures
    ]


def read(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8-sig", newline="") as table:
        return list(csv.DictReader(table))


def test_every_round_has_every_picture_once_and_all_rounds_every_source(pictures: list[Path]) -> None:
    order = shuffle(say(pictures, *SOURCES), seed=1)
    rounds = [order[start : start + len(pictures)] for start in range(0, len(order), len(pictures))]
    for remarks in rounds:
        assert sorted(remark.picture for remark in remarks) == pictures
        assert {remark.source for remark in remarks} == set(SOURCES)
    assert {(remark.source, remark.picture) for remark in order} == {
        (source, picture) for source in SOURCES for picture in pictures
    }


def test_the_order_depends_on_the_seed_alone(pictures: list[Path]) -> None:
    remarks = say(pictures, *SOURCES)
    assert shuffle(remarks, 1) == shuffle(remarks, 1) != shuffle(remarks, 2)


def test_a_folder_holds_pages_of_twelve_an_empty_table_and_the_key(pictures: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "sheets"
    assert write_sheets(folder, say(pictures, "base"), "made", seed=1) == 3
    assert sorted(file.name for file in folder.iterdir()) == [
        *("key.csv", "marks.csv", "page-01.png", "page-02.png", "page-03.png")
    ]
    assert read(folder / "marks.csv") == [{"number": str(n), "mark": "", "note": ""} for n in range(1, 31)]
    key = read(folder / "key.csv")
    assert [row["picture"] for row in key] == [picture.as_posix() for picture in pictures]
    assert key[0] == {
        "number": "1",
        "source": "base",
        "picture": pictures[0].as_posix(),
        "caption": "A picture called 00.",
        "confidence": "0.5000",
    }
    sizes = [Image.open(folder / f"page-{number:02}.png").size for number in (1, 2, 3)]
    assert sizes[0] == sizes[1] and sizes[2][0] == sizes[0][0] and sizes[2][1] < sizes[0][1]


def test_one_model_has_its_confidence_on_the_page_and_mixed_sources_do_not(
    pictures: list[Path], tmp_path: Path
) -> None:
    def page(name: str, *sources: str, confidence: float) -> bytes:
        write_sheets(tmp_path / name, say(pictures[:4], *sources, confidence=confidence), "made", seed=1)
        return (tmp_path / name / "page-01.png").read_bytes()

    assert page("a", "base", confidence=0.1) != page("b", "base", confidence=0.9)
    assert page("c", "new", "old", confidence=0.1) == page("d", "new", "old", confidence=0.9)
    assert {row["confidence"] for row in read(tmp_path / "c" / "key.csv")} == {"0.1000"}


def test_mixed_captions_are_written_in_one_manner(pictures: list[Path], tmp_path: Path) -> None:
    def page(name: str, caption: str) -> bytes:
        remarks = [Remark("base", pictures[0], "A dog runs."), Remark(PEOPLE, pictures[0], caption)]
        write_sheets(tmp_path / name, remarks, "made", seed=1)
        return (tmp_path / name / "page-01.png").read_bytes()

    assert page("a", "two Dogs , running .") == page("b", "Two dogs running.") != page("c", "Two cats running.")


def test_no_word_of_a_long_caption_is_left_out(pictures: list[Path], tmp_path: Path) -> None:
    def height(name: str, words: int) -> int:
        write_sheets(tmp_path / name, [Remark("base", pictures[0], "word " * words, 0.5)], "made", seed=1)
        return Image.open(tmp_path / name / "page-01.png").height

    assert height("a", 8) < height("b", 40) < height("c", 80)


def test_a_folder_that_holds_something_is_left_alone(pictures: list[Path], tmp_path: Path) -> None:
    (tmp_path / "marks.csv").write_text("number,mark\n1,signed\n")
    with pytest.raises(UsageError, match="exists already; name a new folder with -o"):
        write_sheets(tmp_path, say(pictures, "base"), "made", seed=1)
    assert [file.name for file in tmp_path.iterdir()] == ["marks.csv"]
    assert read_marks(tmp_path / "marks.csv", {1: None}) == {1: "signed"}


def test_a_picture_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match=r"nowhere\.jpg: does not exist"):
        write_sheets(tmp_path / "sheets", [Remark("base", Path("nowhere.jpg"), "A dog.")], "made", seed=1)
    assert not (tmp_path / "sheets").exists()


@pytest.mark.slow
def test_the_script_captions_in_batches_mixes_blind_and_reads_marks(
    pictures: list[Path], tiny_file: Path, tmp_path: Path, run_script: RunScript
) -> None:
    with (pictures[0].parent / "captions.csv").open("w", encoding="utf-8") as table:
        table.write("image,caption,split\n")
        table.writelines(f"{picture.name},A colour of number {picture.stem},dev\n" for picture in pictures)

    sheets = tmp_path / "sheets"
    asked = ("--count", 20, "--model", tiny_file, "--people", "--seed", 3, "-o", sheets)
    result = run_script(SCRIPT, "sheet", pictures[0].parent, *asked)
    assert (result.returncode, result.stdout) == (
        0,
        f"{sheets}: 40 captions of 20 pictures on 4 pages; fill in marks.csv\n",
    ), result.stderr
    assert result.stderr == "tiny: 16 of 20 pictures\ntiny: 20 of 20 pictures\n"
    key = read_key(sheets / "key.csv")
    assert sorted(source for source, _ in key.values()) == [PEOPLE] * 20 + ["tiny"] * 20
    for row in read(sheets / "key.csv"):
        number = Path(row["picture"]).stem
        assert row["source"] == "tiny" or row["caption"] == f"A colour of number {number}"

    unmarked = run_script(SCRIPT, "shares", sheets)
    assert (unmarked.returncode, unmarked.stdout) == (DatasetError.exit_code, "")
    assert "has no marks yet" in unmarked.stderr
    rows = [f"{number},{'s' if source == PEOPLE else 'w'}," for number, (source, _) in key.items()]
    (sheets / "marks.csv").write_text("\n".join(["number,mark,note", *rows]))
    shares = run_script(SCRIPT, "shares", sheets)
    assert shares.returncode == 0, shares.stderr
    assert "| tiny | 20 | 0 % (0 to 16) | 0 % (0 to 16) | 100 % (84 to 100) |" in shares.stdout
    assert "| people less tiny | 20 | +100 (+100 to +100) | +0 (+0 to +0) | -100 (-100 to -100) |" in shares.stdout


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--count", "0"], "--count must be at least 1"),
        (["--model", "base", "--model", "base"], "one model is named twice; name each once with --model"),
        (["--model", "nowhere"], "nowhere: no such model file"),
    ],
)
def test_what_cannot_be_asked_for_is_one_line(
    arguments: list[str], reason: str, tmp_path: Path, run_script: RunScript
) -> None:
    done = run_script(SCRIPT, "sheet", tmp_path, "-o", tmp_path / "sheets", *arguments)
    assert done.returncode == UsageError.exit_code
    assert done.stderr.startswith(reason) and done.stderr.count("\n") == 1
    assert not (tmp_path / "sheets").exists()
