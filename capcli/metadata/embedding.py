"""A picture's file with texts written into its metadata, and the proof that nothing else became another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from capcli.keywords.keyword import Keyword, lacking, list_levels, list_words
from capcli.metadata.exiftool import ExifTool, ExifToolError
from capcli.metadata.frames import hash_pixels
from capcli.metadata.tags import (
    ALT_TEXT,
    DESCRIPTION,
    EXIF_DESCRIPTION,
    HIERARCHY,
    IPTC_CAPTION,
    IPTC_CHARSET,
    IPTC_DIGEST,
    IPTC_KEYWORDS,
    SUBJECT,
    Tags,
)

_WITH_IPTC = ("JPEG", "TIFF", "PSD", "MPO")
"""Types of files that have a place for IPTC; in a PNG it is exiftool's own invention, and is kept up where it is."""

_LONGEST_CAPTION, _LONGEST_KEYWORD = 2000, 64  # bytes, IPTC-NAA Information Interchange Model 4.2, 2:120 and 2:25


class NotWritten(Exception):  # noqa: N818 - a verdict, not a fault
    """Why a picture cannot be written without harm, one clause; it is as it was."""


class Wanted:
    """What a picture is to say.

    Args:
        text: its description and its alt text.
        keywords: those with their parents become words, those with levels also levels.
        tags: what it says so far.
    """

    def __init__(self, text: str, keywords: Sequence[Keyword], tags: Tags) -> None:
        self._text, self._keywords, self._tags = text, keywords, tags
        self._iptc = tags.has_iptc or tags.file_type in _WITH_IPTC
        self._words = list_words(keywords)

    def but_for(self, tags: Tags) -> Wanted:
        """The same of a picture with other tags."""
        return Wanted(self._text, self._keywords, tags)

    @property
    def others(self) -> list[str]:
        """Other descriptions and alt texts that stand there."""
        found = [*self._tags.descriptions().values(), self._tags.text(ALT_TEXT) or "", *self._tags.translations()]
        return [text for text in found if text and text not in (self._text, shorten(self._text))]

    @property
    def is_there(self) -> bool:
        """Whether the picture says all of it already, and nothing else."""
        both = self._tags.text(DESCRIPTION) == self._tags.text(ALT_TEXT) == self._text
        return both and not self.others and not list(self._additions())

    def values(self) -> list[tuple[str, str]]:
        """What exiftool is to write: name of the tag and operation, and value."""
        found = self._tags.descriptions()
        values = [(f"{DESCRIPTION}-x-default", self._text), (f"{ALT_TEXT}-x-default", self._text)]
        if self._iptc:
            values.append((IPTC_CAPTION, shorten(self._text)))
        if EXIF_DESCRIPTION in found:
            values.append((EXIF_DESCRIPTION, self._text))
        for name, word in self._additions():
            # Where all are written anew, what is set joins them, and what is added would join the former ones as well.
            values.append((name if name == IPTC_KEYWORDS and self.recodes_iptc else f"{name}+", word))
        marks = self._tags.iptc_lacks_marker and not self._is_plain
        if (self._iptc and not self._tags.has_iptc) or self.recodes_iptc or marks:
            values.append((IPTC_CHARSET, "UTF8"))
        if self._iptc and self._tags.text(IPTC_DIGEST):
            values.append((IPTC_DIGEST, "new"))
        return values

    @property
    def recodes_iptc(self) -> bool:
        """Whether there is IPTC in an encoding that may lack letters of the text or the keywords."""
        latin = not (self._tags.iptc_is_utf8 or self._tags.iptc_lacks_marker)
        return self._tags.has_iptc and latin and not self._is_plain

    @property
    def _is_plain(self) -> bool:
        """Whether the text and the keywords are the same in every encoding of IPTC."""
        return self._text.isascii() and all(map(str.isascii, self._words))

    def asked(self) -> set[str]:
        """Names of the tags that are written."""
        return {name.removesuffix("+").removesuffix("-x-default") for name, _ in self.values()}

    def missing(self, written: Tags) -> str | None:
        """The first tag that is not as it was to be, or a list that lost or doubled a word; None if all is well."""
        lists = {name: self._tags.words(name) for name in (SUBJECT, HIERARCHY, IPTC_KEYWORDS)}
        for name, word in self._additions():
            lists[name].append(word)
        for name, words in lists.items():
            if written.words(name) != words:
                return name
        texts = {name.removesuffix("-x-default"): value for name, value in self.values()}
        asked = (DESCRIPTION, ALT_TEXT, IPTC_CAPTION, EXIF_DESCRIPTION)
        return next((name for name in asked if name in texts and written.text(name) != texts[name]), None)

    def _additions(self) -> Iterator[tuple[str, str]]:
        """Keywords that are not there yet."""
        in_iptc = [word for word in self._words if self._iptc and len(word.encode()) <= _LONGEST_KEYWORD]
        for name, words in ((SUBJECT, self._words), (HIERARCHY, list_levels(self._keywords)), (IPTC_KEYWORDS, in_iptc)):
            yield from ((name, word) for word in lacking(self._tags.words(name), words))


def embed(exiftool: ExifTool, picture: bytes, wanted: Wanted, before: Tags) -> bytes:
    """The bytes of a picture that says what is wanted and is the same in all else: pixels and other tags.

    Args:
        exiftool: writes it.
        picture: its bytes.
        wanted: what it is to say.
        before: its tags.

    Raises:
        NotWritten: it could not be written, could not be proved, or came out otherwise.
        OSError: the temporary folder is full.
    """
    # exiftool takes a file for MPO by its ending alone, and with some other endings it writes nothing.
    ending = ".mpo" if before.file_type == "MPO" else ""
    source, target = exiftool.folder / f"source{ending}", exiftool.folder / f"target{ending}"
    try:
        source.write_bytes(picture)
        exiftool.write(source, target, wanted.values(), iptc_to_utf8=wanted.recodes_iptc)
        written = target.read_bytes()
        after = Tags(exiftool.read(target))
    except ExifToolError as error:
        raise NotWritten(str(error)) from None
    finally:
        for file in (source, target):
            with suppress(OSError):
                file.unlink()
    if (name := wanted.missing(after)) is not None:
        raise NotWritten(f"{name} would not read back as it was written")
    if differing := before.differences(after, wanted.asked()):
        raise NotWritten(f"exiftool would change {', '.join(differing[:3])} too")
    try:
        if hash_pixels(picture) != hash_pixels(written):
            raise NotWritten("its pixels would change")
    except NotWritten:
        raise
    except Exception as error:  # decoders raise nearly every type
        raise NotWritten(f"its pixels cannot be decoded and compared ({' '.join(str(error).split())})") from None
    return written


def join_descriptions(tags: Tags) -> str | None:
    """All that the descriptions of a picture say, each text once, None where there are none."""
    found = list(dict.fromkeys(tags.descriptions().values()))
    kept = [
        text for text in found if not any(text == shorten(other) or text in other for other in found if other != text)
    ]
    return " ".join(kept) or None


def shorten(text: str) -> str:
    """As much of a text, in whole words, as IPTC's caption holds."""
    if len(text.encode()) <= _LONGEST_CAPTION:
        return text
    cut = text.encode()[: _LONGEST_CAPTION - 3].decode(errors="ignore")
    return f"{cut.rpartition(' ')[0] or cut}…"
