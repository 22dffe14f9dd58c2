"""The words that every caption begins with."""

from __future__ import annotations

from capcli.decoding.options import DecodingOptions
from capcli.errors import UsageError
from capcli.words.tokens import tokenize
from capcli.words.vocabulary import Vocabulary


def encode_prefix(options: DecodingOptions, vocabulary: Vocabulary) -> list[int]:
    """Indices of the words of `options.prefix`.

    Raises:
        UsageError: if it holds words outside the vocabulary, more than `max_length` of them, or no word at all.
    """
    words = tokenize(options.prefix)
    if options.prefix and not words:
        raise UsageError(f"the prefix {options.prefix!r} has no words; leave it out or give some")
    unknown = [repr(word) for word in dict.fromkeys(words) if word not in vocabulary]
    if unknown:
        noun = "word" if len(unknown) == 1 else "words"
        raise UsageError(f"the model does not know the {noun} {', '.join(unknown)} of the prefix; choose others")
    if len(words) > options.max_length:
        raise UsageError(f"the prefix has {len(words)} words and max-length is {options.max_length}; change one")
    return vocabulary.encode(words)
