"""One self-contained page: figures, plots, and the best and worst captions with their pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from capcli.evaluation.notes import RETRIEVAL
from capcli.evaluation.plot import histogram, rank_correlation, scatter, tenths
from capcli.evaluation.report import Report, json_report, titled
from capcli.evaluation.table import figure, interval, retrieval_rows
from capcli.evaluation.thumbnail import Thumbnail, thumbnail
from capcli.output.html import render

_SHOWN = 12
_QUALITY = "CIDEr-D"
_LEADING = ("BLEU-4", "METEOR", "ROUGE-L", "CIDEr-D")

# Computed from sums over the images, not as means of their values.
_OF_SUMS = ("BLEU-4", "METEOR")

_MEANINGS = {
    "BLEU-1": "words that a reference has too (BLEU-2 to 4: runs of 2 to 4 words), short captions punished",
    "METEOR": "words that match by form, stem or synonym, and their order (METEOR 1.5)",
    "ROUGE-L": "longest common subsequence with a reference",
    "CIDEr-D": "n-grams in common with the references, rare ones counting more; from 0 to 10; papers call it CIDEr",
    "CIDEr": "the same without clipping and length penalty, as in the paper of 2015; papers since then mean CIDEr-D",
    "SPICE": "objects, attributes and relations in common with the references",
    "distinct-1": "different words per word (distinct-2: pairs of words)",
    "vocabulary": "different words in all captions",
    "length": "words per caption",
    "repetition": "share of captions that repeat themselves",
    "identical": "share of captions that are a training caption, word for word",
}


@dataclass(frozen=True)
class _Card:
    """A captioned image."""

    picture: Thumbnail | None
    caption: str
    score: float
    confidence: float | None
    references: Sequence[str]
    name: str


def page(report: Report) -> bytes:
    """The report as an HTML file that needs nothing else: no network, no scripts, pictures within it."""
    scores = report.scores.metrics
    content = report.to_json()
    return render(
        "evaluation/page.html",
        title=f"Caption evaluation: {report.title}",
        report=report,
        figure=figure,
        interval=interval,
        leading={name: scores[name] for name in _LEADING if scores[name].value is not None},
        meanings=_MEANINGS,
        retrieval=retrieval_rows(report.retrieval) if report.retrieval else [],
        retrieval_note=RETRIEVAL[0].upper() + RETRIEVAL[1:],
        distributions=list(_distributions(report)),
        confidence=_confidence(report),
        examples=_examples(report),
        quality=_QUALITY,
        facts=_facts(report, content),
        whole=json_report(content).decode(),
    )


def _distributions(report: Report) -> Iterator[tuple[Markup, str]]:
    """For each metric that an image has by itself a plot and what it says."""
    for name, values in sorted(report.scores.per_image.items(), key=lambda item: item[0] != _QUALITY):
        low, middle, high = np.percentile(values, [25, 50, 75])
        description = (
            f"mean {figure(name, float(values.mean()))}, median {figure(name, middle)}, "
            f"half of the images between {figure(name, low)} and {figure(name, high)}"
        )
        corpus = report.scores.metrics[name].value
        if name in _OF_SUMS and corpus is not None:
            description += f"; {name} of all images together, {figure(name, corpus)}, is not the mean of theirs"
        yield histogram(values, name, f"Histogram of {name} over the images: {description}."), f"{name}: {description}"


def _confidence(report: Report) -> tuple[Markup, str] | None:
    """A plot of confidence against quality and what it says; None where the captions have no confidence."""
    if report.confidences is None:
        return None
    confidence, quality = np.array(report.confidences), report.scores.per_image[_QUALITY]
    means = tenths(confidence, quality)
    correlation = rank_correlation(confidence, quality)
    description = "A dot is an image"
    if means:
        (least, worse), (most, better) = means[0], means[-1]
        description += (
            f"; the line joins the means of tenths of the images, from {_QUALITY} {worse:.2f} at confidence "
            f"{least:.2f} to {better:.2f} at {most:.2f}"
        )
    if correlation is not None:
        description += f". Spearman's rank correlation is {correlation:.2f}"
    svg = scatter(confidence, quality, ("confidence", _QUALITY), f"{_QUALITY} against confidence. {description}.")
    return svg, f"{description}."


def _examples(report: Report) -> list[tuple[str, list[_Card]]]:
    """The best and the worst captions, no image among both."""
    quality, ties = (report.scores.per_image[name] for name in (_QUALITY, "ROUGE-L"))
    order = np.lexsort((ties, quality)).tolist()
    shown = min(_SHOWN, (len(order) + 1) // 2)
    worst = order[: min(shown, len(order) - shown)]
    chosen = (("Best captions", order[: -shown - 1 : -1]), ("Worst captions", worst))
    return [(heading, [_card(report, place) for place in places]) for heading, places in chosen]


def _card(report: Report, place: int) -> _Card:
    pair = report.pairs[place]
    reference = pair.reference
    paths = [*([reference.image] if reference.image else []), *map(Path, pair.prediction.names)]
    return _Card(
        next((made for path in paths if (made := thumbnail(path))), None),
        pair.caption,
        float(report.scores.per_image[_QUALITY][place]),
        pair.prediction.confidence,
        reference.captions,
        reference.name,
    )


def _facts(report: Report, content: Mapping[str, Any]) -> dict[str, str]:
    """What the figures are of, and how they were taken."""
    hashes = content["hashes"]
    facts = {
        "data": f"{titled(report.references, content['images'])}, {content['references']:,} references, "
        f"SHA-256 {hashes['data_sha256'][:16]}… of names and references; the pictures are not hashed",
        "captions": f"SHA-256 {hashes['predictions_sha256'][:16]}…",
        "tokens": "Penn Treebank, as the COCO toolkit runs it",
        "intervals": f"percentiles of {report.scores.samples:,} resamples of the images, seed {report.scores.seed}; "
        "jackknife for distinct-1, distinct-2 and vocabulary",
        "versions": ", ".join(f"{name} {number}" for name, number in content["versions"].items()),
        "machine": "{processor}, {cores} cores, {system}".format(**content["machine"]),
    }
    if report.run:
        model = report.run["model"]
        facts = {
            "model": f"{model['name']}, SHA-256 {model['sha256'][:16]}…",
            "decoding": ", ".join(f"{name} {value!r}" for name, value in report.run["decoding"].items()),
            **facts,
        }
        if speed := report.run.get("images_per_second"):
            facts["speed"] = f"{speed:g} images/s on {report.run['device']}"
    return facts
