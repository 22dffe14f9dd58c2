from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from capcli.errors import UsageError
from capcli.evaluation.comparison import Comparison, compare
from capcli.evaluation.notes import CIDER
from capcli.evaluation.options import ScoringOptions
from capcli.evaluation.predictions import Prediction
from capcli.evaluation.references import Reference, References
from capcli.evaluation.report import Report, evaluate, json_report, per_image_csv
from capcli.evaluation.scores import METRICS
from capcli.metrics.statistics import Means

CAPTIONS = {
    "a.jpg": ("A dog runs on the grass.", "A brown dog is running."),
    "b.jpg": ("Two cats sleep.", "Cats are sleeping on a bed."),
    "c.jpg": ("A man rides a red bike down the street.", "A cyclist in the street."),
}
SAID = {"a.jpg": "A dog runs.", "b.jpg": "Two cats sleep on a bed.", "c.jpg": "A man."}
SCORING = ScoringOptions(no_java=True, bootstrap_samples=100)


def references(names: Sequence[str] = tuple(CAPTIONS)) -> References:
    return References(Path("r.json"), "pets", "test", tuple(Reference(name, CAPTIONS[name]) for name in names))


def predictions(captions: dict[str, str] = SAID, confidence: float | None = 0.5) -> list[Prediction]:
    return [Prediction((name,), text, f"p, line {n}", confidence) for n, (name, text) in enumerate(captions.items(), 1)]


def report(**options: Any) -> Report:
    return evaluate(references(), predictions(), SCORING, system="base", **options)


def test_the_json_report_has_every_metric_or_the_reason() -> None:
    content = json.loads(json_report(report().to_json()))
    assert list(content["metrics"]) == list(METRICS)
    assert content["unavailable"].keys() == {name for name, value in content["metrics"].items() if value is None}
    assert "METEOR" in content["unavailable"]
    for name, interval in content["intervals"].items():
        if interval is not None:
            assert interval[0] <= interval[1]
        assert (interval is None) == (content["metrics"][name] is None)
    assert (content["images"], content["references"], content["split"]) == (3, 6, "test")
    assert content["settings"]["tokenizer"] == "PTB"
    assert content["seeds"] == {"bootstrap": 0}
    assert {"python", "capcli", "numpy"} <= content["versions"].keys()


def test_the_report_says_what_is_odd_about_references_and_captions() -> None:
    items = (*references().items[:2], Reference("c.jpg", ("<start> A man . <end>",), blank=2), Reference("d.jpg", ()))
    odd = References(Path("r.json"), "pets", "test", items)
    found = evaluate(odd, predictions(SAID | {"b.jpg": "<start> two cats <pad>"}), SCORING)
    notes = [
        "1 image has no references and is left out, first d.jpg",
        "2 references are empty and left out, first of c.jpg",
        "1 reference holds special tokens that are scored as words, as in the COCO toolkit, first <start> of c.jpg",
        "1 caption holds special tokens that are scored as words, as in the COCO toolkit, first <start> of b.jpg",
    ]
    assert found.notes == notes
    assert [note for note in found.to_json()["notes"] if note in notes] == notes
    compared = compare(odd, predictions(), predictions(SAID | {"b.jpg": "A [UNK]."}), SCORING)
    assert compared.notes == [
        *notes[:3],
        "B: 1 caption holds special tokens that are scored as words, as in the COCO toolkit, first [UNK] of b.jpg",
    ]


def test_the_same_input_gives_the_same_report() -> None:
    assert json_report(report().to_json()) == json_report(report().to_json())


def test_another_caption_changes_its_hash_and_no_other() -> None:
    other = evaluate(references(), predictions(SAID | {"a.jpg": "A cat."}), SCORING)
    first, second = report().to_json()["hashes"], other.to_json()["hashes"]
    assert first["data_sha256"] == second["data_sha256"]
    assert first["predictions_sha256"] != second["predictions_sha256"]


def test_what_made_the_captions_is_in_the_report() -> None:
    run = {"model": {"name": "base", "sha256": "12"}, "decoding": {"seed": 7}, "images_per_second": 3.5}
    content = report(run=run).to_json()
    assert content["model"] == run["model"]
    assert content["images_per_second"] == 3.5
    assert content["seeds"] == {"bootstrap": 0, "sampling": 7}


def test_missing_captions_are_refused_unless_allowed() -> None:
    two = predictions({name: SAID[name] for name in ("a.jpg", "b.jpg")})
    with pytest.raises(UsageError, match=r"1 image with references has no prediction, first c.jpg; --allow-missing"):
        evaluate(references(), two, SCORING)
    allowed = evaluate(references(), two, SCORING, allow_missing=True)
    assert allowed.notes == ["not scored: 1 image with references has no prediction, first c.jpg"]
    assert allowed.to_json()["not_scored"] == {"failed": 0, "without_prediction": 1, "without_references": 0}
    assert allowed.scores.metrics == evaluate(references(("a.jpg", "b.jpg")), two, SCORING).scores.metrics


@pytest.mark.parametrize(
    ("caption", "note"),
    [
        ("", "1 caption is empty and scored as such, like the COCO toolkit does, first a.jpg"),
        ("一只狗", "1 caption is in another script, first a.jpg; tokenizer and METEOR are made for English"),
        ("собака 2", "1 caption is in another script, first a.jpg; tokenizer and METEOR are made for English"),
    ],
)
def test_odd_captions_are_scored_and_told(caption: str, note: str) -> None:
    odd = evaluate(references(), predictions(SAID | {"a.jpg": caption}), SCORING)
    assert odd.notes == [note]
    assert odd.scores.per_image["CIDEr-D"][0] == 0


@pytest.mark.parametrize("caption", ["Café à la carte", "3 1/2", "A dog 犬"])
def test_accents_numbers_and_single_letters_are_not_odd(caption: str) -> None:
    assert evaluate(references(), predictions(SAID | {"a.jpg": caption}), SCORING).notes == []


def test_one_image_has_no_cider() -> None:
    single = evaluate(references(["a.jpg"]), predictions({"a.jpg": "A dog runs on the grass."}), SCORING)
    assert single.scores.metrics["CIDEr-D"].value == 0
    assert single.notes == ["one image alone: its CIDEr is 0 by definition, as every n-gram is in every document"]


def test_people_are_scored_beside() -> None:
    people = evaluate(references(), predictions(), ScoringOptions(human=True, no_java=True, bootstrap_samples=100))
    content = people.to_json()
    assert content["human"]["images"] == 3
    assert content["human"]["metrics"]["BLEU-1"] is not None
    same = content["human"]["captions_on_the_same_references"]
    assert same["metrics"].keys() == same["intervals"].keys() == content["metrics"].keys()
    assert same["metrics"]["BLEU-1"] < content["metrics"]["BLEU-1"]
    assert content["definitions"]["human"] in people.footnotes


def test_what_is_not_taken_of_people_says_so() -> None:
    people = evaluate(
        references(),
        predictions(),
        ScoringOptions(human=True, no_java=True, bootstrap_samples=100),
        training=frozenset({"a dog runs"}),
    )
    assert people.scores.metrics["identical"].value is not None
    assert people.to_json()["human"]["unavailable"]["identical"] == "not taken of people"


def test_names_that_mislead_are_explained() -> None:
    assert report().footnotes[0] == CIDER
    assert "print as CIDEr" in report().to_json()["definitions"]["CIDEr-D"]
    assert "not hashed" in report().to_json()["definitions"]["data_sha256"]


@pytest.mark.parametrize(("images", "noted"), [(1, False), (2, True), (29, True), (30, False)])
def test_intervals_of_few_images_are_said_to_be_too_narrow(images: int, noted: bool) -> None:
    names = [f"{n}.jpg" for n in range(images)]
    there = References(Path("r.json"), "r", None, tuple(Reference(name, ("A dog.",)) for name in names))
    predicted = predictions(dict.fromkeys(names, "A dog runs."))
    for found in (evaluate(there, predicted, SCORING), compare(there, predicted, predicted, SCORING)):
        note = "fewer than 30 images: their intervals are too narrow"
        assert (note in found.footnotes) == (note in found.to_json()["notes"]) == noted


@pytest.fixture
def meteor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A METEOR that finds everything worthless, by a Java of version 21."""

    class Worthless:
        def __init__(self, aligned: Callable[[], None] | None) -> None:
            self._aligned = aligned or (lambda: None)

        def __enter__(self) -> Worthless:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def statistics(self, references: Sequence[object], hypotheses: Sequence[object]) -> Means:
            for _ in hypotheses:
                self._aligned()
            return Means(("METEOR",), np.zeros((len(hypotheses), 1)))

    monkeypatch.setattr("capcli.evaluation.scores.Meteor", Worthless)
    monkeypatch.setattr("capcli.evaluation.notes.java_version", lambda: "21.0.4")


def test_versions_of_meteor_and_java_are_told(meteor: None) -> None:
    options = ScoringOptions(bootstrap_samples=100)
    for found in (
        evaluate(references(), predictions(), options),
        compare(references(), predictions(), predictions(), options),
    ):
        assert "METEOR 1.5, Java 21.0.4" in found.footnotes
        versions = found.to_json()["versions"]
        assert (versions["METEOR"], versions["Java"], "SPICE" in versions) == ("1.5", "21.0.4", False)
    assert "Java" not in report().to_json()["versions"]


@pytest.mark.parametrize(("human", "total"), [(False, 3), (True, 3 + 2 * 2 * 3)])
def test_progress_is_told(meteor: None, human: bool, total: int) -> None:
    calls: list[tuple[int, int]] = []
    options = ScoringOptions(human=human, bootstrap_samples=100)
    evaluate(references(), predictions(), options, progress=lambda done, of: calls.append((done, of)))
    assert calls == [(done, total) for done in range(1, total + 1)]


def test_progress_of_a_comparison_is_told(meteor: None) -> None:
    calls: list[tuple[int, int]] = []
    options = ScoringOptions(bootstrap_samples=100)
    compare(references(), predictions(), predictions(), options, progress=lambda done, of: calls.append((done, of)))
    assert calls == [(done, 6) for done in range(1, 7)]


def test_people_need_two_references() -> None:
    alone = References(Path("r.json"), "r", None, (Reference("a.jpg", ("A dog.",)),))
    with pytest.raises(UsageError, match="two references"):
        evaluate(alone, predictions({"a.jpg": "x"}), ScoringOptions(human=True, no_java=True))


def test_training_captions_are_recognised() -> None:
    score = report(training=frozenset({"a dog runs"})).scores.metrics["identical"]
    assert score.value == pytest.approx(1 / 3)


def test_the_per_image_csv_holds_every_image() -> None:
    rows = list(csv.DictReader(io.StringIO(per_image_csv(report()).decode())))
    assert [(row["image"], row["caption"], row["confidence"]) for row in rows] == [
        (name, text, "0.5") for name, text in SAID.items()
    ]
    assert [tuple(json.loads(row["references"])) for row in rows] == list(CAPTIONS.values())
    assert [float(row["CIDEr-D"]) for row in rows] == pytest.approx(report().scores.per_image["CIDEr-D"], abs=1e-6)


@pytest.mark.parametrize("name", ['a,"b".jpg', "a\rb\n.jpg", "caf\udce9.jpg"])
def test_any_name_survives_the_csv(name: str) -> None:
    there = References(Path("r.json"), "r", None, (Reference(name, ("A dog.",)),))
    content = per_image_csv(evaluate(there, [Prediction((name,), "A dog.", "p, line 1")], SCORING))
    (row,) = csv.DictReader(io.StringIO(content.decode("utf-8", "surrogateescape"), newline=""))
    assert row["image"] == name


def compared(a: dict[str, str] = SAID, b: dict[str, str] = SAID, **options: Any) -> Comparison:
    return compare(references(), predictions(a), predictions(b), SCORING, **options)


def test_differences_are_b_minus_a() -> None:
    better = SAID | {"c.jpg": "A man rides a red bike down the street."}
    content = json.loads(json_report(compared(SAID, better).to_json()))
    cider = content["differences"]["CIDEr-D"]
    assert cider["difference"] > 0
    assert cider["b"] == pytest.approx(cider["a"] + cider["difference"])
    assert cider["b"] == pytest.approx(
        evaluate(references(), predictions(better), SCORING).scores.metrics["CIDEr-D"].value
    )
    assert 0 < cider["p"] <= 1
    assert cider["interval"][0] <= cider["difference"] <= cider["interval"][1]
    assert content["unavailable"].keys() == {"METEOR", "SPICE", "identical"}
    assert content["hashes"]["predictions_a_sha256"] != content["hashes"]["predictions_b_sha256"]


def test_only_images_of_both_are_compared() -> None:
    fewer = {name: SAID[name] for name in ("b.jpg", "c.jpg")}
    with pytest.raises(UsageError, match=r"B: 1 image .* a.jpg; --allow-missing compares the rest"):
        compared(SAID, fewer)
    allowed = compared(SAID, fewer, allow_missing=True)
    assert [pair.reference.name for pair in allowed.a.pairs] == ["b.jpg", "c.jpg"]
    assert allowed.notes == ["not scored: B: 1 image with references has no prediction, first a.jpg"]


def test_no_image_of_both() -> None:
    with pytest.raises(UsageError, match="no image has captions of both"):
        compared({"a.jpg": "x"}, {"b.jpg": "x"}, allow_missing=True)
