"""The record of what made an output, which `--resume` compares."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from capcli.errors import UsageError
from capcli.modelfile.identity import ModelIdentity
from capcli.output.origin import Origin
from capcli.output.resume_record import ResumeRecord

BASE = ModelIdentity("base", "a" * 64)
ORIGIN = Origin(BASE, options={"beam_size": 3, "length_penalty": 1.2, "prefix": "", "sample": False})


def of(**changes: Any) -> Origin:
    return dataclasses.replace(ORIGIN, **changes)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out.csv"


def record(output: Path, **how: bool) -> ResumeRecord:
    return ResumeRecord.of_file(output, {}, **{"holds": True, "resumes": True, **how})


def make(output: Path, origin: Origin = ORIGIN, **how: bool) -> None:
    """Makes an output anew, or goes on with it."""
    beside = record(output, **{"holds": False, "resumes": False, **how})
    beside.check(origin)
    beside.begin()
    output.write_text("a row")
    beside.complete()


def origins(output: Path) -> list[Any]:
    return json.loads(output.with_name(f".{output.name}.origin.json").read_text())["origins"]


@pytest.mark.parametrize(
    ("asked", "difference"),
    [
        (of(options={**ORIGIN.options, "beam_size": 5}), "with --beam-size 3; you ask for 5"),
        (of(options={**ORIGIN.options, "length_penalty": 1.0}), "with --length-penalty 1.2; you ask for 1.0"),
        (of(options={**ORIGIN.options, "sample": True}), "without --sample; you ask for it"),
        (of(options={**ORIGIN.options, "prefix": "a photo of"}), "without --prefix; you ask for 'a photo of'"),
        (of(options={**ORIGIN.options, "as_": "gif"}), "without --as; you ask for gif"),
        (
            of(model=ModelIdentity("mine", "b" * 64)),
            "with --model base (SHA-256 aaaaaaaaaaaa); you ask for mine (SHA-256 bbbbbbbbbbbb)",
        ),
        (of(language_model=ModelIdentity("lm", "c" * 64)), "without --lm; you ask for lm (SHA-256 cccccccccccc)"),
        (of(pixels=2), "from pictures prepared by rules 1; this version of capcli prepares them by rules 2"),
    ],
)
def test_a_difference_is_refused_and_named(output: Path, asked: Origin, difference: str) -> None:
    make(output)
    with pytest.raises(UsageError) as refused:
        record(output).check(asked)
    advice = "--resume-anyway goes on all the same, --overwrite begins anew"
    assert str(refused.value) == f"{output} was made {difference}; {advice}"
    assert refused.value.exit_code == 2
    assert record(output, anyway=True).check(asked) is None
    assert record(output, holds=False, resumes=False).check(asked) is None


def test_an_option_that_is_not_asked_for_any_more_is_named(output: Path) -> None:
    make(output, of(options={"sample": True, "prefix": "a dog"}, language_model=BASE))
    for asked, difference in (
        (of(options={"sample": True, "prefix": "a dog"}), "with --lm base (SHA-256 aaaaaaaaaaaa); you ask for none"),
        (of(options={"prefix": "a dog"}, language_model=BASE), "with --sample; you do not ask for it"),
        (of(options={"sample": True}, language_model=BASE), "with --prefix 'a dog'; you ask for none"),
    ):
        with pytest.raises(UsageError) as refused:
            record(output).check(asked)
        assert f"was made {difference}; " in str(refused.value)


def test_the_same_model_under_another_name_and_another_version_are_no_difference(output: Path) -> None:
    make(output)
    moved = of(model=ModelIdentity("moved", BASE.sha256), version="9.9")
    assert record(output).check(moved) is None


def test_an_option_that_came_later_counts_as_its_default(output: Path) -> None:
    make(output)
    assert record(output).check(of(options={**ORIGIN.options, "top_k": 0, "num_captions": 1})) is None
    with pytest.raises(UsageError, match="with --num-captions 1; you ask for 2"):
        record(output).check(of(options={**ORIGIN.options, "num_captions": 2}))


def test_an_output_from_before_is_gone_on_with(output: Path) -> None:
    output.write_text("a row")
    before = record(output)
    assert before.check(ORIGIN) == (f"nothing says what made {output}; make sure that model and options are the same")
    before.begin()
    assert [origin["model"]["name"] for origin in origins(output)] == ["base"]
    assert record(output).check(ORIGIN) is None


def test_who_goes_on_all_the_same_has_both_origins_in_the_record(output: Path) -> None:
    make(output)
    other = of(options={**ORIGIN.options, "beam_size": 5})
    make(output, other, holds=True, resumes=True, anyway=True)
    assert [origin["options"]["beam_size"] for origin in origins(output)] == [3, 5]
    for asked, difference in (
        (ORIGIN, "with --beam-size 5; you ask for 3"),
        (other, "with --beam-size 3; you ask for 5"),
    ):
        with pytest.raises(UsageError, match=difference):
            record(output).check(asked)
    make(output, other, holds=True, resumes=True, anyway=True)
    assert len(origins(output)) == 2


def test_an_output_made_anew_has_one_origin(output: Path) -> None:
    make(output)
    other = of(options={**ORIGIN.options, "beam_size": 5})
    make(output, other)
    assert [origin["options"]["beam_size"] for origin in origins(output)] == [5]


def test_no_wrong_record_stands_beside_rows_while_they_are_replaced(output: Path) -> None:
    make(output)
    anew = record(output, holds=False, resumes=False)
    anew.check(of(model=ModelIdentity("mine", "b" * 64)))
    anew.begin()  # and the run is killed here
    assert record(output).check(ORIGIN) is not None
    assert not output.with_name(".out.csv.origin.json").exists()


@pytest.mark.parametrize("content", [b"", b"[]", b'{"origins": [{}]}', b'{"origins": [{"model": 3}]}', b"\xff"])
def test_a_record_that_says_nothing_is_refused_and_can_be_gone_past(output: Path, content: bytes) -> None:
    make(output)
    file = output.with_name(".out.csv.origin.json")
    file.write_bytes(content)
    with pytest.raises(UsageError) as refused:
        record(output).check(ORIGIN)
    assert str(refused.value) == f"{file} does not say what made {output}; --resume-anyway goes on all the same"
    make(output, holds=True, resumes=True, anyway=True)
    assert record(output).check(ORIGIN) is None


def test_a_name_as_long_as_can_be_has_a_record(tmp_path: Path) -> None:
    output = tmp_path / ("x" * 251 + ".csv")
    make(output)
    assert record(output).check(ORIGIN) is None
    assert len(list(tmp_path.glob(".*.origin.json"))) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_has_the_record_of_its_file(tmp_path: Path, output: Path) -> None:
    (tmp_path / "link.csv").symlink_to(output)
    make(tmp_path / "link.csv")
    with pytest.raises(UsageError):
        record(output).check(of(pixels=7))


def test_a_record_that_cannot_be_written_is_a_remark(output: Path) -> None:
    output.with_name(".out.csv.origin.json").mkdir()
    beside = record(output, holds=False, resumes=False)
    beside.check(ORIGIN)
    beside.begin()
    remark = beside.complete()
    assert remark is not None and remark.endswith(f"a later --resume cannot compare what made {output}")


def test_files_of_a_folder_have_a_record_for_each_kind(tmp_path: Path) -> None:
    folder = tmp_path / "maps"

    def kind(name: str, method: str, **how: bool) -> ResumeRecord:
        asked = {"overwrite": False, "resumes": False, "anyway": False, **how}
        return ResumeRecord.of_folder(folder, name, {"method": method}, lambda file: file.suffix == f".{name}", **asked)

    folder.mkdir()
    for name, method in (("grid", "gradient"), ("json", "attention")):
        earlier = kind(name, method)
        assert earlier.check(ORIGIN) is None
        earlier.begin()
        (folder / f"a.{name}").touch()
        earlier.complete()
    assert kind("grid", "gradient", resumes=True).check(ORIGIN) is None
    with pytest.raises(UsageError, match=r"maps was made with --method attention; you ask for gradient; --resume-any"):
        kind("json", "gradient", resumes=True).check(ORIGIN)
    # Other pictures may join them by another method; then the folder holds both.
    joined = kind("grid", "occlusion")
    assert joined.check(ORIGIN) is None
    joined.begin()
    with pytest.raises(UsageError, match="with --method occlusion; you ask for gradient"):
        kind("grid", "gradient", resumes=True).check(ORIGIN)
    (folder / "a.grid").unlink()
    assert kind("grid", "gradient", resumes=True).check(ORIGIN) is None
