"""One self-contained page: figures, plots, and the best and worst captions with their pictures."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from capcli.evaluation.notes import RETRIEVAL
from capcli.evaluation.plot import histogram, rank_correlation, scatter, tenths
from capcli.evaluation.report import Report, json_report, titled
from capcli.evaluation.table import figure, interval, retrieval_rows
from capcli.evaluation.thumbnail import thumbnail
from capcli.output.html import document

if TYPE_CHECKING:
    from capcli.evaluation.scores import Score

_SHOWN = 12
_QUALITY = "CIDEr-D"

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

_STYLE = """
header span { white-space: nowrap; }
.scroll { overflow-x: auto; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); gap: 1.5rem; }
svg { display: block; width: 100%; max-width: 26rem; height: auto; font: 12px system-ui, sans-serif; }
svg text { fill: var(--quiet); }
.axis { stroke: var(--quiet); fill: none; }
.grid { stroke: var(--line); fill: none; }
.bar { fill: var(--accent); }
.mark { stroke: var(--warm); stroke-width: 2; stroke-dasharray: 5 3; fill: none; }
.dot { stroke: var(--accent); stroke-width: 4; stroke-linecap: round; stroke-opacity: .45; fill: none; }
.mean { stroke: var(--warm); stroke-width: 2; fill: none; }
.mean.dots { stroke-width: 7; stroke-linecap: round; }
.cards ul { list-style: disc; margin: 0; padding-left: 1.1rem; font-size: .9rem; color: var(--quiet); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; }
dd { margin: 0; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .75rem; overflow-x: auto;
  font-size: .85rem; overflow-wrap: normal; }
@media (max-width: 30rem) { dl { grid-template-columns: 1fr; } dt { margin-top: .5rem; }
  th, td { padding-right: .4rem; } table { font-size: .85rem; } }
"""


def page(report: Report) -> bytes:
    """The report as an HTML file that needs nothing else: no network, no scripts, pictures within it."""
    title = f"Caption evaluation: {report.title}"
    body = "\n".join(
        [
            '<a class="skip" href="#figures">Skip to the figures</a>',
            f"<header><h1>{escape(title)}</h1>{_summary(report)}</header>",
            "<main>",
            _metrics(report),
            *_retrieval(report),
            _distributions(report),
            _confidence(report),
            *_examples(report),
            _method(report),
            "</main>",
        ]
    )
    return document(title, body, style=_STYLE)


def _summary(report: Report) -> str:
    scores = report.scores.metrics
    leading = " · ".join(
        f"<span>{name} <strong>{figure(name, score.value)}</strong></span>"
        for name, score in scores.items()
        if name in ("BLEU-4", "METEOR", "ROUGE-L", "CIDEr-D") and score.value is not None
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in report.notes)
    told = (
        f'<p>{leading}</p><p class="quiet">Ratios as the COCO toolkit prints them: 0.252 where papers print 25.2.</p>'
    )
    return told + (f"<ul>{notes}</ul>" if notes else "")


def _metrics(report: Report) -> str:
    people = report.human
    rows = []
    for name, score in report.scores.metrics.items():
        if score.value is None:
            cells = f'<td class="number">&ndash;</td><td>{escape(score.why or "")}</td>'
        else:
            spread = interval(name, score.low, score.high) or score.why or ""
            cells = f'<td class="number">{figure(name, score.value)}</td><td>{escape(spread)}</td>'
        if people:
            person, captions = people.person.metrics[name], people.captions.metrics[name]
            cells += (
                f"{_number(name, person)}<td>{interval(name, person.low, person.high)}</td>{_number(name, captions)}"
            )
        rows.append(f'<tr><th scope="row">{name}</th>{cells}</tr>')
    columns = [
        "metric",
        "value",
        "95 % interval",
        *(["a person", "95 % interval", "the captions, on the same references"] if people else []),
    ]
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    told = (
        f"The middle 95 % of {report.scores.samples:,} resamples of the images lie in the interval; for distinct-1, "
        "distinct-2 and vocabulary it is 1.96 standard errors of the jackknife to both sides."
    )
    if people:
        told += f" People are scored on {people.person.images:,} images."
    notes = "".join(f"<li>{escape(note)}</li>" for note in report.footnotes)
    meanings = "".join(f"<dt>{name}</dt><dd>{escape(meaning)}</dd>" for name, meaning in _MEANINGS.items())
    # Reachable by keyboard, because on a small screen the table may be wider than it.
    return (
        '<section id="figures" aria-labelledby="figures-title"><h2 id="figures-title">Figures</h2>'
        '<div class="scroll" role="region" aria-labelledby="figures-title" tabindex="0">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
        f'<p class="quiet">{told}</p><ul class="quiet">{notes}</ul>'
        f"<details><summary>What they measure</summary><dl>{meanings}</dl></details></section>"
    )


def _number(name: str, score: Score) -> str:
    return f'<td class="number">{"&ndash;" if score.value is None else figure(name, score.value)}</td>'


def _retrieval(report: Report) -> Iterable[str]:
    if report.retrieval is None:
        return
    head, rows = "", ""
    for name, cells in retrieval_rows(report.retrieval):
        head = "".join(f'<th scope="col">{column}</th>' for column in ("query", *cells))
        figures = "".join(f'<td class="number">{value}</td>' for value in cells.values())
        rows += f'<tr><th scope="row">{name}</th>{figures}</tr>'
    yield (
        '<section aria-labelledby="retrieval-title"><h2 id="retrieval-title">Retrieval</h2>'
        '<div class="scroll" role="region" aria-labelledby="retrieval-title" tabindex="0">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
        f'<p class="quiet">{escape(RETRIEVAL[0].upper() + RETRIEVAL[1:])}.</p></section>'
    )


def _distributions(report: Report) -> str:
    plots = []
    for name, values in sorted(report.scores.per_image.items(), key=lambda one: one[0] != _QUALITY):
        low, middle, high = np.percentile(values, [25, 50, 75])
        told = (
            f"mean {figure(name, float(values.mean()))}, median {figure(name, middle)}, "
            f"half of the images between {figure(name, low)} and {figure(name, high)}"
        )
        corpus = report.scores.metrics[name].value
        if name in _OF_SUMS and corpus is not None:
            told += f"; {name} of all images together, {figure(name, corpus)}, is not the mean of theirs"
        plots.append(_plot(histogram(values, name, f"Histogram of {name} over the images: {told}."), f"{name}: {told}"))
    return (
        f'<section><h2>Scores of single images</h2><div class="plots">{"".join(plots)}</div>'
        '<p class="quiet">The dashed line is the mean.</p></section>'
    )


def _confidence(report: Report) -> str:
    heading = "<section><h2>Confidence against quality</h2>"
    if report.confidences is None:
        return f"{heading}<p>The predictions come without confidence.</p></section>"
    confidence, quality = np.array(report.confidences), report.scores.per_image[_QUALITY]
    means = tenths(confidence, quality)
    correlation = rank_correlation(confidence, quality)
    told = "A dot is an image"
    if means:
        (least, worse), (most, better) = means[0], means[-1]
        told += (
            f"; the line joins the means of tenths of the images, from {_QUALITY} {worse:.2f} at confidence "
            f"{least:.2f} to {better:.2f} at {most:.2f}"
        )
    if correlation is not None:
        told += f". Spearman's rank correlation is {correlation:.2f}"
    svg = scatter(confidence, quality, ("confidence", _QUALITY), f"{_QUALITY} against confidence. {told}.")
    return f'{heading}<div class="plots">{_plot(svg, f"{told}.")}</div></section>'


def _examples(report: Report) -> Iterable[str]:
    quality, ties = (report.scores.per_image[name] for name in (_QUALITY, "ROUGE-L"))
    order = np.lexsort((ties, quality)).tolist()
    shown = min(_SHOWN, (len(order) + 1) // 2)
    worst = order[: min(shown, len(order) - shown)]
    for title, places in (("Best captions", order[: -shown - 1 : -1]), ("Worst captions", worst)):
        if places:
            cards = "".join(_card(report, place) for place in places)
            heading = f'<h2>{title}</h2><p class="quiet">By {_QUALITY}.</p>'
            yield f'<section>{heading}<ul class="cards">{cards}</ul></section>'


def _card(report: Report, place: int) -> str:
    pair = report.pairs[place]
    reference = pair.reference
    paths = [*([reference.image] if reference.image else []), *map(Path, pair.prediction.names)]
    picture = next((made for path in paths if (made := thumbnail(path))), None)
    # People wrote what is in the picture; that is the best alternative text there is.
    image = (
        f'<img src="{picture.uri}" width="{picture.width}" height="{picture.height}" '
        f'alt="{escape(reference.captions[0])}">'
        if picture
        else '<div class="none">no picture here</div>'
    )
    told = f"{_QUALITY} {figure(_QUALITY, float(report.scores.per_image[_QUALITY][place]))}"
    if pair.prediction.confidence is not None:
        told += f" · confidence {pair.prediction.confidence:.2f}"
    written = "".join(f"<li>{escape(caption)}</li>" for caption in reference.captions)
    return (
        f"<li>{image}<h3>{escape(pair.caption or '(empty)')}</h3><p>{told}</p>"
        f'<ul>{written}</ul><p class="quiet">{escape(reference.name)}</p></li>'
    )


def _method(report: Report) -> str:
    content = report.to_json()
    hashes = content["hashes"]
    facts: dict[str, Any] = {
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
    rows = "".join(f"<dt>{name}</dt><dd>{escape(str(fact))}</dd>" for name, fact in facts.items())
    whole = escape(json_report(content).decode())
    return (
        f"<section><h2>How this was measured</h2><dl>{rows}</dl>"
        f'<details><summary>All of it, as JSON</summary><pre tabindex="0">{whole}</pre></details></section>'
    )


def _plot(svg: str, told: str) -> str:
    return f"<figure>{svg}<figcaption>{escape(told)}</figcaption></figure>"
