"""All places of a run together: what is skipped, what is done again, what is refused."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from capcli.errors import UsageError
from capcli.output import Result
from capcli.output.options import OutputOptions
from capcli.output.outputs import Outputs


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in "abc":
        Path(f"{name}.jpg").touch()
    return tmp_path


A, B, C = (Path(f"{name}.jpg") for name in "abc")
DOG = {path: Result(path, (f"A dog in {path}.",), (0.5,), "base") for path in (A, B, C)}
BAD = {path: Result(path, error="is empty (0 bytes)") for path in (A, B, C)}


def run(*results: Result, pictures: tuple[Path, ...] = (A, B, C), **options: object) -> list[Path]:
    """What the run does, of which `results` come about."""
    with Outputs(OutputOptions(**options), io.BytesIO(), Path()) as outputs:  # type: ignore[arg-type]
        todo = outputs.todo(pictures)
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
    run(DOG[A], BAD[B], sidecar="txt")
    assert run(sidecar="txt", resume=True) == [B, C]


def test_what_a_killed_run_wrote_in_one_place_only_is_completed_in_the_other() -> None:
    run(DOG[A], DOG[B], output=Path("rows.jsonl"), sidecar="txt")
    Path("a.txt").unlink()
    Path("c.txt").write_text("A cat, says a person.\n")
    assert run(*DOG.values(), output=Path("rows.jsonl"), sidecar="txt", resume=True) == [A, C]
    assert rows() == [DOG[A].row(), DOG[B].row(), DOG[C].row()]
    assert Path("a.txt").read_text() == "A dog in a.jpg.\n"
    assert Path("c.txt").read_text() == "A cat, says a person.\n"


def test_captions_in_sidecars_are_not_lost_unasked() -> None:
    Path("b.txt").write_text("A cat, says a person.\n")
    with pytest.raises(UsageError, match=r"1 of 3 pictures have captions in their sidecars already, such as b\.txt"):
        run(sidecar="txt")
    run(*DOG.values(), sidecar="txt", overwrite=True)
    assert Path("b.txt").read_text() == "A dog in b.jpg.\n"


def test_a_sidecar_that_cannot_be_written_is_the_picture_s_error() -> None:
    Path("a.txt").mkdir()
    with Outputs(OutputOptions(output=Path("rows.jsonl"), sidecar="txt"), io.BytesIO(), Path()) as outputs:
        written = outputs.write(DOG[A])
    assert written.error
    assert rows() == [written.row()]


def test_a_picture_is_never_taken_for_an_output() -> None:
    for name in ("output", "errors"):
        with pytest.raises(UsageError, match="the name of a picture"):
            run(**{name: A, "overwrite": True})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"format": "jsno"}, r"format must be one of .*; did you mean json\?"),
        ({"sidecar": "xml"}, "sidecar must be one of"),
        ({"resume": True}, "needs -o FILE or --sidecar"),
        ({"output": Path("x.jsonl"), "resume": True, "overwrite": True}, "contradict"),
        ({"output": Path("x.jsonl"), "retry_failed": True, "overwrite": True}, "--retry-failed contradict"),
        ({"sidecar_dir": Path("out")}, "needs --sidecar"),
        ({"with_words": True}, "choose --format jsonl"),
        ({"output": Path("x.tsv"), "with_words": True}, "does not fit into tsv"),
        ({"output": Path("x"), "errors": Path("x")}, "name two files"),
    ],
)
def test_options_that_make_no_sense_are_one_line(options: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        OutputOptions(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "form"),
    [("a.jsonl", "jsonl"), ("a.JSON", "json"), ("a.csv", "csv"), ("a.tsv", "tsv"), ("a.txt", "text"), ("a", "text")],
)
def test_the_ending_tells_the_format(name: str, form: str) -> None:
    assert OutputOptions(output=Path(name)).row_format == form
    assert OutputOptions(output=Path(name), format="coco").row_format == "coco"
