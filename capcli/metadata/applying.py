"""Captions written where they are asked for, picture by picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from capcli.errors import CapcliError, system_reason
from capcli.library.statuses import CHECKED, STATUSES
from capcli.metadata.described import Described
from capcli.metadata.embedding import NotWritten
from capcli.metadata.exiftool import ExifToolError
from capcli.metadata.options import ApplyOptions
from capcli.metadata.places import Outcome, Place, require_file
from capcli.output.xmp import xml_text
from capcli.runs.observer import Observer


def apply_captions(
    described: Sequence[Described],
    options: ApplyOptions,
    place: Place,
    compose: Callable[[Described], str],
    *,
    observer: Observer,
    wrote: Callable[[Path, str], None],
) -> Counter[Outcome]:
    """Write the caption of every picture that qualifies.

    A picture that cannot be written is left as it is and told of, and the rest goes on.

    Args:
        described: the pictures.
        options: which of them qualify, and what mark stands behind their texts.
        place: where texts go.
        compose: what a picture is to say; it may raise NotWritten or ExifToolError.
        observer: hears of failures, and may end the run.
        wrote: hears the path and the text of each that was written.

    Returns:
        how many pictures came to which end.

    Raises:
        CapcliError: nothing more can be written.
    """
    tally: Counter[Outcome] = Counter()
    with observer.interruptible() as interrupt, observer.progress(len(described)) as progress:
        for one in described:
            if interrupt.is_set():
                break
            text, reason = "", None
            outcome: Outcome | None
            try:
                outcome = _hindrance(one, options)
                if outcome is None:
                    _require_unchanged(one)
                    text = _finish(compose(one), options.mark)
                    outcome = place.write(one.path, text, one.keywords)
            except (NotWritten, ExifToolError) as error:
                outcome, reason = Outcome.FAILED, str(error)
            except OSError as error:
                raise CapcliError(f"{one.path}: {system_reason(error)}; run the command again to go on") from None
            tally[outcome] += 1
            with progress.lifted(1):
                if reason is not None:
                    observer.warn(f"{one.path}: {reason}")
                if outcome is Outcome.WRITTEN:
                    wrote(one.path, text)
    return tally


def _hindrance(one: Described, options: ApplyOptions) -> Outcome | None:
    """Why a caption is not to be written, None where it is; no confidence counts where a person has checked it."""
    if one.status in CHECKED:
        return None
    if one.status in STATUSES:
        return Outcome.REFUSED
    if options.only_reviewed:
        return Outcome.NOT_REVIEWED
    if one.uncertain or (options.min_confidence and (one.confidence or 0.0) < options.min_confidence):
        return Outcome.UNCERTAIN
    return None


def _require_unchanged(one: Described) -> None:
    """Raises NotWritten where the file is not there, or is not as its row has it."""
    state = require_file(one.path)
    if one.size is not None and state.st_size != one.size:
        raise NotWritten(f"was changed since it was captioned ({one.size:,} bytes then, {state.st_size:,} now)")
    # A table may hold whole seconds alone.
    if one.modified is not None and abs(state.st_mtime - one.modified) >= 1:
        then, now = (datetime.fromtimestamp(time).isoformat(" ", "seconds") for time in (one.modified, state.st_mtime))
        raise NotWritten(f"was changed since it was captioned (last change {then} then, {now} now)")


def _finish(text: str, mark: str) -> str:
    """A text with the mark behind it, unless it ends so, in characters that metadata hold."""
    text = text if not mark or text.endswith(mark) else f"{text} {mark}"
    return xml_text(text.replace("\r\n", "\n").replace("\r", "\n")).strip()
