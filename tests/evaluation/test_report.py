from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from capcli.errors import UsageError
from capcli.evaluation.comparison import Comparison, compare
from capcli.evaluation.options import ScoringOptions
from capcli.evaluation.predictions import Prediction
from capcli.evaluation.references import Reference, References
from capcli.evaluation.report import Report, evaluate, json_report, per_image_csv
from capcli.evaluation.scores import METRICS
from capcli.evaluation.table import print_comparison, print_report

CAPTIONS = {
    "a.jpg": ("A dog runs on the grass.", "A brown dog is running."),
    "b.jpg": ("Two cats sleep.", "Cats are sleeping on a bed."),
    "c.jpg": ("A man rides a red bike down the street.", "A cyclist in the street."),
}
SAID = {"a.jpg": "A dog runs.", "b.jpg": "Two cats sleep on a bed.", "c.jpg": "A man."}
SCORING = ScoringOptions(no_java=True, bootstrap_samples=100)


def references(names: Sequence[str] = tuple(CAPTIONS)) -> References:
    return References(Path("r.json"), "pets", "test", tuple(Reference(name, CAPTIONS[name]) for name in names))


def predictions(said: dict[str, str] = SAID, confidence: float | None = 0.5) -> list[Prediction]:
    return [Prediction((name,), text, f"p, line {n}", confidence) for n, (name, text) in enumerate(said.items(), 1)]


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
    ("caption", "told"),
    [
        ("", "1 caption is empty and scored as such, like the COCO toolkit does, first a.jpg"),
        ("一只狗", "1 caption is in another script, first a.jpg; tokenizer and METEOR are made for English"),
        ("собака 2", "1 caption is in another script, first a.jpg; tokenizer and METEOR are made for English"),
    ],
)
def test_odd_captions_are_scored_and_told(caption: str, told: str) -> None:
    odd = evaluate(references(), predictions(SAID | {"a.jpg": caption}), SCORING)
    assert odd.notes == [told]
    assert odd.scores.per_image["CIDEr-D"][0] == 0


@pytest.mark.parametrize("caption", ["Café à la carte", "3 1/2", "A dog 犬"])
def test_accents_numbers_and_single_letters_are_not_odd(caption: str) -> None:
    assert evaluate(references(), predictions(SAID | {"a.jpg": caption}), SCORING).notes == []


def test_one_image_has_no_cider() -> None:
    single = evaluate(references(["a.jpg"]), predictions({"a.jpg": "A dog runs on the grass."}), SCORING)
    assert single.scores.metrics["CIDEr-D"].value == 0
    assert single.notes == ["one image alone: its CIDEr is 0 by definition, as every n-gram is in every document"]


def test_people_are_scored_beside(capsys: pytest.CaptureFixture[str]) -> None:
    people = evaluate(references(), predictions(), ScoringOptions(human=True, no_java=True, bootstrap_samples=100))
    content = people.to_json()
    assert content["human"]["images"] == 3
    assert content["human"]["metrics"]["BLEU-1"] is not None
    print_report(people)
    assert "a person scores" in capsys.readouterr().out


def test_people_need_two_references() -> None:
    alone = References(Path("r.json"), "r", None, (Reference("a.jpg", ("A dog.",)),))
    with pytest.raises(UsageError, match="two references"):
        evaluate(alone, predictions({"a.jpg": "x"}), ScoringOptions(human=True, no_java=True))


def test_training_captions_are_recognised() -> None:
    score = report(training=frozenset({"a dog runs"})).scores.metrics["identical"]
    assert score.value == pytest.approx(1 / 3)


def test_the_table_is_plain_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(report())
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "base on pets, test, 3 images"
    assert lines[1].split() == ["metric", "value", "95", "%", "interval"]
    assert [line.split()[0] for line in lines[2:]] == list(METRICS)
    assert all(line == line.rstrip() and line.isascii() and "\x1b" not in line for line in lines)


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


def test_a_system_does_not_differ_from_itself(capsys: pytest.CaptureFixture[str]) -> None:
    comparison = compared()
    assert all((a, difference.value, difference.p) == (b, 0, 1) for _, a, b, difference in comparison.rows())
    print_comparison(comparison)
    title, header, *rows = capsys.readouterr().out.splitlines()
    assert title == "pets, test, 3 images"
    assert header.split() == ["metric", "A", "B", "B", "-", "A", "95", "%", "interval", "p"]
    assert {row.split()[-1] for row in rows if row.startswith("BLEU")} == {"1.000"}


def test_differences_are_b_minus_a() -> None:
    better = SAID | {"c.jpg": "A man rides a red bike down the street."}
    content = json.loads(json_report(compared(SAID, better).to_json()))
    told = content["differences"]["CIDEr-D"]
    assert told["difference"] > 0
    assert told["b"] == pytest.approx(told["a"] + told["difference"])
    assert told["b"] == pytest.approx(
        evaluate(references(), predictions(better), SCORING).scores.metrics["CIDEr-D"].value
    )
    assert 0 < told["p"] <= 1
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
