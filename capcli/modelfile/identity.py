"""Which model it is, whatever its file is called and wherever it lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from capcli.errors import ModelError, system_reason
from capcli.files.hashing import file_hash
from capcli.modelfile.shipped import find_model


@dataclass(frozen=True)
class ModelIdentity:
    """A model, known again by its content.

    Attributes:
        name: the file's name without its ending; of a model of Hugging Face `hf:OWNER/NAME`, or its folder's name.
        sha256: of the file, in hexadecimal; of a model of several files of their hashes.
        revision: the commit of the hub that it was pulled at; None for a file or a folder.
    """

    name: str
    sha256: str
    revision: str | None = None

    def to_json(self) -> dict[str, str]:
        """The fields that there are, as plain values."""
        pinned = {} if self.revision is None else {"revision": self.revision}
        return {"name": self.name, "sha256": self.sha256, **pinned}


def identify_model(model: str | Path) -> ModelIdentity:
    """The identity of a model given by name or by path; raises ModelError where there is none or it cannot be read."""
    file = find_model(model)
    try:
        return ModelIdentity(file.stem, file_hash(file))
    except OSError as error:
        raise ModelError(f"{file}: {system_reason(error)}") from None
