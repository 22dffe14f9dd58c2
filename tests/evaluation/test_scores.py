from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capcli.errors import UsageError
from capcli.evaluation import Difference, Score, compare, human, score
from capcli.evaluation.scores import METRICS, human_alignments
from capcli.metrics.java import Unavailable, find_jar, find_java
from capcli.metrics.meteor import Meteor
from capcli.metrics.statistics import Means

REFERENCES = [
    ["A man in a red shirt isn't looking.", "The man's shirt is red", "A man (left) looks away."],
    ["Two dogs are running through the grass .", "Two brown dogs run in a field", "Dogs run; one barks!"],
    ["A child in a pink dress climbs up stairs .", "A little girl goes into a wooden cabin"],
    ["A black-and-white dog jumps over a log.", "A dog leaps over a fallen tree.", "The dog is in mid-air."],
    ["People sit at a table outside.", "Three people eat at an outdoor cafe", "A group of people are eating"],
    ["A boy rides a skateboard down the U.S. street", "A skateboarder cannot stop", "A boy on a skate-board"],
    ["A snowboarder flies through the air.", "Someone snowboards off a 10 ft. ramp"],
    ["A woman says \u201chello\u201d to a crowd", "A woman talks to 1,000 people", "a woman speaks"],
]
HYPOTHESES = [
    "A man in a red shirt is standing.",
    "Two dogs are running through a field.",
    "A little girl in a pink dress.",
    "A black-and-white dog jumps over a log.",
    "A group of people sit at a table.",
    "A boy is riding a skateboard.",
    "A man on a snowboard in the air.",
    "A woman isn't in a crowd of people.",
]
THREES = REFERENCES[:2]
OTHERS = ["A man in a red shirt and a dog."] * 8

# What the COCO toolkit gives for these with its own tokenizer, without METEOR.
EXPECTED = {
    "BLEU-1": 0.7833333333202778,
    "BLEU-2": 0.7156671622766418,
    "BLEU-3": 0.6252632923190468,
    "BLEU-4": 0.5552691988267887,
    "ROUGE-L": 0.6865499482420074,
    "CIDEr-D": 2.428699613244969,
}

Tokenized = dict[int, list[str]]

captions = st.lists(st.sampled_from(["a", "dog", "runs", "man's", "red"]), max_size=5).map(" ".join)
images = st.tuples(st.lists(captions, min_size=1, max_size=3), captions)


def values(references: list[list[str]], hypotheses: list[str], java: bool = False) -> dict[str, float | None]:
    scores = score(references, hypotheses, java=java, samples=0)
    return {name: metric.value for name, metric in scores.metrics.items()}


def corpus(size: int) -> tuple[list[list[str]], list[str]]:
    draw = random.Random(size)

    def caption() -> str:
        return " ".join(draw.choice(["a", "the", "dog", "cat", "runs", "sits", "on", "grass"]) for _ in range(7))

    return [[caption() for _ in range(3)] for _ in range(size)], [caption() for _ in range(size)]


@pytest.fixture
def java(monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts Java where the toolkit looks for it."""
    try:
        find_jar("meteor/meteor-1.5.jar")
        monkeypatch.setenv("PATH", str(find_java().parent))
    except Unavailable as reason:
        pytest.skip(f"the COCO toolkit {reason}")


def toolkit(references: list[list[str]], hypotheses: list[str]) -> tuple[Tokenized, Tokenized]:
    """References and hypotheses as the toolkit tokenizes them."""
    tokenizer = pytest.importorskip("pycocoevalcap.tokenizer.ptbtokenizer").PTBTokenizer()
    truth = tokenizer.tokenize({i: [{"caption": c} for c in captions] for i, captions in enumerate(references)})
    return truth, tokenizer.tokenize({i: [{"caption": caption}] for i, caption in enumerate(hypotheses)})


def toolkit_scores(truth: Tokenized, candidates: Tokenized) -> tuple[dict[str, float], dict[str, list[float]]]:
    """The toolkit's corpus scores, and those of each image."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    bleu, bleu_each = Bleu(4).compute_score(truth, candidates, verbose=0)
    rouge, rouge_each = Rouge().compute_score(truth, candidates)
    cider, cider_each = Cider().compute_score(truth, candidates)
    totals = {f"BLEU-{n}": value for n, value in enumerate(bleu, 1)} | {"ROUGE-L": rouge, "CIDEr-D": cider}
    return totals, {"BLEU-4": bleu_each[3], "ROUGE-L": rouge_each, "CIDEr-D": cider_each}


def agree(references: list[list[str]], hypotheses: list[str], truth: Tokenized, candidates: Tokenized) -> None:
    totals, per_image = toolkit_scores(truth, candidates)
    scores = score(references, hypotheses, java=False, samples=0)
    assert {name: scores.metrics[name].value for name in totals} == pytest.approx(totals, abs=1e-9)
    for name, expected in per_image.items():
        np.testing.assert_allclose(scores.per_image[name], expected, atol=1e-9)


@pytest.mark.java
def test_equals_the_coco_toolkit(java: None) -> None:
    agree(REFERENCES, HYPOTHESES, *toolkit(REFERENCES, HYPOTHESES))


@pytest.mark.java
def test_equals_the_coco_toolkit_where_captions_depend_on_their_neighbours(java: None) -> None:
    references = [["A sign that reads K.", "An arrow"], ["Vitamin C.", "A tablet"], ["1\u00a01/2 cakes", "", "..."]]
    hypotheses = ["The letter K.", "A sign for vitamin C.", "1\u00a01/2 cakes"]
    agree(references, hypotheses, *toolkit(references, hypotheses))


@pytest.mark.java
def test_equals_the_coco_toolkit_on_references_against_each_other_and_on_subsets(java: None) -> None:
    references, hypotheses = [captions[1:] for captions in REFERENCES], [captions[0] for captions in REFERENCES]
    truth, candidates = toolkit(references, hypotheses)
    draw = random.Random(0)
    for _ in range(20):
        subset = draw.sample(range(len(references)), draw.randint(2, len(references)))
        agree(
            [references[i] for i in subset],
            [hypotheses[i] for i in subset],
            {i: truth[i] for i in subset},
            {i: candidates[i] for i in subset},
        )


@pytest.mark.java
def test_meteor_is_that_of_the_coco_toolkit(java: None) -> None:
    scores = score(REFERENCES, HYPOTHESES, samples=50)
    meteor = scores.metrics["METEOR"]
    assert meteor.value == pytest.approx(0.3587665993734388, abs=1e-9)
    assert meteor.low is not None and meteor.high is not None and meteor.low < meteor.value < meteor.high
    assert scores.per_image["METEOR"].shape == (8,)


def test_known_values() -> None:
    found = values(REFERENCES, HYPOTHESES)
    assert {name: found[name] for name in EXPECTED} == pytest.approx(EXPECTED, abs=1e-9)
    assert {name: found[name] for name in ("distinct-1", "vocabulary", "length", "repetition")} == pytest.approx(
        {"distinct-1": 38 / 60, "vocabulary": 38, "length": 60 / 8, "repetition": 0}
    )


def test_all_metrics_are_reported_in_order() -> None:
    scores = score(REFERENCES, HYPOTHESES, java=False, samples=20)
    assert tuple(scores.metrics) == METRICS
    assert tuple(scores.per_image) == ("BLEU-4", "ROUGE-L", "CIDEr-D")
    assert {len(column) for column in scores.per_image.values()} == {8}
    assert (scores.images, scores.samples, scores.seed, scores.left_out) == (8, 20, 0, 0)
    for name, metric in scores.metrics.items():
        assert (metric.value is None) == (metric.why is not None) == (name in ("METEOR", "SPICE", "identical"))
    assert scores == score(REFERENCES, HYPOTHESES, java=False, samples=20)
    assert scores != score(REFERENCES, OTHERS, java=False, samples=20)


def test_without_java_only_meteor_has_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycocoevalcap", None)
    scores = score(REFERENCES, HYPOTHESES, spice=True, samples=0)
    assert scores.metrics["METEOR"] == scores.metrics["SPICE"] == Score(None, None, None, "needs capcli[java]")
    assert "METEOR" not in scores.per_image
    differences = compare(REFERENCES, HYPOTHESES, OTHERS, samples=5)
    assert "METEOR" not in differences.metrics
    assert differences.unavailable["METEOR"] == "needs capcli[java]"


def test_copies_of_training_captions() -> None:
    training = ["a black-and-white dog jumps over a log", "A BOY IS RIDING A SKATEBOARD!", "something else"]
    scores = score(REFERENCES, HYPOTHESES, java=False, training=training, samples=0)
    assert scores.metrics["identical"].value == pytest.approx(2 / 8)


def test_cider_of_a_single_image_says_why_it_is_nothing() -> None:
    scores = score(REFERENCES[:1], HYPOTHESES[:1], java=False)
    for name in ("CIDEr-D", "CIDEr"):
        assert scores.metrics[name].value == 0.0
        assert "single image" in (scores.metrics[name].why or "")
    bleu = scores.metrics["BLEU-1"]
    assert bleu.value and (bleu.low, bleu.high, bleu.why) == (None, None, None)


def test_empty_captions_are_scored_as_no_words() -> None:
    found = values([["A dog.", "..."], [""], ["A cat sits."]], ["", "", "a cat"])
    assert found["length"] == pytest.approx(2 / 3)
    assert values([["a dog"]], [""])["BLEU-1"] == 0.0


def test_a_tag_over_two_captions_shifts_no_image() -> None:
    references = [["A dog runs"], ["A cat <i sleeps"], ["a> bird"], ["A horse jumps"]]
    assert values(references, ["nothing", "nothing", "nothing", "A horse jumps"])["ROUGE-L"] == pytest.approx(1 / 4)


@given(st.lists(images, min_size=1, max_size=6), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_images_does_not_matter(corpus: list[tuple[list[str], str]], draw: random.Random) -> None:
    expected = values([references for references, _ in corpus], [caption for _, caption in corpus])
    draw.shuffle(corpus)
    found = values([references for references, _ in corpus], [caption for _, caption in corpus])
    assert found == {name: value if value is None else pytest.approx(value) for name, value in expected.items()}


def test_intervals_hold_the_value_and_narrow_with_more_images() -> None:
    few, many = (score(*corpus(size), java=False, samples=300).metrics for size in (30, 270))
    for name, metric in many.items():
        if metric.value is None:
            continue
        low, high = metric.low, metric.high
        assert low is not None and high is not None and low <= metric.value <= high
        if name in ("BLEU-2", "ROUGE-L", "CIDEr-D", "CIDEr", "repetition"):
            assert few[name].high - few[name].low > 2 * (high - low)


def test_seeds_repeat_intervals() -> None:
    first, again, other = (score(REFERENCES, HYPOTHESES, java=False, samples=40, seed=seed) for seed in (1, 1, 2))
    assert first.metrics == again.metrics
    assert first.metrics["CIDEr-D"].value == other.metrics["CIDEr-D"].value
    assert first.metrics["CIDEr-D"].low != other.metrics["CIDEr-D"].low


def test_captions_compared_with_themselves() -> None:
    expected = values(REFERENCES, HYPOTHESES)
    for name, difference in compare(REFERENCES, HYPOTHESES, HYPOTHESES, java=False, samples=50).metrics.items():
        assert difference == Difference(expected[name], expected[name], 0.0, 0.0, 1.0)
        assert difference.value == 0.0


def test_differences_are_those_of_the_scores() -> None:
    differences = compare(REFERENCES, OTHERS, HYPOTHESES, java=False, samples=200).metrics
    a, b = values(REFERENCES, OTHERS), values(REFERENCES, HYPOTHESES)
    assert list(differences) == [name for name in METRICS if a[name] is not None]
    assert {name: (d.a, d.b) for name, d in differences.items()} == {name: (a[name], b[name]) for name in differences}
    assert differences["CIDEr-D"].p < 0.05 and differences["CIDEr-D"].low > 0
    back = compare(REFERENCES, HYPOTHESES, OTHERS, java=False, samples=200).metrics["CIDEr-D"]
    forth = differences["CIDEr-D"]
    assert (back.value, back.low, back.high, back.p) == pytest.approx((-forth.value, -forth.high, -forth.low, forth.p))


def test_pairing_sharpens_a_comparison() -> None:
    references, hypotheses = corpus(200)
    improved = [references[0][0], *hypotheses[1:]]
    difference = compare(references, hypotheses, improved, java=False, samples=200).metrics["ROUGE-L"]
    alone = score(references, hypotheses, java=False, samples=200).metrics["ROUGE-L"]
    assert difference.low >= 0
    assert difference.high - difference.low < (alone.high - alone.low) / 2


def test_a_person_is_scored_against_the_others() -> None:
    references = [captions[:2] for captions in REFERENCES]
    first, second = [captions[0] for captions in references], [captions[1] for captions in references]
    turns = [values([[c] for c in second], first), values([[c] for c in first], second)]
    both = human(references, first, java=False, samples=20)
    scores = both.person
    for name in ("BLEU-4", "ROUGE-L", "CIDEr-D", "vocabulary"):
        assert scores.metrics[name].value == pytest.approx((turns[0][name] + turns[1][name]) / 2)
    assert scores.per_image["ROUGE-L"].mean() == pytest.approx(scores.metrics["ROUGE-L"].value)
    assert scores.metrics["identical"].why == scores.metrics["SPICE"].why == "not taken of people"
    assert scores.metrics["METEOR"].why == "not asked for"


def test_captions_are_scored_on_the_references_that_people_are_scored_on() -> None:
    firsts = [captions[0] for captions in REFERENCES]
    rests = [[sentences[:turn] + sentences[turn + 1 :] for sentences in THREES] for turn in range(3)]
    turns = [values(rest, firsts[: len(THREES)]) for rest in rests]
    captions = human(THREES, firsts[: len(THREES)], java=False, samples=20).captions
    for name in ("BLEU-1", "BLEU-4", "ROUGE-L", "CIDEr-D", "vocabulary"):
        assert captions.metrics[name].value == pytest.approx(sum(turn[name] for turn in turns) / 3)
    assert captions.per_image["CIDEr-D"].shape == (len(THREES),)


def test_a_system_that_copies_a_person_is_as_good_as_one() -> None:
    copied = ["a dog runs on grass", "the cat sits", "one man rides a bike"]
    both = human([[caption, caption] for caption in copied], copied, java=False, samples=20)
    person, captions = ([metric.value for metric in scores.metrics.values()] for scores in (both.person, both.captions))
    assert person == captions


def test_images_with_a_single_reference_are_left_out_of_a_persons_score() -> None:
    both = human([*REFERENCES, ["Nobody else saw this"]], [*HYPOTHESES, "x"], java=False, samples=20)
    expected = human(REFERENCES, HYPOTHESES, java=False, samples=20)
    for scores, others in ((both.person, expected.person), (both.captions, expected.captions)):
        assert (scores.images, scores.left_out) == (8, 1)
        assert scores.metrics == others.metrics
    with pytest.raises(UsageError, match="no image has two references"):
        human([["a"], ["b"]], ["a", "b"])


@pytest.mark.parametrize("images", [10, 30])
def test_equal_systems_differ_significantly_in_one_case_of_twenty(images: int) -> None:
    draw = random.Random(0)
    words = [chr(ord("a") + n % 26) * (1 + n // 26) for n in range(200)]

    def caption() -> str:
        return " ".join(draw.choices(words, [1 / (n + 1) for n in range(200)], k=draw.randint(4, 8)))

    counts = Counter(dict.fromkeys(("BLEU-1", "CIDEr-D", "distinct-1", "distinct-2", "vocabulary"), 0))
    for seed in range(100):
        references, a, b = ([caption() for _ in range(images)] for _ in range(3))
        differences = compare([[text] for text in references], a, b, java=False, samples=100, seed=seed).metrics
        counts.update(name for name in counts if (differences[name].p or 0) <= 0.05)
    # Of 100 cases 5 are expected; more than 11 has a probability below 0.005.
    assert max(counts.values()) <= 11
    assert sum(counts.values()) > 0


@given(st.lists(st.tuples(captions, captions), min_size=2, max_size=6))
@settings(deadline=None, max_examples=50)
def test_intervals_end_where_the_metrics_do(pairs: list[tuple[str, str]]) -> None:
    a, b = [first for first, _ in pairs], [second for _, second in pairs]
    references = [["a dog runs"]] * len(pairs)
    metrics, differences = (
        score(references, a, java=False, samples=20).metrics,
        compare(references, a, b, java=False, samples=20).metrics,
    )
    for name in ("distinct-1", "distinct-2"):
        assert 0 <= metrics[name].low <= metrics[name].value <= metrics[name].high <= 1
        assert -1 <= differences[name].low <= differences[name].value <= differences[name].high <= 1
    assert 0 <= metrics["vocabulary"].low <= metrics["vocabulary"].value <= metrics["vocabulary"].high


def test_one_image_is_compared_without_interval_and_p_value() -> None:
    for difference in compare(REFERENCES[:1], HYPOTHESES[:1], OTHERS[:1], java=False).metrics.values():
        assert (difference.low, difference.high, difference.p) == (None, None, None)
        assert difference.why == "a single image says nothing about others"


def test_meteor_is_started_once_and_counts_its_captions(monkeypatch: pytest.MonkeyPatch) -> None:
    programs = []

    class Counting(Meteor):
        def __init__(self, aligned: Callable[[], None] | None = None) -> None:
            programs.append(self)
            self.tell = aligned

        def __exit__(self, *_: object) -> None:
            pass

        def statistics(self, references: Any, hypotheses: Any) -> Means:
            for _ in hypotheses:
                self.tell()
            return Means(("METEOR",), np.zeros((len(hypotheses), 1)))

    monkeypatch.setattr("capcli.evaluation.scores.Meteor", Counting)
    aligned: list[None] = []
    how: dict[str, Any] = {"samples": 5, "aligned": lambda: aligned.append(None)}
    for work, expected in (
        (lambda: score(THREES, HYPOTHESES[:2], **how), 2),
        (lambda: compare(THREES, HYPOTHESES[:2], OTHERS[:2], **how), 4),
        (lambda: human(THREES, HYPOTHESES[:2], **how), human_alignments(THREES)),
    ):
        work()
        assert (len(programs), len(aligned)) == (1, expected)
        programs.clear()
        aligned.clear()


@pytest.mark.parametrize(
    ("impossible", "message"),
    [
        (lambda: score([], [], java=False), "there are no images to score"),
        (lambda: score([["a"]], [], java=False), "there are 0 captions of 1 images"),
        (lambda: score([["a"], []], ["a", "b"], java=False), "image 2 has no reference"),
        (lambda: score([["a"], "a dog"], ["a", "b"], java=False), "the references of image 2 are 'a dog'; give a list"),
        (lambda: score([["a"]], "a", java=False), "the captions are 'a'; give a list"),
        (lambda: compare([["a"]], ["a"], ["a", "b"], java=False), "there are 2 captions of 1 images"),
        (lambda: compare(["a dog"], ["a"], ["b"], java=False), "the references of image 1 are 'a dog'"),
        (lambda: compare([["a"]], ["a"], ["b"], java=False, samples=0), "at least one resample"),
        (lambda: human([["a", "b"]], [], java=False), "there are 0 captions of 1 images"),
        (lambda: human([["a", "b"], "a dog"], ["a", "b"], java=False), "the references of image 2 are 'a dog'"),
    ],
)
def test_impossible_input(impossible: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        impossible()
