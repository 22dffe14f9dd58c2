"""What `attend` makes of pictures: one definition for the command line and the API."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from capcli.attribution.methods import DEFAULT_METHOD, METHODS
from capcli.errors import UsageError
from capcli.options import check, option

KINDS = ("grid", "overlays", "html", "gif", "webp", "npz", "json")
"""What files can hold: pictures, pages, animations, and the raw weights."""


@dataclass(frozen=True)
class AttendOptions:
    """What is drawn, of which words, and where it goes.

    Raises:
        UsageError: for a value of another type, an unknown kind or method, a sentence or words that are none, and for
            options that contradict each other.
    """

    output: Path | None = option(
        None,
        "Folder to write into, with the folders below the deepest one that holds all PATHs.",
        flag="-o",
        metavar="DIR",
    )
    as_: str = option("grid", "What to make of each picture.", choices=KINDS, metavar="KIND")
    terminal: bool = option(False, "Draw in the terminal, to stdout, instead of writing files.")
    words: str | None = option(None, "Draw these words only, such as dog,ball.", metavar="WORD,...")
    caption: str | None = option(
        None, "Show where a sentence of your own looks instead of captioning.", metavar="SENTENCE"
    )
    method: str | None = option(
        None,
        f"How maps are made; by default {DEFAULT_METHOD}; see `capcli faithfulness`.",
        choices=METHODS,
        metavar="METHOD",
    )
    overwrite: bool = option(False, "Replace drawings that are there.")
    resume: bool = option(False, "Skip pictures whose drawings are there.")
    resume_anyway: bool = option(False, "Resume even if another model or other options made the drawings.")

    def __post_init__(self) -> None:
        check(self)
        if self.terminal and (self.output or self.as_ != "grid" or self.overwrite):
            raise UsageError("--terminal draws to stdout and writes no files; leave it or -o, --as, --overwrite out")
        if self.resumes and not self.output:
            raise UsageError("--resume needs -o DIR, where the files so far are")
        if self.overwrite and self.resumes:
            raise UsageError("--overwrite and --resume contradict each other")
        if self.output is not None and str(self.output) == "-":
            raise UsageError("-o takes a folder; --terminal draws to stdout")
        if self.words is not None and not self.chosen:
            raise UsageError("--words names no words; give some, such as --words dog,ball")
        if self.caption is not None:
            _check_sentence(self.caption)

    @property
    def resumes(self) -> bool:
        """Whether drawings that are there count."""
        return self.resume or self.resume_anyway

    @property
    def chosen(self) -> frozenset[str]:
        """The words to draw, as the model spells them; empty for all."""
        from capcli.words.tokens import tokenize

        return frozenset(tokenize((self.words or "").replace(",", " ")))


def _check_sentence(text: str) -> None:
    from capcli.words.tokens import tokenize

    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError("--caption is no text in this terminal's encoding; type it anew") from None
    if not tokenize(text):
        raise UsageError(f"the caption {text!r} has no words; give some, such as 'a dog runs'")
