from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from capcli.model.decoder import Decoder, build_decoder, decoders
from capcli.model.vocabulary import END, PAD, START
from capcli.training.objective import Batch
from capcli.training.recipe import Recipe
from capcli.training.self_critical import SelfCritical
from capcli.training.words import pad, shift

REFERENCES = [[[4, 5]], [[6, 7]], [[8, 9]]]


@pytest.fixture(params=sorted(decoders()))
def decoder(request: pytest.FixtureRequest, tiny_settings: Callable[..., dict[str, Any]]) -> Decoder:
    torch.manual_seed(0)
    # Through two layers the picture that is seen but once takes longer to reach the words.
    options = {"layers": 1} if request.param == "inject" else {}
    return build_decoder(tiny_settings(request.param, dropout=0.0, **options), 6, (1, 3), 10).train()


class Words:
    """A captioning model of nothing but its decoder."""

    def __init__(self, decoder: Decoder) -> None:
        self.decoder = decoder


def critic(length: int, samples: int, references: list[list[list[int]]] = REFERENCES) -> SelfCritical:
    recipe = Recipe.from_dict({
        "decoding": {"max_length": length},
        "stage": [{"objective": "self-critical", "captions": samples}],
    })  # fmt: skip
    return SelfCritical(recipe.stage[0], recipe, None, references)  # type: ignore[arg-type]


def loss(critic: SelfCritical, decoder: Decoder, pictures: list[int]) -> tuple[torch.Tensor, float]:
    targets = pad([[*REFERENCES[picture][0], END] for picture in pictures])
    batch = Batch(regions()[: len(pictures)], pictures, targets, 0.0)
    lowered, figures = critic.loss(Words(decoder), batch)  # type: ignore[arg-type]
    return lowered, figures["reward"]


def regions() -> torch.Tensor:
    return torch.randn(3, 3, 6, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def probability(decoder: Decoder, words: list[int], picture: int) -> float:
    target = torch.tensor([[*words, END]])
    log_probabilities, _ = decoder(regions()[picture : picture + 1], shift(target))
    return float(log_probabilities.gather(-1, target.unsqueeze(-1)).sum().exp())


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


class Fixed(Decoder):
    """Says one caption whatever it sees; a caption without an end goes on with its last word."""

    def __init__(self, caption: list[int], ends: bool) -> None:
        super().__init__()
        self.caption, self.ends = caption, ends

    def start(self, regions: torch.Tensor) -> tuple[int, int]:
        return (len(regions), 0)

    def attend(
        self, tokens: torch.Tensor, state: tuple[int, int], gates: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, None, tuple[int, int]]:
        rows, length = state
        said = [*self.caption, END if self.ends else self.caption[-1]][min(length, len(self.caption))]
        return self._row(said).expand(rows, -1), None, (rows, length + 1)

    def reorder(self, state: tuple[int, int], index: torch.Tensor) -> tuple[int, int]:
        return (len(index), state[1])

    def forward(self, regions: torch.Tensor, captions: torch.Tensor) -> tuple[torch.Tensor, None]:
        return torch.zeros(*captions.shape, 10).log_softmax(-1), None

    def _row(self, word: int) -> torch.Tensor:
        logits = torch.full((10,), -1e4)
        logits[word] = 0.0
        return logits.log_softmax(-1)


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
