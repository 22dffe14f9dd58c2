from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from capcli.training.contrastive import info_nce


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
