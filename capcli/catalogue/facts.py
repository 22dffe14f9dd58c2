"""What a model file and the card beside it say, without loading the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from capcli.catalogue.card import Card
from capcli.catalogue.history import History
from capcli.catalogue.weights import Weights
from capcli.errors import ModelError, system_reason
from capcli.files.hashing import file_hash
from capcli.modelfile.header import Header, read_header
from capcli.modelfile.target import WORDS
from capcli.words.vocabulary import SPECIALS


@dataclass(frozen=True)
class Facts:
    """What there is to know of a model file. What it says of itself is unchecked; see `capcli.catalogue.soundness`.

    Attributes:
        label: what the user calls it: the name of a shipped model, or the file as named.
        file: the file.
        size: of the file in bytes.
        sha256: of the file, in hexadecimal.
        header: its description, and the types and shapes of its tensors.
    """

    label: str
    file: Path
    size: int
    sha256: str
    header: Header

    @classmethod
    def read(cls, label: str, file: Path) -> Facts:
        """Reads the header and hashes the file; raises ModelError."""
        header = read_header(file)
        try:
            return cls(label, file, file.stat().st_size, file_hash(file), header)
        except OSError as error:
            raise ModelError(f"{file}: {system_reason(error)}") from None

    @property
    def weights(self) -> Weights:
        """How many numbers it has, and of which type."""
        return Weights(self.header)

    @property
    def history(self) -> History:
        """What it was chosen on, made from and measured at."""
        return History(self.header.described)

    @property
    def card(self) -> Card:
        """Its card, if it has one."""
        return Card(self.file.with_suffix(".md"))

    @property
    def encoder(self) -> str:
        """Name of the torchvision model and side of its square input; "none" for a language model."""
        encoder = self._part("encoder")
        if encoder.get("name") == "none":
            return "none: a language model, for --lm"
        return f"{encoder.get('name', '?')}, {encoder.get('size', '?')} x {encoder.get('size', '?')} pixels"

    @property
    def decoder(self) -> str:
        """Name of the decoder and its options."""
        decoder = self._part("decoder")
        return ", ".join([str(decoder.get("name", "?")), *(f"{k} {v}" for k, v in decoder.items() if k != "name")])

    @property
    def matcher(self) -> str | None:
        """Options of the matcher, None where there is none."""
        if self.header.described.get("matcher") is None:
            return None
        return ", ".join(f"{k} {v}" for k, v in self._part("matcher").items()) or "of default options"

    @property
    def decoding(self) -> str:
        """The options of the search that are not plain zeros, empty or off."""
        return ", ".join(f"{k} {v}" for k, v in self._decoding.items() if v not in (0, "", False, None))

    @property
    def words(self) -> int:
        """Words of the vocabulary without the special ones."""
        words = self.header.described.get("vocabulary")
        return max(0, len(words) - len(SPECIALS)) if isinstance(words, list) else 0

    def to_json(self) -> dict[str, object]:
        """All but the card and the tensors, as plain values."""
        described = self.header.described
        return {
            "model": self.label,
            "file": str(self.file),
            "size": self.size,
            "sha256": self.sha256,
            "stored": self.weights.stored,
            "parameters": self.weights.parameters,
            "zeros": self.weights.zeros,
            "vocabulary": self.words,
            "chosen_on": self.history.chosen_on,
            **{part: described.get(part) for part in ("encoder", "decoder", "matcher", "calibration")},
            "decoding": self._decoding or None,
            "scores": self.history.scores,
            "recipe": self.history.recipe,
            "origin": self.history.origin or None,
        }

    @property
    def _decoding(self) -> Mapping[str, object]:
        """The model's own options of decoding, that of the words beside it among them."""
        options = self._part("decoding")
        if not self.file.with_suffix(WORDS).is_file():
            return options
        from capcli.modelfile.expected_words import ExpectedWords

        return {**options, "word_weight": ExpectedWords.share_of(self.file)}

    def _part(self, name: str) -> Mapping[str, object]:
        part = self.header.described.get(name)
        return part if isinstance(part, dict) else {}
