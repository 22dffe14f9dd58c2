from __future__ import annotations

import dataclasses
import io
import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_captions import caption, word

from capcli.caption import Caption
from capcli.heatmap import raw

FACTS: dict[str, Any] = {"path": "holiday/a.jpg", "size": (640, 480), "method": "gradient", "model": "base"}


@pytest.fixture(scope="module")
def sentence() -> Caption:
    source = np.random.default_rng(0)
    words = []
    for text, share in (("a", 0.9), ("zyzzyva", None), ("runs", 1e-9)):
        weights = source.random((5, 7), np.float32)
        words.append(word(text, share, weights / weights.sum()))
    return caption(words, "A zyzzyva runs.")


def loaded(content: bytes) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return dict(file)


def strict(content: bytes) -> dict[str, Any]:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(content, parse_constant=refuse)


def test_npz_has_all_there_is_without_pickle(sentence: Caption) -> None:
    held = loaded(raw.npz(sentence, **FACTS))
    assert {name: held[name].item() for name in ("caption", "path", "model", "method", "confidence")} == {
        "caption": "A zyzzyva runs.",
        "path": "holiday/a.jpg",
        "model": "base",
        "method": "gradient",
        "confidence": 0.5,
    }
    assert held["size"].tolist() == [640, 480]
    assert held["box"].tolist() == [0, 0, 640, 480]
    assert held["grid"].tolist() == [5, 7]
    assert held["words"].tolist() == ["a", "zyzzyva", "runs"]
    assert held["known"].tolist() == [True, False, True]
    assert held["log_probabilities"].tolist() == pytest.approx([math.log(0.9), -math.inf, math.log(1e-9)])
    for place, expected in enumerate(sentence.words):
        assert expected.attention is not None
        assert expected.heads is not None
        assert (held["attention"][place] == expected.attention).all()
        assert (held["heads"][place] == expected.heads).all()
    assert held["attention"].dtype == held["heads"].dtype == np.float32


def test_json_has_the_same_and_is_strict(sentence: Caption) -> None:
    held, document = loaded(raw.npz(sentence, **FACTS)), strict(raw.json(sentence, **FACTS))
    for name in ("caption", "path", "model", "method", "confidence", "size", "box", "grid"):
        assert document[name] == held[name].tolist()
    assert [word["word"] for word in document["words"]] == held["words"].tolist()
    assert [word["known"] for word in document["words"]] == [True, False, True]
    assert [word["log_probability"] for word in document["words"]] == [
        pytest.approx(math.log(0.9), abs=1e-6),
        None,
        pytest.approx(math.log(1e-9), abs=1e-6),
    ]
    for name in ("attention", "heads"):
        assert np.allclose([word[name] for word in document["words"]], held[name], atol=1e-7)


def test_the_docstring_names_every_field(sentence: Caption) -> None:
    documented = raw.__doc__ or ""
    sentence = replace(sentence, words=tuple(replace(word, sentinel=0.5) for word in sentence.words))
    document = strict(raw.json(sentence, **FACTS))
    for name in {*loaded(raw.npz(sentence, **FACTS)), *document, *document["words"][0]}:
        assert f"`{name}`" in documented


def test_both_say_what_made_them_first_and_whether_the_caption_is_in_doubt(sentence: Caption) -> None:
    for doubted in (False, True):
        variant = dataclasses.replace(sentence, uncertain=doubted)
        held, document = loaded(raw.npz(variant, **FACTS)), strict(raw.json(variant, **FACTS))
        assert next(iter(held)) == next(iter(document)) == "generator"
        assert (held["generator"].item(), document["generator"]) == (b"capcli attend", "capcli attend")
        assert (held["uncertain"].item(), document["uncertain"]) == (doubted, doubted)


def test_heads_are_left_out_where_there_are_none() -> None:
    bare = caption([word("a", heads=False), word("dog", heads=False)])
    assert "heads" not in loaded(raw.npz(bare, **FACTS))
    assert "heads" not in strict(raw.json(bare, **FACTS))["words"][0]


def test_a_sentinel_is_told_where_there_is_one(sentence: Caption) -> None:
    assert "sentinel" not in loaded(raw.npz(sentence, **FACTS))
    assert "sentinel" not in strict(raw.json(sentence, **FACTS))["words"][0]
    shares = (0.25, 0.0, 1 / 3)
    words = [replace(word, sentinel=share) for word, share in zip(sentence.words, shares, strict=True)]
    adaptive = caption(words, sentence.text)
    held = loaded(raw.npz(adaptive, **FACTS))["sentinel"]
    assert held.dtype == np.float32
    assert held.tolist() == pytest.approx(shares)
    entries = strict(raw.json(adaptive, **FACTS))["words"]
    assert [entry["sentinel"] for entry in entries] == pytest.approx(shares, abs=1e-7)


def test_a_caption_without_words_can_be_kept() -> None:
    held = loaded(raw.npz(caption([]), **FACTS))
    assert held["words"].shape == (0,)
    assert held["attention"].shape == (0, 0, 0)
    assert strict(raw.json(caption([]), **FACTS))["words"] == []


def test_a_path_with_bytes_that_are_no_text_comes_back() -> None:
    facts = FACTS | {"path": "a\udcff\n.jpg"}
    assert loaded(raw.npz(caption(["dog"]), **facts))["path"].item() == "a\udcff\n.jpg"
    assert strict(raw.json(caption(["dog"]), **facts))["path"] == "a\udcff\n.jpg"


@settings(deadline=None)
@given(st.lists(st.text(min_size=1).filter(lambda text: not text.endswith("\x00")), min_size=1, max_size=5))
def test_words_come_back_whatever_they_are(words: list[str]) -> None:
    assert loaded(raw.npz(caption(words), **FACTS))["words"].tolist() == words
    assert [word["word"] for word in strict(raw.json(caption(words), **FACTS))["words"]] == words


def test_it_is_the_same_every_time(sentence: Caption) -> None:
    assert raw.npz(sentence, **FACTS) == raw.npz(sentence, **FACTS)
    assert raw.json(sentence, **FACTS) == raw.json(sentence, **FACTS)


def test_a_box_that_begins_outside_the_picture_is_told_in_its_pixels() -> None:
    shifted = caption([replace(word("dog"), box=(-0.1, -0.05, 0.9, 0.95))])
    assert loaded(raw.npz(shifted, **FACTS))["box"].tolist() == pytest.approx([-64, -24, 576, 456])
