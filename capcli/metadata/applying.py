"""Captions written where they are asked for, picture by picture."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from capcli.errors import CapcliError, UnreadableImage, system_reason
from capcli.library.statuses import CHECKED, STATUSES
from capcli.metadata.described import Described
from capcli.metadata.embedding import NotWritten
from capcli.metadata.exiftool import ExifToolError
from capcli.metadata.journal import Journal
from capcli.metadata.options import ApplyOptions
from capcli.metadata.places import Outcome, Place, require_file
from capcli.output.xmp import xml_text
from capcli.pictures.facts import Facts
from capcli.pictures.read import has_pixels
from capcli.runs.observer import Observer


def apply_captions(
    described: Sequence[Described],
    options: ApplyOptions,
    place: Place,
    compose: Callable[[Described], str],
    *,
    observer: Observer,
    wrote: Callable[[Path, str], None],
    journal: Journal | None = None,
) -> Counter[Outcome]:
    """Write the caption of every picture that qualifies.

    A picture that cannot be written is left as it is and reported, and the rest goes on.

    Args:
        described: the pictures.
        options: which of them qualify, and what mark stands behind their texts.
        place: where texts go.
        compose: what a picture is to say; it may raise NotWritten or ExifToolError.
        observer: hears of failures, and may end the run.
        wrote: hears the path and the text of each that was written.
        journal: knows into which pictures capcli has written, so that these do not count as changed.

    Returns:
        how many pictures came to which end.

    Raises:
        CapcliError: nothing more can be written.
    """
    tally: Counter[Outcome] = Counter()
    with observer.interruptible() as interrupt, observer.progress(len(described)) as progress:
        for picture in described:
            if interrupt.is_set():
                break
            text, reason = "", None
            outcome: Outcome | None
            try:
                outcome = _hindrance(picture, options)
                if outcome is None:
                    _require_unchanged(picture, journal)
                    text = _finish(compose(picture), options.mark)
                    outcome = place.write(picture.path, text, picture.keywords)
            except (NotWritten, ExifToolError) as error:
                outcome, reason = Outcome.FAILED, str(error)
            except OSError as error:
                raise CapcliError(f"{picture.path}: {system_reason(error)}; run the command again to go on") from None
            tally[outcome] += 1
            with progress.lifted(1):
                if reason is not None:
                    observer.warn(f"{picture.path}: {reason}")
                if outcome is Outcome.WRITTEN:
                    wrote(picture.path, text)
    return tally


def _hindrance(picture: Described, options: ApplyOptions) -> Outcome | None:
    """Why a caption is not to be written, None where it is; no confidence counts where a person has checked it."""
    if picture.status in CHECKED:
        return None
    if picture.status in STATUSES:
        return Outcome.REFUSED
    if options.only_reviewed:
        return Outcome.NOT_REVIEWED
    if picture.uncertain or (options.min_confidence and (picture.confidence or 0.0) < options.min_confidence):
        return Outcome.UNCERTAIN
    return None


def _require_unchanged(picture: Described, journal: Journal | None) -> None:
    """Raises NotWritten where the file is not there, or shows something else than when it was captioned."""
    state = require_file(picture.path)
    change = _change(picture, state, journal)
    if change is not None and not (picture.facts is not None and _shows(picture.path, picture.facts)):
        raise NotWritten(f"was changed since it was captioned ({change})")


def _change(picture: Described, state: os.stat_result, journal: Journal | None) -> str | None:
    """How a file is not as its row has it, but for what capcli wrote into it; None where it is."""
    if picture.size not in (None, state.st_size):
        written = journal is not None and picture.size in journal.former_sizes(Path(os.path.realpath(picture.path)))
        if not written:
            return f"{picture.size:,} bytes then, {state.st_size:,} now"
    # A table may hold whole seconds alone.
    if picture.modified is not None and abs(state.st_mtime - picture.modified) >= 1:
        then, now = (
            datetime.fromtimestamp(time).isoformat(" ", "seconds") for time in (picture.modified, state.st_mtime)
        )
        return f"last change {then} then, {now} now"
    return None


def _shows(picture: Path, facts: Facts) -> bool:
    try:
        return has_pixels(picture, facts)
    except UnreadableImage as error:
        raise NotWritten(error.reason) from None


def _finish(text: str, mark: str) -> str:
    """A text with the mark behind it, unless it ends so, in characters that metadata hold."""
    text = text if not mark or text.endswith(mark) else f"{text} {mark}"
    return xml_text(text.replace("\r\n", "\n").replace("\r", "\n")).strip()
