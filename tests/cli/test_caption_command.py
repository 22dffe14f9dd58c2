"""The command's loop around a stand-in for the model; the sentences themselves are tested end to end."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fake_captioner
import numpy as np
import pytest
from fake_captioner import FakeCaptioner
from PIL import Image
from typer.testing import CliRunner, Result

from capcli.cli import app
from capcli.decoding.options import DecodingOptions
from capcli.model.options import ModelOptions
from capcli.modelfile.checkpoint import Checkpoint
from capcli.output.options import OutputOptions
from capcli.pictures.options import InputOptions


def run(fake: FakeCaptioner, *arguments: str, **extra: Any) -> Result:
    return CliRunner().invoke(app, ["caption", *arguments], obj=fake.load, **extra)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for i in range(5):
        Image.new("RGB", (9, 9), (i, i, i)).save(tmp_path / f"{i}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_one_file_gives_the_sentence_alone(fake: FakeCaptioner, folder: Path) -> None:
    result = run(fake, "3.png")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "brightness 3\n", "")


def test_a_folder_gives_rows_even_with_one_picture_in_it(fake: FakeCaptioner, folder: Path) -> None:
    (folder / "one").mkdir()
    Image.new("RGB", (9, 9)).save(folder / "one" / "a.png")
    result = run(fake, "one")
    assert result.stdout == f"{Path('one/a.png')}\tbrightness 0\n"


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_a_bad_file_costs_one_line_and_the_exit_code(fake: FakeCaptioner, folder: Path, batch_size: int) -> None:
    (folder / "1.png").write_bytes(b"")
    (folder / "2.png").write_text("text")
    result = run(fake, ".", "--batch-size", str(batch_size))
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [f"{i}.png\tbrightness {i}" for i in (0, 3, 4)]
    *errors, summary = result.stderr.splitlines()
    assert errors == ["capcli: 1.png: is empty (0 bytes)", "capcli: 2.png: is not a picture capcli can read"]
    assert summary.startswith("capcli: captioned 3, skipped 0, failed 2, ")
    assert summary.endswith(" images/s")
    # What is unreadable keeps its place, so that the last digits of the others do not depend on it.
    assert fake.batches == {1: [1, 1, 1], 2: [2, 2, 1], 16: [5]}[batch_size]


def test_json_lines_have_a_row_for_every_file(fake: FakeCaptioner, folder: Path) -> None:
    (folder / "1.png").write_bytes(b"")
    result = run(fake, "0.png", "1.png", "--format", "jsonl")
    assert result.exit_code == 1
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {
            "path": "0.png",
            "caption": "brightness 0",
            "captions": ["brightness 0"],
            "confidence": 0.502,
            "model": "fake",
        },
        {"path": "1.png", "error": "is empty (0 bytes)"},
    ]


def test_further_captions_words_and_doubt_are_in_the_row(fake: FakeCaptioner, folder: Path) -> None:
    options = ["--num-captions", "3", "--with-words", "--min-confidence", "0.9", "--format", "jsonl"]
    row = json.loads(run(fake, "2.png", *options).stdout)
    assert row["captions"] == ["brightness 2", "other 1", "other 2"]
    assert row["confidences"] == [0.501, 0.25, 0.25]
    assert row["words"] == [{"word": "brightness", "log_probability": -0.5}]
    assert row["uncertain"] is True


def test_doubt_is_counted_and_marked(fake: FakeCaptioner, folder: Path) -> None:
    result = run(fake, ".", "--min-confidence", "0.9")
    assert all("\t[uncertain] brightness" in line for line in result.stdout.splitlines())
    assert "captioned 5, skipped 0, failed 0, uncertain 5" in result.stderr


def test_options_given_replace_the_model_s_own(fake: FakeCaptioner, folder: Path) -> None:
    run(fake, "0.png")
    run(fake, "0.png", "--beam-size", "1")
    run(fake, "0.png", "--sample", "--top-k", "4", "--seed", "9")
    assert fake.asked == [
        DecodingOptions(beam_size=5, max_length=7),
        DecodingOptions(beam_size=1, max_length=7),
        DecodingOptions(beam_size=5, max_length=7, sample=True, top_k=4, seed=9),
    ]


def test_every_decoding_option_is_one_of_the_command(fake: FakeCaptioner) -> None:
    help_text = CliRunner().invoke(app, ["caption", "--help"], env={"COLUMNS": "200"}).stdout
    for options in (DecodingOptions, InputOptions, OutputOptions, ModelOptions):
        for field in dataclasses.fields(options):
            assert f"--{field.name.replace('_', '-')}" in help_text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["0.png", "--model", "absent"],
            "absent: no such model file, and no shipped model of that name; shipped: base",
        ),
        (["0.png", "--prefix", "unknowable"], "the model does not know the word 'unknowable'"),
        (["0.png", "--top-k", "3"], "top-k needs sampling: add --sample, in Python sample=True"),
        (
            ["0.png", "--sample", "--beam-size", "4"],
            "beam-size is for a search, and sample draws captions without one; leave one out",
        ),
        ([], "name photographs or folders of them, --from-file LIST or --watch FOLDER"),
        (["0.png", "-0"], "-0 says how a list of paths is separated: add --from-file LIST, or - for stdin"),
        (["0.png", "--resume"], "--resume needs -o FILE or --sidecar, where the captions so far are"),
        (["--watch", "0.png"], "--watch needs a folder, and 0.png is none"),
        (["0.png", "--part-rows", "5"], "--part-rows is of Parquet, and rows are written as text; leave it out"),
        *(
            (["0.png", name, "1"], f"{name} is for a cluster: add --on ray, or leave it out")
            for name in ("--captioner-cpus", "--captioner-gpus", "--patience")
        ),
    ],
)
def test_what_cannot_be_done_exits_2(fake: FakeCaptioner, folder: Path, arguments: list[str], message: str) -> None:
    result = run(fake, *arguments, *(["-o", "rows.jsonl"] if "absent" in arguments else []))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"capcli: error: {message}\n"
    assert not (folder / "rows.jsonl").exists()


def test_a_name_cannot_forge_a_line_of_errors(fake: FakeCaptioner, folder: Path) -> None:
    (folder / "a\nb.png").touch()
    result = run(fake, "a\nb.png")
    assert result.stderr == "capcli: a\\nb.png: is empty (0 bytes)\n"


def test_paths_come_from_lists_and_stdin(fake: FakeCaptioner, folder: Path) -> None:
    (folder / "list").write_bytes(b"3.png\0001.png\0gone.png\0")
    result = run(fake, "0.png", "--from-file", "list", "-0", "--format", "jsonl")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["path"] for row in rows] == ["0.png", "3.png", "1.png", "gone.png"]
    assert rows[3]["error"] == "does not exist"
    result = run(fake, "0.png", "https://example.org/a.jpg")
    todo = "(capcli reads files; what has an address must be downloaded first)"
    assert result.stderr.splitlines()[0] == f"capcli: https:/example.org/a.jpg: does not exist {todo}"
    result = run(fake, "-", input="4.png\n2.png\n")
    assert result.stdout == "4.png\tbrightness 4\n2.png\tbrightness 2\n"


def test_a_resumed_run_skips_what_is_there(fake: FakeCaptioner, folder: Path) -> None:
    (folder / "1.png").write_bytes(b"")
    run(fake, "0.png", "1.png", "-o", "rows.jsonl")
    result = run(fake, ".", "-o", "rows.jsonl", "--resume")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("capcli: captioned 3, skipped 2 (1 failed before, see --retry-failed), failed 0, ")
    rows = [json.loads(line)["path"] for line in (folder / "rows.jsonl").read_text().splitlines()]
    assert rows == [f"{i}.png" for i in range(5)]
    result = run(fake, ".", "-o", "rows.jsonl", "--resume")
    assert result.stderr == "capcli: captioned 0, skipped 5 (1 failed before, see --retry-failed), failed 0\n"


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "jsonl", "json", "tsv"])
def test_a_resumed_run_of_other_pictures_keeps_a_last_row_without_a_line_end(
    fake: FakeCaptioner, folder: Path, form: str
) -> None:
    rows = Path(f"rows.{form}")
    run(fake, "0.png", "1.png", "-o", str(rows))
    edited = rows.read_bytes().replace(b"brightness 1", b"my own words")
    rows.write_bytes(edited.rstrip())
    result = run(fake, "0.png", "-o", str(rows), "--resume")
    assert (result.exit_code, rows.read_bytes()) == (0, edited)
    assert (f"{rows}: the last row has no line end" in result.stderr) == (form == "tsv")


def test_a_resumed_batch_is_cut_where_it_was(fake: FakeCaptioner, folder: Path) -> None:
    batches = ["--batch-size", "3", "--format", "jsonl"]
    run(fake, ".", *batches, "-o", "whole.jsonl")
    whole = (folder / "whole.jsonl").read_bytes()
    for done in range(len(whole)):
        (folder / "rows.jsonl").write_bytes(whole[:done])
        if done % 41 == 0:  # all of them would take minutes
            run(fake, ".", *batches, "-o", "rows.jsonl", "--resume")
            assert (folder / "rows.jsonl").read_bytes() == whole


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--beam-size", "5"], "with --beam-size 3; you ask for 5"),
        (["--prefix", "a dog"], "without --prefix; you ask for 'a dog'"),
        (["--with-words"], "without --with-words; you ask for it"),
    ],
)
@pytest.mark.parametrize("done", [2, 5])
def test_rows_that_were_made_otherwise_are_not_gone_on_with(
    fake: FakeCaptioner, folder: Path, arguments: list[str], message: str, done: int
) -> None:
    run(fake, *(f"{i}.png" for i in range(done)), "-o", "rows.csv")
    before = Path("rows.csv").read_bytes()
    for flag in ("--resume", "--retry-failed"):
        refused = run(fake, ".", "-o", "rows.csv", flag, *arguments)
        assert (refused.exit_code, refused.stdout) == (2, "")
        advice = "--resume-anyway goes on all the same, --overwrite begins anew"
        assert refused.stderr == f"capcli: error: rows.csv was made {message}; {advice}\n"
        assert Path("rows.csv").read_bytes() == before
    assert run(fake, ".", "-o", "rows.csv", "--resume-anyway", *arguments).exit_code == 0
    assert Path("rows.csv").read_bytes().startswith(before)
    assert run(fake, ".", "-o", "rows.csv", "--overwrite", *arguments).exit_code == 0
    assert run(fake, ".", "-o", "rows.csv", "--resume", *arguments).exit_code == 0


def test_a_moved_model_goes_on_and_another_does_not(
    fake: FakeCaptioner, folder: Path, tiny_file: Path, tiny_checkpoint: Callable[..., Checkpoint]
) -> None:
    run(fake, "0.png", "-o", "rows.csv", "--model", str(tiny_file))
    shutil.copy(tiny_file, "moved.safetensors")
    assert run(fake, ".", "-o", "rows.csv", "--resume", "--model", "moved.safetensors").exit_code == 0
    tiny_checkpoint("lstm").save("moved.safetensors")
    refused = run(fake, ".", "-o", "rows.csv", "--resume", "--model", "moved.safetensors")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("capcli: error: rows.csv was made with --model tiny (SHA-256 ")
    assert "; you ask for moved (SHA-256 " in refused.stderr


def test_other_pixels_are_another_origin(fake: FakeCaptioner, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(fake, "0.png", "-o", "rows.csv")
    monkeypatch.setattr("capcli.output.origin.PREPARATION", 2)
    refused = run(fake, ".", "-o", "rows.csv", "--resume")
    assert refused.exit_code == 2
    assert "rows.csv was made from pictures prepared by rules 1; " in refused.stderr


def test_rows_from_before_are_gone_on_with_and_that_is_said(fake: FakeCaptioner, folder: Path) -> None:
    run(fake, "0.png", "-o", "rows.csv")
    Path(".rows.csv.origin.json").unlink()
    first = run(fake, "0.png", "1.png", "-o", "rows.csv", "--resume")
    assert first.exit_code == 0
    assert first.stderr.splitlines()[0] == (
        "capcli: nothing says what made rows.csv; make sure that model and options are the same"
    )
    second = run(fake, ".", "-o", "rows.csv", "--resume")
    assert second.exit_code == 0
    assert second.stderr.startswith("capcli: captioned 3, skipped 2")


def test_sidecars_in_a_folder_of_their_own_have_an_origin(fake: FakeCaptioner, folder: Path) -> None:
    beside = ["--sidecar", "txt", "--sidecar-dir", "texts"]
    run(fake, "0.png", *beside)
    refused = run(fake, ".", *beside, "--resume", "--beam-size", "5")
    assert refused.exit_code == 2
    assert "texts was made with --beam-size 3; you ask for 5; " in refused.stderr
    assert sorted(path.name for path in Path("texts").iterdir()) == [".capcli-txt.origin.json", "0.txt"]
    assert run(fake, ".", *beside, "--resume").exit_code == 0


def test_nothing_is_written_beside_pictures_but_sidecars(fake: FakeCaptioner, folder: Path) -> None:
    run(fake, "0.png", "--sidecar", "txt")
    # They may be by a person, or by another program, whatever is asked for.
    Path("1.txt").write_text("A black square.\n")
    assert run(fake, ".", "--sidecar", "txt", "--resume", "--beam-size", "5").exit_code == 0
    assert sorted(path.name for path in folder.iterdir() if path.suffix != ".png") == [f"{i}.txt" for i in range(5)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_finishes_the_batch_in_hand(
    fake: FakeCaptioner, folder: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    captioned = fake.caption_arrays

    def interrupted(arrays: np.ndarray, options: DecodingOptions, *rest: object) -> list[SimpleNamespace]:
        signal.raise_signal(number)
        return captioned(arrays, options)

    monkeypatch.setattr(fake, "caption_arrays", interrupted)
    result = run(fake, ".", "--batch-size", "2", "--format", "json")
    assert result.exit_code == 128 + number
    assert [row["path"] for row in json.loads(result.stdout)] == ["0.png", "1.png"]
    assert result.stderr.startswith("capcli: interrupted: captioned 2, skipped 0, failed 0")


def test_a_second_interrupt_ends_it_at_once(fake: FakeCaptioner, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(arrays: np.ndarray, options: DecodingOptions, *rest: object) -> list[SimpleNamespace]:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("still there")

    monkeypatch.setattr(fake, "caption_arrays", interrupted)
    result = run(fake, ".")
    assert (result.exit_code, result.stdout, result.stderr) == (130, "", "capcli: interrupted\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_log_that_takes_no_more_stops_nothing(folder: Path) -> None:
    (folder / "1.png").write_bytes(b"")
    # Most users have Python buffer what it could not write, and complain at its end.
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command(".", "-o", "rows.jsonl", "--batch-size", "1"), stderr=full, env=buffered)
    assert done.returncode == 1
    assert len((folder / "rows.jsonl").read_text().splitlines()) == 5


@pytest.mark.skipif(sys.platform == "win32", reason="streams are closed otherwise there")
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_stop_nothing(folder: Path, closed: str) -> None:
    script = f'exec "$0" "$@" {closed}'
    done = subprocess.run(["sh", "-c", script, *command(".", "-o", "rows.jsonl")], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
    assert "Traceback" not in done.stderr
    assert len((folder / "rows.jsonl").read_text().splitlines()) == 5


PROGRAM = f"""
import sys
sys.path.insert(0, {str(Path(fake_captioner.__file__).parent)!r})
from fake_captioner import FakeCaptioner
from capcli.cli import main
main(FakeCaptioner().load)
"""


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", PROGRAM, "caption", *arguments]


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are Unicode there")
def test_undecodable_names_reach_stdout_as_they_are(folder: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    (folder / "0.png").rename(folder / name)
    done = subprocess.run(command(".", "--batch-size", "2"), capture_output=True)
    assert done.returncode == 0
    assert b"caf\xe9.png\tbrightness 0\n" in done.stdout


def test_damaged_tiffs_are_told_in_capcli_s_words_only(folder: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "bad.tif", compression="tiff_lzw")
    content = bytearray((folder / "bad.tif").read_bytes())
    content[100:400] = b"\xff" * 300
    (folder / "bad.tif").write_bytes(content)
    done = subprocess.run(command("0.png", "bad.tif"), capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == "0.png\tbrightness 0\n"
    error, summary = done.stderr.splitlines()
    assert error.startswith("capcli: bad.tif: is damaged")
    assert "failed 1" in summary


@pytest.mark.skipif(sys.platform == "win32", reason="pipes end otherwise there")
def test_a_reader_that_has_enough_ends_it_quietly(folder: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command("."), stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")
