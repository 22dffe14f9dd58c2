"""`capcli caption FILM` and `capcli live` around a stand-in for the model."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from fake_captioner import FakeCaptioner
from PIL import Image
from typer.testing import CliRunner, Result

pytest.importorskip("av")

from made_films import grey, write_film, write_sound

from capcli.cli import app

LEVELS = [40] * 30 + [220] * 30 + [40] * 15
"""Of a film of seven and a half seconds, in which a scene begins each third second."""


def run(fake: FakeCaptioner, *arguments: str, **extra: Any) -> Result:
    return CliRunner().invoke(app, arguments, obj=fake.load, **extra)


@pytest.fixture
def film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_film(Path("film.mp4"), map(grey, LEVELS))


def test_a_film_is_captioned_where_its_scene_changes(fake: FakeCaptioner, film: Path) -> None:
    result = run(fake, "caption", "film.mp4", "--every", "1")
    assert result.stdout == ("00:00:00.000\tbrightness 40\n00:00:03.000\tbrightness 220\n00:00:06.000\tbrightness 40\n")
    assert result.exit_code == 0
    assert result.stderr.startswith("capcli: captioned 3 scenes in 00:00:07.500, looked at 8 frames, ")
    assert fake.captioned == 3


def test_equal_captions_one_after_another_are_one(fake: FakeCaptioner, film: Path) -> None:
    result = run(fake, "caption", "film.mp4", "--every", "1", "--scene-change", "0", "--format", "jsonl")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(row["start"], row["end"], row["caption"]) for row in rows] == [
        (0, 3, "brightness 40"),
        (3, 6, "brightness 220"),
        (6, 7.5, "brightness 40"),
    ]
    assert fake.captioned == 8


def test_the_ending_of_the_output_decides_and_nothing_is_lost(fake: FakeCaptioner, film: Path) -> None:
    assert run(fake, "caption", "film.mp4", "-o", "film.vtt", "-q").stderr == ""
    content = Path("film.vtt").read_text()
    assert content.startswith("WEBVTT\n")
    refused = run(fake, "caption", "film.mp4", "-o", "film.vtt")
    assert (refused.exit_code, len(refused.stderr.splitlines())) == (2, 1)
    assert "film.vtt exists; --overwrite" in refused.stderr
    assert run(fake, "caption", "film.mp4", "-o", "film.vtt", "--overwrite", "--every", "7").exit_code == 0
    assert Path("film.vtt").read_text() != content
    assert run(fake, "caption", "film.mp4", "-o", "film.srt").exit_code == 0
    assert Path("film.srt").read_text().startswith("1\n00:00:00,000 --> ")
    assert sorted(path.name for path in Path().iterdir()) == ["film.mp4", "film.srt", "film.vtt"]


def test_uncertain_captions_are_not_shown_as_subtitles(fake: FakeCaptioner, film: Path) -> None:
    result = run(fake, "caption", "film.mp4", "--format", "vtt", "--min-confidence", "0.9")
    assert "brightness" not in result.stdout
    assert "left out 3 captions below the least confidence" in result.stderr
    assert "[uncertain] brightness 40" in run(fake, "caption", "film.mp4", "--min-confidence", "0.9").stdout


def test_further_captions_are_in_rows_alone_and_a_line_says_so(fake: FakeCaptioner, film: Path) -> None:
    asked = ("caption", "film.mp4", "--num-captions", "2", "--quiet")
    note = "capcli: the best caption of each scene is written, the others are not; --format jsonl has all\n"
    for form, line in (("text", note), ("vtt", note), ("jsonl", "")):
        assert run(fake, *asked, "--format", form).stderr == line


def test_a_film_is_known_by_its_first_bytes(fake: FakeCaptioner, film: Path) -> None:
    film.rename("holiday")
    assert "brightness 220" in run(fake, "caption", "holiday").stdout
    write_film(Path("recording.ts"), map(grey, LEVELS))
    assert "brightness 220" in run(fake, "caption", "recording.ts").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("film.mp4", "--sidecar", "txt"), "--sidecar is of photographs"),
        (("film.mp4", "--keywords", "3"), "--keywords is of photographs"),
        (("film.mp4", "-o", "out.jsonl", "--resume"), "a film is captioned as a whole: leave --resume out"),
        (("film.mp4", "--format", "csv"), "a film is written as text, jsonl, vtt, srt, description, not as csv"),
        (("film.mp4", "-o", "film.mp4", "--overwrite"), "film.mp4 has the name of a film"),
        (("photo.png", "--every", "1"), "--every is of films; name one film alone"),
        (("photo.png", "--format", "vtt"), "vtt is a format of films; name one film alone"),
        (("film.mp4", "photo.png", "--scene-change", "1"), "--scene-change is of films; name one film alone"),
        (("film.mp4", "--every", "0"), "every"),
    ],
)
def test_what_does_not_fit_is_one_line(
    fake: FakeCaptioner, film: Path, arguments: tuple[str, ...], message: str
) -> None:
    Image.new("RGB", (9, 9)).save("photo.png")
    result = run(fake, "caption", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not fake.captioned


def test_films_among_photographs_are_counted_and_the_line_says_what_to_do(fake: FakeCaptioner, film: Path) -> None:
    Image.new("RGB", (9, 9)).save("photo.png")
    result = run(fake, "caption", ".")
    assert (result.exit_code, result.stdout) == (0, "photo.png\tbrightness 0\n")
    assert "left out 1 .mp4 (videos: caption them one by one, as in capcli caption film.mp4)" in result.stderr
    result = run(fake, "caption", "film.mp4", "photo.png")
    assert (result.exit_code, result.stdout) == (1, "photo.png\tbrightness 0\n")
    assert "film.mp4: is not a picture capcli can read (videos: caption them one by one" in result.stderr


def test_a_film_that_cannot_be_captioned_is_one_line_and_no_file(fake: FakeCaptioner, film: Path) -> None:
    film.write_bytes(film.read_bytes()[:500])
    write_sound(Path("song.mp4"), 1)
    for name in ("film.mp4", "song.mp4"):
        result = run(fake, "caption", name, "-o", "out.vtt")
        assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (1, "", 1)
        assert result.stderr.startswith(f"capcli: error: {name}: ")
    assert not Path("out.vtt").exists()
    assert not fake.loaded


def test_what_is_left_of_a_broken_film_is_captioned_and_the_exit_code_says_so(fake: FakeCaptioner, film: Path) -> None:
    write_film(Path("film.mkv"), map(grey, LEVELS))
    whole = Path("film.mkv").read_bytes()
    Path("film.mkv").write_bytes(whole[: len(whole) * 2 // 3])
    result = run(fake, "caption", "film.mkv", "-o", "film.vtt")
    assert result.exit_code == 1
    assert "of 7.5 seconds; the rest is missing or damaged" in result.stderr
    assert "brightness 40" in Path("film.vtt").read_text()


def test_without_pyav_one_line_says_what_to_install(
    fake: FakeCaptioner, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    for arguments in (["caption", "film.mp4"], ["live"]):
        result = run(fake, *arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == 'capcli: error: films and cameras need PyAV: pip install "capcli[video]"\n'


def test_what_plays_is_told_in_lines_where_there_is_no_terminal(fake: FakeCaptioner, film: Path) -> None:
    short = write_film(Path("short.mp4"), map(grey, [40] * 10 + [220] * 2))
    result = run(fake, "live", "--camera", str(short), "--every", "0")
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert [text for _, text, _ in rows] == ["brightness 40", "brightness 220"]
    assert "00:00:00.000" <= rows[0][0] < "00:00:01.000" <= rows[1][0] <= "00:00:01.100"
    assert all(delay.endswith(" ms") for *_, delay in rows)
    assert result.exit_code == 0
    assert "captioned 2, delay " in result.stderr


def test_a_camera_that_is_not_there_is_told_before_the_model_is_loaded(fake: FakeCaptioner) -> None:
    result = run(fake, "live", "--camera", "/dev/video77")
    assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (2, "", 1)
    assert run(fake, "live", "--open").stderr == "capcli: error: --open opens the page in the browser: add --page\n"
    message = "capcli: error: --port is where the page is served: add --page\n"
    assert run(fake, "live", "--port", "8766").stderr == message
    assert not fake.loaded
