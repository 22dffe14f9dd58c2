"""What there is to know of a captioner of Hugging Face that is on this machine, and whether it is sound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from capcli.catalogue.soundness import Check
from capcli.errors import CapcliError, ModelError
from capcli.files.hashing import file_hash
from capcli.hub.repository import Repository, blob_hash, pulled
from capcli.hub.settings import calibration_file, own_options, read_calibration


@dataclass(frozen=True)
class PulledFacts:
    """A captioner of Hugging Face, which is not loaded.

    Attributes:
        label: what the user calls it.
        repository: its files.
    """

    label: str
    repository: Repository

    @classmethod
    def read(cls, label: str) -> PulledFacts:
        """Finds the model that the user names; raises what `Repository.find` does."""
        return cls(label, Repository.find(label))

    def rows(self) -> Iterator[tuple[str, str]]:
        """What there is to know, in words."""
        found, options = self.repository, own_options(self.repository)
        family = found.family
        yield "folder", str(found.folder)
        if found.revision is not None:
            yield "revision", found.revision
        yield "size", f"{found.size / 1e6:,.1f} MB"
        yield "licence", found.licence
        yield "SHA-256", found.sha256
        yield "family", family.name
        yield "heatmaps", ", ".join(family.methods)
        if family.prompt is not None:
            yield "prompt", family.prompt or "none; --prompt gives one"
        yield "decoding", f"beam-size {options.beam_size}, max-length {options.max_length}"
        fitted = read_calibration(found)
        yield "confidence", "mean probability" if fitted is None else f"fitted, {calibration_file(found)}"

    def to_json(self) -> dict[str, object]:
        """The same as plain values."""
        found, fitted = self.repository, read_calibration(self.repository)
        return {
            "model": self.label,
            "file": str(found.folder),
            "revision": found.revision,
            "size": found.size,
            "sha256": found.sha256,
            "licence": found.licence,
            "family": found.family.name,
            "methods": list(found.family.methods),
            "prompt": found.family.prompt,
            "decoding": asdict(own_options(found)),
            "calibration": None if fitted is None else fitted[0].to_json(),
        }


def list_pulled() -> tuple[list[PulledFacts], list[str]]:
    """The captioners in the hub's cache, and a line for each of which a part is missing; other models are left out."""
    found, broken = [], []
    for name, folder in pulled().items():
        for commit in sorted(snapshot.name for snapshot in (folder / "snapshots").glob("*") if snapshot.is_dir()):
            repository = Repository(name, folder / "snapshots" / commit, commit)
            try:
                if "config.json" in {file.name for file in repository.folder.iterdir()} and is_captioner(repository):
                    repository.check()
                    found.append(PulledFacts(name, repository))
            except (CapcliError, OSError) as error:
                broken.append(str(error))
    return found, broken


def is_captioner(repository: Repository) -> bool:
    """Whether capcli knows the family of a model."""
    try:
        return bool(repository.family)
    except ModelError:
        return False


def checks(facts: PulledFacts) -> Iterator[Check]:
    """Checks a captioner of Hugging Face: the hashes of its files against the cache's, then whether it can be loaded,
    with all weights that its config asks for.
    """
    found = facts.repository
    files = [file for file in sorted(found.folder.iterdir()) if file.is_file()]
    named = [file for file in files if file.is_symlink() and len(file.resolve().name) == 64]
    broken = [file.name for file in named if file_hash(file.resolve()) != blob_hash(file)]
    if broken:
        problem = f"{broken[0]} is not what was pulled: it was changed or damaged"
        yield Check("hash", False, f"{problem}; remove {(found.folder / broken[0]).resolve()} and pull it again")
    elif named:
        yield Check("hash", True, f"{len(named)} large files, as the hub says")
    else:
        yield Check("hash", None, f"SHA-256 {found.sha256}; nothing is here to compare it with")
    # Brings torch.
    from capcli.huggingface.captioner import HuggingFaceCaptioner

    try:
        HuggingFaceCaptioner.load(facts.label, "cpu")
    except CapcliError as error:
        yield Check("contents", False, str(error))
        return
    yield Check("contents", True, f"a model of the family {found.family.name}, with all its weights")
