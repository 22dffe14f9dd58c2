"""The words a decoder can say, and their indices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

PAD, START, END, UNKNOWN = 0, 1, 2, 3
SPECIALS = ("<pad>", "<start>", "<end>", "<unknown>")
UNSAYABLE = [PAD, START, UNKNOWN]


class Vocabulary:
    """A fixed list of words; the first four indices are `<pad>`, `<start>`, `<end>` and `<unknown>`.

    Args:
        words: every word once, specials first.

    Raises:
        ValueError: if the specials are not in front or a word occurs twice.
    """

    def __init__(self, words: Sequence[str]) -> None:
        if tuple(words[: len(SPECIALS)]) != SPECIALS:
            raise ValueError(f"a vocabulary begins with {', '.join(SPECIALS)}")
        self.words = tuple(words)
        self._index = {word: index for index, word in enumerate(self.words)}
        if len(self._index) != len(self.words):
            raise ValueError("a vocabulary holds every word once")

    @classmethod
    def build(cls, captions: Iterable[Sequence[str]], min_count: int) -> Vocabulary:
        """Collects the words that occur at least `min_count` times, the most frequent first."""
        counts = Counter(word for caption in captions for word in caption)
        kept = sorted((word for word, n in counts.items() if n >= min_count), key=lambda w: (-counts[w], w))
        return cls([*SPECIALS, *kept])

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: str) -> bool:
        return word in self._index

    def encode(self, words: Sequence[str]) -> list[int]:
        """Indices of the words, `<unknown>` for words outside the vocabulary; no start or end is added."""
        return [self._index.get(word, UNKNOWN) for word in words]

    def decode(self, indices: Iterable[int]) -> list[str]:
        """Words of the indices up to the first `<end>`, without the specials."""
        words = []
        for index in indices:
            if index == END:
                break
            if index >= len(SPECIALS):
                words.append(self.words[index])
        return words
