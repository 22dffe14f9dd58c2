from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from capcli.model.decoders.contract import Decoder
from capcli.words.vocabulary import END


class ToyDecoder(Decoder):
    """Log-probabilities drawn at random for each prefix and picture, attention that names the prefix's length.

    Regions are B x R x 1 and hold a number that names the picture. The state is the prefix of each row.
    """

    def __init__(self, words: int, *, end: float = 0.0, seed: int = 0, attends: bool = True) -> None:
        super().__init__()
        self.size, self.end, self.seed, self.attends = 4 + words, end, seed, attends

    def start(self, regions: Tensor) -> list[tuple[int, ...]]:
        self.regions = regions.shape[1]
        return [(int(region[0, 0]),) for region in regions]

    def attend(
        self, tokens: Tensor, state: list[tuple[int, ...]], gates: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None, list[tuple[int, ...]]]:
        state = [(*prefix, int(token)) for prefix, token in zip(state, tokens, strict=True)]
        rows = torch.stack([self.row(prefix) for prefix in state])
        attention = torch.nn.functional.one_hot(torch.tensor([len(p) - 2 for p in state]) % self.regions, self.regions)
        return rows, attention[:, None, None].float() if self.attends else None, state

    def reorder(self, state: list[tuple[int, ...]], index: Tensor) -> list[tuple[int, ...]]:
        return [state[i] for i in index.tolist()]

    def forward(self, regions: Tensor, captions: Tensor) -> tuple[Tensor, Tensor | None]:
        raise AssertionError("decoding goes word by word")

    def row(self, prefix: tuple[int, ...]) -> Tensor:
        """V log-probabilities after a picture's number, the start and the words so far."""
        source = torch.Generator().manual_seed(hash((self.seed, prefix)) % 2**62)
        logits = 1.5 * torch.randn(self.size, generator=source)
        logits[END] += self.end
        return logits.log_softmax(-1)


@pytest.fixture(scope="session")
def toy() -> Callable[..., ToyDecoder]:
    return ToyDecoder


@pytest.fixture(scope="session")
def numbered() -> Callable[..., Tensor]:
    """Regions of the pictures with these numbers."""

    def regions(*pictures: int) -> Tensor:
        return torch.tensor(pictures, dtype=torch.float32).view(-1, 1, 1).expand(-1, 7, 1)

    return regions
