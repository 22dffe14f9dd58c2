"""How captions are chosen: one definition for the command line, the API and recipes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from capcli.errors import UsageError
from capcli.options import build, check, option, spell

if TYPE_CHECKING:
    from typing_extensions import Unpack

SAMPLING = ("temperature", "top_p", "top_k")
"""Options that mean nothing to a search."""

OF_SEARCHES = ("beam_size", "word_weight")
"""Options that mean nothing to sampling. Every model brings some, so that a value alone does not say who chose it."""

OF_SEVERAL = ("length_penalty", "rerank")
"""Options that put sampled captions in order, and so mean nothing where a single one is sampled."""

OF_THE_MODEL = "the model's own"
"""What the help says of the defaults that every model brings, chosen on its dev pictures."""

OF_LANGUAGE_MODELS = ("lm_weight", "lm_rescore")
"""Options that mean nothing without a language model."""

COLDEST_SAMPLING, HOTTEST_SAMPLING = 0.05, 10.0
"""The range of the temperature."""

MOST_WORDS = 40
"""The longest caption that any model can be asked for."""

LM_RESCORE = -0.4
"""`lm_rescore` where a language model is given and nothing else is asked for: the best of -0.4,
-0.2 and 0 on dev of the model `base`.

Below 0 a caption earns by what it says of this picture and not of pictures in general: maximum mutual information in
its form "antiLM", log p(caption | picture) - lambda log p(caption) (Li et al. 2016, "A Diversity-Promoting Objective
Function for Neural Conversation Models").
"""


class DecodingKeywords(TypedDict, total=False):
    """Some fields of `DecodingOptions`, for type checkers and editors, which cannot read keywords off a dataclass.

    A test holds the two against each other.
    """

    num_captions: int
    beam_size: int
    length_penalty: float
    min_length: int
    max_length: int
    no_repeat_ngram: int
    rerank: float
    word_weight: float
    lm_weight: float
    lm_rescore: float
    prefix: str
    prompt: str
    sample: bool
    temperature: float
    top_p: float
    top_k: int
    seed: int
    min_confidence: float


@dataclass(frozen=True, kw_only=True)
class DecodingOptions:
    """Options of beam search and sampling; each field's metadata holds its help text and its range, see `option`.

    Raises:
        UsageError: for a value of the wrong type or outside its range, and for options that contradict each other.
    """

    num_captions: int = option(1, "Different captions for each picture, best first.", least=1, most=32)
    beam_size: int = option(
        3, "Captions kept in view while searching; 1 is greedy, more is slower.", least=1, most=32, shown=OF_THE_MODEL
    )
    length_penalty: float = option(
        1.0,
        "A caption's log-probability is divided by its length to this power; more favours long ones.",
        least=0.0,
        most=4.0,
        shown=OF_THE_MODEL,
    )
    min_length: int = option(0, "Shortest caption, in words.", least=0, most=MOST_WORDS)
    max_length: int = option(
        20, "Longest caption, in words; base allows 24.", least=1, most=MOST_WORDS, shown=OF_THE_MODEL
    )
    no_repeat_ngram: int = option(
        3,
        "Say no run of this many words twice, and no word twice in a row; 0 allows both.",
        least=0,
        most=10,
        shown=OF_THE_MODEL,
    )
    rerank: float = option(
        0.0,
        "How much the matcher's likeness to the picture, -1 to 1, counts.",
        least=0.0,
        most=100.0,
        shown=OF_THE_MODEL,
    )
    word_weight: float = option(
        0.0,
        "How much words count that the whole picture suggests.",
        least=0.0,
        most=100.0,
        shown=OF_THE_MODEL,
    )
    lm_weight: float = option(
        0.0,
        "With --lm: weight of its log-probabilities beside the model's, word by word (shallow fusion).",
        least=0.0,
        most=100.0,
    )
    lm_rescore: float = option(
        0.0,
        "With --lm: weight of its log-probability of captions that a search found; below 0 favours the unusual.",
        least=-100.0,
        most=100.0,
        shown="-0.4 with --lm",
    )
    prefix: str = option("", "Begin every caption with these words.")
    prompt: str = option(
        "", "What a model of Hugging Face is asked, where its family is asked something.", shown=OF_THE_MODEL
    )
    sample: bool = option(False, "Draw captions at random, in place of a search.")
    temperature: float = option(
        1.0,
        "With --sample: below 1 keeps to likely words, above 1 dares unlikely ones.",
        least=COLDEST_SAMPLING,
        most=HOTTEST_SAMPLING,
    )
    top_p: float = option(
        1.0, "With --sample: draw from the likeliest words that hold this share.", above=0.0, most=1.0
    )
    top_k: int = option(0, "With --sample: draw from this many likeliest words; 0 draws from all.", least=0)
    seed: int = option(0, "With --sample: another seed draws other captions.", least=0, large=True)
    min_confidence: float = option(0.0, "Mark captions of a confidence below this.", least=0.0, most=1.0)

    def __post_init__(self) -> None:
        check(self)
        if self.min_length > self.max_length:
            raise UsageError(f"min-length {self.min_length} is above max-length {self.max_length}; change one of them")
        # One line is one caption in much that reads them.
        for name in ("prefix", "prompt"):
            text = getattr(self, name)
            if text.splitlines() not in ([], [text]):
                raise UsageError(f"{name} must be one line")
        for field in dataclasses.fields(self):
            if field.name in SAMPLING and not self.sample and getattr(self, field.name) != field.default:
                raise UsageError(f"{spell(field.name)} needs sampling: add --sample, in Python sample=True")
            if field.name in OF_LANGUAGE_MODELS and self.sample and getattr(self, field.name):
                raise UsageError("a language model leads a search and no sampling; leave sample or the model out")

    def replace(self, **changes: Unpack[DecodingKeywords]) -> DecodingOptions:
        """A copy with other values; one that is told to sample no more has none of what is for sampling.

        Raises:
            UsageError: for an unknown name, near ones listed; as for a new object; and for a change that means nothing
                to captions that are sampled.
        """
        kept = dataclasses.asdict(self)
        if self.sample and changes.get("sample") is False:
            kept = {name: value for name, value in kept.items() if name not in SAMPLING}
        options = build(DecodingOptions, {**kept, **changes})
        for name in changes if options.sample else ():
            if name in OF_SEARCHES:
                raise UsageError(f"{spell(name)} is for a search, and sample draws captions without one; leave one out")
            if name in OF_SEVERAL and options.num_captions == 1:
                raise UsageError(
                    f"{spell(name)} orders captions, and sample draws a single one; leave it out or raise num-captions"
                )
        return options
