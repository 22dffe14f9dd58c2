"""What a model of Hugging Face brings beside its weights: decoding options of its own, and a fitted confidence.

A fitted confidence lies in the user's own data folder, under the hash of the model: nothing is written into the hub's
cache, which other programs share, nor into a folder that the user gave.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

from capcli.decoding.options import MOST_WORDS, DecodingOptions
from capcli.errors import CapcliError, ModelError, system_reason
from capcli.files.atomic import write_atomic
from capcli.files.json import dumps
from capcli.hub.repository import Repository
from capcli.modelfile.confidence import Calibration

_WIDEST = 32


def own_options(repository: Repository) -> DecodingOptions:
    """The options that captions are chosen by where nothing else is asked for.

    A search as wide as the checkpoint says, greedy where it says nothing; what it says of sampling is for talk.
    """
    generation = repository.generation
    beams, penalty = generation.get("num_beams"), generation.get("length_penalty")
    return DecodingOptions(
        beam_size=beams if type(beams) is int and 1 <= beams <= _WIDEST else 1,
        length_penalty=float(penalty) if isinstance(penalty, (int, float)) and 0 <= penalty <= 4 else 1.0,
        max_length=MOST_WORDS if repository.family.sentences else 20,
        no_repeat_ngram=0,
    )


def calibration_file(repository: Repository) -> Path:
    """Where the fitted confidence of a model is, or would be."""
    if sys.platform == "win32":
        root = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Application Support"
    else:
        root = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return root / "capcli" / "calibrations" / f"{repository.sha256}.json"


def read_calibration(repository: Repository) -> tuple[Calibration, str] | None:
    """The fitted confidence of a model and a short hash of it; None where there is none, ModelError if it is broken."""
    file = calibration_file(repository)
    try:
        content = file.read_bytes()
    except OSError:
        return None
    try:
        fitted = Calibration.from_json(json.loads(content)["calibration"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{file}: cannot be used ({error}); remove it, or fit it again") from None
    return fitted, hashlib.sha256(content).hexdigest()[:12]


def keep_calibration(repository: Repository, calibration: Calibration, facts: dict[str, object]) -> Path:
    """Keeps a fitted confidence with facts on how it was fitted; raises CapcliError where it cannot."""
    file = calibration_file(repository)
    about = {"model": repository.name, "revision": repository.revision, "sha256": repository.sha256, **facts}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, dumps({**about, "calibration": calibration.to_json()}, indent=2) + b"\n")
    except OSError as error:
        raise CapcliError(f"{file}: cannot be written ({system_reason(error)})") from None
    return file
