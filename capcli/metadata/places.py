"""Where the texts of a picture go: a sidecar, a copy of the picture, or the picture itself."""

from __future__ import annotations

import os
import stat
from enum import Enum
from pathlib import Path
from typing import Protocol

from capcli.errors import system_reason
from capcli.files.atomic import disk_is_full, replacing, write_whole
from capcli.keywords.keyword import Keyword
from capcli.metadata.embedding import NotWritten, Wanted, embed, join_descriptions
from capcli.metadata.exiftool import ExifTool, ExifToolError
from capcli.metadata.frames import hash_pixels
from capcli.metadata.journal import Journal
from capcli.metadata.options import ApplyOptions
from capcli.metadata.ownership import keep_ownership
from capcli.metadata.tags import Tags
from capcli.output import Result
from capcli.output.naming import Naming
from capcli.output.sidecar import SidecarError, Sidecars
from capcli.output.xmp import NotXmp, read_captions
from capcli.pictures.kinds import is_raw


class Outcome(Enum):
    """What became of a picture."""

    WRITTEN = "written"
    UP_TO_DATE = "up to date"
    DESCRIBED = "described already"
    UNCERTAIN = "too uncertain"
    NOT_REVIEWED = "not reviewed"
    REFUSED = "rejected or flagged"
    FAILED = "failed"


class Place(Protocol):
    """Where texts go."""

    def write(self, picture: Path, text: str, keywords: tuple[Keyword, ...]) -> Outcome:
        """Write a picture's text, or with `dry_run` find out whether it would be.

        Raises:
            NotWritten: it cannot be; all is as it was.
            OSError: nothing more can be written.
        """
        ...

    def former(self, picture: Path, tags: Tags) -> str | None:
        """The description in whose place a picture's text would go, None where there is none.

        Args:
            picture: its path.
            tags: of the picture itself.

        Raises:
            NotWritten: a sidecar cannot be read.
        """
        ...


class InSidecars:
    """Writes XMP sidecars.

    Args:
        options: whether what is there is replaced.
        base: folder that holds all pictures.
        exiftool: reads what pictures say, where only those that say nothing are meant.
    """

    def __init__(self, options: ApplyOptions, base: Path, exiftool: ExifTool | None) -> None:
        self._options, self._exiftool = options, exiftool
        # Whether a text that is there may go is settled before; keywords join the same text.
        self._sidecars = Sidecars("xmp", options.to, base, overwrite=True, dry_run=options.dry_run)

    def write(self, picture: Path, text: str, keywords: tuple[Keyword, ...]) -> Outcome:
        sidecar = self._sidecars.path_of(picture)
        if self._options.only_missing and any(self._says(file) for file in (picture, sidecar)):
            return Outcome.DESCRIBED
        if not self._options.overwrite and (others := _other_captions(sidecar, text)):
            raise NotWritten(f"its sidecar {sidecar} has another text already ({min(others)!r}); {_CHOICE}")
        changed = self._sidecars.changed
        try:
            self._sidecars.write(Result(picture, captions=(text,), confidences=(1.0,), keywords=keywords))
        except SidecarError as error:
            raise NotWritten(str(error)) from None
        return Outcome.WRITTEN if self._sidecars.changed > changed else Outcome.UP_TO_DATE

    def former(self, picture: Path, tags: Tags) -> str | None:
        """The description of the sidecar, or of the picture where it has none."""
        sidecar = self._sidecars.path_of(picture)
        try:
            beside = self._read(sidecar)
        except ExifToolError as error:
            raise NotWritten(f"its sidecar {sidecar}: {error}") from None
        return (join_descriptions(beside) if beside else None) or join_descriptions(tags)

    def _says(self, file: Path) -> bool:
        try:
            tags = self._read(file)
        except ExifToolError as error:
            raise NotWritten(str(error)) from None
        return tags is not None and tags.say_something

    def _read(self, file: Path) -> Tags | None:
        assert self._exiftool is not None, "the command starts it for --only-missing and --context"
        return Tags(self._exiftool.read(file)) if file.exists() else None


class InPictures:
    """Writes into originals, each of which goes into the journal first, or into copies.

    What is to take the place of a file is made apart, proved, and then renamed; a kill at any moment leaves the old
    file or the new one. A raw file is not changed and gets a sidecar.

    Args:
        options: whether what is there is replaced.
        base: folder that holds all pictures.
        exiftool: writes and reads.
        journal: of originals; None for copies.
        sidecars: of raw files.

    Attributes:
        raw: how many pictures were raw files.
    """

    def __init__(
        self, options: ApplyOptions, base: Path, exiftool: ExifTool, journal: Journal | None, sidecars: InSidecars
    ) -> None:
        self._options, self._exiftool, self._journal, self._sidecars = options, exiftool, journal, sidecars
        self._naming = Naming(options.to, base)
        self.raw = 0

    def write(self, picture: Path, text: str, keywords: tuple[Keyword, ...]) -> Outcome:
        if is_raw(picture.name):
            self.raw += 1
            return self._sidecars.write(picture, text, keywords)
        source = Path(os.path.realpath(picture))
        try:
            state, tags = source.stat(), Tags(self._exiftool.read(source))
            wanted = Wanted(text, keywords, tags)
            target = self._naming.whole(picture, "") if self._options.into == "copy" else source
            if (outcome := self._settled(wanted, tags, source, target)) or self._options.dry_run:
                return outcome or Outcome.WRITTEN
            content = source.read_bytes()
            self._replace(source, state, content, target, embed(self._exiftool, content, wanted, tags))
        except ExifToolError as error:
            raise NotWritten(str(error)) from None
        except OSError as error:
            if disk_is_full(error):
                raise
            raise NotWritten(system_reason(error)) from None
        return Outcome.WRITTEN

    def former(self, picture: Path, tags: Tags) -> str | None:
        """The descriptions of the picture; of a raw file as for sidecars."""
        return self._sidecars.former(picture, tags) if is_raw(picture.name) else join_descriptions(tags)

    def _settled(self, wanted: Wanted, tags: Tags, source: Path, target: Path) -> Outcome | None:
        """What there is to say of a picture into which nothing need or may be written."""
        if target == source and wanted.is_there:
            return Outcome.UP_TO_DATE
        if self._options.only_missing and tags.say_something:
            return Outcome.DESCRIBED
        if wanted.others and not self._options.overwrite:
            raise NotWritten(f"has another text already ({wanted.others[0]!r}); {_CHOICE}")
        if target != source and target.exists():
            if target.samefile(source):
                raise NotWritten("its copy would take its place; name another folder by --to")
            if wanted.but_for(Tags(self._exiftool.read(target))).is_there and _same_pixels(source, target):
                return Outcome.UP_TO_DATE
            if not self._options.overwrite:
                raise NotWritten(f"{target} is there and is another; --overwrite replaces it")
        return None

    def _replace(self, source: Path, state: os.stat_result, before: bytes, target: Path, after: bytes) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as file:
            write_whole(file, after)
            keep_ownership(source, state, file)
            if _moment(source.stat()) != _moment(state) or len(before) != state.st_size:
                raise NotWritten("another program is changing it")
            if self._journal is not None:
                self._journal.record(source, before, after)
        file.close()
        if os.utime not in os.supports_fd:
            os.utime(target, ns=(state.st_atime_ns, state.st_mtime_ns))


_CHOICE = "--only-missing leaves such pictures out, --overwrite replaces it"


def require_file(picture: Path) -> os.stat_result:
    """The state of a picture's file; raises NotWritten where it is none."""
    try:
        state = picture.stat()
    except (OSError, ValueError) as error:
        raise NotWritten(system_reason(error)) from None
    if not stat.S_ISREG(state.st_mode):
        raise NotWritten("is not a regular file")
    return state


def _same_pixels(first: Path, second: Path) -> bool:
    try:
        return hash_pixels(first.read_bytes()) == hash_pixels(second.read_bytes())
    except OSError:
        raise
    except Exception:  # of nearly every type, where one is damaged
        return False


def _moment(state: os.stat_result) -> tuple[int, int, int]:
    return state.st_ino, state.st_size, state.st_mtime_ns


def _other_captions(sidecar: Path, text: str) -> set[str]:
    """What a sidecar says but for a text; nothing where it is none, which writing reports."""
    try:
        return read_captions(sidecar.read_bytes()) - {text}
    except (OSError, NotXmp):
        return set()
