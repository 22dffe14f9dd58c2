"""The judge of adversarial training: does a person say this of this picture?"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from capcli.words.vocabulary import PAD

DROPOUT = 0.3


class Discriminator(nn.Module):
    """r(I, S) = sigmoid(<f(I), h(S)>), the evaluator of Dai et al. (2017, section 3.1): f a linear map of the picture's
    mean region, h the last state of a GRU over the words.

    Args:
        region_width: D.
        vocabulary_size: V.
        width: W, of the vectors of pictures and sentences; words have half of it.
    """

    def __init__(self, region_width: int, vocabulary_size: int, width: int = 512) -> None:
        super().__init__()
        self.picture = nn.Sequential(nn.LayerNorm(region_width), nn.Linear(region_width, width), nn.Dropout(DROPOUT))
        self.embedding = nn.Sequential(nn.Embedding(vocabulary_size, width // 2, padding_idx=PAD), nn.Dropout(DROPOUT))
        self.sentence = nn.GRU(width // 2, width, batch_first=True)

    def forward(self, regions: Tensor, captions: Tensor) -> Tensor:
        """Logits B x K float32 that N = B * K captions N x T, padded with `<pad>`, are a person's of the pictures of
        B x R x D regions.
        """
        # In mixed precision torch's GRU refuses what autocast gives it on the CPU.
        with torch.autocast(regions.device.type, enabled=False):
            return _products(self._pictures(regions), self._sentences(captions, len(regions)))

    def loss(self, regions: Tensor, real: Tensor, drawn: Tensor) -> tuple[Tensor, float]:
        """What it lowers to tell people's captions of a picture from others, and how often it is right.

        The others are captions that a model drew for the picture and people's captions of the other pictures of the
        batch, if it has any; they share a half of the weight (Dai et al. 2017, section 3.3, alpha = beta = 1/2).

        Args:
            regions: B x R x D; no gradient goes into them.
            real: N x T words of people's captions, N = B * K, those of a picture beside each other.
            drawn: the same of the model's, other K and T perhaps.

        Returns:
            Binary cross-entropy, a scalar, and the accuracy, 0 to 1, both under these weights.
        """
        B = len(regions)
        with torch.autocast(regions.device.type, enabled=False):
            pictures, sentences = self._pictures(regions.detach()), self._sentences(real, B)
            # Pictures P by the captions B x K.
            pairs = torch.einsum("pw,bkw->pbk", pictures, sentences)
            matched = torch.eye(B, dtype=torch.bool, device=pairs.device)
            others = [_products(pictures, self._sentences(drawn, B)), *([pairs[~matched]] if B > 1 else [])]
            genuine = pairs[matched]
            losses = torch.stack([F.softplus(logits).mean() for logits in others])
            right = [float((logits < 0).float().mean()) for logits in others]
            loss = (F.softplus(-genuine).mean() + losses.mean()) / 2
        return loss, (float((genuine > 0).float().mean()) + sum(right) / len(right)) / 2

    def _pictures(self, regions: Tensor) -> Tensor:
        """f, B x W; over sqrt(W), lest the products be sure before anything is learnt."""
        vectors: Tensor = self.picture(regions.float().mean(1))
        scaled: Tensor = vectors / self.sentence.hidden_size**0.5
        return scaled

    def _sentences(self, captions: Tensor, count: int) -> Tensor:
        """h: B x K x W of B = `count` pictures' captions."""
        states, _ = self.sentence(self.embedding(captions))
        last = (captions != PAD).sum(1) - 1
        vectors: Tensor = states[torch.arange(len(captions), device=captions.device), last]
        grouped: Tensor = vectors.unflatten(0, (count, -1))
        return grouped


def _products(pictures: Tensor, sentences: Tensor) -> Tensor:
    """B x K inner products of vectors B x W and B x K x W."""
    return torch.einsum("bw,bkw->bk", pictures, sentences)
