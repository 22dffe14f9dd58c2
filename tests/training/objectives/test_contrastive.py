from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy_objective import WIDTH, WORDS, batch, build

from capcli.errors import UsageError
from capcli.model.matcher import build_matcher
from capcli.training.objectives.contrastive import Contrastive, info_nce


@given(images=st.integers(1, 5), captions=st.integers(1, 3), seed=st.integers(0, 100))
def test_the_loss_is_that_of_its_definition(images: int, captions: int, seed: int) -> None:
    logits = torch.randn(images * captions, images, generator=torch.Generator().manual_seed(seed)).double() * 5
    total = 0.0
    for sentence in range(images * captions):
        owner = sentence // captions
        right = math.exp(logits[sentence, owner])
        to_image = right / sum(math.exp(logits[sentence, image]) for image in range(images))
        others = [other for other in range(images * captions) if other // captions != owner]
        to_sentence = right / (right + sum(math.exp(logits[other, owner]) for other in others))
        total -= (math.log(to_image) + math.log(to_sentence)) / 2
    assert info_nce(logits).item() == pytest.approx(total / (images * captions))


def test_a_picture_alone_teaches_nothing() -> None:
    logits = torch.randn(3, 1, requires_grad=True)
    loss = info_nce(logits)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None and logits.grad.tolist() == [[0.0]] * 3


def test_a_temperature_at_its_bound_can_grow_again() -> None:
    torch.manual_seed(0)
    model = SimpleNamespace(matcher=build_matcher({"width": 8, "embedding": 4, "heads": 2}, WIDTH, WORDS))
    objective = build("contrastive", temperature=0.011)
    assert isinstance(objective, Contrastive)
    with torch.no_grad():
        objective.log_scale.add_(1.0)  # as a step of training may
    lowered, figures = objective.loss(model, batch())  # type: ignore[arg-type]
    lowered.backward()
    assert figures["temperature"] == pytest.approx(0.01)
    assert objective.log_scale.grad is not None and objective.log_scale.grad.item() != 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 1}, "contrastive training compares pictures: batch_size must be at least 2"),
        ({"temperature": 0.005}, "temperature must be a number of at least 0.01, not 0.005"),
    ],
)
def test_stages_that_would_teach_nothing(options: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build("contrastive", **options)
