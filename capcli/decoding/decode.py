"""From regions to captions, by the search or the draw that the options ask for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

from torch import Tensor

from capcli.decoding.beam import beam_search
from capcli.decoding.hypothesis import Hypothesis
from capcli.decoding.language import LanguageModel
from capcli.decoding.options import DecodingOptions
from capcli.decoding.rerank import rerank
from capcli.decoding.sample import sample_distinct
from capcli.model.decoder import Decoder


def decode(
    decoder: Decoder,
    regions: Tensor,
    options: DecodingOptions,
    *,
    prefix: Sequence[int] = (),
    seeds: Sequence[int] | None = None,
    state: Any = None,
    language: LanguageModel | None = None,
) -> list[list[Hypothesis]]:
    """Captions of pictures.

    Args:
        decoder: any decoder in evaluation mode.
        regions: B x R x D.
        options: of the search, or with `sample` of the draw.
        prefix: indices of the words that every caption begins with, at most `max_length`; see `encode_prefix`.
        seeds: B whole numbers for sampling, by default `options.seed` for every picture. A picture's draw depends
            on its own seed and regions alone.
        state: what the decoder's `start` gave for the regions, where it is there already; for a search.
        language: a language model in the decoder's words, for a search with `lm_weight` or `lm_rescore` above 0.

    Returns:
        For each picture `num_captions` different hypotheses, the best first. There are fewer where the decoder
        cannot say more within the limits, or sampling did not come upon more, but never none.

    Raises:
        ModelError: if the log-probabilities are not numbers.
    """
    if options.sample:
        seeds = [options.seed] * len(regions) if seeds is None else seeds
        return sample_distinct(decoder, regions, options, seeds, prefix)
    if language is None or not options.lm_rescore:
        return beam_search(decoder, regions, options, prefix, state, language)
    n_best = options.replace(num_captions=max(options.num_captions, options.beam_size))
    found = beam_search(decoder, regions, n_best, prefix, state, language)
    bonus = iter(language.scores([one for hypotheses in found for one in hypotheses], options.length_penalty))
    ordered = (rerank(one, list(islice(bonus, len(one))), options.lm_rescore) for one in found)
    return [one[: options.num_captions] for one in ordered]
