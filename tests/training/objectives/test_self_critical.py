from __future__ import annotations

import pytest
import torch
from toy_objective import REFERENCES, Fixed, Words, batch, build, probability, regions

from capcli.model.decoders.contract import Decoder
from capcli.training.objectives.contract import Objective
from capcli.training.objectives.policy import PolicyGradient
from capcli.training.targets import pad, shift
from capcli.words.vocabulary import END, PAD, START


def critic(length: int, samples: int, references: list[list[list[int]]] = REFERENCES) -> Objective:
    return build("self-critical", length, references, captions=samples)


def loss(critic: Objective, decoder: Decoder, pictures: list[int]) -> tuple[torch.Tensor, float]:
    lowered, figures = critic.loss(Words(decoder), batch(pictures))  # type: ignore[arg-type]
    return lowered, figures["reward"]


@pytest.mark.slow
@pytest.mark.parametrize(("decoder", "mixed"), [("lstm", False), ("transformer", True)], indirect=["decoder"])
def test_the_rewarded_captions_become_likely(decoder: Decoder, mixed: bool) -> None:
    judge = critic(3, 16)
    optimizer = torch.optim.Adam(decoder.parameters(), 0.006)
    before = [probability(decoder, captions[0], picture) for picture, captions in enumerate(REFERENCES)]
    rewards = []
    for _ in range(100):
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


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_what_is_reinforced_is_the_policy_that_was_sampled(decoder: Decoder, temperature: float) -> None:
    judge = build("self-critical", 3, captions=2, temperature=temperature)
    assert isinstance(judge, PolicyGradient)
    decoder.eval()
    words = [[4, 5, END], [6, END], [7, END], [8, 9, END], [4, END], [5, 6, 7]]
    rewards = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 3.0]])
    lowered = judge.reinforce(decoder, regions(), words, rewards)
    # Of two samples each is the other's baseline; the policy at a temperature is softmax(log p / T).
    expected = torch.zeros(())
    for row, (caption, advantage) in enumerate(zip(words, [1.0, -1.0, 0.0, 0.0, -3.0, 3.0], strict=True)):
        target = torch.tensor([caption])
        log_probabilities, _ = decoder(regions()[row // 2 : row // 2 + 1], shift(target))
        policy = (log_probabilities / temperature).log_softmax(-1)
        expected = expected - advantage * policy.gather(-1, target.unsqueeze(-1)).sum()
    torch.testing.assert_close(lowered, expected / sum(map(len, words)), atol=1e-5, rtol=1e-4)


def test_equal_rewards_teach_nothing(decoder: Decoder) -> None:
    judge = build("self-critical", 3, captions=2)
    assert isinstance(judge, PolicyGradient)
    judge.reinforce(decoder, regions(), [[4, END]] * 6, torch.full((3, 2), 0.7)).backward()
    for parameter in decoder.parameters():
        assert parameter.grad is None or parameter.grad.abs().max() < 1e-6


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
