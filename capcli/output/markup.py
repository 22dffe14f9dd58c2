"""XML elements and where they stand in a document, so that it can be changed in one place and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from xml.parsers import expat

_SPACE = b" \t\r\n"
_NAME = re.compile(rb"<([^\s/>]+)")
_ATTRIBUTE = re.compile(rb"""\s+([^\s=/>]+)\s*=\s*(?:"[^"]*"|'[^']*')""")
_TAG_END = re.compile(rb"\s*/?>")

Splice = tuple[int, int, bytes]  # start and stop offset, the bytes in place of those between


class Malformed(ValueError):  # noqa: N818 - reads as a value: the reason why a document is left alone
    """Bytes that are no XML this module reads; `str(error)` is one lower-case clause without a final stop."""


@dataclass
class Element:
    """An XML element of a document in UTF-8; all offsets are in bytes.

    Attributes:
        source: the whole document.
        name: namespace, a space and the local name; the local name alone outside of all namespaces.
        attributes: name, spelt likewise, to value, in document order; namespace declarations are left out.
        start: offset of its "<".
        end: offset of its "</"; where it has no end tag (`<empty/>`), of the first byte behind it.
        has_text: whether text that is not blank stands in it, at any depth.
    """

    source: bytes = field(repr=False)
    name: str
    attributes: dict[str, str]
    start: int
    end: int = 0
    has_text: bool = False
    children: list[Element] = field(default_factory=list)

    @property
    def stop(self) -> int:
        """Offset of the first byte behind the element."""
        return self.end if self._is_empty_tag else self.source.index(b">", self.end) + 1

    @property
    def content(self) -> bytes:
        """What stands between its tags."""
        return self.source[self._tag().stop : self.end]

    @property
    def written_name(self) -> bytes:
        """Prefix and local name as the document has them."""
        return self._tag().name

    @property
    def prefix(self) -> bytes:
        """Its prefix with the colon; empty where it has none."""
        return self.written_name[: self.written_name.find(b":") + 1]

    @property
    def space_before(self) -> bytes:
        return _space_before(self.source, self.start)

    @property
    def margin(self) -> bytes:
        """The line break and indentation before it; empty where it does not begin a line."""
        space = self.space_before
        _, line_feed, indentation = space.rpartition(b"\n")
        return (b"\r\n" if b"\r\n" in space else line_feed) + indentation if line_feed else b""

    def without_attribute(self, name: str) -> Splice:
        """Takes an attribute away, with the space before it."""
        return *self._tag().attributes[list(self.attributes).index(name)], b""

    def with_last(self, content: bytes) -> Splice:
        """Puts content behind all that the element holds, before the space that sets off its end tag."""
        if self._is_empty_tag:
            return self.end - 2, self.end, b">%b%b</%b>" % (content, self.margin, self.written_name)
        end = self.end - len(_space_before(self.source, self.end))
        return end, end, content

    @property
    def _is_empty_tag(self) -> bool:
        return self.source.startswith(b"/>", self._tag().stop - 2)

    def _tag(self) -> _Tag:
        opening = _NAME.match(self.source, self.start)
        assert opening is not None, "the parser found a tag here"
        attributes, stop = [], opening.end()
        while attribute := _ATTRIBUTE.match(self.source, stop):
            stop = attribute.end()
            if attribute[1] != b"xmlns" and not attribute[1].startswith(b"xmlns:"):
                attributes.append(attribute.span())
        closing = _TAG_END.match(self.source, stop)
        assert closing is not None, "the parser found the tag complete"
        return _Tag(opening[1], attributes, closing.end())


@dataclass(frozen=True)
class _Tag:
    """A start tag: its name, the (start, stop) of each attribute with the space before it, the offset behind ">"."""

    name: bytes
    attributes: list[tuple[int, int]]
    stop: int


@dataclass(frozen=True)
class Document:
    """A document in UTF-8, whatever it was read from.

    Attributes:
        root: its outermost element.
        codec: Python's name for the encoding it was read from, e.g. "utf-16-le".
    """

    root: Element
    codec: str

    def spliced(self, splices: Iterable[Splice]) -> bytes:
        """The document with the splices, which must not overlap, made; in the encoding it was read from."""
        pieces, offset = [], 0
        for start, stop, content in sorted(splices):
            pieces += [self.root.source[offset:start], content]
            offset = stop
        return b"".join([*pieces, self.root.source[offset:]]).decode().encode(self.codec)


def parse(document: bytes) -> Document:
    """Reads a document in UTF-8 or UTF-16, with or without a byte order mark.

    Raises:
        Malformed: the document is not well-formed, has a DOCTYPE, or is in another encoding.
    """
    codec = _codec(document)
    try:
        source = document.decode(codec).encode()
    except UnicodeDecodeError as error:
        raise Malformed(f"is no text in {codec[:6].upper()} (at byte {error.start})") from None
    parser = expat.ParserCreate("utf-8", " ")
    parser.buffer_text = True
    parser.ordered_attributes = True
    top = Element(source, "", {}, 0)
    path = [top]

    def declaration(version: str, encoding: str | None, standalone: int) -> None:
        if encoding and not encoding.lower().startswith(codec[:6]):
            raise Malformed(f"declares the encoding {encoding[:40]} but is read as {codec[:6].upper()}")

    def doctype(*_: object) -> None:
        # Entities can make a small document grow without bound.
        raise Malformed("has a DOCTYPE, which may hide entities")

    def start(name: str, attributes: list[str]) -> None:
        named = dict(zip(attributes[::2], attributes[1::2], strict=True))
        element = Element(source, name, named, parser.CurrentByteIndex)
        path[-1].children.append(element)
        path.append(element)

    def end(name: str) -> None:
        element = path.pop()
        element.end = parser.CurrentByteIndex
        path[-1].has_text |= element.has_text

    def characters(text: str) -> None:
        path[-1].has_text |= bool(text.strip())

    parser.XmlDeclHandler = declaration
    parser.StartDoctypeDeclHandler = doctype
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = characters
    try:
        parser.Parse(source, True)
    except expat.ExpatError as error:
        raise Malformed(f"is no well-formed XML (line {error.lineno}: {expat.ErrorString(error.code)})") from None
    return Document(top.children[0], codec)


def _codec(document: bytes) -> str:
    if document.startswith((b"\xff\xfe", b"<\0")):
        return "utf-16-le"
    if document.startswith((b"\xfe\xff", b"\0<")):
        return "utf-16-be"
    return "utf-8"


def _space_before(source: bytes, offset: int) -> bytes:
    start = offset
    while start and source[start - 1] in _SPACE:
        start -= 1
    return source[start:offset]
