"""A report on what people said of captions, for people and programs alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from capcli.errors import UsageError
from capcli.evaluation.notes import few
from capcli.evaluation.options import ComparingOptions
from capcli.evaluation.pairing import match
from capcli.evaluation.people import (
    GRADED,
    Along,
    Caption,
    Gap,
    Mean,
    Opinions,
    Preference,
    Sampling,
    take_agreement,
    take_along,
    take_gaps,
    take_means,
    take_preferences,
)
from capcli.evaluation.predictions import Prediction
from capcli.evaluation.provenance import data_hash, machine, versions
from capcli.evaluation.references import References
from capcli.evaluation.report import LEVEL, scoring_arguments
from capcli.evaluation.scores import Score, score
from capcli.evaluation.systems import Systems
from capcli.files.csv import encode_record
from capcli.metrics.agreement import Agreement
from capcli.ratings.judgement import Judgement, Key
from capcli.words.counting import count_of

_DEFINITIONS = {
    "mean": "over the pictures, of each the mean over its raters",
    "interval": "95 %, percentiles of the bootstrap over pictures",
    "preference": "share of a: an answer for neither counts half; the mean over the pictures",
    "p": "two-sided, exact sign test over pictures; of a picture's raters the majority counts, and ties are left out",
    "alpha": "Krippendorff 2011; ordinal for adequacy and fluency, nominal for preference",
    "correlation": "of the metric of a caption with the mean over its raters; captions of equal text are one",
    "agrees": "share of pairs in which the metric is higher for the caption that most raters preferred; ties are half",
    "CIDEr-D": "document frequencies are those of the references of the rated pictures",
}


@dataclass(frozen=True)
class PeopleReport:
    """What people said of the captions of one or several systems.

    Attributes:
        systems: in the order of the report.
        raters: how many people.
        pictures: how many have a judgement.
        judgements: how many there are.
        means: of the systems.
        gaps: between every two of them.
        preferences: for one of every two of them.
        agreement: of raters, by scale.
        along: how metrics go along with people; empty without references.
        metrics: by name the values of captions.
        opinions: what it was all taken from.
        sampling: of the intervals.
        notes: what a reader must know, a line each.
        settings: what was chosen, as plain values.
        digest: hash of the judgements.
    """

    systems: tuple[str, ...]
    raters: int
    pictures: int
    judgements: int
    means: Sequence[Mean]
    gaps: Sequence[Gap]
    preferences: Sequence[Preference]
    agreement: Mapping[str, Agreement]
    along: Sequence[Along]
    metrics: Mapping[str, Mapping[Caption, float]]
    opinions: Opinions
    sampling: Sampling
    notes: Sequence[str]
    digest: str
    settings: Mapping[str, object] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Who judged what."""
        counts = ", ".join(
            (
                count_of(self.raters, "rater"),
                count_of(self.pictures, "picture"),
                count_of(self.judgements, "judgement"),
            )
        )
        return f"{' and '.join(self.systems)}: {counts}"

    @property
    def footnotes(self) -> list[str]:
        """How the figures are to be read, a line each."""
        notes = []
        if self.gaps or self.preferences:
            notes.append(f"p: {_DEFINITIONS['p']}")
        if self.along:
            notes += [f"tau, Spearman, Pearson: {_DEFINITIONS['correlation']}", f"agrees: {_DEFINITIONS['agrees']}"]
        return notes + [note.replace("images", "pictures") for note in few(self.pictures)]

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "systems": list(self.systems),
            "raters": self.raters,
            "pictures": self.pictures,
            "judgements": self.judgements,
            "means": [_plain(mean) for mean in self.means],
            "differences": [_plain(gap) for gap in self.gaps],
            "preferences": [_plain(preference) for preference in self.preferences],
            "agreement": {scale: asdict(agreement) for scale, agreement in self.agreement.items()},
            "metrics": [
                {**_plain(along), "scores": {name: _figure(value) for name, value in along.scores.items()}}
                for along in self.along
            ],
            "notes": [*self.notes, *few(self.pictures)],
            "definitions": _DEFINITIONS,
            "settings": dict(self.settings),
            "hashes": {"ratings_sha256": self.digest},
            "seeds": {"bootstrap": self.sampling.seed},
            "bootstrap": {"samples": self.sampling.samples, "level": LEVEL},
            "versions": versions("capcli", "numpy", "krippendorff"),
            "machine": machine(),
        }


def report_people(
    held: Mapping[Key, Judgement],
    scoring: ComparingOptions,
    *,
    source: Path,
    systems: Systems | None = None,
    references: References | None = None,
    allow_missing: bool = False,
    notes: Sequence[str] = (),
    settings: Mapping[str, object] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PeopleReport:
    """Takes all figures of the judgements that hold.

    Args:
        held: the judgements.
        scoring: how sure figures are.
        source: the file of ratings, for messages.
        systems: captions that the judgements must be about; by default those in the ratings.
        references: what metrics need; without them there are none.
        allow_missing: leave out pictures without references.
        notes: for the report.
        settings: for the report.
        progress: as in `capcli.evaluation.report.evaluate`.

    Raises:
        UsageError: no judgement is about the systems, or a picture has no references.
        CapcliError: Java fails.
    """
    judgements = list(held.values())
    all_notes = list(notes)
    if systems is None:
        names = tuple(sorted({name for judgement in judgements for group in judgement.systems for name in group}))
    else:
        names = systems.names
        judgements, more = _about(judgements, systems, source)
        all_notes += more
    opinions = Opinions.of(judgements, names)
    all_notes += _note_ambiguous(opinions, source)
    sampling = Sampling(scoring.bootstrap_samples, scoring.bootstrap_seed)
    metrics = _measure(opinions, references, scoring, source, allow_missing, all_notes, progress) if references else {}
    return PeopleReport(
        names,
        len({judgement.rater for judgement in judgements}),
        len({judgement.image for judgement in judgements}),
        len(judgements),
        take_means(opinions, sampling),
        take_gaps(opinions, sampling),
        take_preferences(opinions, sampling),
        take_agreement(judgements),
        take_along(opinions, metrics, sampling),
        metrics,
        opinions,
        sampling,
        all_notes,
        data_hash(map(_contents, judgements)),
        settings or {},
    )


def _contents(judgement: Judgement) -> tuple[str, list[object]]:
    """What `data_hash` takes of a judgement."""
    return judgement.image, [
        judgement.rater,
        judgement.scale,
        judgement.captions,
        judgement.systems,
        judgement.value,
    ]


def rated_csv(report: PeopleReport) -> bytes:
    """A row for every caption that somebody rated or compared: its systems, mean ratings, and metrics."""
    opinions = report.opinions
    systems: dict[Caption, list[str]] = {}
    for system, texts_by_image in opinions.captions.items():
        for image, texts in texts_by_image.items():
            for text in texts:
                systems.setdefault((image, text), []).append(system)
    rows: list[Sequence[object]] = [("image", "caption", "systems", *GRADED, "ratings", *report.metrics)]
    for caption, names in systems.items():
        ratings = [opinions.ratings[scale].get(caption, []) for scale in GRADED]
        means = [round(sum(values) / len(values), 6) if values else "" for values in ratings]
        values = [round(values[caption], 6) if caption in values else "" for values in report.metrics.values()]
        rows.append((*caption, ", ".join(names), *means, max(map(len, ratings)), *values))
    return b"".join(encode_record(row, quote_texts=True) for row in rows)


def _about(judgements: Sequence[Judgement], systems: Systems, source: Path) -> tuple[list[Judgement], list[str]]:
    """The judgements of captions that the files hold now, with the systems that say them now; and notes of others."""
    by_picture: dict[str, dict[str, list[str]]] = {}
    for picture in systems.pictures:
        texts = by_picture.setdefault(picture.image, {})
        for name, caption in picture.captions.items():
            texts.setdefault(caption, []).append(name)
    fitting, changed, unknown = [], [], []
    for judgement in judgements:
        texts = by_picture.get(judgement.image, {})
        if not texts:
            unknown.append(judgement.image)
        elif all(caption in texts for caption in judgement.captions):
            present = tuple(tuple(texts[caption]) for caption in judgement.captions)
            fitting.append(replace(judgement, systems=present))
        elif set(systems.names) & {name for group in judgement.systems for name in group}:
            changed.append(judgement.image)
    notes = [*systems.notes]
    if changed:
        notes.append(
            f"{source}: {count_of(len(changed), 'judgement', 'is', 'are')} of captions that have changed since or of "
            f"other files, and left out, first of {changed[0]}"
        )
    if unknown:
        notes.append(
            f"{source}: {count_of(len(unknown), 'judgement', 'is', 'are')} of pictures that the files do not all have, "
            f"and left out, first of {unknown[0]}"
        )
    if not fitting:
        rated = sorted({name for judgement in judgements for group in judgement.systems for name in group})
        raise UsageError(
            f"{source}: no judgement is about the captions in {' and '.join(systems.names)}; it is about "
            f"{' and '.join(rated)}"
        )
    return fitting, notes


def _note_ambiguous(opinions: Opinions, source: Path) -> list[str]:
    return [
        f"{source}: {system} had two different captions of {count_of(count, 'picture')}, and both count; name the "
        "files of captions to score the present ones"
        for system, count in opinions.ambiguous
    ]


def _measure(
    opinions: Opinions,
    references: References,
    scoring: ComparingOptions,
    source: Path,
    allow_missing: bool,
    notes: list[str],
    progress: Callable[[int, int], None] | None,
) -> dict[str, dict[Caption, float]]:
    """By metric the values of the captions; METEOR only where there is a Java."""
    metrics: dict[str, dict[Caption, float]] = {}
    total = sum(map(len, opinions.captions.values()))
    how = scoring_arguments(scoring, progress, total)
    lacking: dict[str, None] = {}
    for texts_by_image in opinions.captions.values():
        captions = [(image, text) for image, texts in texts_by_image.items() for text in texts[-1:]]
        predictions = [Prediction((image,), text, str(source)) for image, text in captions]
        if not predictions:
            continue
        matching = match(references, predictions)
        lacking |= dict.fromkeys(prediction.names[0] for prediction in matching.unreferenced)
        if lacking and not allow_missing:
            how_many = count_of(len(lacking), "rated picture", "has", "have")
            raise UsageError(f"{how_many} no references, first {next(iter(lacking))}; --allow-missing leaves them out")
        scores = score(
            [pair.reference.captions for pair in matching.pairs],
            [pair.caption for pair in matching.pairs],
            java=how["java"],
            samples=0,
            aligned=how["aligned"],
        )
        why = scores.metrics["METEOR"].why
        if why and scores.metrics["METEOR"].value is None and not metrics:
            notes.append(f"METEOR is left out: {why}")
        for name, values in scores.per_image.items():
            for pair, value in zip(matching.pairs, values.tolist(), strict=True):
                metrics.setdefault(name, {}).setdefault((pair.prediction.names[0], pair.caption), value)
    if lacking:
        notes.append(f"not compared with metrics: {count_of(len(lacking), 'picture')} without references")
    return metrics


def _plain(finding: Mean | Gap | Preference | Along) -> dict[str, Any]:
    values = {name: value for name, value in vars(finding).items() if name not in ("score", "scores")}
    return {**values, **(_figure(finding.score) if not isinstance(finding, Along) else {})}


def _figure(score: Score) -> dict[str, Any]:
    return {
        "value": score.value,
        "interval": None if score.low is None else [score.low, score.high],
        **({"why": score.why} if score.why else {}),
    }
