"""What the page says; how it looks is checked in a browser, in tests/end_to_end/test_report_page.py."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from capcli.evaluation.options import ScoringOptions
from capcli.evaluation.page import page
from capcli.evaluation.predictions import Prediction
from capcli.evaluation.references import Reference, References
from capcli.evaluation.report import Report, evaluate

SCORING = ScoringOptions(no_java=True, bootstrap_samples=100)


def report(count: int = 40, confidence: bool = True, image: Path | None = None, **options: Any) -> Report:
    words = ("dog", "cat", "runs", "sits", "grass")
    captions = [" ".join(words[(n * step) % 5] for step in range(1, 6)) for n in range(count)]
    items = [Reference(f"{n}.jpg", (text, "a dog"), None, image) for n, text in enumerate(captions)]
    predictions = [
        Prediction((f"{n}.jpg",), text[: n % 20], f"p, line {n}", n / count if confidence else None)
        for n, text in enumerate(captions)
    ]
    references = References(Path("r.json"), "pets", "test", tuple(items))
    return evaluate(references, predictions, SCORING, **options)


class Tags(HTMLParser):
    """Every tag that is opened must be closed; counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)
        if tag not in ("meta", "link", "img", "path"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag != "path":
            assert self.open.pop() == tag


def tags(content: bytes) -> list[str]:
    parser = Tags()
    parser.feed(content.decode())
    assert parser.open == []
    return parser.seen


@pytest.mark.parametrize(("count", "cards"), [(1, 1), (2, 2), (5, 5), (40, 24)])
def test_best_and_worst_captions_are_different_ones(count: int, cards: int) -> None:
    content = page(report(count))
    assert tags(content).count("h3") == cards
    assert len(set(re.findall(r">(\d+\.jpg)<", content.decode()))) == cards


def test_a_thousand_images_fit_into_a_small_file(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (600, 800, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.jpg")  # nothing compresses worse
    content = page(report(1000, image=tmp_path / "noise.jpg"))
    assert tags(content).count("img") == 24
    assert len(content) < 1_500_000


def test_it_refers_to_nothing_outside() -> None:
    content = page(report()).decode()
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", content)
    assert "url(" not in content
    assert "@import" not in content


def test_predictions_without_confidence() -> None:
    content = page(report(confidence=False))
    assert b"The predictions come without confidence." in content
    assert tags(content).count("svg") == len(report().scores.per_image)


def test_corpus_values_that_are_no_means_are_told_apart() -> None:
    content = page(report()).decode()
    value = report().scores.metrics["BLEU-4"].value
    assert f"; BLEU-4 of all images together, {value:.3f}, is not the mean of theirs" in content
    assert "CIDEr-D of all images together" not in content


def test_people_and_captions_on_the_same_references() -> None:
    there = report()
    people = evaluate(
        there.references,
        [pair.prediction for pair in there.pairs],
        ScoringOptions(human=True, no_java=True, bootstrap_samples=100),
    )
    content = page(people).decode()
    tags(page(people))
    assert people.human is not None
    person, captions = (scores.metrics["ROUGE-L"] for scores in (people.human.person, people.human.captions))
    assert f'{person.value:.3f}</td><td>{person.low:.3f} to {person.high:.3f}</td><td class="number">' in content
    assert f"{captions.value:.3f}</td></tr>" in content
    assert "cannot be compared" in content


def test_what_misleads_is_explained() -> None:
    content = page(report()).decode()
    assert "print CIDEr-D as CIDEr" in content
    assert "the pictures are not hashed" in content


def test_pictures_that_are_not_there_leave_a_place() -> None:
    assert page(report(4)).count(b"no picture here") == 4


def test_what_made_the_captions_is_told() -> None:
    run = {
        "model": {"name": "base", "sha256": "0123456789abcdef" * 4},
        "decoding": {"beam_size": 3, "seed": 0},
        "device": "cpu",
        "images_per_second": 12.5,
    }
    content = page(report(run=run, system="base")).decode()
    assert "<dd>base, SHA-256 0123456789abcdef" in content
    assert "beam_size 3" in content
    assert "12.5 images/s on cpu" in content


def test_names_and_captions_are_escaped() -> None:
    there = References(Path("r"), "<i>", None, (Reference("<b>\udce9.jpg", ('"<u>"',)),))
    content = page(evaluate(there, [Prediction(("<b>\udce9.jpg",), "<s>", "p")], SCORING, system="<em>"))
    assert not {"i", "b", "u", "s", "em"} & set(tags(content))
