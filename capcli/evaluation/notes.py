"""What a reader of figures must know to read them right, a line each."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping, Sequence

from capcli.evaluation.pairing import Pair
from capcli.evaluation.special_tokens import note_special_tokens
from capcli.metrics.java import VERSIONS, java_version
from capcli.words.counting import count_of

CIDER = "papers and the COCO toolkit print CIDEr-D as CIDEr; CIDEr here is the 2015 paper's, which is higher"

HUMAN = (
    "each reference in turn is scored against the others of its image, and so are the captions in the last column; "
    "the captions' own figures, against all references, cannot be compared with a person's"
)

RETRIEVAL = (
    "retrieval by the model's matcher among all images here and their references: share of the queries with a right "
    "answer among the first k, which is any reference of the image; of equal similarities the wrong ones come first"
)

# Below this, percentiles of resamples spread visibly too little.
_FEW = 30


def remarks(pairs: Sequence[Pair]) -> list[str]:
    """What is odd about captions and yet scored, a line each."""
    notes = []
    empty = [pair for pair in pairs if not pair.caption]
    if empty:
        how_many = count_of(len(empty), "caption", "is", "are")
        notes.append(
            f"{how_many} empty and scored as such, like the COCO toolkit does, first {empty[0].reference.name}"
        )
    foreign = [pair for pair in pairs if _is_foreign(pair.caption)]
    if foreign:
        how_many = count_of(len(foreign), "caption", "is", "are")
        notes.append(
            f"{how_many} in another script, first {foreign[0].reference.name}; "
            "tokenizer and METEOR are made for English"
        )
    return notes + note_special_tokens("caption", ((pair.reference.name, pair.caption) for pair in pairs))


def alone(images: int) -> list[str]:
    """What is odd about a single image, if there is but one."""
    return ["one image alone: its CIDEr is 0 by definition, as every n-gram is in every document"] * (images == 1)


def few(images: int) -> list[str]:
    """What is odd about the intervals of few images, if there are but few."""
    return [f"fewer than {_FEW} images: their intervals are too narrow"] * (1 < images < _FEW)


def java_versions(unavailable: Collection[str]) -> dict[str, str]:
    """Of the metrics that Java computed, and of the Java; empty where all of them are unavailable."""
    programs = {name: version for name, version in VERSIONS.items() if name not in unavailable}
    return {**programs, "Java": java_version()} if programs else {}


def programs(versions: Mapping[str, str]) -> list[str]:
    """What `java_versions` found, in words, if anything."""
    return [", ".join(f"{name} {version}" for name, version in versions.items())] if versions else []


def several(tests: int) -> str:
    """What several p-values at once mean."""
    return (
        f"{tests} metrics are tested at once, and by chance alone one of them may well have p below 0.05: choose the "
        f"one that counts beforehand, or take {0.05 / tests:.3f} for 0.05"
    )


def _is_foreign(caption: str) -> bool:
    letters = [character for character in caption if character.isalpha()]
    return bool(letters) and not any(unicodedata.name(letter, "").startswith("LATIN") for letter in letters)
