"""What a captioned film is written as: WebVTT, SRT, JSON lines, lines of text, the draft of an audio description.

WebVTT is by the W3C's "WebVTT: The Web Video Text Tracks Format"; SRT has no standard and is written as SubRip did.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from capcli.errors import UsageError
from capcli.files.json import dumps
from capcli.files.names import escape, printable
from capcli.files.text_row import UNCERTAIN
from capcli.output import Result
from capcli.version import __version__
from capcli.video.cues import Cue

WORDS_A_MINUTE = 160
"""At which an audio description is spoken."""


@dataclass(frozen=True)
class About:
    """What a format may say of the whole: the film, its length in seconds if it is known, the model's name."""

    film: Path
    length: float | None
    model: str


class FilmFormat:
    """One way to write the cues of a film.

    Attributes:
        marks: whether captions below the least confidence that was asked for are written, and marked; else they are
            left out.
        has_alternatives: whether all captions of `num_captions` are written; else the best one is.
    """

    marks = True
    has_alternatives = False

    def begin(self, about: About) -> bytes:
        """What stands before the cues."""
        return b""

    def cue(self, number: int, cue: Cue, about: About) -> bytes:
        """A cue; `number` counts from 1 those that are written."""
        raise NotImplementedError


class Lines(FilmFormat):
    """A line for each cue: when it begins, a tab, and the caption."""

    def cue(self, number: int, cue: Cue, about: About) -> bytes:
        mark = UNCERTAIN if cue.caption.uncertain else ""
        return f"{clock(cue.start)}\t{mark}{one_line(cue.caption.text)}\n".encode(errors="replace")


class JsonLines(FilmFormat):
    """An object a line: the row of a photograph, with `start` and `end` in seconds behind the path."""

    has_alternatives = True

    def cue(self, number: int, cue: Cue, about: About) -> bytes:
        captions = (cue.caption, *cue.caption.alternatives)
        texts, confidences = (
            tuple(caption.text for caption in captions),
            tuple(caption.confidence for caption in captions),
        )
        row = Result(about.film, texts, confidences, about.model, cue.caption.uncertain).row()
        times = {"start": round(cue.start, 3), "end": round(cue.end, 3)}
        return dumps({"path": row.pop("path"), **times, **row}) + b"\n"


class WebVtt(FilmFormat):
    """WebVTT, for browsers and players; also as a track of the kind `descriptions`."""

    marks = False

    def begin(self, about: About) -> bytes:
        return f"WEBVTT\n\nNOTE {_vtt(_made_by(about))}\n\n".encode(errors="replace")

    def cue(self, number: int, cue: Cue, about: About) -> bytes:
        times = f"{clock(cue.start)} --> {clock(cue.end)}"
        return f"{times}\n{_vtt(one_line(cue.caption.text))}\n\n".encode(errors="replace")


class Srt(FilmFormat):
    """SubRip, which nearly every player reads."""

    marks = False

    def cue(self, number: int, cue: Cue, about: About) -> bytes:
        times = f"{clock(cue.start, ',')} --> {clock(cue.end, ',')}"
        # An arrow could begin a cue to a lenient reader; there is no way to escape it.
        text = one_line(cue.caption.text).replace("-->", "->")
        return f"{number}\n{times}\n{text}\n\n".encode(errors="replace")


class Description(FilmFormat):
    """The draft of an audio description: when to say what, and how much can be said before the next picture."""

    marks = False

    def begin(self, about: About) -> bytes:
        length = "" if about.length is None else f", {clock(about.length)}"
        return (
            f"Audio description of {escape(about.film.name)}{length}: a draft\n"
            f"{_made_by(about)}\n"
            "A time is when the picture appears. capcli hears nothing: move or drop what would cover speech.\n"
            f"There is room for so many words at {WORDS_A_MINUTE} words a minute.\n\n"
        ).encode(errors="replace")

    def cue(self, number: int, cue: Cue, about: About) -> bytes:
        text = one_line(cue.caption.text)
        room, words = int(cue.seconds * WORDS_A_MINUTE / 60), len(text.split())
        over = f"; {words - room} too many" if words > room else ""
        timing = f"{cue.seconds:.1f} s, room for {room:,} word{'' if room == 1 else 's'}{over}"
        return f"{clock(cue.start)}  {timing}\n{text}\n\n".encode(errors="replace")


FORMATS: Mapping[str, type[FilmFormat]] = {
    "text": Lines,
    "jsonl": JsonLines,
    "vtt": WebVtt,
    "srt": Srt,
    "description": Description,
}


def find_format(name: str) -> FilmFormat:
    """The format of a name; raises UsageError for one of photographs alone."""
    if name not in FORMATS:
        raise UsageError(f"a film is written as {', '.join(FORMATS)}, not as {name}; choose with --format")
    return FORMATS[name]()


def clock(seconds: float, point: str = ".") -> str:
    """A time as subtitles have it: hours of two digits or more, minutes, seconds and milliseconds."""
    whole = round(seconds * 1000)
    minutes, rest = divmod(whole, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}{point}{rest % 1000:03d}"


def one_line(text: str) -> str:
    """A text on one line, with nothing that steers a terminal; an empty line would end a cue."""
    return printable(" ".join(text.split()))


def _vtt(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _made_by(about: About) -> str:
    return f"Made by capcli {__version__}, model {one_line(about.model)}. A person has to check every sentence."
