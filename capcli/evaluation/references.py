"""What people wrote about images, from annotation files without their pictures or from whole datasets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from capcli.datasets import flickr
from capcli.datasets.dataset import Entry, at_home, is_held_out, is_there, read_lines, require_pictures
from capcli.datasets.detect import read_entries
from capcli.errors import DatasetError, UsageError
from capcli.evaluation.special_tokens import note_special_tokens
from capcli.words.counting import agree, count_of


@dataclass(frozen=True)
class Reference:
    """One image and what people wrote about it.

    Attributes:
        name: its file name in the source, with as much of the folders as the source gives.
        captions: as they are written, blank ones left out; possibly none.
        id: its number in the source, where it has one.
        image: the file, where it is there.
        split: "train", "dev", "test" or "rest"; None where the source has no splits.
        blank: how many blank captions were left out.
    """

    name: str
    captions: tuple[str, ...]
    id: str | None = None
    image: Path | None = None
    split: str | None = None
    blank: int = 0


@dataclass(frozen=True)
class References:
    """Images with their references, in the order of the source.

    Attributes:
        source: the file or folder.
        name: of the dataset, for people.
        split: the one that was chosen; None where the source has none, "all" for all of several.
        items: the images of that split.
    """

    source: Path
    name: str
    split: str | None
    items: tuple[Reference, ...]

    @property
    def notes(self) -> list[str]:
        """What a reader of figures must know, a line each."""
        notes = []
        bare = [item for item in self.items if not item.captions]
        if bare:
            how_many, are = count_of(len(bare), "image", "has", "have"), agree(len(bare), "is", "are")
            notes.append(f"{how_many} no references and {are} left out, first {bare[0].name}")
        partly = [item for item in self.items if item.captions and item.blank]
        if partly:
            how_many = count_of(sum(item.blank for item in partly), "reference", "is", "are")
            notes.append(f"{how_many} empty and left out, first of {partly[0].name}")
        texts = ((item.name, caption) for item in self.items for caption in item.captions)
        return notes + note_special_tokens("reference", texts)

    def held_out(self, share: float) -> References:
        """The images that training leaves out of a dataset without a dev split, see `is_held_out`.

        Raises:
            UsageError: if there is a dev split, which is what is left out then, or no image is left out.
        """
        if any(item.split == "dev" for item in self.items):
            raise UsageError(f"{self.source}: has a dev split, which is what training holds out: --split dev")
        items = tuple(
            item for item in self.items if item.split != "test" and is_held_out(item.image or Path(item.name), share)
        )
        if not items:
            raise UsageError(f"{self.source}: the model's training held out {share:.0%} of the images, which are none")
        return References(self.source, self.name, "held-out", items)


def read_references(path: Path, split: str | None = None) -> References:
    """Reads the references of a split from anything that `capcli.datasets` reads; the pictures need not be there.

    Args:
        path: a file or folder.
        split: "test", "dev", "train" or "all"; by default the only one that there is, or else "test".

    Raises:
        DatasetError: nothing is there, it is broken (with the line), or nothing knows it.
        UsageError: if there is no such split.
    """
    return _read(at_home(path), split, missing_ok=True)


def dataset_references(
    path: Path, split: str | None = None, *, missing_ok: bool = False, default: str = "test"
) -> References:
    """As `read_references`, but every image with captions is there unless `missing_ok`; raises DatasetError if not.

    `default` is the split to take of several where none is named.
    """
    return _read(at_home(path), split, missing_ok=missing_ok, default=default)


def read_training_captions(path: Path) -> frozenset[str]:
    """All captions of a `.txt` file with one a line, or those of references, of split "train" where there are several.

    Raises:
        DatasetError: as `read_references`, or if there are none.
        UsageError: if there are several splits and none is "train".
    """
    if path.suffix.lower() == ".txt" and path.is_file() and not flickr.recognises(path):
        captions = frozenset(line for _, line in read_lines(path))
        if not captions:
            raise DatasetError(f"{path}: has no captions")
        return captions
    references = read_references(path, "all")
    items = references.items
    if references.split == "all":
        items = tuple(item for item in items if item.split == "train")
        if not items:
            raise UsageError(f"{path}: has no train split; name a file of the training captions alone")
    return frozenset(caption for item in items for caption in item.captions)


def _read(path: Path, wanted: str | None, *, missing_ok: bool, default: str = "test") -> References:
    entries = read_entries(path)
    split = _split(path, entries, wanted, default)
    named = zip(_names(entries), entries, strict=True)
    chosen = [(name, entry) for name, entry in named if split in ("all", entry.split)]
    captioned = [entry.image for _, entry in chosen if entry.captions]
    if not captioned:
        raise DatasetError(f"{path}: has no captions of its {split} images")
    if not missing_ok:
        require_pictures(captioned, path)
    items = (
        Reference(
            name,
            entry.captions,
            entry.id,
            entry.image if is_there(entry.image) else None,
            entry.split,
            entry.blank,
        )
        for name, entry in chosen
    )
    return References(path, path.stem if path.is_file() else path.resolve().name, split, tuple(items))


def _split(path: Path, entries: Sequence[Entry], wanted: str | None, default: str) -> str | None:
    """The one to take: "all" of several, None where there are no splits."""
    there = Counter(entry.split for entry in entries)
    if len(there) == 1 and wanted in (None, "all"):
        return entries[0].split
    wanted = wanted or default
    if wanted != "all" and wanted not in there:
        known = ", ".join(f"{key} ({count:,})" for key, count in there.items() if key is not None)
        advice = f"its images are in {known}: choose with --split" if known else "it has no splits: --split all"
        raise UsageError(f"{path}: has no {wanted} split; {advice}")
    return wanted


def _names(entries: Sequence[Entry]) -> list[str]:
    """File names; with all their folders where two would be equal."""
    names = [entry.name for entry in entries]
    return names if len(set(names)) == len(names) else [entry.image.as_posix() for entry in entries]
