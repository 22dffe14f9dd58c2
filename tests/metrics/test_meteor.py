from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from capcli.errors import CapcliError
from capcli.metrics.java import Unavailable
from capcli.metrics.meteor import Meteor

WORDS = ("a", "the", "dog", "dogs", "runs", "running", "is", "on", "in", "grass", "lawn", "man", "person", "red", ".")


@pytest.fixture(scope="module")
def meteor() -> Iterator[Meteor]:
    try:
        program = Meteor()
    except Unavailable as reason:
        pytest.skip(f"METEOR {reason}")
    with program:
        yield program


def corpus(images: int) -> tuple[list[list[list[str]]], list[list[str]]]:
    draw = random.Random(0)

    def sentence() -> list[str]:
        return [draw.choice(WORDS) for _ in range(draw.randint(1, 8))]

    references = [[sentence() for _ in range(draw.randint(1, 3))] for _ in range(images)]
    hypotheses = [sentence() for _ in range(images)]
    hypotheses[0] = references[0][0]  # perfect, for which the program makes an exception
    hypotheses[1] = []
    hypotheses[2] = ["nothing"]
    return references, hypotheses


@pytest.mark.java
def test_equals_the_programs_own_aggregation(meteor: Meteor) -> None:
    toolkit = pytest.importorskip("pycocoevalcap.meteor.meteor")

    class Toolkit(toolkit.Meteor):  # type: ignore[misc]
        """The toolkit's own questions, to the program that runs: starting another takes ten seconds."""

        def __init__(self) -> None:
            self.meteor_p, self.lock = meteor._process, threading.Lock()

        def __del__(self) -> None:
            """Lets the program run."""

    references, hypotheses = corpus(30)
    corpora: tuple[list[int], ...] = (list(range(30)), [0], [1], list(range(10, 20)), [0, 5, 5, 7])
    program = Toolkit()
    expected = [
        program.compute_score(
            {i: [" ".join(words) for words in references[image]] for i, image in enumerate(images)},
            {i: [" ".join(hypotheses[image])] for i, image in enumerate(images)},
        )
        for images in corpora
    ]

    statistics = meteor.statistics(references, hypotheses)
    for images, (total, per_image) in zip(corpora, expected, strict=True):
        weights = np.bincount(images, minlength=30)[None].astype(float)
        assert statistics.scores(weights)[0, 0] == pytest.approx(total, abs=1e-9)
        np.testing.assert_allclose(statistics.per_image()["METEOR"][images], per_image, atol=1e-9)


@pytest.mark.java
@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        # One chunk of three of four words, one of them a function word: P = 1.75 / 1.75, R = 1.75 / 2.5.
        ("a dog runs home", "a dog runs", (1 / (0.15 + 0.85 * 2.5 / 1.75)) * (1 - 0.6 * (1 / 3) ** 0.2)),
        ("a dog runs", "a dog runs", 1.0),
        ("a dog runs", "yes", 0.0),
        ("a dog runs", "", 0.0),
        ("a ||| dog", "a dog", 1.0),
    ],
)
def test_values_worked_out_by_hand(meteor: Meteor, reference: str, hypothesis: str, expected: float) -> None:
    statistics = meteor.statistics([[reference.split(" ")]], [hypothesis.split()])
    assert statistics.per_image()["METEOR"] == pytest.approx([expected])


def test_every_caption_is_counted(java_stand_in: Callable[[str], Path]) -> None:
    java_stand_in("while read line; do echo 1 1 0 0 1 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 1 1 1; done")
    done: list[None] = []
    with Meteor(lambda: done.append(None)) as program:
        program.statistics([[["a"]]] * 3, [["a"]] * 3)
    assert len(done) == 3


@pytest.mark.java
def test_odd_words_do_not_upset_the_order_of_answers(meteor: Meteor) -> None:
    words = ["line\rbreak", "line\nbreak", "|||", "\ud800", "\u72d7", "SCORE", "EVAL"]
    statistics = meteor.statistics([[[word]] for word in words] + [[["dog"]]], [["dog"]] * len(words) + [["dog"]])
    np.testing.assert_allclose(statistics.per_image()["METEOR"], [0.0] * len(words) + [1.0])


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'Could not reserve enough space' >&2; exit 1", "Could not reserve enough space"),
        ("read line; echo 'Error: specify SCORE'; read line", "Error: specify SCORE"),
        ("exit 3", "Java ended with exit code 3"),
    ],
)
def test_failure_is_one_line(java_stand_in: Callable[[str], Path], script: str, reason: str) -> None:
    java_stand_in(script)
    with Meteor() as program, pytest.raises(CapcliError) as caught:
        program.statistics([[["a"]]], [["a"]])
    assert str(caught.value) == f"METEOR failed ({reason}); --no-java leaves it out"


def test_without_java(no_java: None) -> None:
    with pytest.raises(Unavailable, match=r"^needs capcli\[java\]$"):
        Meteor()


def test_impossible_input(java_stand_in: Callable[[str], Path]) -> None:
    java_stand_in("cat > /dev/null")
    with Meteor() as program:
        with pytest.raises(ValueError):
            program.statistics([[]], [["a"]])
        with pytest.raises(ValueError):
            program.statistics([], [["a"]])
