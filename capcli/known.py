"""What is known of any model before it is loaded, whichever kind it is of: by its file's header, or by its folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capcli.decoding.options import DecodingOptions
from capcli.errors import ModelError, UsageError
from capcli.files.hashing import file_hash
from capcli.modelfile.header import read_header
from capcli.modelfile.identity import ModelIdentity, identify_model
from capcli.modelfile.shipped import find_model, is_repository
from capcli.modelfile.target import WORDS
from capcli.options import build

EXPECTED = "expected words"
"""Under which `KnownModel.beside` has the hash of the words that a model expects."""


@dataclass(frozen=True)
class KnownModel:
    """A model that captions pictures.

    Attributes:
        identity: by which it is known again.
        options: the decoding options that are its own.
        matches: whether it has a matcher.
        held_out: the share of a data set without a dev split that no training of the model saw.
        beside: what else changes its results, by name; plain values.
    """

    identity: ModelIdentity
    options: DecodingOptions
    matches: bool = False
    held_out: float = 0.0
    beside: Mapping[str, object] = dataclasses.field(default_factory=dict)


def know_model(model: str | Path) -> KnownModel:
    """What is known of a model given by name, path, `hf:OWNER/NAME` or folder.

    Raises:
        ModelError: if there is no such model, or it cannot be used.
        UsageError: for a name that is none, or where an extra is not installed.
    """
    if is_repository(model):
        from capcli.hub.repository import Repository
        from capcli.hub.settings import own_options, read_calibration

        found = Repository.find(model)
        calibration = read_calibration(found)
        identity = ModelIdentity(found.name, found.sha256, found.revision)
        beside = {} if calibration is None else {"calibration": calibration[1]}
        return KnownModel(identity, own_options(found), beside=beside)
    file = find_model(model)
    header = read_header(file)
    own: Any = header.described.get("decoding")  # a stranger's file may hold anything there
    try:
        options = build(DecodingOptions, own, "decoding")
    except UsageError as error:
        raise ModelError(f"{file}: its description cannot be used ({error})") from None
    matches, beside = header.described.get("matcher") is not None, {}
    if (place := file.with_suffix(WORDS)).is_file():
        from capcli.modelfile.expected_words import ExpectedWords

        options = dataclasses.replace(options, word_weight=ExpectedWords.share_of(file))
        beside = {EXPECTED: f"SHA-256 {file_hash(place)[:12]}"}
    return KnownModel(identify_model(file), options, matches, header.held_out, beside)
