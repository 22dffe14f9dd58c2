"""All places of a run together: what is skipped, what is done again, what is refused."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from kept_results import make_kept

from capcli.errors import UsageError
from capcli.library.keeping import LibraryFile
from capcli.library.review import decide
from capcli.output import Result
from capcli.output.options import OutputOptions
from capcli.output.outputs import Outputs
from capcli.pictures.find import find_pictures
from capcli.pictures.kinds import is_film


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in "abc":
        Path(f"{name}.jpg").touch()
    return tmp_path


A, B, C = (Path(f"{name}.jpg") for name in "abc")
DOG = {path: Result(path, (f"A dog in {path}.",), (0.5,), "base") for path in (A, B, C)}
BAD = {path: Result(path, error="is empty (0 bytes)") for path in (A, B, C)}


def todo_of(outputs: Outputs, pictures: Sequence[Path]) -> list[Path]:
    """What a run does that begins now."""
    survey = outputs.survey(pictures)
    todo = [picture for picture in pictures if not outputs.settled(picture)]
    assert survey is None or (survey.total, survey.left) == (len(pictures), len(todo))
    return todo


def run(*results: Result, pictures: tuple[Path, ...] = (A, B, C), **options: object) -> list[Path]:
    """What the run does, of which `results` come about."""
    with Outputs(OutputOptions(**options), io.BytesIO(), Path()) as outputs:  # type: ignore[arg-type]
        todo = todo_of(outputs, pictures)
        for result in results:
            if result.path in todo:
                outputs.write(result)
    return todo


def rows(name: str = "rows.jsonl") -> list[dict[str, object]]:
    return [json.loads(line) for line in Path(name).read_text().splitlines()]


def test_a_resumed_run_does_what_is_left() -> None:
    assert run(DOG[A], BAD[B], output=Path("rows.jsonl")) == [A, B, C]
    assert run(DOG[C], output=Path("rows.jsonl"), resume=True) == [C]
    assert rows() == [DOG[A].row(), BAD[B].row(), DOG[C].row()]


def test_failures_are_tried_again_where_that_is_asked_for_and_have_one_row() -> None:
    run(DOG[A], BAD[B], BAD[C], output=Path("rows.jsonl"), errors=Path("errors.jsonl"))
    assert run(DOG[B], BAD[C], output=Path("rows.jsonl"), errors=Path("errors.jsonl"), retry_failed=True) == [B, C]
    assert rows() == [DOG[A].row(), DOG[B].row(), BAD[C].row()]
    assert rows("errors.jsonl") == [BAD[C].row()]


def test_only_failures_among_this_run_s_pictures_are_forgotten() -> None:
    run(BAD[A], BAD[B], output=Path("rows.jsonl"))
    assert run(DOG[B], pictures=(B,), output=Path("rows.jsonl"), retry_failed=True) == [B]
    assert rows() == [BAD[A].row(), DOG[B].row()]


def test_a_list_of_errors_remembers_for_a_format_that_has_no_row_for_them() -> None:
    run(DOG[A], BAD[B], output=Path("rows.tsv"), errors=Path("errors.jsonl"))
    assert run(output=Path("rows.tsv"), errors=Path("errors.jsonl"), resume=True) == [C]
    assert run(output=Path("rows.tsv"), resume=True) == [B, C]


def test_sidecars_resume_too() -> None:
    run(DOG[A], BAD[B], sidecar=("txt",))
    assert run(sidecar=("txt",), resume=True) == [B, C]


def test_several_kinds_of_sidecars_are_written_at_once() -> None:
    kinds = ("txt", "xmp", "json", "txt")
    assert run(DOG[A], BAD[B], DOG[C], sidecar=kinds) == [A, B, C]
    assert Path("a.txt").read_text() == "A dog in a.jpg.\n"
    assert b"A dog in a.jpg." in Path("a.xmp").read_bytes()
    assert json.loads(Path("a.json").read_text()) == DOG[A].row()
    Path("c.xmp").unlink()
    assert run(DOG[C], sidecar=kinds, resume=True) == [B, C]
    assert b"A dog in c.jpg." in Path("c.xmp").read_bytes()
    with pytest.raises(UsageError, match=r"2 of 3 pictures have captions in their sidecars already, such as a\.txt"):
        run(sidecar=kinds)


def test_a_sidecar_that_fails_keeps_neither_the_row_nor_another_sidecar_from_being_written() -> None:
    Path("a.txt").mkdir()
    Path("a.json").write_text("[]")
    with Outputs(OutputOptions(output=Path("rows.jsonl"), sidecar=("txt", "json", "xmp")), io.BytesIO(), Path()) as to:
        written = to.write(DOG[A])
    assert written.error == (
        "its sidecar a.txt cannot be written (is a directory); "
        "its sidecar a.json is there and is not capcli's, and was left as it is"
    )
    assert rows() == [DOG[A].row()]
    assert b"A dog in a.jpg." in Path("a.xmp").read_bytes()


def test_a_sidecar_whose_name_is_too_long_is_left_out_and_the_row_is_written() -> None:
    long = Path("a" * 251 + ".jpg")
    long.touch()
    result = Result(long, ("A dog.",), (0.5,), "base")
    with Outputs(OutputOptions(output=Path("rows.jsonl"), sidecar=("json", "txt")), io.BytesIO(), Path()) as to:
        assert todo_of(to, [long]) == [long]
        error = to.write(result).error
    assert error is not None
    assert error.endswith("cannot be written (file name too long)")
    assert rows() == [result.row()]
    assert long.with_suffix(".txt").read_text() == "A dog.\n"
    assert not [entry for entry in Path().iterdir() if entry.suffix not in (".jpg", ".txt", ".jsonl")]


def test_what_a_killed_run_wrote_in_one_place_only_is_completed_in_the_other() -> None:
    run(DOG[A], DOG[B], output=Path("rows.jsonl"), sidecar=("txt",))
    Path("a.txt").unlink()
    Path("c.txt").write_text("A cat, says a person.\n")
    assert run(*DOG.values(), output=Path("rows.jsonl"), sidecar=("txt",), resume=True) == [A, C]
    assert rows() == [DOG[A].row(), DOG[B].row(), DOG[C].row()]
    assert Path("a.txt").read_text() == "A dog in a.jpg.\n"
    assert Path("c.txt").read_text() == "A cat, says a person.\n"


def test_captions_in_sidecars_are_not_lost_unasked() -> None:
    Path("b.txt").write_text("A cat, says a person.\n")
    with pytest.raises(UsageError, match=r"1 of 3 pictures have captions in their sidecars already, such as b\.txt"):
        run(sidecar=("txt",))
    run(*DOG.values(), sidecar=("txt",), overwrite=True)
    assert Path("b.txt").read_text() == "A dog in b.jpg.\n"


def test_a_sidecar_that_cannot_be_written_is_the_picture_s_error() -> None:
    Path("a.txt").mkdir()
    to = {"output": Path("rows.jsonl"), "errors": Path("errors.jsonl"), "sidecar": ("txt",)}
    run(*DOG.values(), **to)
    assert rows() == [result.row() for result in DOG.values()]  # the caption is not lost over it
    (error,) = rows("errors.jsonl")
    assert error == {"path": "a.jpg", "error": "its sidecar a.txt cannot be written (is a directory)"}
    assert run(resume=True, **to) == []
    Path("a.txt").rmdir()
    assert run(*DOG.values(), retry_failed=True, **to) == [A]
    assert rows() == [result.row() for result in DOG.values()]
    assert rows("errors.jsonl") == []
    assert Path("a.txt").read_text() == "A dog in a.jpg.\n"


def test_a_picture_is_never_taken_for_an_output() -> None:
    for name in ("output", "errors"):
        for taken, kind in ((A, "picture"), (Path("raw.cr2"), "picture"), (Path("film.MOV"), "film")):
            with pytest.raises(UsageError, match=f"the name of a {kind}"):
                run(**{name: taken, "overwrite": True})


def test_an_output_that_is_one_of_the_pictures_is_refused() -> None:
    Path("scan").write_bytes(b"a picture without an ending")
    Path("link.jsonl").hardlink_to("scan")
    for name in ("scan", "link.jsonl"):
        with pytest.raises(UsageError, match="an output would take its place"):
            run(pictures=(A, Path("scan")), output=Path(name), overwrite=True)
    assert Path("scan").read_bytes() == b"a picture without an ending"


@pytest.mark.parametrize(
    ("kind", "content"),
    [("picture", b"\xff\xd8\xff\xe0 and the rest"), ("film", b"\0\0\0\x18ftypmp42 and the rest")],
)
def test_a_file_that_holds_a_picture_or_a_film_is_never_overwritten(kind: str, content: bytes) -> None:
    Path("photo").write_bytes(content)
    Path("rows.csv").hardlink_to("photo")
    with pytest.raises(UsageError, match=f"rows.csv holds a {kind}, and captions would take its place"):
        run(output=Path("rows.csv"), overwrite=True)
    assert Path("photo").read_bytes() == content


def test_captions_that_look_like_a_film_are_overwritten() -> None:
    rows = f"{'dir/G.jpg':196}Girl\n"
    assert is_film(rows.encode())
    Path("rows.tsv").write_text(rows)
    run(*DOG.values(), output=Path("rows.tsv"), overwrite=True)
    assert Path("rows.tsv").read_text().startswith("a.jpg\t")


def test_a_look_at_new_outputs_goes_through_no_pictures() -> None:
    class Never(list[Path]):
        def __iter__(self) -> Iterator[Path]:
            raise AssertionError("they were gone through")

    found = find_pictures([Path()])
    found.__class__ = type("Watched", (type(found),), {"__iter__": Never.__iter__})
    for options in ({}, {"resume": True}, {"overwrite": True, "sidecar": ("txt",)}):
        with Outputs(OutputOptions(output=Path("rows.csv"), **options), io.BytesIO(), Path()) as outputs:  # type: ignore[arg-type]
            assert outputs.survey(found) is None or "sidecar" in options


def test_a_sidecar_takes_the_place_of_no_picture_and_no_output() -> None:
    Path("a.txt").write_bytes(b"a picture of this name")
    run(*DOG.values(), pictures=(A, B, Path("a.txt")), output=Path("b.txt"), sidecar=("txt",), overwrite=True)
    assert Path("a.txt").read_bytes() == b"a picture of this name"
    assert Path("b.txt").read_text() == "a.jpg\tA dog in a.jpg.\nb.jpg\tA dog in b.jpg.\n"


def test_an_uncertain_caption_is_settled_by_its_row() -> None:
    unsure = Result(A, ("A dog.",), (0.1,), "base", uncertain=True)
    for name in ("rows.jsonl", "rows.csv", "rows.tsv"):
        run(unsure, DOG[B], BAD[C], output=Path(name), sidecar=("xmp",), overwrite=True)
        assert A not in run(output=Path(name), sidecar=("xmp",), resume=True)


def test_what_was_captioned_later_is_no_failure_any_more() -> None:
    run(DOG[A], BAD[B], output=Path("rows.tsv"), errors=Path("errors.jsonl"))
    run(DOG[B], output=Path("rows.tsv"), resume=True)
    with Outputs(
        OutputOptions(output=Path("rows.tsv"), errors=Path("errors.jsonl"), resume=True), io.BytesIO(), Path()
    ) as outputs:
        assert todo_of(outputs, (A, B, C)) == [C]
        assert not outputs.failed(B)


def test_sidecars_that_say_something_else_are_kept_and_counted() -> None:
    Path("a.txt").write_text("A cat, says a person.\n")
    Path("b.txt").write_text("A dog in b.jpg.\n")
    with Outputs(OutputOptions(output=Path("r.jsonl"), sidecar=("txt",), resume=True), io.BytesIO(), Path()) as outputs:
        for picture in todo_of(outputs, (A, B, C)):
            outputs.write(DOG[picture])
        assert outputs.kept_sidecars == 1
    assert Path("a.txt").read_text() == "A cat, says a person.\n"


def test_sidecars_of_another_folder_are_not_taken_for_one_s_own(folder: Path) -> None:
    for year in ("2019", "2020"):
        (folder / year).mkdir()
        (folder / year / "a.jpg").touch()
    for year in ("2019", "2020"):
        picture = Path(year, "a.jpg")
        to = OutputOptions(sidecar=("json",), sidecar_dir=Path("out"), resume=True)
        with Outputs(to, io.BytesIO(), Path(year)) as outputs:
            assert todo_of(outputs, [picture]) == [picture]
            written = outputs.write(Result(picture, ("A dog.",), (0.5,), "base"))
    assert written.error == "its sidecar out/a.json holds the caption of another picture, and was left as it is"


def caption_into_library(*pictures: Path, texts: str = "A dog in {}.", **options: object) -> list[Path]:
    """What a run into a library with sidecars does."""
    to = OutputOptions(output=Path("photos.db"), sidecar=("txt",), **options)  # type: ignore[arg-type]
    with Outputs(to, io.BytesIO(), Path(), open_library=LibraryFile) as outputs:
        todo = todo_of(outputs, pictures)
        for picture in todo:
            outputs.write(make_kept(picture, texts.format(picture), uncertain=picture == C))
        assert not outputs.notes
    return todo


def test_sidecars_have_what_people_decided_in_the_library(folder: Path) -> None:
    d = Path("d.jpg")
    pictures = (A, B, C, d)
    for picture in pictures:
        picture.write_text(picture.name)
    assert caption_into_library(*pictures) == list(pictures)
    statuses = {A: "edited", B: "rejected", C: "accepted", d: "flagged"}
    for number, (picture, status) in enumerate(statuses.items(), 1):
        text = "Berta the cow." if picture == A else f"A dog in {picture}."
        decide(Path("photos.db"), number, 0, status, text, "Ann")
    for sidecar in folder.glob("*.txt"):
        sidecar.unlink()
    assert caption_into_library(*pictures, resume=True) == [A, C]
    assert {path.name: path.read_text() for path in folder.glob("*.txt")} == {
        "a.txt": "Berta the cow.\n",
        "c.txt": "A dog in c.jpg.\n",
    }
    moved = [picture.rename(f"moved-{picture}") for picture in (A, B)]
    assert caption_into_library(*moved, resume=True) == moved
    assert [path.read_text() for path in folder.glob("moved-*.txt")] == ["Berta the cow.\n"]
    assert caption_into_library(*moved, resume=True) == []
    caption_into_library(*moved, texts="A wolf.", overwrite=True)
    texts = {path.name: path.read_text() for path in folder.glob("moved-*.txt")}
    assert texts == {"moved-a.txt": "Berta the cow.\n", "moved-b.txt": "A wolf.\n"}


def test_rows_are_not_called_absent_where_only_sidecars_are(folder: Path) -> None:
    A.write_text("a picture")
    caption_into_library(A)
    Path("a.txt").unlink()
    assert caption_into_library(A, resume=True) == [A]  # which asserts that there are no notes
    assert caption_into_library(B, resume=True) == [B]
    run(DOG[A], BAD[B], output=Path("rows.jsonl"), sidecar=("json",))
    Path("a.json").unlink()
    for options in ({"resume": True, "sidecar": ("json",)}, {"retry_failed": True}):
        with Outputs(OutputOptions(output=Path("rows.jsonl"), **options), io.BytesIO(), Path()) as outputs:  # type: ignore[arg-type]
            outputs.survey((A, B) if "sidecar" in options else (B,))
            assert not outputs.notes


@pytest.mark.parametrize("form", ["library", "parquet"])
def test_what_needs_a_file_of_its_own_goes_into_no_device(form: str) -> None:
    with pytest.raises(UsageError, match=f"/dev/null is no file of its own, as {form} needs; name a file"):
        run(output=Path("/dev/null"), format=form)


def test_rows_of_other_paths_are_remarked_on() -> None:
    run(DOG[A], output=Path("rows.jsonl"))
    with Outputs(OutputOptions(output=Path("rows.jsonl"), resume=True), io.BytesIO(), Path()) as outputs:
        outputs.survey((B, C))
        assert "has no row of these pictures" in outputs.notes[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "jsno"}, r"format must be one of .*; did you mean json\?"),
        ({"sidecar": ("xml",)}, "sidecar must be one of"),
        ({"resume": True}, "needs -o FILE or --sidecar"),
        ({"output": Path("x.jsonl"), "resume": True, "overwrite": True}, "contradict"),
        ({"output": Path("x.jsonl"), "retry_failed": True, "overwrite": True}, "--retry-failed contradict"),
        ({"sidecar_dir": Path("out")}, "needs --sidecar"),
        ({"with_words": True}, "choose --format jsonl"),
        ({"output": Path("x.tsv"), "with_words": True}, "does not fit into tsv"),
        ({"output": Path("x"), "errors": Path("./x")}, "name two files"),
        ({"output": Path("-")}, "without -o rows go to stdout"),
    ],
)
def test_options_that_make_no_sense_are_one_line(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        OutputOptions(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "form"),
    [("a.jsonl", "jsonl"), ("a.JSON", "json"), ("a.csv", "csv"), ("a.tsv", "tsv"), ("a.txt", "text"), ("a", "text")],
)
def test_the_ending_tells_the_format(name: str, form: str) -> None:
    assert OutputOptions(output=Path(name)).row_format == form
    assert OutputOptions(output=Path(name), format="coco").row_format == "coco"
