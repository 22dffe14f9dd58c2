"""Models of Hugging Face, downloaded: the one place of capcli that asks the network for anything."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from capcli.errors import CapcliError, ModelError, UsageError, system_reason
from capcli.files.atomic import disk_is_full, write_atomic
from capcli.hub.families import Family, family_of
from capcli.hub.repository import PATTERNS, PREFIX, Repository, cache_folder, check_config, parse_name

_SPARE = 64 << 20
"""Bytes that stay free on the disk."""


@dataclass(frozen=True)
class File:
    """A file of a model on the hub.

    Attributes:
        name: in the repository.
        size: in bytes.
        sha256: of a large file, in hexadecimal.
        blob: of a small one the hash that git has of it.
    """

    name: str
    size: int
    sha256: str | None
    blob: str | None


@dataclass(frozen=True)
class Offer:
    """What the hub has of a model, known before any of it is downloaded.

    Attributes:
        name: OWNER/NAME.
        asked: the revision that was asked for.
        revision: the commit that this is.
        licence: as the model's card names it.
        family: of the model.
        files: that capcli takes.
        there: bytes of them that are on this machine already.
    """

    name: str
    asked: str
    revision: str
    licence: str
    family: Family
    files: tuple[File, ...]
    there: int

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def ask_hub(model: str) -> Offer:
    """Asks the hub what it has of `hf:OWNER/NAME` or `hf:OWNER/NAME@REVISION`.

    Raises:
        UsageError: for a name that is none, a model or revision that is not there or not for everybody, a hub that is
            out of reach, or one that capcli may not ask.
        ModelError: for a model of another task, without weights in safetensors, or that needs code of its own.
    """
    name, revision = parse_name(model)
    # Its client would tell the hub who runs it, and ask the hub how to find that out.
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    cache = cache_folder(name)  # says what to install
    import huggingface_hub
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise UsageError("HF_HUB_OFFLINE forbids the network, and pull needs it; unset it")
    with _explaining(model):
        info = huggingface_hub.HfApi(library_name="capcli").model_info(
            name, revision=revision, files_metadata=True, timeout=30
        )
        files = tuple(_files(info.siblings or ()))
        _check_files(model, info.siblings or (), files)
        folder = cache / "snapshots" / str(info.sha)
        there = sum(file.size for file in files if (folder / file.name).is_file())
        config = huggingface_hub.hf_hub_download(name, "config.json", revision=info.sha)
    described = Repository(f"{PREFIX}{name}", Path(config).parent, info.sha).config
    check_config(model, described)
    family = family_of(model, described.get("model_type"))
    licence = str(getattr(info.card_data, "license", None) or "not said")
    return Offer(name, revision or "main", str(info.sha), licence, family, files, there)


def pull(offer: Offer) -> Repository:
    """Downloads what of a model is not here yet, and checks it.

    What an earlier download began is gone on with. Files whose hash is not the hub's are removed.

    Raises:
        CapcliError: if the disk has no room, or the network or the hub fails on the way.
        ModelError: if what came is not what the hub announced.
    """
    import huggingface_hub

    cache = cache_folder(offer.name)
    _check_room(cache, offer)
    model = f"{PREFIX}{offer.name}"
    with _explaining(model, "pull it again; it goes on where it was"):
        huggingface_hub.snapshot_download(
            offer.name, revision=offer.revision, allow_patterns=[file.name for file in offer.files]
        )
    folder = cache / "snapshots" / offer.revision
    for file in offer.files:
        check_file(model, folder / file.name, file)
    try:
        (cache / "refs").mkdir(exist_ok=True)
        place = cache / "refs" / offer.asked
        if offer.asked != offer.revision:
            place.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(place, offer.revision.encode())
    except OSError as error:
        raise CapcliError(f"{cache}: {system_reason(error)}") from None
    found = Repository(model, folder, offer.revision)
    found.check()
    return found


def check_file(model: str, path: Path, file: File) -> None:
    """Raises ModelError, and removes the file, unless it has the size and the hash that the hub gives."""
    try:
        sound = path.stat().st_size == file.size and _hash(path, file) in (file.sha256, file.blob)
    except OSError as error:
        raise ModelError(f"{model}: {path}: {system_reason(error)}; pull it again") from None
    if not sound:
        # Both the link and what it leads to, or the next download would take it for whole.
        for target in (path.resolve(), path):
            target.unlink(missing_ok=True)
        raise ModelError(f"{model}: {file.name} is not what the hub has, and was removed; pull it again")


def _hash(path: Path, file: File) -> str:
    """The hash that the hub has of a file: SHA-256, or of a small one git's."""
    if file.sha256 is not None:
        digest = hashlib.sha256()
    else:
        digest = hashlib.sha1(f"blob {file.size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as content:
        while block := content.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _files(siblings: Sequence[Any]) -> Iterator[File]:
    for sibling in siblings:
        if "/" not in sibling.rfilename and any(fnmatch(sibling.rfilename, pattern) for pattern in PATTERNS):
            large = sibling.lfs
            yield File(
                sibling.rfilename, int(sibling.size or 0), None if large is None else large.sha256, sibling.blob_id
            )


def _check_files(model: str, siblings: Sequence[Any], files: Sequence[File]) -> None:
    names = {file.name for file in files}
    if "config.json" not in names:
        raise ModelError(f"{model} has no config.json, so it is no model of transformers; take another")
    if not any(name.endswith(".safetensors") for name in names):
        pickles = any(sibling.rfilename.endswith((".bin", ".pt", ".ckpt")) for sibling in siblings)
        problem = "has its weights in pickles alone, which can run anything" if pickles else "has no weights"
        raise ModelError(f"{model} {problem}; capcli takes safetensors only")


def _check_room(cache: Path, offer: Offer) -> None:
    """Raises CapcliError unless the disk has room for what is still to come."""
    place = next(folder for folder in (cache, *cache.parents) if folder.exists())
    wanted, free = offer.size - offer.there, shutil.disk_usage(place).free
    if wanted + _SPARE > free:
        raise CapcliError(
            f"{PREFIX}{offer.name} needs {wanted / 1e9:,.2f} GB more, and {place} has {free / 1e9:,.2f} GB free; "
            "HF_HOME says where else to put models"
        )


@contextmanager
def _explaining(model: str, then: str = "") -> Iterator[None]:
    """Turns what the hub's client raises into one line that says what to do."""
    from huggingface_hub import errors
    from huggingface_hub.utils import httpx

    hint = f"; {then}" if then else ""
    try:
        yield
    except CapcliError:
        raise
    except errors.GatedRepoError:
        raise UsageError(
            f"{model} is gated: accept its terms on its page, and set HF_TOKEN to a token of yours"
        ) from None
    except errors.RevisionNotFoundError:
        raise UsageError(f"{model}: the hub has no such revision") from None
    except errors.RepositoryNotFoundError:
        raise UsageError(f"the hub has no {model}: it is misspelt, or private and needs HF_TOKEN") from None
    except (errors.HFValidationError, errors.RemoteEntryNotFoundError) as error:
        raise UsageError(f"{model}: {_line(error)}") from None
    except errors.HfHubHTTPError as error:
        raise CapcliError(f"{model}: the hub answers {error.response.status_code}{hint}") from None
    except (errors.LocalEntryNotFoundError, httpx.HTTPError, ConnectionError, TimeoutError) as error:
        where = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
        raise CapcliError(f"{model}: {where} is out of reach ({_line(error)}){hint}") from None
    except OSError as error:
        reason = "no space left on device" if disk_is_full(error) else _line(error)
        raise CapcliError(f"{model}: {reason}{hint}") from None
    except (RuntimeError, ValueError, errors.RevisionResolutionError) as error:
        raise CapcliError(f"{model}: {_line(error)}{hint}") from None


def _line(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:160]
