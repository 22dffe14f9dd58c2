"""From regions to captions, by the search or the draw that the options ask for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, islice

from torch import Tensor

from capcli.arrays import Float32Array
from capcli.decoding.beam import beam_search
from capcli.decoding.hypothesis import Hypothesis
from capcli.decoding.language import LanguageModel
from capcli.decoding.options import DecodingOptions
from capcli.decoding.rerank import check_rerank, rerank, similarities
from capcli.decoding.sample import sample_distinct
from capcli.decoding.torch_speaker import TorchSpeaker
from capcli.model.decoders.contract import Decoder, State
from capcli.model.matcher import Matcher


def decode(
    decoder: Decoder[State],
    regions: Tensor,
    options: DecodingOptions,
    *,
    prefix: Sequence[int] = (),
    seeds: Sequence[int] | None = None,
    state: State | None = None,
    language: LanguageModel | None = None,
    matcher: Matcher | None = None,
    expected: Float32Array | None = None,
) -> list[list[Hypothesis]]:
    """Captions of pictures.

    With `rerank` all captions that the beam ends with are re-ranked, or those that are drawn.

    Args:
        decoder: any decoder in evaluation mode.
        regions: B x R x D.
        options: of the search, or with `sample` of the draw.
        prefix: indices of the words that every caption begins with, at most `max_length`; see `encode_prefix`.
        seeds: B whole numbers for sampling, by default `options.seed` for every picture. A picture's draw depends
            on its own seed and regions alone.
        state: what the decoder's `start` gave for the regions, where it is there already; for a search.
        language: a language model in the decoder's words, for a search with `lm_weight` or `lm_rescore`.
        matcher: in evaluation mode; re-ranks the captions by their similarity to the picture if the options say so.
        expected: float32 B x V as `Expectation` takes it, for a search with `word_weight`.

    Returns:
        For each picture `num_captions` different hypotheses, the best first. There are fewer where the decoder
        cannot say more within the limits, or sampling did not come upon more, but never none.

    Raises:
        ModelError: if the log-probabilities are not numbers.
        UsageError: as `check_rerank` does.
    """
    check_rerank(options, matches=matcher is not None)
    if options.sample:
        chosen = [options.seed] * len(regions) if seeds is None else seeds
        found = sample_distinct(decoder, regions, options, chosen, prefix)
    else:
        # All that the beam has in view costs no more than the best of it.
        judged = options.rerank or options.lm_rescore
        kept = max(options.beam_size, options.num_captions) if judged else options.num_captions
        every = options.replace(num_captions=kept)
        found = beam_search(TorchSpeaker(decoder), regions, every, prefix, state, language, expected)
        if language is not None and options.lm_rescore:
            bonus = iter(language.scores(list(chain.from_iterable(found)), options.length_penalty))
            found = [
                rerank(hypotheses, list(islice(bonus, len(hypotheses))), options.lm_rescore) for hypotheses in found
            ]
    if matcher is not None and options.rerank:
        alike = similarities(matcher, regions, found)
        found = [rerank(hypotheses, bonus, options.rerank) for hypotheses, bonus in zip(found, alike, strict=True)]
    return [hypotheses[: options.num_captions] for hypotheses in found]
