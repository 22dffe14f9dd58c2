"""What people try because other commands have it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_captioner import FakeCaptioner
from PIL import Image
from typer.testing import CliRunner, Result

from capcli.cli import app


def run(*arguments: str, fake: FakeCaptioner | None = None) -> Result:
    return CliRunner().invoke(app, arguments, obj=fake and fake.load, env={"COLUMNS": "80"})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for i in range(3):
        Image.new("RGB", (9, 9), (i, i, i)).save(tmp_path / f"{i}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["0.png"], "0.png is no command; this captions it: capcli caption 0.png"),
        (
            ["gone.JPG", "--beam-size", "5"],
            "gone.JPG is no command; this captions it: capcli caption gone.JPG --beam-size 5",
        ),
        (["two words"], "two words is no command; this captions it: capcli caption 'two words'"),
        (["file:///a.jpg"], "file:///a.jpg is no command; this captions it: capcli caption file:///a.jpg"),
        (["captoin", "0.png"], "No such command 'captoin'. Did you mean 'caption'?"),
    ],
)
def test_a_picture_in_the_place_of_a_command_is_told_its_command(
    folder: Path, arguments: list[str], message: str
) -> None:
    (folder / "two words").mkdir()
    result = run(*arguments)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"capcli: error: {message}\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["caption", "0.png", "-f", "jsonl"], "No such option: -f; capcli caption --help shows what there is"),
        (
            ["caption", "--fromat", "jsonl"],
            "No such option: --fromat (Possible options: --format, --from-file, --prompt)",
        ),
        (["models", "show"], "Missing argument 'MODEL'; capcli models show --help shows what there is"),
        (["score"], "Missing argument 'CAPTIONS'; capcli score --help shows what there is"),
        (["--quite"], "No such option: --quite; capcli --help shows what there is"),
    ],
)
def test_who_asks_for_what_is_not_there_is_told_where_to_look(folder: Path, arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"capcli: error: {message}\n")


def test_a_command_goes_before_a_file_of_its_name(folder: Path) -> None:
    (folder / "models").write_text("")
    assert run("models", "list").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["caption", "0.png", "-o", "a.csv", "--output", "b.csv"], "--output is given 2 times, and takes one value"),
        (["caption", "0.png", *["--beam-size", "3"] * 3], "--beam-size is given 3 times, and takes one value"),
        (
            ["library", "export", "a.db", "--format", "csv", "--format", "tsv"],
            "--format is given 2 times, and takes one value",
        ),
    ],
)
def test_a_second_value_never_replaces_the_first_in_silence(folder: Path, arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"capcli: error: {message}\n")


def test_what_may_be_said_twice_may(folder: Path) -> None:
    assert run("models", "list", "--json", "--json").exit_code == 0


@pytest.mark.parametrize("command", [[], ["caption"], ["models"], ["models", "compare"]])
def test_help_is_a_command_too(command: list[str]) -> None:
    shown = run("help", *command)
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout == run(*command, "--help").stdout == run(*command, "-h").stdout
    assert shown.stdout.startswith(f"Usage: {' '.join(['root', *command])} [OPTIONS]")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["captoin"], "has no command captoin; did you mean caption?"),
        (["xyzzy"], "has no command xyzzy; there are caption, attend, merge, search, duplicates, review, apply, "),
        (["models", "sow"], "models has no command sow; did you mean show?"),
        (["caption", "more"], "caption has no command more; leave it out"),
    ],
)
def test_help_for_what_is_not_there_says_what_is(names: list[str], message: str) -> None:
    result = run("help", *names)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_no_command_at_all_shows_the_help() -> None:
    result = run()
    assert result.exit_code == 2
    assert result.stderr.startswith("Usage: ")
    assert "caption     Caption photographs" in result.stderr


def test_common_options_come_first_and_the_rest_by_groups() -> None:
    lines = run("caption", "--help").stdout.splitlines()
    headings = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert headings == [
        *("Arguments:", "Options:", "Pictures:", "Output:", "Several machines:", "Choice of words:", "Model:"),
        "Films:",
    ]
    common = lines[lines.index("Options:") : lines.index("Pictures:")]
    for name in ("-r, --recursive", "-o, --output FILE", "--format FORMAT", "--resume", "--model MODEL"):
        assert any(name in line for line in common), name
    assert len(common) < 25
    assert len(lines) <= 124
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    "command", ["caption", "attend", "eval", "score", "compare", "faithfulness", "train", "compress"]
)
def test_a_flag_has_no_value_in_the_help(command: str) -> None:
    shown = run(command, "--help").stdout
    assert "<bool>" not in shown and "BOOLEAN" not in shown
    (line,) = (line for line in shown.splitlines() if "--quiet" in line)
    assert line.startswith("  -q, --quiet  ")


@pytest.mark.parametrize("form", ["JSON", "Json", "json"])
def test_choices_may_be_written_in_capitals(folder: Path, form: str) -> None:
    fake = FakeCaptioner()
    result = run("caption", "0.png", "--format", form, "--sidecar", "TXT", fake=fake)
    assert result.exit_code == 0
    assert result.stdout.startswith("[\n{")
    assert Path("0.txt").read_text() == "brightness 0\n"


def test_quiet_says_nothing_but_what_goes_wrong(folder: Path) -> None:
    fake = FakeCaptioner()
    assert "captioned 3" in run("caption", ".", fake=fake).stderr
    quiet = run("caption", ".", "--quiet", fake=fake)
    assert (quiet.exit_code, quiet.stderr) == (0, "")
    assert quiet.stdout.count("\n") == 3
    Path("1.png").write_bytes(b"")
    quiet = run("caption", ".", "-q", fake=fake)
    assert (quiet.exit_code, quiet.stderr) == (1, "capcli: 1.png: is empty (0 bytes)\n")
    assert run("caption", "gone.png", "-q").stderr == "capcli: error: no such file or folder: gone.png\n"
    # It is not remembered.
    assert "captioned 2" in run("caption", ".", fake=fake).stderr


def test_quiet_evaluation_prints_figures_alone(folder: Path) -> None:
    Path("r.csv").write_text("image,caption\n" + "".join(f"{i}.png,brightness {i}\n" for i in range(3)))
    result = run("eval", "r.csv", "--no-java", "--bootstrap-samples", "100", "-q", fake=FakeCaptioner())
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("base on r, 3 images\n")


@pytest.mark.skipif(sys.platform == "win32", reason="bash is rare there")
def test_completion_offers_commands_and_choices() -> None:
    def offered(line: str) -> list[str]:
        words = line.split(" ")
        variables = {"_CAPCLI_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
        command = [sys.executable, "-c", "from capcli.cli import main; main()"]
        done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=True)
        return done.stdout.split()

    assert offered("capcli com") == ["compare", "compress"]
    assert offered("capcli caption --format js") == ["json", "jsonl"]
    assert "--install-completion" in run("--help").stdout and "--show-completion" in run("--help").stdout
