"""Random captions: temperature and nucleus sampling."""

from __future__ import annotations

import torch
from torch import Tensor

from capcli.decoding.hypothesis import Hypothesis
from capcli.model.decoder import Decoder
from capcli.model.vocabulary import END, START, UNSAYABLE


@torch.no_grad()
def sample(
    decoder: Decoder,
    regions: Tensor,
    count: int,
    max_length: int,
    *,
    temperature: float = 1.0,
    top_p: float = 1.0,
    generator: torch.Generator | None = None,
) -> list[list[Hypothesis]]:
    """Draws captions from the decoder.

    Args:
        decoder: any decoder.
        regions: B x R x D.
        count: captions per picture.
        max_length: longest caption in words; a longer one is cut.
        temperature: divides the log-probabilities before drawing, above 0; 1 draws from the model itself.
        top_p: draws from the smallest set of words that holds this share of the probability (nucleus sampling,
            Holtzman et al. 2020, section 3.1), above 0 to 1.
        generator: source of randomness on the device of `regions`.

    Returns:
        `count` hypotheses for each of the B pictures; their log-probabilities are the model's own.

    Raises:
        ValueError: for a temperature or top_p out of range.
    """
    if temperature <= 0 or not 0 < top_p <= 1:
        raise ValueError("temperature must be above 0 and top_p above 0 and at most 1")
    B, device = regions.shape[0], regions.device
    state = decoder.reorder(decoder.start(regions), torch.arange(B, device=device).repeat_interleave(count))
    last = torch.full((B * count,), START, device=device)
    alive = torch.ones(B * count, dtype=torch.bool, device=device)
    tokens, word_scores, attention = [], [], []
    for length in range(max_length + 1):
        log_probabilities, weights, state = decoder.step(last, state)
        allowed = log_probabilities.clone()
        allowed[:, UNSAYABLE] = -torch.inf
        if length == 0:
            allowed[:, END] = -torch.inf
        if length < max_length:
            shares = _nucleus((allowed / temperature).softmax(-1), top_p)
            last = _draw(shares, generator)
        else:
            last = torch.full_like(last, END)
        last = torch.where(alive, last, torch.full_like(last, END))
        tokens.append(last)
        word_scores.append(log_probabilities.gather(1, last.unsqueeze(1)).squeeze(1))
        attention.append(weights)
        alive = alive & (last != END)
        if not alive.any():
            break
    rows = torch.stack(tokens, 1).tolist()
    scores = torch.stack(word_scores, 1).tolist()
    seen = None if attention[0] is None else torch.stack([a for a in attention if a is not None], 1).cpu()
    drawn = []
    for row, (words, logs) in enumerate(zip(rows, scores, strict=True)):
        length = words.index(END)
        # At max_length the end was not drawn but imposed.
        end = logs[length] if length < max_length else None
        total = sum(logs[:length]) + (end or 0.0)
        weights_of_row = None if seen is None else seen[row, :length]
        drawn.append(
            Hypothesis(words[:length], logs[:length], weights_of_row, end, total / (length + (end is not None)))
        )
    return [drawn[picture * count : (picture + 1) * count] for picture in range(B)]


def _draw(shares: Tensor, generator: torch.Generator | None) -> Tensor:
    """One index per row by inversion: a single random number for each row, where multinomial takes one a word."""
    steps = shares.cumsum(-1)
    total = steps[:, -1:]
    place = torch.rand(shares.shape[0], 1, device=shares.device, generator=generator) * total
    # Rounding may put the place at the very end, behind every word.
    place = torch.minimum(place, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(steps, place, right=True).squeeze(1)


def _nucleus(shares: Tensor, top_p: float) -> Tensor:
    if top_p == 1.0:
        return shares
    ordered, index = shares.sort(-1, descending=True)
    before = ordered.cumsum(-1) - ordered
    return torch.zeros_like(shares).scatter(-1, index, ordered.masked_fill(before >= top_p, 0.0))
