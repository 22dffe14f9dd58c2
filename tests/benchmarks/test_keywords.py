"""The nouns of captions, and the fit of keywords to pictures."""

from __future__ import annotations

import dataclasses
import shutil
from argparse import Namespace
from pathlib import Path
from types import ModuleType
from typing import IO, Any, cast

import expected_words
import keywords
import numpy as np
import pytest
from nouns import LEAST, Nouns, derive
from small_head import HEAD

from capcli.arrays import AnyArray
from capcli.datasets import Item
from capcli.errors import DatasetError
from capcli.keywords.head import KeywordHead


@pytest.fixture(autouse=True)
def _few_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keywords, "HIDDEN", 64)


def test_nouns_are_told_from_adjectives_and_verbs_by_where_they_stand() -> None:
    texts = ["A brown dog is in the snow.", "A dog and two dogs on a bench.", "The brown bench is in the snow."] * LEAST
    assert set(derive([*texts, *["A brown cat sits."] * LEAST])) >= {"dog", "snow", "bench"}
    assert not {"brown", "sits", "dogs", "two", "is"} & set(derive(texts))


def test_nouns_of_a_caption_are_singular_each_once_and_two_words_may_be_one() -> None:
    nouns = Nouns.read()
    assert nouns.find("Two men and a man eat hot dogs near fire hydrants.") == ["man", "hot dog", "fire hydrant"]
    assert nouns.find("A bike beside a Bicycle") == ["bicycle"]
    assert nouns.find("") == []


def test_a_network_finds_the_features_of_words_and_their_probabilities(monkeypatch: pytest.MonkeyPatch) -> None:
    # Four features say little, so a step leaves none out; a word is here where one of two features is large.
    monkeypatch.setattr(keywords, "DROPPED_INPUTS", 0.0)
    rng = np.random.default_rng(0)
    pooled = rng.normal(3, 2, (6000, 4)).astype(np.float32)
    right = (np.stack([pooled[:, :2].max(1), pooled[:, 2]], 1) + rng.normal(size=(6000, 2)) > 4).astype(np.float32)
    layers = keywords.learn(pooled, right, np.ones(6000, np.float32))
    head = KeywordHead(("one", "two"), {}, *layers, np.zeros((0, 2), np.float32), 0.3, "")
    scores = head.scores(pooled)
    alone = np.array([[6, 0, 0, 0], [0, 6, 0, 0], [0, 0, 6, 0], [0, 0, 0, 6]], np.float32)
    assert (head.scores(alone) > 0).tolist() == [[True, False], [True, False], [False, True], [False, False]]
    knots = keywords.calibrate_logits(scores, right > 0)
    probabilities = dataclasses.replace(head, calibration=knots).probabilities(pooled)
    assert (np.diff(knots, axis=0) >= 0).all()
    for least in (0.2, 0.5, 0.8):
        chosen = (probabilities > least - 0.1) & (probabilities < least + 0.1)
        assert abs(right[chosen].mean() - probabilities[chosen].mean()) < 0.03


def test_pictures_of_no_share_teach_nothing() -> None:
    rng = np.random.default_rng(0)
    pooled = rng.normal(size=(1024, 4)).astype(np.float32)
    right = (pooled[:, :1] > 0).astype(np.float32)
    shares = np.repeat(np.array([1, 0], np.float32), 512)
    lies = np.concatenate([right[:512], 1 - right[512:]])
    taught, lied_to = (keywords.learn(pooled, labels, shares) for labels in (right, lies))
    assert all(map(np.array_equal, taught, lied_to))


@pytest.mark.parametrize(
    ("dataset", "parts"),
    [
        ("a.jsonl", ("a.jsonl", 1.0)),
        ("b:12@2.5", ("b", 2.5)),
        ("c@3", ("c", 3.0)),
        ("d:7", ("d", 1.0)),
        ("e@.5", ("e", 0.5)),
        ("f@1.2.3", ("f@1.2.3", 1.0)),
        ("photos@2", ("photos@2", 1.0)),
        ("photos@2@3", ("photos@2", 3.0)),
    ],
)
def test_a_data_set_may_have_a_number_of_pictures_and_a_weight(
    dataset: str, parts: tuple[str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos@2").mkdir()
    assert (keywords._parse(dataset)[0], keywords.weight_of(dataset)) == parts


def test_a_feature_that_is_the_same_in_all_pictures_has_no_weight() -> None:
    rng = np.random.default_rng(0)
    pooled = rng.normal(size=(600, 4)).astype(np.float32)
    pooled[:, 3] = 0.1
    hidden, bias, *_ = keywords.learn(pooled, (pooled[:, :1] > 0).astype(np.float32), np.ones(600, np.float32))
    assert not hidden[:, 3].any() and hidden[:, :3].any()
    assert np.isfinite(hidden.astype(np.float16)).all() and np.isfinite(bias).all()


@pytest.mark.filterwarnings("error")
def test_probabilities_of_the_surest_scores_are_finite() -> None:
    scores = np.repeat(np.array([[-120], [40]], np.float32), 100, 0)
    knots = keywords.calibrate_logits(scores, scores > 0)
    assert np.isfinite(knots).all() and np.interp([-120, 40], *knots.T).tolist() == [0, 1]


def test_scores_too_few_to_fit_probabilities_to_are_an_error() -> None:
    with pytest.raises(DatasetError, match="too few"):
        keywords.calibrate(np.zeros((3, 2), np.float32), np.zeros((3, 2), bool))


def test_a_cache_that_cannot_be_written_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Captioner:
        def prepare(self, image: Path) -> int:
            return len(image.name)

        def pooled(self, pictures: AnyArray) -> AnyArray:
            return np.stack([pictures, pictures + 1], 1)

    def stop(place: Path | IO[bytes], **_: AnyArray) -> None:
        if isinstance(place, Path):
            place.write_bytes(b"half")
        raise KeyboardInterrupt

    captioner, file = cast(Any, Captioner()), tmp_path / "cache.npz"
    items = [Item(Path(name), ("",), "train") for name in ("a", "ab")]
    assert keywords.pool(captioner, items[:1], file).tolist() == [[1, 2]]
    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr(np, "savez", stop)
        keywords.pool(captioner, items, file)
    assert keywords.pool(captioner, items, file).tolist() == [[1, 2], [2, 3]]


@pytest.mark.parametrize(
    ("program", "arguments", "reason"),
    [
        (keywords, ("fit", "data.csv"), "no dev pictures with 5 captions"),
        (keywords, ("fit", "data.csv", "dev.csv"), "no noun is in the captions of 20 training pictures"),
        (keywords, ("measure", "dev.csv@3"), "leave @3 out"),
        (expected_words, ("data.csv",), "no dev pictures with 5 captions"),
        (expected_words, ("data.csv", "dev.csv"), "no word of the model is in the captions of 12 training pictures"),
        (expected_words, ("data.csv", "dev.csv@3"), "leave @3 out"),
    ],
)
def test_data_that_give_no_words_are_an_error_on_one_line(
    program: ModuleType, arguments: tuple[str, ...], reason: str, tiny_file: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        Path(f"{name}.png").touch()
    Path("data.csv").write_text("image,caption\na.png,A dog.\n")
    Path("dev.csv").write_text("image,caption,split\n" + "b.png,A dog.,dev\n" * 5)
    monkeypatch.setattr("sys.argv", ["program", *arguments, "--model", str(tiny_file)])
    with pytest.raises(SystemExit) as stopped:
        program.main()
    error = capsys.readouterr().err
    assert stopped.value.code == 2 and reason in error and error.count("\n") == 1


def test_what_a_data_set_holds_out_is_drawn_from_no_other(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.png").touch()
    whole, divided = tmp_path / "whole.csv", tmp_path / "divided.csv"
    whole.write_text("image,caption\na.png,A dog.\nb.png,A dog.\n")
    divided.write_text("image,caption,split\n" + "b.png,A dog.,dev\n" * 5 + "c.png,A dog.,train\n")
    drawn = keywords.draw_train([f"{whole}:9", f"{divided}@2"], 0.0)
    assert [[item.image.stem for item in items] for items in drawn] == [["a"], ["c"]]


def test_pictures_without_a_dev_split_are_not_measured(
    tiny_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Path(shutil.copy(tiny_file, tmp_path / "a.safetensors"))
    HEAD.save(model)
    (tmp_path / "a.png").touch()
    (tmp_path / "data.csv").write_text("image,caption\na.png,A dog.\n")
    with pytest.raises(DatasetError, match="holds no dev pictures"):
        keywords.measure(Namespace(datasets=[str(tmp_path / "data.csv")], model=str(model), cache=None))
