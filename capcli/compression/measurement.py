"""Several models side by side: what they say of themselves, how fast they are, and how good on the same pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from capcli.catalogue.facts import Facts
from capcli.compression.options import MeasureOptions
from capcli.errors import UnreadableImage, UsageError
from capcli.evaluation.dataset_captions import caption_references
from capcli.evaluation.options import ComparingOptions
from capcli.evaluation.provenance import machine
from capcli.evaluation.references import References, dataset_references, read_references
from capcli.model.options import ModelOptions
from capcli.modelfile.header import read_header
from capcli.runs.observer import Observer
from capcli.runs.session import Session
from capcli.words.counting import count_of

if TYPE_CHECKING:
    from capcli.arrays import UInt8Array
    from capcli.captioner import Captioner
    from capcli.evaluation.comparison import Comparison
    from capcli.speed.in_memory import Speed

PICTURES = 32
"""Most pictures that speed is measured on."""

_KEPT = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr-D")


@dataclass(frozen=True)
class Measured:
    """Models side by side; everything else is relative to the first.

    Attributes:
        facts: what they say of themselves.
        speed: how fast they are.
        timed_on: what pictures that was measured on, for people.
        comparisons: of the first one's captions with those of each other; empty where no data set was given.
        notes: what a reader of the figures must know, a line each.
        unreadable: how many of the data set's pictures could not be captioned and are not scored.
    """

    facts: tuple[Facts, ...]
    speed: Speed
    timed_on: str
    comparisons: tuple[Comparison, ...] = ()
    notes: tuple[str, ...] = field(default=())
    unreadable: int = 0

    def reread(self) -> Measured:
        """The same with what the files say of themselves by now."""
        return replace(self, facts=tuple(Facts.read(facts.label, facts.file) for facts in self.facts))

    def to_json(self) -> dict[str, object]:
        """All of it as plain values; the first model has no `against_the_first`."""
        models = [{**facts.to_json(), "speed": self.speed.to_json(place)} for place, facts in enumerate(self.facts)]
        for model, comparison in zip(models[1:], self.comparisons, strict=False):
            model["against_the_first"] = comparison.to_json()
        return {"models": models, "timed_on": self.timed_on, "notes": list(self.notes), "machine": machine()}


def find_references(measuring: MeasureOptions, models: Sequence[Path]) -> References | None:
    """The pictures to score on that none of the models was trained on, unless the options name a split.

    Raises:
        DatasetError: for a data set that cannot be read or lacks pictures.
        UsageError: if there is no such split; ModelError if a model's header cannot be read.
    """
    data, split = measuring.data, measuring.split
    if data is None:
        return None
    if split is None:
        splits = {item.split for item in read_references(data, "all").items}
        split = "dev" if "dev" in splits else "held-out"
        if splits == {"test"}:
            raise UsageError(f"{data}: has no pictures but test ones; --split test takes them")
    if split != "held-out":
        return dataset_references(data, split)
    # What is below the least share is left out by all of them, as the hash of a name decides.
    share = min(read_header(model).held_out for model in models)
    if not share:
        raise UsageError(f"{data}: has no dev split, and no pictures that training held out are known; name a --split")
    return dataset_references(data, "all").held_out(share)


def timed_pictures(path: Path | None) -> list[Path] | None:
    """Pictures to take the time on: at most `PICTURES` of those that `path` is or holds; None for made ones.

    Raises:
        UsageError: if there are none, or none of them can be read.
    """
    if path is None:
        return None
    from capcli.pictures.find import find_pictures
    from capcli.pictures.read import read_picture

    pictures = find_pictures([path]).pictures[:PICTURES]
    refused = []
    for picture in pictures:
        try:
            read_picture(picture)
            return pictures
        except UnreadableImage as error:
            refused.append(str(error))
    raise _unreadable(refused)


def measure_models(
    models: Mapping[str, Path],
    measuring: MeasureOptions,
    references: References | None,
    pictures: Sequence[Path] | None = None,
    *,
    observer: Observer | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Measured:
    """Measures models.

    Args:
        models: files by what the user calls them, at least two.
        measuring: where and how many pictures at once.
        references: as `references_of` gives them; None leaves the scores out.
        pictures: to take the time on; by default made ones.
        observer: hears of each model's run over the pictures of the references.
        progress: of taking the time.

    Raises:
        UsageError: for a model that cannot be used, and if none of `pictures` can be read.
        CapcliError: if memory or disk is full.
    """
    # A file that is no model is reported before torch takes its seconds.
    facts = tuple(Facts.read(label, file) for label, file in models.items())

    from capcli.captioner import Captioner
    from capcli.speed.in_memory import measure

    captioners = [Captioner.of_file(file, measuring.device) for file in models.values()]
    prepared, timed_on, refused = _prepared(captioners, pictures)
    speed = measure(captioners, prepared, measuring.batch_size, progress=progress)
    del captioners, prepared
    if references is None:
        return Measured(facts, speed, timed_on, notes=refused)

    from capcli.evaluation.comparison import compare

    predictions = []
    for file in models.values():
        model = ModelOptions(model=str(file), device=measuring.device, batch_size=measuring.batch_size)
        with Session(model, observer=observer) as session:
            captioned = caption_references(references, session)
            session.observer.conclude(captioned.tally, session.captioner.name)
        predictions.append(captioned.predictions)
    first = next(iter(models))
    comparisons = tuple(
        compare(
            references,
            predictions[0],
            other,
            ComparingOptions(no_java=True),
            allow_missing=True,
            settings={"compare": (first, label)},
        )
        for label, other in zip(list(models)[1:], predictions[1:], strict=True)
    )
    notes = [*refused, *references.notes, *(note for comparison in comparisons for note in comparison.notes)]
    unreadable = sum(prediction.error is not None for prediction in predictions[0])
    return Measured(facts, speed, timed_on, comparisons, tuple(dict.fromkeys(notes)), unreadable)


def scores_of(measured: Measured) -> dict[str, dict[str, float]]:
    """The scores of the second model, as model files hold them: by data set and split, then by metric."""
    (comparison,) = measured.comparisons
    references = comparison.references
    name = " ".join(part for part in (references.name, references.split) if part)
    figures = {
        key: round(difference.b, 4) for key, difference in comparison.differences.metrics.items() if key in _KEPT
    }
    return {name: {"images": len(comparison.b.pairs), **figures}}


def _unreadable(refused: Sequence[str]) -> UsageError:
    return UsageError(f"no picture to take the time on can be read: {refused[0]}")


def _prepared(
    captioners: Sequence[Captioner], pictures: Sequence[Path] | None
) -> tuple[list[UInt8Array], str, tuple[str, ...]]:
    """The pictures as each model takes them, what they are, for people, and a line for each that cannot be read."""
    import numpy as np

    from capcli.speed.made_pictures import made_pictures

    rows, refused = [], []
    for picture in made_pictures(PICTURES) if pictures is None else pictures:
        try:
            rows.append([captioner.prepare(picture) for captioner in captioners])
        except UnreadableImage as error:
            refused.append(str(error))
    if not rows:
        raise _unreadable(refused)
    timed_on = count_of(len(rows), "photograph")
    if pictures is None:
        timed_on = f"{len(rows)} made pictures (--pictures PATH takes photographs)"
    return [np.stack(column) for column in zip(*rows, strict=True)], timed_on, tuple(refused)
