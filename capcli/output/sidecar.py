"""Captions in files of their own beside the pictures, or in a folder with the same structure."""

from __future__ import annotations

import errno
import json
import os
from collections import Counter
from pathlib import Path

from capcli.output import Result, State
from capcli.output.atomic import write_atomic
from capcli.output.json import dumps
from capcli.output.xmp import NotXmp, has_caption, merge_xmp, new_xmp
from capcli.pictures.find import EXTENSIONS


class SidecarError(Exception):
    """Why one picture gets no sidecar, one clause."""


class Sidecars:
    """Writes one file for each picture: `txt` the captions, a line each; `json` the fields of a row; `xmp` metadata.

    A sidecar is named after the picture without its ending, as photo programs do. Where other pictures in the
    folder would have the same, each keeps its ending: a.jpg.txt and a.png.txt. Sidecars are written whole or
    not at all. An uncertain caption is written to `json` only, which can say so.

    Args:
        kind: `txt`, `json` or `xmp`.
        folder: where to, with the folders of the pictures below `base`; None for beside them.
        base: folder that holds all pictures.
        overwrite: replace captions that sidecars hold already; what else is in an `xmp` stays in any case.
    """

    def __init__(self, kind: str, folder: Path | None, base: Path, *, overwrite: bool = False) -> None:
        self._kind, self._folder, self._overwrite = kind, folder, overwrite
        self._base = _absolute(base)
        self._listings: dict[Path, tuple[frozenset[str], Counter[str]]] = {}

    def path_of(self, picture: Path) -> Path:
        """The sidecar of a picture; no two pictures share one."""
        free = False
        if picture.suffix.lower() in EXTENSIONS:
            names, stems = self._pictures_beside(picture)
            stem = picture.stem.casefold()
            # With an a.png beside them a.jpg has a.jpg.txt, so a.jpg.jpg must not.
            free = stems[stem] == 1 and stem not in names
        folder = picture.parent
        if self._folder is not None:
            folder = self._folder / _absolute(folder).relative_to(self._base)
        return folder / f"{picture.stem if free else picture.name}.{self._kind}"

    def state(self, picture: Path) -> State | None:
        """Whether the picture's sidecar holds a caption; failures leave none."""
        try:
            content = self.path_of(picture).read_bytes()
            if self._kind == "json":
                held = _is_ours(content)
            else:
                held = bool(content.strip()) if self._kind == "txt" else has_caption(content)
        except (OSError, ValueError):
            return None
        return State.CAPTIONED if held else None

    def write(self, result: Result) -> None:
        """Write the sidecar of a captioned picture.

        Raises:
            SidecarError: if this one cannot be written.
            OSError: if the disk is full, so that no other can either.
        """
        if not result.captions or (result.uncertain and self._kind != "json"):
            return
        path = self.path_of(result.path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, self._content(path, result))
        except (NotXmp, _Foreign) as error:
            raise SidecarError(f"its sidecar {path} {error}, and was left as it is") from None
        except OSError as error:
            if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None)):
                raise
            told = (error.strerror or str(error)).lower()
            raise SidecarError(f"its sidecar {path} cannot be written ({told})") from None

    def _content(self, path: Path, result: Result) -> bytes:
        if self._kind == "txt":
            return "".join(f"{' '.join(caption.split())}\n" for caption in result.captions).encode()
        existing = path.read_bytes() if path.exists() else b""
        if self._kind == "json":
            if existing.strip() and not _is_ours(existing):
                raise _Foreign("is there and is not capcli's")
            return dumps(result.row(), indent=2) + b"\n"
        if existing.strip():
            return merge_xmp(existing, result.captions[0], replace=self._overwrite)
        return new_xmp(result.captions[0])

    def _pictures_beside(self, picture: Path) -> tuple[frozenset[str], Counter[str]]:
        listing = self._listings.get(picture.parent)
        if listing is None or picture.name.casefold() not in listing[0]:
            # Listed again for a picture that came later.
            try:
                entries = [entry.name.casefold() for entry in picture.parent.iterdir()]
            except OSError:
                entries = []
            names = [name for name in entries if Path(name).suffix in EXTENSIONS]
            listing = frozenset(names), Counter(Path(name).stem for name in names)
            self._listings[picture.parent] = listing
        return listing


class _Foreign(Exception):  # noqa: N818 - a verdict, not a fault
    """A file that another program made."""


def _absolute(path: Path) -> Path:
    # Not Path.resolve: what is linked to stays where it was found.
    return Path(os.path.abspath(path))  # noqa: PTH100


def _is_ours(content: bytes) -> bool:
    try:
        fields = json.loads(content)
    except ValueError:
        return False
    return (
        isinstance(fields, dict) and isinstance(fields.get("path"), str) and "caption" in fields and "model" in fields
    )
