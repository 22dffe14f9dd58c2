"""What is written is read back by FFmpeg's parsers, which know nothing of capcli."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capcli.caption import Caption
from capcli.errors import UsageError
from capcli.video.cues import Cue
from capcli.video.formats import FORMATS, About, clock, find_format
from capcli.video.writing import CueWriter

ABOUT = About(Path("film.mp4"), 90.5, "base")
HARD = "a <i>b</i> & c --> d; {\\an8} 5 > 4 \\N &amp; </c> NOTE"


def cue(start: float, end: float, text: str, *, uncertain: bool = False) -> Cue:
    return Cue(start, end, Caption(text, (), 0.25, uncertain=uncertain))


def written(name: str, *cues: Cue, about: About = ABOUT) -> str:
    parts: list[bytes] = []
    writer = CueWriter(parts.append, find_format(name), about)
    for entry in cues:
        writer.write(entry)
    writer.finish()
    return b"".join(parts).decode()


def parsed(content: str, ending: str) -> list[tuple[float, float, str]]:
    """Start, end and text of each cue, as FFmpeg understands the file."""
    av = pytest.importorskip("av")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"captions.{ending}"
        path.write_text(content, encoding="utf-8")
        found = []
        with av.open(str(path)) as container:
            for packet in container.demux(container.streams.subtitles[0]):
                for subtitle in packet.decode() if packet.size else ():
                    text = subtitle.dialogue.decode()
                    start = float(packet.pts * packet.time_base)
                    found.append((start, start + float(packet.duration * packet.time_base), text))
        return found


@pytest.mark.parametrize("name", ["vtt", "srt"])
def test_players_read_times_and_texts(name: str) -> None:
    cues = [cue(0, 2.04, "A dog runs."), cue(2.04, 3600, "Zwei Hunde: größer."), cue(3600, 360_000.001, "A cat.")]
    assert parsed(written(name, *cues), name) == [
        (pytest.approx(entry.start), pytest.approx(entry.end), entry.caption.text) for entry in cues
    ]


def test_no_letter_of_a_caption_means_anything_to_webvtt() -> None:
    content = written("vtt", cue(0, 1, HARD), cue(1, 2, "two\n\nlines\t\x1b[31m\u2028"))
    assert "-->" not in content.replace(" --> ", "", 2)
    assert "<i>" not in content
    (_, _, hard), _ = parsed(content, "vtt")
    assert hard.startswith("a <i>b</i> & c --> d; ")
    assert "\x1b" not in content


@settings(max_examples=30)
@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=20), min_size=1, max_size=5))
def test_whatever_captions_say_there_are_as_many_cues(texts: list[str]) -> None:
    cues = [cue(2 * number, 2 * number + 2, f"x {text} x") for number, text in enumerate(texts)]
    for name in ("vtt", "srt"):
        assert [start for start, *_ in parsed(written(name, *cues), name)] == [entry.start for entry in cues]


def test_an_object_a_line_is_the_row_of_a_photograph_with_times() -> None:
    row = json.loads(written("jsonl", cue(1.23456, 4, HARD, uncertain=True)))
    assert row == {
        "path": "film.mp4",
        "start": 1.235,
        "end": 4.0,
        "caption": HARD,
        "captions": [HARD],
        "confidence": 0.25,
        "model": "base",
        "uncertain": True,
    }


def test_lines_have_the_time_and_the_caption() -> None:
    text = written("text", cue(0, 2, "A dog runs."), cue(3723.5, 4000, "A cat.", uncertain=True))
    assert text == "00:00:00.000\tA dog runs.\n01:02:03.500\t[uncertain] A cat.\n"


def test_the_draft_of_a_description_says_how_much_can_be_spoken() -> None:
    text = written("description", cue(0, 3, "A dog runs on the grass."), cue(3, 4.5, "A man is on a horse."))
    head, first, second = text.rstrip("\n").split("\n\n")
    assert head.startswith("Audio description of film.mp4, 00:01:30.500: a draft\n")
    assert "A person has to check every sentence." in head
    assert first == "00:00:00.000  3.0 s, room for 8 words\nA dog runs on the grass."
    assert second == "00:00:03.000  1.5 s, room for 4 words; 2 too many\nA man is on a horse."


@pytest.mark.parametrize("name", ["vtt", "srt", "description"])
def test_nobody_is_told_what_capcli_itself_is_not_sure_of(name: str) -> None:
    content = written(name, cue(0, 2, "Surely."), cue(2, 4, "Perhaps.", uncertain=True), cue(4, 6, "Again."))
    assert "Perhaps" not in content
    assert "Surely" in content
    assert "Again" in content
    assert name != "srt" or (content.startswith("1\n") and "\n2\n" in content)


def test_a_film_without_a_sure_caption_is_a_whole_file_all_the_same() -> None:
    assert written("vtt", cue(0, 2, "Perhaps.", uncertain=True)).startswith("WEBVTT\n\nNOTE ")
    assert written("vtt").startswith("WEBVTT\n")


def test_other_formats_are_refused() -> None:
    with pytest.raises(UsageError, match="a film is written as text, jsonl, vtt, srt, description, not as csv"):
        find_format("csv")
    assert set(FORMATS) == {"text", "jsonl", "vtt", "srt", "description"}


@given(st.integers(0, 10**9))
def test_a_clock_has_every_millisecond(milliseconds: int) -> None:
    hours, minutes, seconds = clock(milliseconds / 1000).split(":")
    assert round(1000 * (3600 * int(hours) + 60 * int(minutes) + float(seconds))) == milliseconds
    assert (len(minutes), len(seconds)) == (2, 6)
