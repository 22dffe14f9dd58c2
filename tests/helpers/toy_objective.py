"""Three pictures of random regions, each with a caption of two words, for objectives without an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch

from capcli.model.decoders.contract import Decoder
from capcli.training.objectives.contract import Batch, Objective
from capcli.training.objectives.registry import objectives
from capcli.training.recipe_reader import build_recipe
from capcli.training.targets import pad, shift
from capcli.words.vocabulary import END

REFERENCES = [[[4, 5]], [[6, 7]], [[8, 9]]]
WIDTH, WORDS = 6, 10


class Words:
    """A captioning model of nothing but its decoder."""

    def __init__(self, decoder: Decoder[Any] | None) -> None:
        self.decoder = decoder
        self.encoder = SimpleNamespace(width=WIDTH)
        self.vocabulary = range(WORDS)


class Fixed(Decoder[tuple[int, int]]):
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
        word = [*self.caption, END if self.ends else self.caption[-1]][min(length, len(self.caption))]
        return self._row(word).expand(rows, -1), None, (rows, length + 1)

    def reorder(self, state: tuple[int, int], index: torch.Tensor) -> tuple[int, int]:
        return (len(index), state[1])

    def forward(self, regions: torch.Tensor, captions: torch.Tensor) -> tuple[torch.Tensor, None]:
        return torch.zeros(*captions.shape, WORDS).log_softmax(-1), None

    def _row(self, word: int) -> torch.Tensor:
        logits = torch.full((WORDS,), -1e4)
        logits[word] = 0.0
        return logits.log_softmax(-1)


def build(
    objective: str, length: int = 3, references: Sequence[Sequence[Sequence[int]]] = REFERENCES, **options: Any
) -> Objective:
    """An objective over captions of up to `length` words, with options of its stage."""
    recipe = build_recipe({
        "decoding": {"max_length": length},
        # Some objectives are for a model that another one taught to speak.
        "stage": [{}, {"objective": objective, **options}],
        **({"matcher": {}} if objective == "contrastive" else {}),
    })  # fmt: skip
    return objectives()[objective](recipe.stage[1], recipe, Words(None), references)  # type: ignore[arg-type]


def batch(pictures: Sequence[int] = (0, 1, 2), progress: float = 0.0, copies: int = 1) -> Batch:
    """The first pictures, each with its caption as often as there are copies."""
    targets = pad([[*REFERENCES[picture][0], END] for picture in pictures for _ in range(copies)])
    return Batch(regions()[: len(pictures)], pictures, targets, progress)


def regions() -> torch.Tensor:
    """3 x R x D."""
    return torch.randn(3, 3, WIDTH, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def probability(decoder: Decoder[Any], words: Sequence[int], picture: int) -> float:
    """Of a caption with its end."""
    target = torch.tensor([[*words, END]])
    log_probabilities, _ = decoder(regions()[picture : picture + 1], shift(target))
    return float(log_probabilities.gather(-1, target.unsqueeze(-1)).sum().exp())
