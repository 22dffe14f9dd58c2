"""`capcli review --rate` and `capcli score --ratings`, without a browser."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest
from caption_files import write_captions
from typer.testing import CliRunner, Result

from capcli.cli import app
from capcli.ratings.judgement import Judgement
from capcli.ratings.record import Record


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def score(*arguments: str) -> Result:
    return run("score", "--ratings", "ratings.jsonl", *arguments, "--no-java", "--bootstrap-samples", "100")


@pytest.fixture
def folder(scored_folder: Path) -> Path:
    """As `scored_folder`, with captions of two systems and what two people said of them."""
    write_captions(Path("a.jsonl"), {f"{i}.png": f"brightness {i}" for i in range(4)})
    write_captions(Path("b.jsonl"), {f"{i}.png": f"darkness {i}" for i in range(4)})
    judgements = []
    for rater, value in (("Ann", 5), ("Bob", 4)):
        for i in range(4):
            texts = (f"brightness {i}", f"darkness {i}")
            for text, system, less in zip(texts, ("a.jsonl", "b.jsonl"), (0, 1 + i % 2), strict=True):
                for scale in ("adequacy", "fluency"):
                    judgements.append(Judgement(rater, f"{i}.png", scale, (text,), ((system,),), value - less, ""))
            judgements.append(Judgement(rater, f"{i}.png", "preference", texts, (("a.jsonl",), ("b.jsonl",)), 1, ""))
    Record(Path("ratings.jsonl")).add(judgements)
    return scored_folder


def test_ratings_are_reported_as_a_table_as_json_as_csv_and_as_a_page(folder: Path) -> None:
    done = score("--references", "data", "-o", "r.json", "--per-image", "i.csv", "--html", "r.html")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("a.jsonl and b.jsonl: 2 raters, 4 pictures, 40 judgements\n")
    assert "METEOR is left out: not asked for" in done.stderr
    report = json.loads(Path("r.json").read_text())
    means = {(mean["system"], mean["scale"]): mean for mean in report["means"]}
    assert (means["a.jsonl", "adequacy"]["value"], means["b.jsonl", "adequacy"]["value"]) == (4.5, 3.0)
    assert report["differences"][0]["value"] == -1.5
    (choice,) = report["preferences"]
    assert (choice["for_a"], choice["pictures_a"], choice["value"], choice["p"]) == (8, 4, 1.0, 0.125)
    along = {(metric["metric"], metric["scale"]): metric for metric in report["metrics"]}
    assert along["ROUGE-L", "adequacy"]["scores"]["tau-b"]["value"] > 0.5
    assert along["ROUGE-L", "preference"]["scores"]["agrees"]["value"] == 1
    assert report["agreement"]["preference"]["why"] == "not defined: every judgement is the same"
    rows = list(csv.DictReader(Path("i.csv").read_text(encoding="utf-8").splitlines()))
    assert (len(rows), rows[0]["systems"], rows[0]["adequacy"]) == (8, "a.jsonl", "4.5")
    page = Path("r.html").read_text(encoding="utf-8")
    for text in ("Preferences", "tau-b", "Krippendorff", "8"):
        assert text in page
    for text in done.stdout.split("\n\n")[1].splitlines()[2].split()[:2]:
        assert text in page
    again = score("--references", "data", "-o", "r.json")
    assert (again.exit_code, again.stderr) == (2, "capcli: error: -o r.json exists; --overwrite replaces it\n")


@pytest.mark.usefixtures("closed_stdout")
def test_reports_of_ratings_are_written_where_nobody_reads_the_tables(folder: Path) -> None:
    assert score("-o", "r.json").exit_code != 0
    assert "means" in json.loads(Path("r.json").read_text())


def test_ratings_need_no_references_and_no_captions(folder: Path) -> None:
    done = score()
    assert (done.exit_code, done.stderr) == (0, "")
    assert "tau-b" not in done.stdout


def test_judgements_of_captions_that_changed_are_left_out_and_said(folder: Path) -> None:
    write_captions(Path("b.jsonl"), {"0.png": "new", **{f"{i}.png": f"darkness {i}" for i in range(1, 4)}})
    done = score("a.jsonl", "b.jsonl")
    assert done.stdout.startswith("a.jsonl and b.jsonl: 2 raters, 4 pictures, 34 judgements\n")
    assert done.stderr == (
        "capcli: ratings.jsonl: 6 judgements are of captions that have changed since or of other files, and left out, "
        "first of 0.png\n"
    )


def test_two_captions_of_one_picture_are_said(folder: Path) -> None:
    other = Judgement("Cem", "0.png", "adequacy", ("old text",), (("a.jsonl",),), 1, "")
    Record(Path("ratings.jsonl")).add([other])
    assert "a.jsonl had two different captions of 1 picture, and both count" in score().stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--references", "few.json"),
            "2 rated pictures have no references, first 2.png; --allow-missing leaves them out",
        ),
        (("--human",), "--human does not go with --ratings"),
        (("--spice",), "--spice does not go with --ratings"),
        (("other.jsonl",), "no judgement is about the captions in other.jsonl; it is about a.jsonl and b.jsonl"),
        (("absent.jsonl",), "absent.jsonl: no such file or directory"),
        (("-o", "ratings.jsonl", "--overwrite"), "-o ratings.jsonl would replace a file that is read; name another"),
    ],
)
def test_ratings_that_cannot_be_scored_are_one_line(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    Path("few.json").write_text(json.dumps({"0.png": ["x y"], "1.png": ["y z"]}))
    write_captions(Path("other.jsonl"), {f"{i}.png": "something else" for i in range(4)})
    done = score(*arguments)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert message in done.stderr


def test_pictures_without_references_are_left_out_if_asked(folder: Path) -> None:
    Path("few.json").write_text(json.dumps({"0.png": ["x y"], "1.png": ["y z"]}))
    done = score("--references", "few.json", "--allow-missing")
    assert done.exit_code == 0
    assert "not compared with metrics: 2 pictures without references" in done.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "empty.jsonl: no such file or directory"),
        ("", "empty.jsonl: holds no ratings yet; capcli review --rate takes some"),
        ("x\n", "empty.jsonl, line 1: broken JSON; a line of ratings is one JSON object"),
    ],
)
def test_a_file_that_holds_no_ratings_is_one_line(folder: Path, content: str | None, message: str) -> None:
    if content is not None:
        Path("empty.jsonl").write_text(content)
    done = run("score", "--ratings", "empty.jsonl")
    assert (done.exit_code, done.stderr) == (2, f"capcli: error: {message}\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--rate", "a.jsonl"), "a preference is between two systems; name another file, or --scale adequacy-fluency"),
        (("--rate", "a.jsonl", "a.jsonl"), "a.jsonl is named twice; name each file of captions once"),
        (("--rate", "a.jsonl", "b.jsonl"), "no picture is left to rate: 4 pictures are not on the disk"),
        (("--rate", "a.jsonl", "absent.jsonl"), "absent.jsonl: no such file or directory"),
        (("--rate", "a.jsonl", "b.jsonl", "--scale", "beauty"), "beauty"),
        (
            ("--rate", "a.jsonl", "b.jsonl", "--pictures", "data", "-o", "said.jsonl"),
            "said.jsonl, line 1: is no rating",
        ),
        (("--rate", "a.jsonl", "b.jsonl", "--pictures", "data", "-o", "x/r.jsonl"), "its folder does not exist"),
        (("--rate", "a.jsonl", "b.jsonl", "--reviewer", "Ann"), "who rates is --rater"),
        (("a.db", "b.db"), "one library is reviewed at a time"),
        (("a.db", "--scale", "preference"), "--scale belongs to --rate"),
        (("--rate", "a.jsonl", "same.jsonl", "--pictures", "data"), "the systems say the same of every picture"),
    ],
)
def test_a_rating_that_is_impossible_is_one_line(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    pytest.importorskip("uvicorn")
    Path("same.jsonl").write_text(Path("a.jsonl").read_text())
    before = Path("said.jsonl").read_bytes()
    done = run("review", *arguments)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert message in done.stderr
    assert Path("said.jsonl").read_bytes() == before


def test_without_the_extra_a_rating_says_how_to_get_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    done = run("review", "--rate", "a.jsonl", "b.jsonl")
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert 'pip install "capcli[review]"' in done.stderr
