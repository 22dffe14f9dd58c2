from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from capcli import Captioner
from capcli.attribution.methods import METHODS
from capcli.caption import Caption, Word
from capcli.errors import UsageError
from capcli.evaluation.faithfulness import FRACTIONS, Check, check, curves, is_content
from capcli.evaluation.table import print_check

ROWS, COLUMNS, SIDE = 5, 5, 20
TRUTH, OTHER = 7, 18


class Model:
    """Says "a dog runs" wherever it looks, as sure of the dog as region 7 has contrast, and of running as region 18.

    Maps by "true" point at these regions, by "false" away from both, by "flat" nowhere.
    """

    grid = (ROWS, COLUMNS)
    box = (0.0, 0.0, 1.0, 1.0)

    def __init__(self, text: tuple[str, ...] = ("a", "dog", "runs")) -> None:
        self.text = text

    def prepare(self, image: Any) -> np.ndarray:
        return np.random.default_rng(image).integers(0, 256, (SIDE, SIDE, 3), np.uint8)

    def attend_arrays(self, arrays: np.ndarray, options: Any = None, *, method: str) -> list[Caption]:
        words = []
        for text, place in zip(self.text, (OTHER, TRUTH, OTHER), strict=False):
            weights = np.full(ROWS * COLUMNS, 0.01)
            if method == "true":
                weights[place] = 1.0
            elif method == "false":
                weights[[TRUTH, OTHER]] = 0.0
            words.append(Word(text, -1.0, weights.reshape(self.grid)))
        return [Caption(" ".join(self.text), tuple(words), 0.5)] * len(arrays)

    def log_probabilities(self, arrays: np.ndarray, words: Any) -> np.ndarray:
        sure = [np.full(len(arrays), 0.5), self._contrast(arrays, TRUTH), self._contrast(arrays, OTHER) ** 2]
        return np.log(np.stack([*sure[: len(words)], np.ones(len(arrays))], 1))

    def _contrast(self, arrays: np.ndarray, place: int) -> np.ndarray:
        row, column = divmod(place, COLUMNS)
        patch = arrays[:, row * 4 : row * 4 + 4, column * 4 : column * 4 + 4].astype(float)
        return 0.05 + np.minimum(patch.std((1, 2, 3)) / 128, 0.9)


@pytest.fixture(scope="module")
def measured() -> Check:
    return check(Model(), range(40), methods=("true", "false", "flat"))  # type: ignore[arg-type]


def test_a_map_of_the_truth_is_told_from_a_false_one(measured: Check) -> None:
    true, false = measured.methods["true"], measured.methods["false"]
    assert true.ratio.value is not None and true.ratio.low is not None
    assert true.ratio.low > 2.0
    assert true.top.value is not None and true.least.value is not None
    assert true.top.value > 0.5 > abs(true.least.value)
    assert false.ratio.value is not None and false.ratio.value < 0.1
    # The false maps give least to the two places that matter.
    assert false.least.value == pytest.approx(true.top.value, rel=0.1)
    difference = measured.differences["false"]
    assert difference.low is not None and difference.low > 0


def test_a_map_that_points_nowhere_does_as_well_as_chance(measured: Check) -> None:
    flat = measured.methods["flat"]
    assert flat.ratio.low is not None and flat.ratio.high is not None
    assert flat.ratio.low < 1 < flat.ratio.high
    assert flat.curves.deletion_area.value == pytest.approx(measured.random_curves.deletion_area.value, abs=0.1)


def test_falls_are_those_of_the_mean_word_whatever_the_number_of_words(measured: Check) -> None:
    # The one region that matters to a word is always in the true top fifth, and in one random fifth of five.
    true = measured.methods["true"]
    assert measured.random.value is not None and true.top.value is not None
    assert measured.random.value == pytest.approx(true.top.value / 5, rel=0.25)


def test_curves_run_from_the_whole_picture_to_none_of_it(measured: Check) -> None:
    found = [method.curves for method in measured.methods.values()] + [measured.random_curves]
    for curve in found:
        assert len(curve.deletion) == len(curve.insertion) == len(FRACTIONS)
        assert curve.deletion[0] == pytest.approx(curve.insertion[-1])
        assert curve.deletion[-1] == pytest.approx(curve.insertion[0])
        assert curve.deletion[0] == pytest.approx(found[0].deletion[0])
        assert curve.deletion_area.value == pytest.approx(
            np.interp(np.linspace(0, 1, 10001), FRACTIONS, curve.deletion).mean(), abs=1e-3
        )
    true, false = (measured.methods[name].curves for name in ("true", "false"))
    assert true.deletion_area.value < false.deletion_area.value  # type: ignore[operator]
    assert true.insertion_area.value > false.insertion_area.value  # type: ignore[operator]


def test_one_seed_gives_one_result(measured: Check) -> None:
    again = check(Model(), range(40), methods=("true", "false", "flat"))  # type: ignore[arg-type]
    assert again == measured
    other = check(Model(), range(40), methods=("true", "false", "flat"), seed=1)  # type: ignore[arg-type]
    assert other.random != measured.random


def test_function_words_and_signs_are_not_looked_for() -> None:
    assert [word for word in ("a", "dog", "is", "on", "top", "of", "the", "&", "sign", "'s") if is_content(word)] == [
        "dog",
        "top",
        "sign",
    ]


def test_captions_of_function_words_alone_are_left_out() -> None:
    model = Model()
    usual, model.attend_arrays = (
        model.attend_arrays,
        lambda arrays, options=None, *, method: (  # type: ignore[method-assign]
            usual(arrays, options, method=method)
            if arrays.sum() % 2
            else Model(("it", "is")).attend_arrays(arrays, method=method)
        ),
    )
    found = check(model, range(12), methods=["true"])  # type: ignore[arg-type]
    assert found.images + found.wordless == 12
    assert 0 < found.wordless < 12
    assert found.words == 2 * found.images
    with pytest.raises(UsageError, match="no caption has a word"):
        check(Model(("it", "is")), range(3), methods=["true"])  # type: ignore[arg-type]


def test_a_single_picture_has_no_interval() -> None:
    found = check(Model(), [0], methods=["true"])  # type: ignore[arg-type]
    assert found.methods["true"].top.value is not None
    assert found.methods["true"].top.low is None


def test_covers_that_cost_nothing_give_no_ratio() -> None:
    model = Model()
    model.log_probabilities = lambda arrays, words: np.full((len(arrays), 4), -1.0)  # type: ignore[method-assign]
    ratio = check(model, range(3), methods=["true"]).methods["true"].ratio  # type: ignore[arg-type]
    assert (ratio.value, ratio.why) == (None, "covering at random costs nothing")


def test_it_is_plain_json_and_a_plot_and_a_table(measured: Check, capsys: pytest.CaptureFixture[str]) -> None:
    plain = json.loads(json.dumps(measured.to_json(), allow_nan=False))
    assert plain["images"] == 40 and plain["words"] == 80
    assert plain["methods"]["true"]["ratio"]["value"] == pytest.approx(measured.methods["true"].ratio.value)
    assert set(plain["differences_of_top"]) == {"true - false", "true - flat"}
    svg = ElementTree.fromstring(curves(measured))
    assert svg.tag.endswith("svg")
    assert {"true", "false", "flat", "random"} <= {text.text for text in svg.iter() if text.tag.endswith("text")}
    print_check(measured, "a model on pictures")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "a model on pictures"
    assert [line.split()[0] for line in lines[2:6]] == ["true", "false", "flat", "random"]


@pytest.mark.parametrize("method", METHODS)
def test_a_real_model_is_measured(tiny_file: Any, method: str) -> None:
    captioner = Captioner.load(tiny_file, device="cpu")
    captioner.options = replace(captioner.options, min_length=4)
    pictures = [np.random.default_rng(number).integers(0, 256, (30, 40, 3), np.uint8) for number in range(3)]
    done: list[int] = []
    found = check(captioner, pictures, methods=[method], progress=done.append)
    assert done == [1, 2, 3]
    assert found.images + found.wordless == 3
    assert np.isfinite([found.methods[method].top.value, found.random.value]).all()
