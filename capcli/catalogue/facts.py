"""What a model file and the card beside it say, without loading the model."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capcli.errors import ModelError, system_reason
from capcli.evaluation.provenance import file_hash
from capcli.modelfile.header import KEPT, SCALE, Header, read_header
from capcli.words.vocabulary import SPECIALS

_KINDS = {"I8": "int8", "F16": "float16", "BF16": "bfloat16", "F32": "float32"}

# As training names them, "dev flickr8k", and as cards do: "Flickr8k test"; "COCO thumbnails, held out".
_PART_FIRST = re.compile(r"(dev|test) (.+)")
_PART_LAST = re.compile(r"(.+?),? (dev|test|held[ -]out)")

_HASH = re.compile(r"SHA-256\W{1,4}([0-9a-f]{64})\b")


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
    def encoder(self) -> str:
        """Name of the torchvision model and side of its square input; "none" for a language model."""
        told = self._part("encoder")
        if told.get("name") == "none":
            return "none: a language model, for --lm"
        return f"{told.get('name', '?')}, {told.get('size', '?')} x {told.get('size', '?')} pixels"

    @property
    def decoder(self) -> str:
        """Name of the decoder and its options."""
        told = self._part("decoder")
        return ", ".join([str(told.get("name", "?")), *(f"{k} {v}" for k, v in told.items() if k != "name")])

    @property
    def matcher(self) -> str | None:
        """Options of the matcher, None where there is none."""
        if self.header.described.get("matcher") is None:
            return None
        return ", ".join(f"{k} {v}" for k, v in self._part("matcher").items()) or "of default options"

    @property
    def decoding(self) -> str:
        """The options of the search that are not plain zeros, empty or off."""
        return ", ".join(f"{k} {v}" for k, v in self._part("decoding").items() if v not in (0, "", False, None))

    @property
    def words(self) -> int:
        """Words of the vocabulary without the special ones."""
        words = self.header.described.get("vocabulary")
        return max(0, len(words) - len(SPECIALS)) if isinstance(words, list) else 0

    @property
    def parameters(self) -> int:
        """Numbers that the model computes with, zeros that the file leaves out included; the scales of int8 weights and
        the bits of pruned ones are not among them.
        """
        tensors = self.header.tensors.items()
        held = sum(math.prod(shape) for name, (_, shape) in tensors if not name.endswith((SCALE, KEPT)))
        return held + self.zeros

    @property
    def zeros(self) -> int:
        """Numbers that were pruned: that are zero, and left out of the file."""
        told: int = self.header.described["left_out"]
        # Each has a bit; what a stranger says beyond that is not so.
        bits = sum(8 * math.prod(shape) for name, (_, shape) in self.header.tensors.items() if name.endswith(KEPT))
        return min(max(told, 0), bits)

    @property
    def stored(self) -> str:
        """The type that most of the numbers are stored in."""
        counts: dict[str, int] = {}
        for name, (kind, shape) in self.header.tensors.items():
            if not name.endswith(KEPT):
                counts[kind] = counts.get(kind, 0) + math.prod(shape)
        most = max(counts, key=lambda kind: counts[kind], default="?")
        return _KINDS.get(most, most)

    @property
    def origin(self) -> dict[str, Any]:
        """Of a model that was made smaller: `model`, `sha256`, `method` and `scores` of what it was made of, and
        `fine_tuning` where that followed.
        """
        return self.header.described["origin"]

    @property
    def recipe(self) -> dict[str, Any]:
        """What trained it, as plain values."""
        return self.header.described["recipe"]

    @property
    def scores(self) -> dict[str, dict[str, float]]:
        """The figures it was measured at, by data set and metric; what is no such figure is left out."""
        return _figures(self.header.described["scores"])

    @property
    def trained_on(self) -> list[str]:
        """Data sets whose dev or held-out pictures it has figures of, as training takes them of all of its own, and
        those it was fine-tuned on.
        """
        scores = _figures(self.origin.get("scores")) or self.scores
        parts = (_part_of(name) for name in scores)
        names = [dataset for dataset, part in parts if part in ("dev", "held out")]
        tuned = self.fine_tuning.get("data")
        return list(dict.fromkeys([*names, *(map(str, tuned) if isinstance(tuned, list) else ())]))

    @property
    def fine_tuning(self) -> dict[str, Any]:
        """What followed when it was made smaller: `recipe` and names of `data`; empty where nothing did."""
        told = self.origin.get("fine_tuning")
        return told if isinstance(told, dict) else {}

    def best_known(self, part: str, metric: str = "CIDEr-D") -> float | None:
        """The metric on the first data set with pictures of that part, "dev" or "test"; None where there is none."""
        for name, figures in self.scores.items():
            if _part_of(name)[1] == part and metric in figures:
                return figures[metric]
        return None

    @property
    def card_file(self) -> Path:
        """Where its card is, if it has one."""
        return self.file.with_suffix(".md")

    @property
    def card(self) -> str | None:
        """Its card in Markdown, None where there is none; raises ModelError where it cannot be read.

        Bytes that are no text become U+FFFD.
        """
        if not self.card_file.is_file():
            return None
        try:
            return self.card_file.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise ModelError(f"{self.card_file}: cannot be read ({system_reason(error)})") from None

    @property
    def card_hash(self) -> str | None:
        """The SHA-256 that the card says the file has, in hexadecimal."""
        found = _HASH.search(self.card or "")
        return found[1] if found else None

    def to_json(self) -> dict[str, Any]:
        """All but the card and the tensors, as plain values."""
        described = self.header.described
        return {
            "model": self.label,
            "file": str(self.file),
            "size": self.size,
            "sha256": self.sha256,
            "stored": self.stored,
            "parameters": self.parameters,
            "zeros": self.zeros,
            "vocabulary": self.words,
            "trained_on": self.trained_on,
            **{part: described.get(part) for part in ("encoder", "decoder", "matcher", "decoding", "calibration")},
            "scores": self.scores,
            "recipe": self.recipe,
            "origin": self.origin or None,
        }

    def _part(self, name: str) -> dict[str, Any]:
        told = self.header.described.get(name)
        return told if isinstance(told, dict) else {}


def _figures(scores: Any) -> dict[str, dict[str, float]]:
    if not isinstance(scores, dict):
        return {}
    numbers = {
        name: {key: value for key, value in figures.items() if _is_figure(value)}
        for name, figures in scores.items()
        if isinstance(figures, dict)
    }
    return {name: figures for name, figures in numbers.items() if figures}


def _is_figure(value: Any) -> bool:
    # A stranger's number may also be too large to be printed, or none.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -1e9 < value < 1e9


def _part_of(name: str) -> tuple[str, str | None]:
    """Data set and part, "dev", "test" or "held out", that scores are named after."""
    if first := _PART_FIRST.fullmatch(name):
        return first[2], first[1]
    if last := _PART_LAST.fullmatch(name):
        return last[1], last[2].replace("-", " ")
    return name, None
