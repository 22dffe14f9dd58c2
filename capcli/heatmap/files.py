"""Files that show where the model looked: named after the pictures, whole, and in nobody else's place."""

from __future__ import annotations

import functools
import io
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from capcli.errors import CapcliError, UsageError, system_reason
from capcli.files.atomic import disk_is_full, write_atomic
from capcli.heatmap.mark import MARK, is_marked
from capcli.output.naming import Naming, absolute

if TYPE_CHECKING:
    from PIL import Image

    from capcli.caption import Caption
    from capcli.heatmap.page import Entry
    from capcli.pictures.find import Found

_ENDINGS = {
    "grid": ".png",
    "overlays": "",
    "html": ".html",
    "gif": ".gif",
    "webp": ".webp",
    "npz": ".npz",
    "json": ".json",
}
_INDEX = "index.html"

# Kinds whose words are part of the picture; elsewhere the reader's own fonts show them.
_WITH_LETTERS = ("grid", "gif", "webp")
_MOST_LETTERS = 20

ENOUGH_PIXELS = 1200
"""Of what is drawn smaller than the picture is: a JPEG may be decoded at a part of its size down to this side."""

# Photographs hardly shrink below what this gives, and take several times as long to.
_PNG_LEVEL = 2

_OVERLAY = re.compile(r"\d{2,}-.*\.png")


class DrawingError(Exception):
    """Why nothing is drawn of one picture, one clause."""


class Drawings:
    """Writes files of one kind below a folder.

    A picture has one file named by `Naming`; `overlays` have a folder of that name, and `html` of several pictures an
    index beside the pages at the top. Files are written whole or not at all. Of a picture's overlays the first word's
    is written last, so that it stands for all of them.

    Args:
        kind: one of `capcli.heatmap.options.KINDS`.
        folder: where to; made by `begin` if it is missing.
        base: folder that holds all pictures.
        pictures: those that are to be drawn.
        overwrite: replace drawings that are there.
        resume: leave pictures out that have their drawings.

    Attributes:
        index: of the pages, None where there is none.

    Raises:
        UsageError: if pages that have an index are to be resumed, the folder cannot be made or written, drawings are
            there already and nothing says what to do with them, or something else is where one would go.
    """

    def __init__(
        self,
        kind: str,
        folder: Path,
        base: Path,
        pictures: Sequence[Path],
        *,
        overwrite: bool = False,
        resume: bool = False,
    ) -> None:
        self.kind, self._folder, self._base = kind, folder, base
        self._pictures, self._resume = pictures, resume
        self._naming = Naming(folder, base, _drawings_below(folder, pictures))
        self.index = folder / _INDEX if kind == "html" and len(pictures) > 1 else None
        if resume and self.index:
            raise UsageError(
                "--as html makes an index of several pictures, so --resume cannot go on with it; take --overwrite"
            )
        self._entries: list[Entry] = []
        self._missing: dict[str, None] = {}  # letters that the font lacks, in order
        check_folder(folder)
        existing = {picture: files for picture in pictures if (files := self._files(picture))}
        if self.index and os.path.lexists(self.index):
            existing[self.index] = [self.index]
        self._refuse_others(existing)
        if existing and not (overwrite or resume):
            first = next(iter(existing.values()))[0]
            skips = "" if self.index else "--resume skips these pictures, "
            count = sum(picture != self.index for picture in existing)
            text = f"{count} of {len(pictures)} pictures have their {kind} in {folder} already, such as {first}"
            raise UsageError(f"{text if count else f'{first} is there already'}; {skips}--overwrite replaces them")

    def is_settled(self, picture: Path) -> bool:
        """Whether a picture has its drawing already, and keeps it."""
        return self._resume and self._complete(picture)

    def begin(self) -> None:
        """Make the folder; raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)

    def path_of(self, picture: Path) -> Path:
        """The file of a picture, for `overlays` their folder; no two pictures share one."""
        path = self._naming.path_of(picture, _ENDINGS[self.kind])
        # Where names differ in more than case, as in some file systems they must.
        if self.kind == "html" and path.parent == self._folder and path.name.lower() == _INDEX:
            return self._naming.whole(picture, _ENDINGS[self.kind])
        return path

    def write(self, picture: Path, caption: Caption, *, method: str, model: str) -> list[Path]:
        """Draw a picture.

        Args:
            picture: its file, which is read.
            caption: from `Captioner.attend`, cut down to the words to draw.
            method: that made the maps.
            model: its name.

        Returns:
            the files written.

        Raises:
            UnreadableImage: if the picture cannot be read any more.
            DrawingError: if this one cannot be drawn.
            CapcliError: if the disk is full, so that no other can either.
        """
        target, written = self.path_of(picture), list[Path]()
        older = [file for file in self._files(picture) if is_marked(file)] if self.kind == "overlays" else []
        try:
            for below, content in self._contents(picture, caption, method, model):
                place = target / below if below else target
                self._put(place, content)
                written.append(place)
        except MemoryError:
            raise DrawingError(f"its {self.kind} does not fit into memory") from None
        for file in older:
            if file not in written:  # of a word that is not drawn any more
                with suppress(OSError):
                    file.unlink()
        return sorted(written)

    def fail(self, picture: Path, reason: str) -> None:
        """Remember a picture that has no drawing, for the index."""
        if self.index:
            from capcli.heatmap.page import Entry

            self._entries.append(Entry(str(picture), error=reason))

    def finish(self) -> list[str]:
        """Write the index, if there is to be one; raises CapcliError.

        Returns:
            what the user must know of the drawings, a line each.
        """
        notes = [_missing_letters(list(self._missing))] if self._missing else []
        if self.index:
            from capcli.heatmap.page import index

            try:
                self._put(self.index, index(self._entries, title=f"Where the model looked: {self._base.name}"))
            except DrawingError as error:
                raise CapcliError(str(error)) from None
            notes.append(f"index: {self.index}")
        return notes

    def _contents(self, path: Path, caption: Caption, method: str, model: str) -> Iterator[tuple[str, bytes]]:
        """What goes into each file, with its name below the picture's folder, or "" for a picture's only file."""
        if self.kind in ("npz", "json"):
            from capcli.heatmap import raw
            from capcli.pictures.read import upright_size

            encode = raw.npz if self.kind == "npz" else raw.json
            yield "", encode(caption, path=str(path), size=upright_size(path), method=method, model=model)
            return

        from capcli.pictures.read import read_picture

        if self.kind == "overlays":
            from capcli.heatmap.overlays import overlays

            drawn = ((name, _png(image, caption)) for name, image in overlays(read_picture(path), caption))
            first = next(drawn, None)
            yield from drawn
            if first is not None:
                yield first
            return
        picture = read_picture(path, at_least=ENOUGH_PIXELS)
        if self.kind in _WITH_LETTERS:
            from capcli.heatmap.text import missing

            self._missing.update(
                dict.fromkeys(missing(" ".join([caption.text, *(word.text for word in caption.words)])))
            )
        if self.kind == "grid":
            from capcli.heatmap.grid import grid

            yield "", _png(grid(picture, caption), caption)
        elif self.kind == "html":
            from capcli.heatmap.page import Entry, page, thumbnail

            target = self.path_of(path)
            index = os.path.relpath(self.index, target.parent) if self.index else None
            yield "", page(picture, caption, name=str(path), method=method, model=model, index=index)
            if self.index:  # and the page is written by now
                link = os.path.relpath(target, self._folder)
                self._entries.append(Entry(str(path), link, caption.text, caption.confidence, thumbnail(picture)))
        else:
            from capcli.heatmap.animation import animation

            yield "", animation(picture, caption, "gif" if self.kind == "gif" else "webp")

    def _put(self, place: Path, content: bytes) -> None:
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(place, content)
        except OSError as error:
            reason = system_reason(error)
            if disk_is_full(error):
                raise CapcliError(f"{place}: {reason}; what is there is whole") from None
            raise DrawingError(f"{place} cannot be written ({reason})") from None

    def _files(self, picture: Path) -> list[Path]:
        """What is there already where the files of a picture go."""
        target = self.path_of(picture)
        if self.kind != "overlays":
            return [target] if os.path.lexists(target) else []
        try:
            with os.scandir(target) as entries:
                return sorted(target / entry.name for entry in entries if _OVERLAY.fullmatch(entry.name))
        except (OSError, ValueError):
            return [target] if os.path.lexists(target) else []

    def _complete(self, picture: Path) -> bool:
        files = self._files(picture)
        return any(file.name.startswith("01-") for file in files) if self.kind == "overlays" else bool(files)

    def _refuse_others(self, existing: dict[Path, list[Path]]) -> None:
        """Raises UsageError for what is there and is no drawing, which nothing may replace or take for one."""
        if not existing:
            return
        pictures = {number for picture in self._pictures if (number := _number(picture)) is not None}
        for files in existing.values():
            for file in files:
                if _number(file) in pictures:
                    raise UsageError(
                        f"{file} is a picture that is to be drawn, and the {self.kind} would take its place; "
                        "name another folder by -o"
                    )
                if not is_marked(file):
                    raise UsageError(f"{file} is there and is not capcli's; name another folder by -o")


def is_of_kind(file: Path, kind: str) -> bool:
    """Whether a file may be a drawing of a kind; `grid` and `overlays` are alike."""
    return file.suffix == (_ENDINGS[kind] or ".png") and is_marked(file)


def leave_out_drawings(found: Found, folder: Path) -> list[Path]:
    """The pictures that were found, but for capcli's own drawings in a folder that drawings go to or below it.

    Those that are named one by one stay.

    Raises:
        UsageError: if there is no other picture.
    """
    if not folder.is_dir():
        return found.pictures
    is_drawing = _drawings_below(folder, found.files())
    pictures = [picture for picture in found.pictures if not is_drawing(picture)]
    if not pictures:
        raise UsageError(f"all pictures there are capcli's own drawings in {folder}; name photographs")
    return pictures


def _drawings_below(folder: Path, photographs: Iterable[Path]) -> Callable[[Path], bool]:
    """Tells of a file whether it is a drawing of capcli's in a folder or below it, and none of the photographs."""
    root, named = absolute(folder), frozenset(photographs)

    @functools.cache
    def is_below(beside: Path) -> bool:
        return absolute(beside).is_relative_to(root)

    def is_drawing(file: Path) -> bool:
        # By its name first: to open each of very many photographs takes long.
        ours = file.suffix.lower() in _ENDINGS.values() and file not in named
        return ours and is_below(file.parent) and is_marked(file)

    return is_drawing


def check_folder(folder: Path) -> None:
    """Raises UsageError if a folder cannot be made or written into; afterwards nothing is there that was not."""
    folders = (folder, *folder.parents)
    nearest = next(path for path in folders if os.path.lexists(path))
    if not nearest.is_dir():
        raise UsageError(f"-o takes a folder, and {nearest} is none; name another")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise UsageError(f"the folder {nearest} may not be written into; name another by -o")
    created: list[Path] = []
    try:
        # Only trying tells what a file system takes, such as how long its names may be.
        for path in reversed(folders[: folders.index(nearest)]):
            path.mkdir()
            created.append(path)
    except FileExistsError:  # another run has made it meanwhile
        pass
    except OSError as error:
        raise UsageError(f"the folder {folder} cannot be made ({system_reason(error)}); name another by -o") from None
    finally:
        for path in reversed(created):
            with suppress(OSError):  # another run writes into it
                path.rmdir()


def _png(image: Image.Image, caption: Caption) -> bytes:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("Software", MARK)
    info.add_text("Description", caption.text)
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=_PNG_LEVEL, pnginfo=info)
    return file.getvalue()


def _missing_letters(letters: Sequence[str]) -> str:
    from capcli.heatmap.text import BOX

    shown = " ".join(letters[:_MOST_LETTERS])
    more = f" and {len(letters) - _MOST_LETTERS:,} more" if len(letters) > _MOST_LETTERS else ""
    return f"the font of the pictures lacks {shown}{more} and shows {BOX} instead; pages (--as html) show every letter"


def _number(path: Path) -> tuple[int, int] | None:
    """The same for all names of a file."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino
