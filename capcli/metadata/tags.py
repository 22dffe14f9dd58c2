"""The tags of a picture: the texts that describe it, and whether all others are as they were."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

DESCRIPTION, ALT_TEXT = "XMP-dc:Description", "XMP-iptcCore:AltTextAccessibility"
SUBJECT, HIERARCHY = "XMP-dc:Subject", "XMP-lr:HierarchicalSubject"
IPTC_CAPTION, IPTC_KEYWORDS, IPTC_CHARSET = "IPTC:Caption-Abstract", "IPTC:Keywords", "IPTC:CodedCharacterSet"
EXIF_DESCRIPTION = "IFD0:ImageDescription"
IPTC_DIGEST = "Photoshop:IPTCDigest"

_BY_THE_CAMERA = re.compile(
    r"(OLYMPUS|SONY|MINOLTA|KONICA MINOLTA|SAMSUNG|KODAK|PENTAX|LEICA) (DSC|DIGITAL CAMERA)|DCIM[\\/].*|SONY DSC"
    r"|DIGITAL CAMERA|Exif_JPEG_PICTURE|DEFAULT",
    re.IGNORECASE,
)
"""Descriptions that cameras write into every picture."""

_DERIVED = frozenset(
    (
        "SourceFile",
        "ExifTool:ExifToolVersion",
        "ExifTool:Warning",
        "File:CurrentIPTCDigest",
        "XMP-x:XMPToolkit",  # names the program that wrote the packet last
        "RIFF:WebP_Flags",  # says which chunks follow
        "RIFF:ImageWidth",  # stands a second time where metadata follow; pixels are compared anyway
        "RIFF:ImageHeight",
        "QuickTime:MediaDataOffset",
        "QuickTime:MediaDataSize",  # HEIC keeps its metadata among the media
        "GIF:GIFVersion",
    )
)
_PLACES = re.compile(
    r".*:(Strip|Tile|Thumbnail|PreviewImage|JpgFromRaw|OtherImage|MPImage|Free)(Offsets?|Start)", re.DOTALL
)
"""Where in the file something lies, which moves as the metadata before it grow."""

_IPTC_VERSIONS = ("IPTC:EnvelopeRecordVersion", "IPTC:ApplicationRecordVersion")
"""Every record of IPTC begins with one."""


class Tags:
    """What exiftool reads in a picture.

    Args:
        values: by `group:name`, as `ExifTool.read` gives them.

    Attributes:
        iptc_lacks_marker: whether its IPTC metadata are in UTF-8 and do not say so, as many programs write them.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        mended = {} if IPTC_CHARSET in values else _read_as_utf8(values)
        self._values = {**values, **mended}
        self.iptc_lacks_marker = bool(mended)

    def text(self, name: str) -> str | None:
        """The value of a tag as text, None where it is not there or blank."""
        value = self._values.get(name)
        text = None if value is None or isinstance(value, (dict, list)) else str(value).strip()
        return text or None

    def words(self, name: str) -> list[str]:
        """The values of a list."""
        value = self._values.get(name)
        values = value if isinstance(value, list) else [] if value is None else [value]
        return [str(value) for value in values]

    def structure(self, name: str) -> Mapping[str, Any]:
        """The fields of a structure, none where it is not there."""
        value = self._values.get(name)
        return value if isinstance(value, dict) else {}

    def descriptions(self) -> dict[str, str]:
        """The descriptions by their tags: of XMP, IPTC and EXIF; what cameras write into every picture is none."""
        found = {name: self.text(name) for name in (DESCRIPTION, IPTC_CAPTION, EXIF_DESCRIPTION)}
        return {name: text for name, text in found.items() if text and not _BY_THE_CAMERA.fullmatch(text)}

    def translations(self) -> list[str]:
        """Descriptions and alt texts in other languages, of those that have none that all programs show."""
        return [
            text
            for name in (DESCRIPTION, ALT_TEXT)
            if self.text(name) is None
            for other in self._values
            if other.startswith(f"{name}-") and (text := self.text(other))
        ]

    @property
    def say_something(self) -> bool:
        """Whether there is a description or an alt text, in any language."""
        return bool(self.descriptions() or self.text(ALT_TEXT) or self.translations())

    @property
    def file_type(self) -> str:
        """What the file is by its content, such as "JPEG"."""
        return self.text("File:FileType") or ""

    @property
    def iptc_is_utf8(self) -> bool:
        """Whether its IPTC metadata say that they are in UTF-8; others are read as Latin letters of one byte."""
        return self._values.get(IPTC_CHARSET) == "\x1b%G"

    @property
    def has_iptc(self) -> bool:
        """Whether it has IPTC metadata (IIM)."""
        return any(name.startswith("IPTC:") for name in self._values)

    def differences(self, other: Tags, asked: Collection[str]) -> list[str]:
        """Names of the tags that differ, but for those that were asked for and those that follow from them."""
        left_out = {*asked, IPTC_DIGEST}
        if IPTC_CHARSET in asked:
            left_out |= {*_IPTC_VERSIONS}
        return sorted(
            name
            for name in self._values.keys() | other._values.keys()
            if name not in left_out and not _is_derived(name) and self._value(name) != other._value(name)
        )

    def _value(self, name: str) -> object:
        value = self._values.get(name)
        # A WebP is called so as soon as it has metadata.
        return str(value).removeprefix("Extended ") if name == "File:FileType" else value


def _read_as_utf8(values: Mapping[str, Any]) -> dict[str, Any]:
    """IPTC texts that exiftool read as Latin letters of one byte, as UTF-8; none where any of them is not UTF-8."""
    texts = {name: value for name, value in values.items() if name.startswith("IPTC:")}
    try:
        mended = {
            name: [_decode(item) for item in value] if isinstance(value, list) else _decode(value)
            for name, value in texts.items()
        }
    except UnicodeError:
        return {}
    return {name: value for name, value in mended.items() if value != texts[name]}


def _decode(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    # exiftool leaves the bytes that Windows Latin 1 lacks as they are.
    return b"".join(
        bytes([ord(letter)]) if "\x80" <= letter < "\xa0" else letter.encode("cp1252") for letter in value
    ).decode()


def _is_derived(name: str) -> bool:
    name = re.sub(r":Copy\d+:", ":", name)
    return name in _DERIVED or name.startswith("System:") or _PLACES.fullmatch(name) is not None
