"""XMP sidecars: a caption as `dc:description` and as the IPTC's alt text, and keywords, beside what a sidecar holds.

The caption's properties are Language Alternatives: an `rdf:Alt` with one entry per language, of which `x-default` is
the one that programs show (Adobe, XMP Specification Part 1, section 8.2.2.4; IPTC Photo Metadata Standard 2021.1, "Alt
Text (Accessibility)"). Keywords are items of an unordered array, `rdf:Bag`: `dc:subject` holds them as they are, and
`lr:hierarchicalSubject`, which Lightroom reads, those with levels as `animals|dog`. A sidecar belongs to the photo
software that wrote it, so it is never serialised anew: bytes are inserted where the parser says that they belong, and
all others stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from html import unescape
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

from capcli.keywords.keyword import Keyword, lacking, list_levels, list_words
from capcli.output.markup import Document, Element, Malformed, Splice, parse

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_ARRAYS = {f"{_RDF} {name}" for name in ("Alt", "Bag", "Seq")}
# A value with qualifiers stands one level deeper, in one of these (XMP Specification Part 1, section 7.8).
_WRAPPERS = {f"{_RDF} {name}" for name in ("value", "Description")}
_VALUES = {f"{_RDF} {name}" for name in ("value", "resource")}
_LANGUAGE = "http://www.w3.org/XML/1998/namespace lang"
_DEFAULT = "x-default"
_NEW = f"""\
<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="capcli">
 <rdf:RDF xmlns:rdf="{_RDF}">
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
""".encode()
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, section 2.2, Char


class _Property(NamedTuple):
    prefix: str
    namespace: str
    local: str
    array: bytes = b"Alt"

    @property
    def name(self) -> str:
        return f"{self.namespace} {self.local}"


class _Entry(NamedTuple):
    language: str | None
    text: bytes  # escaped


_PROPERTIES = (
    _Property("dc", "http://purl.org/dc/elements/1.1/", "description"),
    _Property("Iptc4xmpCore", "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/", "AltTextAccessibility"),
)
_SUBJECT = _Property("dc", "http://purl.org/dc/elements/1.1/", "subject", b"Bag")
_HIERARCHY = _Property("lr", "http://ns.adobe.com/lightroom/1.0/", "hierarchicalSubject", b"Bag")


class NotXmp(ValueError):  # noqa: N818 - reads as a value: the reason why a sidecar is left alone
    """Bytes that no caption can be merged into; `str(error)` is one lower-case clause without a final stop."""


def xml_text(text: str) -> str:
    """A text without the characters that XML cannot hold."""
    return _NOT_XML.sub("", text)


def new_xmp(caption: str, keywords: Sequence[Keyword] = ()) -> bytes:
    """A whole XMP packet in UTF-8 that holds the caption and the keywords and nothing else.

    Args:
        caption: any text; characters that XML cannot hold are left out.
        keywords: those with their parents become `dc:subject`, those with levels `lr:hierarchicalSubject`.
    """
    return merge_xmp(_NEW, caption, keywords)


def merge_xmp(existing: bytes, caption: str, keywords: Sequence[Keyword] = (), *, replace: bool = False) -> bytes:
    """The document with the caption as the `x-default` entry of both properties, all else byte for byte as it was.

    Keywords that it lacks are added to those that it has, of which none goes.

    A property that says something already keeps it: one with text in its `x-default` entry or, lacking that entry,
    in any other. A property written as plain text or as an attribute is its own `x-default` entry; where it is
    replaced, an `rdf:Alt` is written in its place.

    Args:
        existing: an XMP packet or bare RDF/XML, in UTF-8 or UTF-16; the result is in the same encoding.
        caption: any text; characters that XML cannot hold are left out.
        keywords: as `new_xmp` takes them.
        replace: put the caption in place of the `x-default` entries that are there; other languages stay.

    Raises:
        NotXmp: `existing` is no well-formed XMP, has a DOCTYPE, or is in another encoding.
    """
    document, rdf = _read(existing)
    text = _escaped(caption)
    splices: list[Splice] = []
    missing: list[tuple[_Property, list[_Entry]]] = []
    for prop in _PROPERTIES:
        if not replace and _says(rdf, prop):
            continue
        entries = [_Entry(_DEFAULT, text), *_plain_translations(rdf, prop)]
        splices += _without_plain(rdf, prop)
        arrays = [array for element in _elements(rdf, prop) if (array := _array(element))]
        for array in arrays:
            splices += _filled(array, entries)
        if not arrays:
            missing.append((prop, entries))
    for prop, words in ((_SUBJECT, list_words(keywords)), (_HIERARCHY, list_levels(keywords))):
        added, described = _with_items(rdf, prop, words)
        splices += added
        missing += [(prop, described)] if described else []
    if missing:
        splices.append(_described(rdf, missing))
    merged = document.spliced(splices)
    _read(merged)  # whatever the document was up to, nothing broken leaves here
    return merged


def _escaped(text: str) -> bytes:
    return escape(xml_text(text), {"\r": "&#13;"}).encode()


def _with_items(rdf: Element, prop: _Property, words: Iterable[str]) -> tuple[list[Splice], list[_Entry]]:
    """Adds the words that the array of a property lacks.

    Returns:
        splices into what is there, and the entries of a property that is not there yet, or not as an array.
    """
    arrays = [array for element in _elements(rdf, prop) if (array := _array(element))]
    plain = [element.content for element in _elements(rdf, prop) if element.has_text and not element.children]
    plain += [_escaped(node.attributes[prop.name]) for node in rdf.children if prop.name in node.attributes]
    held = (*(child.content for array in arrays for child in array.children), *plain)
    new = lacking((unescape(text.decode(errors="replace")) for text in held), map(xml_text, words))
    entries = [_Entry(None, _escaped(word)) for word in new]
    if not entries:
        return [], []
    if not arrays:
        return list(_without_plain(rdf, prop)), [*(_Entry(None, text) for text in plain if text.strip()), *entries]
    items = [_item(arrays[0].prefix, entry) for entry in entries]
    if not arrays[0].children:
        return [arrays[0].with_last(b"".join(items))], []
    last = arrays[0].children[-1]
    return [(last.stop, last.stop, b"".join(last.space_before + item for item in items))], []


def has_caption(existing: bytes) -> bool:
    """Whether both properties say something already, so that merging without `replace` would change nothing.

    Raises:
        NotXmp: as for `merge_xmp`.
    """
    _, rdf = _read(existing)
    return all(_says(rdf, prop) for prop in _PROPERTIES)


def read_captions(existing: bytes) -> set[str]:
    """What both properties say, in the language that programs show.

    Raises:
        NotXmp: as for `merge_xmp`.
    """
    _, rdf = _read(existing)
    found = set()
    for prop in _PROPERTIES:
        found |= {node.attributes[prop.name] for node in rdf.children if prop.name in node.attributes}
        for element in _elements(rdf, prop):
            array = _array(element)
            entries = array.children if array else [element]
            for entry in [entry for entry in entries if _is_default(entry)] or entries:
                found.add(unescape(re.sub(rb"<[^>]*>", b"", entry.content).decode()))
    return {text.strip() for text in found if text.strip()}


def _read(existing: bytes) -> tuple[Document, Element]:
    try:
        document = parse(existing)
    except Malformed as error:
        raise NotXmp(str(error)) from None
    root = document.root
    found = [element for element in (root, *root.children) if element.name == f"{_RDF} RDF"]
    if len(found) != 1:
        raise NotXmp(f"holds {len(found) or 'no'} rdf:RDF elements where XMP has one")
    return document, found[0]


def _elements(rdf: Element, prop: _Property) -> Iterator[Element]:
    return (element for node in rdf.children for element in node.children if element.name == prop.name)


def _array(element: Element) -> Element | None:
    level = element.children
    while level:
        for child in level:
            if child.name in _ARRAYS:
                return child
        level = [below for child in level if child.name in _WRAPPERS for below in child.children]
    return None


def _is_default(entry: Element) -> bool:
    # An entry without a language is malformed, but exiftool reads it as the default one.
    return entry.attributes.get(_LANGUAGE, _DEFAULT).lower() == _DEFAULT


def _says(rdf: Element, prop: _Property) -> bool:
    if any(node.attributes.get(prop.name, "").strip() for node in rdf.children):
        return True
    for element in _elements(rdf, prop):
        array = _array(element)
        entries = array.children if array else [element]
        if any(_has_value(entry) for entry in [entry for entry in entries if _is_default(entry)] or entries):
            return True
    return False


def _has_value(entry: Element) -> bool:
    nodes = (entry, *entry.children)
    return entry.has_text or any(node.attributes.get(name, "").strip() for node in nodes for name in _VALUES)


def _plain_translations(rdf: Element, prop: _Property) -> Iterator[_Entry]:
    """Plain text that is marked as of another language, which an array can hold beside the caption."""
    for element in _elements(rdf, prop):
        if element.has_text and not element.children and not _is_default(element):
            yield _Entry(element.attributes[_LANGUAGE], element.content)


def _without_plain(rdf: Element, prop: _Property) -> Iterator[Splice]:
    for node in rdf.children:
        if prop.name in node.attributes:
            yield node.without_attribute(prop.name)
    for element in _elements(rdf, prop):
        if not _array(element):
            yield element.start - len(element.space_before), element.stop, b""


def _filled(array: Element, entries: list[_Entry]) -> Iterator[Splice]:
    # The prefix the array is written with is sure to be bound where its entries stand; that of an entry is not.
    items = b"".join(_item(array.prefix, entry) for entry in entries)
    defaults = [child for child in array.children if _is_default(child)]
    if defaults:
        yield defaults[0].start, defaults[0].stop, items
        for child in defaults[1:]:
            yield child.start, child.stop, b""
    elif array.children:
        first = array.children[0]
        yield first.start, first.start, items + first.space_before
    else:
        yield array.with_last(items)


def _described(rdf: Element, missing: list[tuple[_Property, list[_Entry]]]) -> Splice:
    """One more `rdf:Description` of the same picture, indented as the first one is."""
    prefix, declarations = rdf.prefix, ""
    if not prefix:  # a default namespace does not hold for attributes, and rdf:about is one
        prefix, declarations = b"rdf:", f' xmlns:rdf="{_RDF}"'
    about = ""
    margin = rdf.margin and rdf.margin + b" "
    if rdf.children:
        # RDF/XML, section 6.1.4, still allows old packets to write it without a namespace.
        about = rdf.children[0].attributes.get(f"{_RDF} about") or rdf.children[0].attributes.get("about", "")
        margin = rdf.children[0].margin
    step = b" " if margin else b""

    lines = []
    for prop, entries in missing:
        declared = f' xmlns:{prop.prefix}="{prop.namespace}"'
        declarations += "" if declared in declarations else declared  # two of Dublin Core declare the same
        tag = f"{prop.prefix}:{prop.local}".encode()
        lines += [step + b"<%b>" % tag, step * 2 + b"<%b%b>" % (prefix, prop.array)]
        lines += [step * 3 + _item(prefix, entry) for entry in entries]
        lines += [step * 2 + b"</%b%b>" % (prefix, prop.array), step + b"</%b>" % tag]
    opening = b"<%bDescription %babout=%b%b>" % (prefix, prefix, quoteattr(about).encode(), declarations.encode())
    lines = [opening, *lines, b"</%bDescription>" % prefix]
    return rdf.with_last(b"".join(margin + line for line in lines))


def _item(prefix: bytes, entry: _Entry) -> bytes:
    language = b"" if entry.language is None else b" xml:lang=%b" % quoteattr(entry.language).encode()
    return b"<%bli%b>%b</%bli>" % (prefix, language, entry.text, prefix)
