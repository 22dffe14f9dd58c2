from __future__ import annotations

import pytest

from capcli.decoding.options import DecodingOptions
from capcli.decoding.prefix import encode_prefix
from capcli.errors import UsageError
from capcli.words.vocabulary import SPECIALS, Vocabulary

VOCABULARY = Vocabulary([*SPECIALS, "a", "photo", "of", "dog", "'s"])


@pytest.mark.parametrize(
    ("prefix", "indices"),
    [("", []), ("a photo of", [4, 5, 6]), ("  A Photo of: ", [4, 5, 6]), ("a dog's", [4, 7, 8]), ("a a", [4, 4])],
)
def test_a_prefix_is_tokenised_as_captions_are(prefix: str, indices: list[int]) -> None:
    assert encode_prefix(DecodingOptions(prefix=prefix), VOCABULARY) == indices


@pytest.mark.parametrize(
    ("prefix", "message"),
    [
        ("a cat", "the model does not know the word 'cat' of the prefix; choose others"),
        ("Cats of cats in a hat", "the model does not know the words 'cats', 'in', 'hat' of the prefix; choose others"),
        ("<pad>", "the model does not know the words '<', 'pad', '>' of the prefix; choose others"),
        ("...", r"the prefix '\.\.\.' has no words; leave it out or give some"),
        (" ", "the prefix ' ' has no words; leave it out or give some"),
        ("a photo of a", "the prefix has 4 words and max-length is 3; change one"),
    ],
)
def test_prefixes_that_cannot_be_said(prefix: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message}$"):
        encode_prefix(DecodingOptions(prefix=prefix, max_length=3), VOCABULARY)
