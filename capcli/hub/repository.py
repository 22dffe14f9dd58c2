"""A model of Hugging Face on this machine: a folder of the hub's cache, or any other. Nothing here imports torch."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from capcli.errors import ModelError, UsageError, system_reason
from capcli.files.hashing import file_hash
from capcli.hub.families import Family, family_of

PREFIX = "hf:"
"""What the name of a model on the hub begins with."""

_NAME = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([\w./-]+))?")
_SHA256 = re.compile(r"[0-9a-f]{64}")

PATTERNS = ("*.json", "*.txt", "*.model", "*.jinja", "*.safetensors", "README.md", "LICENSE*")
"""Files of a repository that capcli takes: no pickles, and no code."""

_WEIGHTS, _INDEX, _CONFIG = "model.safetensors", "model.safetensors.index.json", "config.json"

_INSTALL = 'needs transformers and what goes with it: pip install "capcli[hf]"'


def parse_name(model: str) -> tuple[str, str | None]:
    """OWNER/NAME and the revision, if any, of `hf:OWNER/NAME` or `hf:OWNER/NAME@REVISION`; raises UsageError."""
    found = _NAME.fullmatch(model.removeprefix(PREFIX))
    if found is None:
        raise UsageError(f"{model!r} is no model's name; it is hf:OWNER/NAME, or hf:OWNER/NAME@REVISION")
    return found[1], found[2]


def go_offline() -> None:
    """Forbids the libraries of Hugging Face the network, from before they are imported."""
    os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    # Whoever uses capcli from Python may have imported them already.
    if "huggingface_hub.constants" in sys.modules:
        sys.modules["huggingface_hub.constants"].HF_HUB_OFFLINE = True  # type: ignore[attr-defined]


def cache_folder(name: str) -> Path:
    """Where the hub's cache has a model, whether it is there or not; raises UsageError without the hub's client."""
    try:
        from huggingface_hub import constants
    except ImportError:
        raise UsageError(f"{PREFIX}{name} {_INSTALL}") from None
    return Path(constants.HF_HUB_CACHE) / f"models--{name.replace('/', '--')}"


@dataclass(frozen=True)
class Repository:
    """The files of a model.

    Attributes:
        name: `hf:OWNER/NAME`, or of a folder its name.
        folder: holds the files.
        revision: the commit on the hub that they are of; None for a folder.
    """

    name: str
    folder: Path
    revision: str | None = None

    @classmethod
    def find(cls, model: str | Path) -> Repository:
        """Finds a model in the hub's cache, or in a folder, without the network.

        Args:
            model: `hf:OWNER/NAME`, with `@REVISION` where several were pulled, or a folder.

        Raises:
            UsageError: for a name that is none, and without the hub's client.
            ModelError: for a model that is not there, of which a part is missing, that has its weights in no
                safetensors, needs code of its own, or is of a family that capcli does not know.
        """
        if not str(model).startswith(PREFIX):
            found = cls(Path(model).resolve().name, Path(model))
        else:
            name, revision = parse_name(str(model))
            go_offline()
            commit = find_commit(cache_folder(name), str(model), revision)
            found = cls(f"{PREFIX}{name}", cache_folder(name) / "snapshots" / commit, commit)
        found.check()
        return found

    @cached_property
    def config(self) -> dict[str, Any]:
        """What config.json says; raises ModelError."""
        return self._json(_CONFIG)

    @property
    def family(self) -> Family:
        """Its family; raises ModelError for one that capcli does not know."""
        return family_of(self.name, self.config.get("model_type"))

    @cached_property
    def generation(self) -> dict[str, Any]:
        """What generation_config.json says; empty where there is none."""
        return self._json("generation_config.json") if (self.folder / "generation_config.json").is_file() else {}

    @cached_property
    def weights(self) -> tuple[str, ...]:
        """Names of the files with the weights, whether they are there or not; raises ModelError for other kinds."""
        if (self.folder / _INDEX).is_file():
            try:
                return tuple(sorted(set(map(str, self._json(_INDEX)["weight_map"].values()))))
            except (KeyError, AttributeError):
                raise ModelError(f"{self.folder / _INDEX}: names no weights; download it again") from None
        if not (self.folder / _WEIGHTS).is_file() and any(self._files("*.bin", "*.pt", "*.h5", "*.msgpack", "*.ckpt")):
            raise ModelError(
                f"{self.name} has no weights in safetensors, and capcli opens no pickle, which can run anything"
            )
        return (_WEIGHTS,)

    def check(self) -> None:
        """Raises ModelError for whatever can be known to be wrong before the model is loaded."""
        check_config(self.name, self.config)
        self.family  # noqa: B018 - raises
        there = {file.name for file in self._files("*")}
        missing = [name for name in self.weights if name not in there]
        if not there & {"preprocessor_config.json", "processor_config.json"}:
            missing.append("preprocessor_config.json")
        if not there & {"tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "tokenizer.model"}:
            missing.append("tokenizer.json")
        if missing:
            raise ModelError(f"{self.name} lacks {missing[0]} in {self.folder}; {self._again}")

    @cached_property
    def sha256(self) -> str:
        """A hash of what the model is: of the hashes of its weights, and of its configs and tokenizers."""
        digest = hashlib.sha256()
        try:
            for file in sorted(self._files(*PATTERNS[:5])):
                digest.update(f"{file.name} {blob_hash(file)}\n".encode())
        except OSError as error:
            raise ModelError(f"{self.folder}: {system_reason(error)}; {self._again}") from None
        return digest.hexdigest()

    @property
    def size(self) -> int:
        """Bytes of the weights."""
        return sum((self.folder / name).stat().st_size for name in self.weights)

    @property
    def licence(self) -> str:
        """The licence that its card names; "not said" where it names none."""
        try:
            card = (self.folder / "README.md").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return "not said"
        found = re.search(r"^license:[ \t]*(\S.*)$", card, re.MULTILINE)
        return found[1].strip("'\" \t") if found else "not said"

    def _files(self, *patterns: str) -> Iterator[Path]:
        for pattern in dict.fromkeys(patterns):
            yield from (file for file in self.folder.glob(pattern) if file.is_file())

    @property
    def _again(self) -> str:
        return f"`capcli models pull {self.name}` goes on with it" if self.revision else "copy it again"

    def _json(self, name: str) -> dict[str, Any]:
        try:
            read = json.loads((self.folder / name).read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            what = "is no model" if self.revision is None else "is only half there"
            raise ModelError(f"{self.name} {what}: {self.folder} has no {name}; {self._again}") from None
        except (OSError, ValueError, RecursionError) as error:
            raise ModelError(f"{self.folder / name}: cannot be read ({error}); {self._again}") from None
        if not isinstance(read, dict):
            raise ModelError(f"{self.folder / name}: is no JSON object; {self._again}")
        return read


def check_config(name: str, config: dict[str, Any]) -> None:
    """Raises ModelError for a config that asks for code of its own, which capcli does not run."""
    if config.get("auto_map"):
        raise ModelError(
            f"{name} needs code of its own, and capcli runs none; take a checkpoint in transformers' format"
        )


def find_commit(cache: Path, model: str, revision: str | None) -> str:
    """The commit that a pulled revision of a model is at, by default of the branch main; raises ModelError."""
    pull = f"`capcli models pull {model}` downloads it"
    try:
        commits = sorted(folder.name for folder in (cache / "snapshots").iterdir() if folder.is_dir())
    except OSError:
        commits = []
    if not commits:
        raise ModelError(f"{model} is not on this machine; {pull}")
    try:
        commit = (cache / "refs" / (revision or "main")).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        commit = ""
    if commit in commits:
        return commit
    chosen = [candidate for candidate in commits if candidate.startswith(revision)] if revision else commits
    if len(chosen) == 1 and (revision is None or len(revision) >= 7):
        return chosen[0]
    if revision is not None:
        raise ModelError(f"{model}: that revision is not on this machine; {pull}")
    raise ModelError(f"{model} is here in {len(commits)} revisions; name one, as in {model}@{commits[0][:12]}")


def blob_hash(file: Path) -> str:
    """SHA-256 of a file; the hub's cache names large files by theirs, and these need not be read. Raises OSError."""
    name = file.resolve(strict=True).name
    return name if _SHA256.fullmatch(name) else file_hash(file)


def pulled() -> dict[str, Path]:
    """Names of the models in the hub's cache, `hf:OWNER/NAME`, with their folders; empty without the hub's client."""
    try:
        root = cache_folder("a/b").parent
        folders = sorted(root.glob("models--*--*"))
    except (UsageError, OSError):
        return {}
    return {f"{PREFIX}{folder.name.removeprefix('models--').replace('--', '/', 1)}": folder for folder in folders}
