"""Which words become keywords, and the file that a model's words are in."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_head import HEAD

from capcli.captioner import Captioner
from capcli.errors import ModelError, UsageError
from capcli.heatmap.page import page
from capcli.heatmap.raw import json as write_json
from capcli.keywords.chooser import KeywordChooser, keyword_origin, read_chooser
from capcli.keywords.head import KeywordHead
from capcli.keywords.options import KeywordOptions
from capcli.keywords.tree import read_tree


def words(chooser: KeywordChooser, bright: float, dark: float) -> Sequence[str]:
    (chosen,) = chooser.choose(np.array([[bright, dark]], np.float32))
    return [keyword.word for keyword in chosen]


def by(tmp_path: Path, text: str, count: int = 9) -> KeywordChooser:
    (tmp_path / "words.txt").write_text(text)
    return KeywordChooser(HEAD, count, read_tree(tmp_path / "words.txt"))


def test_the_likeliest_come_first_and_none_below_the_floor() -> None:
    assert words(KeywordChooser(HEAD, 9), 0.9, 0.1) == ["sky", "polar bear"]
    assert words(KeywordChooser(HEAD, 1), 0.9, 0.1) == ["sky"]
    assert words(KeywordChooser(HEAD, 9), 0.1, 0.1) == []


def test_a_vocabulary_restricts_the_words_and_spells_them(tmp_path: Path) -> None:
    chooser = by(tmp_path, "nature\n\tSkies\nArctic = polar bears, fog\n")
    (chosen,) = chooser.choose(np.array([[0.9, 0.9]], np.float32))
    assert [(keyword.word, keyword.path, keyword.parents) for keyword in chosen] == [
        ("Skies", ("nature", "Skies"), ("nature",)),
        ("Arctic", ("Arctic",), ()),
    ]
    assert [keyword.probability for keyword in chosen] == pytest.approx([0.9, 0.45])


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("Polar bears\nSKIES\nsky\n", "line 3: 'sky' is in line 2 already, as 'SKIES'"),
        ("Polar bears\nBlue > SKIES\nday > sky\n", "line 3: 'sky' is in line 2 already, as 'SKIES'"),
        ("Polar bears\nSKIES\nheaven\n", "line 3: 'heaven' is in line 2 already, as 'SKIES'"),
        ("Polar bears\nSKIES = fog\nlight = Sky, fogs\n", "line 3: 'Sky' is in line 2 already, as 'SKIES'"),
    ],
)
def test_plurals_and_capitals_of_a_word_are_one_keyword_and_a_note_says_so(
    tmp_path: Path, text: str, note: str
) -> None:
    chooser = by(tmp_path, text, count=2)
    assert words(chooser, 0.9, 0.1) == ["SKIES", "Polar bears"]
    assert f"{tmp_path / 'words.txt'}, {note}; the line is left out" in chooser.notes


def test_synonyms_of_the_model_s_at_different_places_of_a_tree_keep_their_paths(tmp_path: Path) -> None:
    chooser = by(tmp_path, "[air]\n\tsky\n[faith]\n\theaven\n")
    assert (words(chooser, 0.9, 0.1), chooser.notes) == (["sky", "heaven"], ())


def test_a_synonym_of_the_model_s_is_is_known_and_unknown_words_are_told_in_one_line(tmp_path: Path) -> None:
    chooser = by(tmp_path, "Heaven\nxylophone\nzither\n")
    assert words(chooser, 0.9, 0.1) == ["Heaven"]
    assert chooser.notes == (
        "the model does not know 2 of 3 words of the vocabulary, and never gives: 'xylophone', 'zither'",
    )
    with pytest.raises(UsageError, match="knows no word of the vocabulary"):
        by(tmp_path, "xylophone\n")


def test_a_head_is_read_as_it_was_saved_and_only_beside_its_model(tiny_file: Path, tmp_path: Path) -> None:
    model, other = tmp_path / "one.safetensors", tmp_path / "other.safetensors"
    shutil.copy(tiny_file, model)
    other.write_bytes(b"another")
    with pytest.raises(UsageError, match="one knows no keywords"):
        KeywordHead.of_model(model)
    # A transposed array has its numbers in another order than its shape says.
    turned = dataclasses.replace(HEAD, weight=np.asfortranarray(HEAD.weight))
    place = turned.save(model)
    read = KeywordHead.of_model(model)
    assert (read.words, read.synonyms, read.floor) == (HEAD.words, HEAD.synonyms, HEAD.floor)
    assert np.array_equal(read.weight, HEAD.weight) and np.array_equal(read.hidden, HEAD.hidden)
    shutil.copy(place, other.with_suffix(".keywords"))
    with pytest.raises(UsageError, match="fitted to another model"):
        KeywordHead.of_model(other)
    place.write_bytes(place.read_bytes()[:-4])
    with pytest.raises(ModelError, match="not a whole safetensors file"):
        KeywordHead.of_model(model)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"words": ("sky",)}, "do not fit its words"),
        ({"weight": np.zeros((3, 4), np.float32)}, "do not fit its words"),
        ({"hidden": np.zeros((3, 2), np.float32)}, "layers do not fit each other"),
        ({"bias": np.array([0, np.nan, 0], np.float32)}, "not finite numbers"),
        ({"calibration": np.array([[0, 1], [1, 0]], np.float32)}, "calibration falls"),
    ],
)
def test_a_head_that_does_not_fit_is_refused(
    tiny_file: Path, tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    model = shutil.copy(tiny_file, tmp_path / "one.safetensors")
    dataclasses.replace(HEAD, **change).save(model)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=reason):
        KeywordHead.of_model(model)


def test_the_api_gives_captions_keywords_and_leaves_them_as_they_are(tiny_file: Path, tmp_path: Path) -> None:
    model = shutil.copy(tiny_file, tmp_path / "one.safetensors")
    captioner = Captioner.load(model, "cpu")
    width = captioner.encode(np.zeros((1, captioner.size, captioner.size, 3), np.uint8)).shape[-1]
    bias = np.array([0.9, 0.1, 0.5], np.float32)
    dataclasses.replace(HEAD, hidden=np.zeros((2, width), np.float32), bias=bias).save(model)
    picture = np.full((20, 20, 3), 90, np.uint8)
    plain, with_keywords = captioner.caption(picture), captioner.caption(picture, keywords=5)
    assert plain.keywords is None and with_keywords.text == plain.text
    assert [keyword.word for keyword in with_keywords.keywords or ()] == ["sky", "polar bear"]
    (tmp_path / "words.txt").write_text("Heaven\n")
    (restricted,) = captioner.caption([picture], keywords=5, vocabulary=tmp_path / "words.txt")
    assert [word.word for word in restricted.keywords or ()] == ["Heaven"]
    chooser = read_chooser(model, KeywordOptions(keywords=1))
    (drawn,) = captioner.attend_arrays(captioner.prepare(picture)[None], chooser=chooser)
    assert b"Keywords: sky <small>0.90</small></p>" in page(
        Image.fromarray(picture), drawn, name="a.jpg", method="gradient", model="one"
    )
    raw = json.loads(write_json(drawn, path="a.jpg", size=(20, 20), method="gradient", model="one"))
    assert raw["keywords"] == [{"word": "sky", "probability": 0.9}]


def test_options_that_contradict_each_other_are_refused() -> None:
    assert read_chooser("base", KeywordOptions()) is None and not keyword_origin(KeywordOptions())
    with pytest.raises(UsageError, match="--vocabulary needs --keywords"):
        KeywordOptions(vocabulary=Path("words.txt"))
    with pytest.raises(UsageError, match="from 0 to 50"):
        KeywordOptions(keywords=51)
