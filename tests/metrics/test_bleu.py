from __future__ import annotations

import random

import pytest

from capcli.metrics import bleu


@pytest.mark.parametrize(("shortest", "longest"), [(1, 12), (1, 3), (10, 14)])
def test_equals_the_coco_toolkit(shortest: int, longest: int) -> None:
    scorer = pytest.importorskip("pycocoevalcap.bleu.bleu")
    draw = random.Random(shortest)
    references = [
        [[draw.choice("abcdef") for _ in range(draw.randint(1, 12))] for _ in range(draw.randint(1, 5))]
        for _ in range(30)
    ]
    hypotheses = [[draw.choice("abcdef") for _ in range(draw.randint(shortest, longest))] for _ in range(30)]
    expected, _ = scorer.Bleu(4).compute_score(
        {i: [" ".join(words) for words in sentences] for i, sentences in enumerate(references)},
        {i: [" ".join(words)] for i, words in enumerate(hypotheses)},
        verbose=0,
    )
    assert bleu(references, hypotheses) == pytest.approx(expected, abs=1e-9)


def test_value_worked_out_by_hand() -> None:
    # Four of five words ("the" counts twice at most) and two of four bigrams are right, at equal length.
    scores = bleu([[["the", "cat", "on", "the", "mat"]]], [["the", "cat", "the", "the", "mat"]])
    assert scores[:2] == pytest.approx([4 / 5, (4 / 5 * 2 / 4) ** 0.5], abs=1e-8)


def test_brevity_is_judged_by_the_closest_reference() -> None:
    references = [[["a", "b", "c", "d"], ["a", "b", "c", "d", "e", "f", "g", "h"]]]
    assert bleu(references, [["a", "b", "c", "d"]]) == pytest.approx([1.0] * 4, abs=1e-8)


def test_impossible_input() -> None:
    with pytest.raises(ValueError):
        bleu([[["a"]]], [])
    with pytest.raises(ValueError):
        bleu([[]], [["a"]])
