from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from capcli.datasets import Item
from capcli.model.encoder import EncoderConfig
from capcli.model.network import ModelConfig
from capcli.training.corpus import Corpus
from capcli.training.recipe_reader import build_recipe
from capcli.training.run_key import run_key
from capcli.words.vocabulary import SPECIALS, Vocabulary

VALUES: dict[str, Any] = {
    "name": "mine",
    "data": {"min_count": 3, "temperature": 0.7, "choose_by": ["small"]},
    "encoder": {"name": "mobilenet_v3_small", "size": 64},
    "decoder": {"name": "transformer", "width": 32, "heads": 4},
    "decoding": {"beam_size": 3, "length_penalty": 1},
    "stage": [
        {"objective": "language", "epochs": 1, "pictures": 100, "captions": 1},
        {"train_from": 6, "anchor": 2.0, "word_dropout": 0.05, "keep": "last"},
        {"objective": "self-critical", "temperature": 0.5},
    ],
}
CORPUS = Corpus(
    (Item(Path("photos/a.jpg"), ("a dog", "a brown dog"), "train"), Item(Path("photos/b.jpg"), ("a cat",), "train")),
    ((("a", "dog"), ("a", "brown", "dog")), (("a", "cat"),)),
    {"small": (Item(Path("photos/c.jpg"), ("a cow",), "dev"),)},
    unlabelled=(Path("more/d.jpg"),),
    sentences=(("a", "bird"),),
)
# As the first release of capcli wrote them into the states of its runs, when every stage held the options of all
# objectives: with its first stage, with two, and with all three.
WRITTEN_BEFORE = (
    "d81fe93a2358f6ef0e470f585d46b6ec3555ddb5bffa56399c5f122b73f27c24",
    "7a262c0819383e18c117dfdf30253220da7af4ebc70997a4c50b1bc9d3d2992c",
    "f652a2fb5ce3d9607afe5f2a1ebe62074cb7556f7e520bf0813333c575bae75a",
)


def key(
    stage: int,
    values: dict[str, Any] = VALUES,
    corpus: Corpus = CORPUS,
    begun_from: str = "imagenet",
    anchored_to: str | None = None,
) -> str:
    config = ModelConfig(EncoderConfig("mobilenet_v3_small", 64), VALUES["decoder"])
    words = Vocabulary([*SPECIALS, "a", "dog"])
    return run_key(build_recipe(values), stage, config, words, begun_from, corpus, anchored_to=anchored_to)


@pytest.mark.parametrize("stage", range(3))
def test_runs_that_are_under_way_are_known_again(stage: int) -> None:
    assert key(stage) == WRITTEN_BEFORE[stage]


def test_later_stages_may_change_while_a_run_goes_on_and_earlier_ones_may_not() -> None:
    first, second, _ = VALUES["stage"]
    assert key(1, VALUES | {"stage": [first, second]}) == key(1)
    assert key(1, VALUES | {"stage": [first, second | {"word_dropout": 0.0}]}) != key(1)


def test_all_that_a_run_depends_on_tells_it_from_others() -> None:
    others = [
        key(0, VALUES | {"seed": 2}),
        key(0, VALUES | {"decoding": {"beam_size": 4}}),
        key(0, begun_from="mine.safetensors"),
        key(0, anchored_to="mine.safetensors"),
        key(0, corpus=dataclasses.replace(CORPUS, sentences=())),
        key(0, corpus=dataclasses.replace(CORPUS, unlabelled=())),
        key(0, corpus=dataclasses.replace(CORPUS, train=CORPUS.train[:1])),
        key(0, corpus=dataclasses.replace(CORPUS, dev={})),
        key(0, VALUES | {"stage": [VALUES["stage"][0] | {"judge_every": 2}, *VALUES["stage"][1:]]}),
        key(0),
    ]
    assert len(set(others)) == len(others)
