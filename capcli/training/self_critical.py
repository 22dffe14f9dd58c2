"""Self-critical sequence training on CIDEr-D (Rennie et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from capcli.decoding.options import DecodingOptions
from capcli.decoding.sample import sample
from capcli.metrics.cider import CiderD
from capcli.model.decoder import Decoder
from capcli.model.vocabulary import END, PAD, START
from capcli.training.losses import policy_gradient


class SelfCritical:
    """Raises the CIDEr-D of sampled captions over that of the other samples of the same picture.

    The baseline of a sample is the mean reward of the picture's other samples (Luo 2020, section 3), which needs no
    second decoding. The end counts as a word of references and samples, so that a sentence broken off is not free.

    Args:
        references: for each training picture the indices of its captions' words, without start and end.
        max_length: longest sampled caption in words.
        temperature: of the policy that is sampled and trained; below 1 it is near what beam search says from the
            start, so that training improves the words and does not spend itself on making the model surer.
    """

    def __init__(
        self, references: Sequence[Sequence[Sequence[int]]], max_length: int, temperature: float = 1.0
    ) -> None:
        self._reward = CiderD([[[*caption, END] for caption in captions] for captions in references])
        self._options = DecodingOptions(sample=True, temperature=temperature, max_length=max_length, no_repeat_ngram=0)

    def loss(self, decoder: Decoder, regions: Tensor, pictures: Sequence[int], count: int) -> tuple[Tensor, float]:
        """Policy-gradient loss of `count` sampled captions for each picture, and their mean reward.

        Args:
            decoder: decoder in training mode.
            regions: B x R x D.
            pictures: B indices into the references.
            count: captions per picture, at least 2.
        """
        decoder.eval()
        uniforms = torch.rand(len(regions), count, self._options.max_length, device=regions.device)
        sampled = sample(decoder, regions, self._options, uniforms)
        drawn = [hypothesis for captions in sampled for hypothesis in captions]
        decoder.train()
        # Some releases of torch keep the half-precision weights of a pass without gradients and would use them below.
        torch.clear_autocast_cache()
        words = [h.tokens + ([END] if h.end_log_probability is not None else []) for h in drawn]
        owners = [picture for picture in pictures for _ in range(count)]
        rewards = np.asarray(self._reward.rewards(owners, words)).reshape(-1, count)
        others = (rewards.sum(1, keepdims=True) - rewards) / (count - 1)
        advantage = torch.from_numpy(rewards - others).flatten().to(regions.device, torch.float32)
        target = pad(words).to(regions.device)
        log_probabilities, _ = decoder(regions, shift(target))
        if self._options.temperature != 1.0:
            log_probabilities = (log_probabilities / self._options.temperature).log_softmax(-1)
        chosen = log_probabilities.gather(-1, target.unsqueeze(-1)).squeeze(-1)
        return policy_gradient(chosen, target, advantage), float(rewards.mean())


def pad(captions: Sequence[Sequence[int]]) -> Tensor:
    """N x T indices, shorter rows filled with `<pad>`."""
    longest = max(len(caption) for caption in captions)
    return torch.tensor([[*caption, *[PAD] * (longest - len(caption))] for caption in captions])


def shift(targets: Tensor) -> Tensor:
    """Decoder inputs for N x T targets: `<start>` in front, the last word left off."""
    start = torch.full_like(targets[:, :1], START)
    return torch.cat([start, targets[:, :-1]], 1)
