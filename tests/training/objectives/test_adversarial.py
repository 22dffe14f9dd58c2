from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from toy_objective import REFERENCES, WIDTH, WORDS, Fixed, Words, batch, build, probability, regions

from capcli.model.decoders.contract import Decoder
from capcli.training.objectives.adversarial import Adversarial
from capcli.training.objectives.discriminator import Discriminator
from capcli.training.targets import pad
from capcli.words.vocabulary import END, PAD, SPECIALS

REAL = pad([[*captions[0], END] for captions in REFERENCES])
SWAPPED = REAL[:, [1, 0, 2]]


def adversary(**options: object) -> Adversarial:
    objective = build("adversarial", **{"captions": 16, "discriminator_pretraining": 0.5} | options)
    assert isinstance(objective, Adversarial)
    return objective


def taught(drawn: torch.Tensor | None = None, width: int = 128) -> Discriminator:
    """One that has seen the real captions, and those drawn, by default words at random."""
    torch.manual_seed(0)
    discriminator = Discriminator(WIDTH, WORDS, width)
    optimizer = torch.optim.Adam(discriminator.parameters(), 3e-3 if width < 512 else 1e-3)
    for _ in range(60):
        others = torch.randint(END, WORDS, (48, 3))
        # Nothing comes after the first end, and no caption begins with one.
        others[:, 0].clamp_(min=len(SPECIALS))
        others[(others[:, 1] == END), 2] = PAD
        lowered, _ = discriminator.loss(regions(), REAL, others if drawn is None else drawn)
        optimizer.zero_grad()
        lowered.backward()
        optimizer.step()
    return discriminator.eval()


@pytest.fixture(scope="module")
def judge() -> Discriminator:
    return taught(width=512)


@pytest.fixture(scope="module")
def small_judge() -> Discriminator:
    return taught()


@torch.no_grad()
def believed(discriminator: Discriminator, captions: torch.Tensor) -> torch.Tensor:
    return torch.sigmoid(discriminator(regions(), captions)).flatten()


def test_it_tells_captions_of_the_picture_from_those_of_others() -> None:
    # What is drawn is real too, but of the next picture: by its words alone no caption can be told from another.
    discriminator = taught(REAL.roll(1, 0))
    assert (believed(discriminator, REAL) > 0.8).all()
    assert (believed(discriminator, REAL.roll(1, 0)) < 0.2).all()
    # Captions of the third picture are never drawn for the second; they stand against it in the batch.
    assert (believed(discriminator, REAL.roll(2, 0)) < 0.2).all()


def test_it_tells_what_people_say_from_what_they_do_not() -> None:
    discriminator = taught(SWAPPED)
    assert (believed(discriminator, REAL) > 0.8).all()
    assert (believed(discriminator, SWAPPED) < 0.2).all()


def test_the_padding_of_a_caption_is_not_read(judge: Discriminator) -> None:
    wider = torch.cat([REAL, torch.zeros(3, 4, dtype=torch.long)], 1)
    torch.testing.assert_close(believed(judge, wider), believed(judge, REAL))


def test_the_accuracy_counts_real_captions_and_the_others_half_each(judge: Discriminator) -> None:
    # Taken for real, as they are, captions handed in as drawn are an error; those of other pictures are none.
    assert judge.loss(regions(), REAL, REAL)[1] == pytest.approx(0.75)
    assert judge.loss(regions(), REAL, SWAPPED)[1] == pytest.approx(1.0)
    assert judge.loss(regions(), SWAPPED, SWAPPED)[1] == pytest.approx(0.5)


def test_a_picture_alone_has_no_captions_of_others(judge: Discriminator) -> None:
    lowered, accuracy = judge.loss(regions()[:1], REAL[:1], REAL[:1])
    assert torch.isfinite(lowered)
    assert accuracy == pytest.approx(0.5)


def rewards_of_training(
    decoder: Decoder, objective: Adversarial, learning: torch.nn.Module, steps: int, mixed: bool = False
) -> list[float]:
    optimizer = torch.optim.Adam(
        [{"params": decoder.parameters(), "lr": 0.006}, {"params": learning.parameters(), "lr": 0.005}]
    )
    rewards = []
    for _ in range(steps):
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            lowered, figures = objective.loss(Words(decoder), batch(progress=0.5))
        optimizer.zero_grad()
        lowered.backward()
        optimizer.step()
        rewards.append(figures["reward"])
    assert decoder.training and objective.discriminator.training
    return rewards


@pytest.mark.slow
@pytest.mark.parametrize("decoder", ["transformer"], indirect=True)
def test_the_captioner_comes_to_say_what_the_discriminator_takes_for_real(
    decoder: Decoder, judge: Discriminator
) -> None:
    objective = adversary()
    objective.discriminator = copy.deepcopy(judge).train()
    rewards = rewards_of_training(decoder, objective, torch.nn.Identity(), 60)
    assert sum(rewards[-5:]) > 3 * sum(rewards[:5])


@pytest.mark.slow
@pytest.mark.parametrize("decoder", ["gru"], indirect=True)
@pytest.mark.parametrize("mixed", [False, True])
def test_against_a_discriminator_that_learns_too_real_captions_become_likely(
    decoder: Decoder, small_judge: Discriminator, mixed: bool
) -> None:
    def likely() -> float:
        return sum(probability(decoder, captions[0], picture) for picture, captions in enumerate(REFERENCES))

    objective = adversary()
    objective.discriminator = copy.deepcopy(small_judge).train()
    before = likely()
    rewards_of_training(decoder, objective, objective, 90, mixed)
    assert likely() > 20 * before


def gradients(module: torch.nn.Module) -> list[torch.Tensor | None]:
    return [parameter.grad for parameter in module.parameters()]


@pytest.mark.parametrize("mixed", [False, True])
def test_captioner_and_discriminator_do_not_learn_through_each_other(decoder: Decoder, mixed: bool) -> None:
    objective = adversary()
    examples = batch(progress=0.4)
    examples.regions.requires_grad_()
    apart = []
    for progress in (0.4, 0.5):
        objective.zero_grad()
        torch.manual_seed(1)
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            lowered, figures = objective.loss(Words(decoder), dataclasses.replace(examples, progress=progress))
        lowered.backward()
        assert figures.keys() == {"reward", "discriminator_accuracy"}
        apart.append([gradient.clone() for gradient in gradients(objective) if gradient is not None])
        if progress < 0.5:
            # While the discriminator learns alone nobody else does, nor the encoder behind the regions.
            assert all(gradient is None for gradient in [*gradients(decoder), examples.regions.grad])
        else:
            assert all(gradient is not None for gradient in [*gradients(decoder), examples.regions.grad])
    assert len(apart[0]) == len(gradients(objective))
    assert all(torch.equal(alone, together) for alone, together in zip(*apart, strict=True))


def test_cross_entropy_is_learnt_from_the_start(decoder: Decoder) -> None:
    lowered, _ = adversary(cross_entropy=0.3).loss(Words(decoder), batch())
    lowered.backward()
    assert all(gradient is not None for gradient in gradients(decoder))


def test_cider_takes_its_share_of_the_reward() -> None:
    def rewards(name: str, **options: object) -> torch.Tensor:
        torch.manual_seed(0)
        objective = build(name, captions=2, **options)
        words = objective.draw(Fixed([6, 7], ends=True), regions())
        return objective.rewards(batch(), words)

    judged, mixed, cider = (rewards("adversarial", cider=share) for share in (0.0, 0.25, 1.0))
    torch.testing.assert_close(cider, rewards("self-critical"))
    torch.testing.assert_close(mixed, 0.75 * judged + 0.25 * cider)
    assert cider[1].min() > cider[0].max()
    assert ((judged > 0) & (judged < 1)).all()
