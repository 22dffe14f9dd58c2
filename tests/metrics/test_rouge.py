from __future__ import annotations

import random

import pytest

from capcli.metrics import rouge_l


def test_equals_the_coco_toolkit() -> None:
    scorer = pytest.importorskip("pycocoevalcap.rouge.rouge")
    draw = random.Random(0)
    references = [
        [[draw.choice("abcdef") for _ in range(draw.randint(1, 12))] for _ in range(draw.randint(1, 5))]
        for _ in range(30)
    ]
    hypotheses = [[draw.choice("abcdefgh") for _ in range(draw.randint(0, 12))] for _ in range(30)]
    expected, _ = scorer.Rouge().compute_score(
        {i: [" ".join(words) for words in sentences] for i, sentences in enumerate(references)},
        {i: [" ".join(words)] for i, words in enumerate(hypotheses)},
    )
    assert rouge_l(references, hypotheses) == pytest.approx(float(expected), abs=1e-9)


def test_value_worked_out_by_hand() -> None:
    # The longest common subsequence "a c d" gives precision 3/4 and recall 3/5.
    precision, recall, weight = 3 / 4, 3 / 5, 1.2**2
    expected = (1 + weight) * precision * recall / (recall + weight * precision)
    assert rouge_l([[["a", "b", "c", "d", "e"]]], [["a", "c", "x", "d"]]) == pytest.approx(expected)


def test_nothing_in_common_and_nothing_at_all() -> None:
    assert rouge_l([[["a"]], [["b"]]], [["b"], []]) == 0.0


def test_impossible_input() -> None:
    for references, hypotheses in (([], []), ([[]], [["a"]]), ([[["a"]]], [])):
        with pytest.raises(ValueError):
            rouge_l(references, hypotheses)
