"""Captions in files of their own beside the pictures, or in a folder with the same structure."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from capcli.errors import UsageError, system_reason
from capcli.files.atomic import disk_is_full, write_atomic
from capcli.files.json import dumps
from capcli.output import Result, State
from capcli.output.formats.text import Sentences
from capcli.output.naming import Naming, absolute
from capcli.output.survey import Survey, look_by_folder
from capcli.output.xmp import NotXmp, has_caption, merge_xmp, new_xmp


class SidecarError(Exception):
    """Why one picture gets no sidecar, one clause."""


class Sidecars:
    """Writes one file for each picture: `txt` the captions, a line each, and a line of keywords; `json` the fields of a
    row; `xmp` metadata.

    A sidecar is named after the picture without its ending, as Lightroom does, where no other picture would have the
    same: see `Naming`. A sidecar a.jpg.xmp that is there already, as from darktable, is the picture's, and so is a.XMP,
    whatever the case of its ending. Sidecars are written whole or not at all. An uncertain caption is written to `json`
    only, which can say so.

    A sidecar that cannot be written, because its name is longer than the file system allows for example, is left out:
    the picture keeps its row and its sidecars of other kinds, and counts as failed.

    Args:
        kind: `txt`, `json` or `xmp`.
        folder: where to, with the folders of the pictures below `base`; None for beside them.
        base: folder that holds all pictures.
        overwrite: replace captions that sidecars hold already; what else is in an `xmp` stays in any case.
        dry_run: count what would be written, and write nothing.

    Attributes:
        kept: how many sidecars held another caption already and were left as they were.
        changed: how many were written and are not as they were.
    """

    def __init__(
        self, kind: str, folder: Path | None, base: Path, *, overwrite: bool = False, dry_run: bool = False
    ) -> None:
        self.kind, self._overwrite, self._dry_run = kind, overwrite, dry_run
        self._naming = Naming(folder, base)
        self._reserved: set[Path] = set()
        self.kept = self.changed = 0

    def reserve(self, paths: Iterable[Path]) -> None:
        """Name files that no sidecar may take the place of: other outputs, and pictures that may have any name."""
        self._reserved.update(map(absolute, paths))

    def path_of(self, picture: Path) -> Path:
        """The sidecar of a picture; no two pictures share one."""
        whole = _in_any_case(self._naming.whole(picture, f".{self.kind}"))
        if whole is not None:
            return whole
        path = self._naming.path_of(picture, f".{self.kind}")
        return _in_any_case(path) or path

    def may_be_there(self, folder: Path, names: Sequence[str]) -> Collection[str]:
        """Which pictures of a folder may have a sidecar, by their names; asks the system nothing but for a list."""
        return self._naming.may_be_there(folder, names, f".{self.kind}")

    def state(self, picture: Path) -> State | None:
        """Whether the picture's sidecar holds a caption; failures leave none."""
        if not self.may_be_there(picture.parent, [picture.name]):
            return None
        path = self.path_of(picture)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        return State.CAPTIONED if path not in self._reserved and self._holds(content, picture) else None

    def write(self, result: Result) -> None:
        """Write the sidecar of a captioned picture, unless it holds captions already that are not to be replaced.

        Raises:
            SidecarError: if this one cannot be written.
            OSError: if the disk is full, so that no other can either.
        """
        if not result.captions or (result.uncertain and self.kind != "json"):
            return
        path = self.path_of(result.path)
        try:
            if absolute(path) in self._reserved:
                raise _Foreign("is another file of this run")
            existing = path.read_bytes() if path.exists() else b""
            content = self._content(existing, result)
            if not self._overwrite and existing != content and self._holds(existing, result.path):
                self.kept += 1
            elif existing != content:
                self.changed += 1
                if not self._dry_run:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    write_atomic(path, content)
                    self._naming.add(path)
        except (NotXmp, _Foreign) as error:
            raise SidecarError(f"its sidecar {path} {error}, and was left as it is") from None
        except OSError as error:
            if disk_is_full(error):
                raise
            raise SidecarError(f"its sidecar {path} cannot be written ({system_reason(error)})") from None

    def _content(self, existing: bytes, result: Result) -> bytes:
        if self.kind == "txt":
            return Sentences().encode(result) or b""
        if self.kind == "json":
            if existing.strip():
                if _row(existing) is None:
                    raise _Foreign("is there and is not capcli's")
                if not self._holds(existing, result.path):
                    raise _Foreign("holds the caption of another picture")
            return dumps(result.row(), indent=2) + b"\n"
        if existing.strip():
            return merge_xmp(existing, result.captions[0], result.keywords or (), replace=self._overwrite)
        return new_xmp(result.captions[0], result.keywords or ())

    def _holds(self, content: bytes, picture: Path) -> bool:
        if self.kind == "txt":
            return bool(content.strip())
        if self.kind == "xmp":
            try:
                return has_caption(content)
            except NotXmp:
                return False
        row = _row(content)
        if row is None:
            return False
        # With --sidecar-dir the pictures of another folder may have had sidecars of the same names.
        other = Path(row["path"])
        try:
            return not other.exists() or other.samefile(picture)
        except OSError:
            return True


def refuse_held(sidecars: Sequence[Sidecars], pictures: Iterable[Path]) -> Survey:
    """Counts pictures; raises UsageError where some have captions in their sidecars already."""
    first: Path | None = None

    def settled(folder: Path, names: Sequence[str]) -> Sequence[State | None]:
        nonlocal first
        maybe = [(kind, kind.may_be_there(folder, names)) for kind in sidecars]
        if not any(listed for _, listed in maybe):
            return [None] * len(names)
        states: list[State | None] = []
        for name in names:
            held = next((kind for kind, listed in maybe if name in listed and kind.state(folder / name)), None)
            if held is not None and first is None:
                first = held.path_of(folder / name)
            states.append(None if held is None else State.CAPTIONED)
        return states

    survey = look_by_folder(pictures, settled)
    if survey.settled:
        raise UsageError(
            f"{survey.settled} of {survey.total} pictures have captions in their sidecars already, such as {first}; "
            "--resume skips these pictures, --overwrite replaces the captions"
        )
    return survey


def is_sidecar(file: Path, kind: str) -> bool:
    """Whether a file may be a sidecar of a kind."""
    return file.suffix.lower() == f".{kind}"


def _in_any_case(path: Path) -> Path | None:
    """The file of this name that is there, whatever the case of its ending."""
    letters = ((letter, letter.upper()) for letter in path.suffix[1:])
    paths = (path.with_suffix("".join((".", *ending))) for ending in product(*letters))
    return next((path for path in paths if os.path.exists(path)), None)  # noqa: PTH110 - Path.exists raises for long names


class _Foreign(Exception):  # noqa: N818 - a verdict, not a fault
    """A file that another program made."""


def _row(content: bytes) -> dict[str, Any] | None:
    """The fields of a sidecar that capcli wrote, None for anything else."""
    try:
        fields = json.loads(content)
    except ValueError:
        return None
    ours = (
        isinstance(fields, dict) and {"path", "caption", "model"} <= fields.keys() and isinstance(fields["path"], str)
    )
    return fields if ours else None
