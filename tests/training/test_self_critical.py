from __future__ import annotations

import pytest
import torch
from toy_objective import REFERENCES, Fixed, Words, batch, build, probability

from capcli.model.decoder import Decoder
from capcli.model.vocabulary import END, PAD, START
from capcli.training.objective import Objective
from capcli.training.words import pad, shift


def critic(length: int, samples: int, references: list[list[list[int]]] = REFERENCES) -> Objective:
    return build("self-critical", length, references, captions=samples)


def loss(critic: Objective, decoder: Decoder, pictures: list[int]) -> tuple[torch.Tensor, float]:
    lowered, figures = critic.loss(Words(decoder), batch(pictures))  # type: ignore[arg-type]
    return lowered, figures["reward"]


@pytest.mark.parametrize("mixed", [False, True])
def test_the_rewarded_captions_become_likely(decoder: Decoder, mixed: bool) -> None:
    judge = critic(3, 16)
    optimizer = torch.optim.Adam(decoder.parameters(), 0.006)
    before = [probability(decoder, captions[0], picture) for picture, captions in enumerate(REFERENCES)]
    rewards = []
    for _ in range(150):
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            lowered, reward = loss(judge, decoder, [0, 1, 2])
        optimizer.zero_grad()
        lowered.backward()
        optimizer.step()
        rewards.append(reward)
    after = [probability(decoder, captions[0], picture) for picture, captions in enumerate(REFERENCES)]
    assert sum(after) > 10 * sum(before)
    assert sum(rewards[-5:]) > 2 * sum(rewards[:5])
    assert decoder.training


@pytest.mark.parametrize("mixed", [False, True])
def test_sampling_first_leaves_no_weight_without_its_gradient(decoder: Decoder, mixed: bool) -> None:
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        lowered, _ = loss(critic(3, 4), decoder, [0, 1, 2])
    lowered.backward()
    assert [name for name, parameter in decoder.named_parameters() if parameter.grad is None] == []


def test_a_sentence_broken_off_earns_less() -> None:
    _, whole = loss(critic(2, 2), Fixed([4, 5], ends=True), [0])
    _, longer = loss(critic(3, 2), Fixed([4, 5], ends=True), [0])
    _, cut = loss(critic(2, 2, [[[4, 5, 5]], *REFERENCES[1:]]), Fixed([4, 5], ends=False), [0])
    assert longer > 0
    assert whole < longer
    assert cut < longer


def test_references_are_chosen_by_picture() -> None:
    rewards = [loss(critic(3, 2), Fixed([6, 7], ends=True), [picture])[1] for picture in range(3)]
    assert rewards[1] > 0
    # With nothing but the end in common, which is in every reference, there is nothing to reward.
    assert (rewards[0], rewards[2]) == (0.0, 0.0)


def test_padding_and_shifting() -> None:
    target = pad([[4, 5, END], [6, END]])
    assert target.tolist() == [[4, 5, END], [6, END, PAD]]
    assert shift(target).tolist() == [[START, 4, 5], [START, 6, END]]
