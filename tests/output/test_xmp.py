from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capcli.output.xmp import NotXmp, has_caption, merge_xmp, new_xmp, read_captions

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
DC = "http://purl.org/dc/elements/1.1/"
IPTC = "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/"
CAPTION = "a dog runs across the grass"
BOTH = {"description": {"x-default": CAPTION}, "AltTextAccessibility": {"x-default": CAPTION}}

unhurried = settings(deadline=None)

LIGHTROOM = """\
<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 7.0-c000 1.000000, 0000/00/00-00:00:00        ">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/"
   xmp:Rating="3"
   xmp:Label="Red &amp; ripe"
   crs:Exposure2012="+0.35"
   crs:HasSettings="True">
   <dc:subject>
    <rdf:Bag>
     <rdf:li>garden</rdf:li>
     <rdf:li>Überlingen</rdf:li>
    </rdf:Bag>
   </dc:subject>
   <crs:ToneCurvePV2012>
    <rdf:Seq>
     <rdf:li>0, 0</rdf:li>
     <rdf:li>255, 255</rdf:li>
    </rdf:Seq>
   </crs:ToneCurvePV2012>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>"""

DARKTABLE = """\
<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/"
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:darktable="http://darktable.sf.net/"
   xmp:Rating="-1"
   xmpMM:DerivedFrom="IMG_0001.CR2"
   darktable:xmp_version="5"
   darktable:auto_presets_applied="1">
   <dc:description>
    <rdf:Alt>
     <rdf:li xml:lang="de-DE">Zwei K&#xFC;he &lt;am See&gt;</rdf:li>
     <rdf:li xml:lang="x-default"></rdf:li>
    </rdf:Alt>
   </dc:description>
   <darktable:history>
    <rdf:Seq>
     <rdf:li
      darktable:num="0"
      darktable:operation="exposure"
      darktable:params="gz02eJxjYGBg"/>
    </rdf:Seq>
   </darktable:history>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""


def rdf(inside: str, attributes: str = "") -> bytes:
    """A document without line breaks whose one description has the attributes and holds what is given."""
    description = f'<rdf:Description rdf:about="" xmlns:dc="{DC}" xmlns:i="{IPTC}"{attributes}>{inside}'
    return f'<rdf:RDF xmlns:rdf="{RDF}">{description}</rdf:Description></rdf:RDF>'.encode()


def alt(*entries: tuple[str, str]) -> str:
    items = "".join(f'<rdf:li xml:lang="{language}">{text}</rdf:li>' for language, text in entries)
    return f"<rdf:Alt>{items}</rdf:Alt>"


def utf8(document: bytes) -> bytes:
    is_utf16 = document.startswith((b"\xff\xfe", b"\xfe\xff"))
    return document.decode("utf-16" if is_utf16 else "utf-8-sig").encode()


def captions(document: bytes) -> dict[str, dict[str, str]]:
    """Both properties as a strict reader finds them: language to text, each property and language once."""
    found: dict[str, dict[str, str]] = {}
    for node in ElementTree.fromstring(utf8(document)).iter(f"{{{RDF}}}Description"):
        for name in (f"{{{DC}}}description", f"{{{IPTC}}}AltTextAccessibility"):
            assert name not in node.attrib
            for element in node.findall(name):
                items = element.findall(f"{{{RDF}}}Alt/{{{RDF}}}li")
                texts = {item.attrib["{http://www.w3.org/XML/1998/namespace}lang"]: item.text or "" for item in items}
                assert len(texts) == len(items)
                assert name.partition("}")[2] not in found
                found[name.partition("}")[2]] = texts
    return found


def tokens(document: bytes) -> list[bytes]:
    return re.findall(
        rb"""<!--.*?-->|<\?.*?\?>|<!\[.*?\]\]>|<(?:[^"'>]|"[^"]*"|'[^']*')*>|[^<]+""", document, re.DOTALL
    )


def is_part(before: bytes, after: bytes) -> bool:
    """Whether taking whole tags and texts out of one document leaves the other."""
    rest = iter(tokens(after))
    return all(token in rest for token in tokens(before))


def test_a_new_packet_holds_the_caption_twice_and_is_wrapped() -> None:
    packet = new_xmp(CAPTION)
    assert captions(packet) == BOTH
    assert has_caption(packet)
    assert packet.startswith('<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'.encode())
    assert packet.rstrip().endswith(b'<?xpacket end="w"?>')


def test_a_new_packet_is_indented_by_depth() -> None:
    lines = new_xmp(CAPTION).decode().splitlines()
    assert [len(line) - len(line.lstrip()) for line in lines] == [0, 0, 1, 2, *[3, 4, 5, 4, 3] * 2, 2, 1, 0, 0]


def test_a_document_on_one_line_stays_on_one_line() -> None:
    before = rdf("")
    added = merge_xmp(before, CAPTION).removeprefix(before.removesuffix(b"</rdf:RDF>"))
    assert b"\n" not in added and b"> <" not in added


@unhurried
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]) | st.sampled_from("\t\n\r&<>\"']"), max_size=20))
def test_any_text_reads_back(caption: str) -> None:
    assert captions(new_xmp(caption))["description"]["x-default"] == caption.replace("\ufffe", "").replace("\uffff", "")


@unhurried
@given(st.text(max_size=20))
def test_every_string_gives_a_well_formed_packet(caption: str) -> None:
    assert captions(new_xmp(caption)).keys() == BOTH.keys()


def test_characters_that_xml_cannot_hold_are_left_out() -> None:
    assert captions(new_xmp("a\x00 d\x1bog\x0b \ud800\uffferuns"))["description"]["x-default"] == "a dog runs"


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_sidecar_of_lightroom_gains_one_description(codec: str, replace: bool) -> None:
    before = LIGHTROOM.encode(codec)
    after = merge_xmp(before, CAPTION, replace=replace)
    head, tail = LIGHTROOM.split("\n </rdf:RDF>")
    added = after.decode(codec).removeprefix(head).removesuffix("\n </rdf:RDF>" + tail)
    assert captions(after) == BOTH
    assert len(added) == len(after.decode(codec)) - len(LIGHTROOM)
    assert added.startswith('\n  <rdf:Description rdf:about="" ')
    assert added.endswith("\n  </rdf:Description>")


def test_an_empty_default_entry_is_filled_where_it_stands() -> None:
    after = merge_xmp(DARKTABLE.encode(), CAPTION)
    assert captions(after) == {**BOTH, "description": {"de-DE": "Zwei Kühe <am See>", "x-default": CAPTION}}
    filled = DARKTABLE.replace('"x-default"></rdf:li>', f'"x-default">{CAPTION}</rdf:li>')
    assert is_part(filled.encode(), after)


@pytest.mark.parametrize(
    ("inside", "attributes"),
    [
        (alt(("x-default", "mine")), ""),
        (alt(("X-Default", "mine")), ""),
        (alt(("de", ""), ("x-default", "mine")), ""),
        (alt(("de", "meins"), ("fr", "")), ""),
        (alt(("x-default", "&#38;")), ""),
        (alt(("x-default", "<![CDATA[mine]]>")), ""),
        ("<rdf:Alt><rdf:li>mine</rdf:li></rdf:Alt>", ""),
        ("<rdf:Bag><rdf:li>mine</rdf:li></rdf:Bag>", ""),
        ('<rdf:Alt><rdf:li xml:lang="x-default" rdf:resource="mine:x"/></rdf:Alt>', ""),
        ("mine", ""),
        ("mine", ' xml:lang="de"'),
        ("<rdf:value>mine</rdf:value><dc:source>me</dc:source>", ' rdf:parseType="Resource"'),
        ("<rdf:Description><rdf:value>mine</rdf:value></rdf:Description>", ""),
        ('<rdf:Description rdf:value="mine"/>', ""),
        ("", ' rdf:resource="mine:x"'),
    ],
)
@pytest.mark.parametrize("tag", ["dc:description", "i:AltTextAccessibility"])
def test_what_a_person_wrote_is_kept_in_any_form(tag: str, inside: str, attributes: str) -> None:
    before = rdf(f"<{tag}{attributes}>{inside}</{tag}>")
    after = merge_xmp(before, CAPTION)
    assert is_part(before, after)
    assert after.count(CAPTION.encode()) == 1
    assert has_caption(after) and not has_caption(before)


def test_an_attribute_counts_as_the_property() -> None:
    before = rdf("", ' dc:description="mine" i:AltTextAccessibility="mine, too"')
    assert has_caption(before)
    assert merge_xmp(before, CAPTION) == before


@pytest.mark.parametrize(
    ("inside", "attributes"),
    [
        ("", ""),
        ("<dc:title>mine</dc:title>", ""),
        ("<dc:description/>", ""),
        ('<dc:description xmlns:dc="other">mine</dc:description>', ""),
        ("<dc:description> </dc:description>", ""),
        ("", ' dc:description=" "'),
        ("<dc:description><rdf:Alt/></dc:description>", ""),
        ("<dc:description>\n <rdf:Alt />\n</dc:description>", ""),
        ("<dc:description><rdf:Alt><!-- none --></rdf:Alt></dc:description>", ""),
        ("<dc:description><rdf:Alt><rdf:li/></rdf:Alt></dc:description>", ""),
        (f"<dc:description>{alt(('x-default', ''))}</dc:description>", ""),
        (f"<dc:description>{alt(('x-default', ' '), ('x-default', ''))}</dc:description>", ""),
        ('<dc:description><rdf:Alt><rdf:li xml:lang="x-default"/></rdf:Alt></dc:description>', ""),
        (f"<dc:relation><rdf:Description><dc:description>{alt(('x-default', 'of another'))}</dc:description>"
         "</rdf:Description></dc:relation>", ' dc:creator="of another"'),
    ],
)  # fmt: skip
def test_what_says_nothing_is_filled(inside: str, attributes: str) -> None:
    before = rdf(inside, attributes)
    assert not has_caption(before)
    after = merge_xmp(before, CAPTION)
    assert after.count(CAPTION.encode()) == 2
    assert has_caption(after)
    assert all(after.count(word) == before.count(word) for word in (b"other", b"mine", b"none"))


@pytest.mark.parametrize(
    ("inside", "attributes", "others"),
    [
        (f"<dc:description>{alt(('x-default', 'old'))}</dc:description>", "", {}),
        (f"<dc:description>{alt(('x-default', 'old'), ('x-default', 'old'))}</dc:description>", "", {}),
        (f"<dc:description>{alt(('de', 'neu'), ('x-default', 'old'))}</dc:description>", "", {"de": "neu"}),
        ('<dc:description rdf:parseType="Resource" xml:lang="en"><rdf:value>old</rdf:value></dc:description>', "", {}),
        (f"<dc:description>{alt(('de', 'neu'), ('fr', ''))}</dc:description>", "", {"de": "neu", "fr": ""}),
        (f"<dc:description>{alt(('x-default', '<![CDATA[</rdf:li>]]>'))}</dc:description>", "", {}),
        ("<dc:description><rdf:Alt><rdf:li>old</rdf:li></rdf:Alt></dc:description>", "", {}),
        (f'<dc:description><r:Alt xmlns:r="{RDF}"><r:li xml:lang="de">neu</r:li></r:Alt></dc:description>', "",
         {"de": "neu"}),
        (f'<dc:description><Alt xmlns="{RDF}"><li xml:lang="x-default">old</li></Alt></dc:description>', "", {}),
        ("<dc:description>old</dc:description>", "", {}),
        (f'<d:description xmlns:d="{DC}">old</d:description>', "", {}),
        ('<dc:description xml:lang="de">neu &amp; <![CDATA[<]]></dc:description>', "", {"de": "neu & <"}),
        ('<dc:description rdf:parseType="Resource"><rdf:value>old</rdf:value></dc:description>', "", {}),
        ('<dc:description rdf:resource="old:x"/>', "", {}),
        ("<dc:title>t</dc:title>", " dc:description='old \"x\" />'", {}),
        ("<dc:description>old</dc:description>", ' dc:description="old"', {}),
        (f"<dc:description>{alt(('de', 'neu'))}</dc:description>", ' dc:description="old"', {"de": "neu"}),
    ],
)  # fmt: skip
def test_replacing_puts_the_caption_once_and_keeps_other_languages(
    inside: str, attributes: str, others: dict[str, str]
) -> None:
    after = merge_xmp(rdf(inside, attributes), CAPTION, replace=True)
    assert captions(after) == {**BOTH, "description": {"x-default": CAPTION, **others}}
    assert b"old" not in after


def test_a_value_with_qualifiers_keeps_its_other_languages() -> None:
    inside = f"<rdf:value>{alt(('de', 'neu'), ('x-default', 'old'))}</rdf:value><dc:source>me</dc:source>"
    before = rdf(f'<dc:description rdf:parseType="Resource">{inside}</dc:description>')
    after = merge_xmp(before, CAPTION, replace=True)
    assert after.startswith(before.replace(b">old<", f">{CAPTION}<".encode()).removesuffix(b"</rdf:RDF>"))


def test_the_language_of_a_default_entry_may_be_written_in_capitals() -> None:
    after = merge_xmp(
        rdf(f"<dc:description>{alt(('X-DEFAULT', 'old'), ('de', 'neu'))}</dc:description>"), "new", replace=True
    )
    assert captions(after)["description"] == {"x-default": "new", "de": "neu"}


def test_the_default_entry_comes_first_on_a_line_of_its_own() -> None:
    before = rdf(f"<dc:description>{alt(('de', ''))}</dc:description>".replace("<rdf:li", "\n  <rdf:li"))
    item = f'\n  <rdf:li xml:lang="x-default">{CAPTION}</rdf:li>\n  <rdf:li xml:lang="de">'
    assert item.encode() in merge_xmp(before, CAPTION)


def test_a_property_that_is_written_anew_leaves_no_empty_line() -> None:
    before = rdf("\n <dc:title>t</dc:title>\n <dc:description>old</dc:description>\n <dc:rights>r</dc:rights>")
    after = merge_xmp(before, CAPTION, replace=True)
    assert b"\n <dc:title>t</dc:title>\n <dc:rights>r</dc:rights>" in after


def test_only_prefixes_that_the_document_has_bound_are_used() -> None:
    inside = '<rdf:description><r:Alt><r:li xml:lang="x-default"/></r:Alt></rdf:description>'
    before = f'<r:RDF xmlns:r="{RDF}" xmlns:rdf="{DC}"><r:Description>{inside}</r:Description></r:RDF>'.encode()
    assert captions(merge_xmp(before, CAPTION)) == BOTH


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (f'<rdf:RDF xmlns:rdf="{RDF}"/>', 'rdf:Description rdf:about=""'),
        (f'<rdf:RDF xmlns:rdf="{RDF}"></rdf:RDF>', 'rdf:Description rdf:about=""'),
        (f'<r:RDF xmlns:r="{RDF}"><r:Description r:about="a&amp;b"/></r:RDF>', 'r:Description r:about="a&amp;b"'),
        (f'<RDF xmlns="{RDF}"/>', 'rdf:Description rdf:about=""'),
        (f'<x:xapmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}" /></x:xapmeta>', 'rdf:about=""'),
        (f'<rdf:RDF xmlns:rdf="{RDF}"><rdf:Description about="x"/></rdf:RDF>', 'rdf:about="x"'),
        (
            f'<rdf:RDF xmlns:rdf="{RDF}"><rdf:Description rdf:about="x" xmlns:dc="urn:not-dublin"/>'
            '<rdf:Description rdf:about="y"/><!-- last --></rdf:RDF>',
            '<!-- last --><rdf:Description rdf:about="x"',
        ),
    ],
)
def test_a_new_description_is_about_what_the_first_one_is(document: str, expected: str) -> None:
    after = merge_xmp(document.encode(), CAPTION)
    assert captions(after) == BOTH
    assert expected in after.decode()
    assert has_caption(after)


def test_line_ends_and_indentation_are_those_of_the_document() -> None:
    after = merge_xmp(LIGHTROOM.replace("\n", "\r\n").encode(), CAPTION)
    assert after.count(b"\n") == after.count(b"\r\n") > LIGHTROOM.count("\n")


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"", "no well-formed XML"),
        (b"\xff\xd8\xff\xe0", "no text in UTF-8"),
        (b"<a/>", "no rdf:RDF"),
        (b"<a><b><rdf:RDF xmlns:rdf='%b'/></b></a>" % RDF.encode(), "no rdf:RDF"),
        (b"<a xmlns:rdf='%b'><rdf:RDF/><rdf:RDF/></a>" % RDF.encode(), "2 rdf:RDF"),
        (b"<rdf:RDF/>", "no well-formed XML"),
        (rdf("")[:-3], "no well-formed XML"),
        (b"<!DOCTYPE a [<!ENTITY b 'bb'>]>" + rdf("&b;"), "DOCTYPE"),
        (b"<?xml version='1.0' encoding='ISO-8859-1'?>" + rdf(""), "ISO-8859-1"),
    ],
)
def test_other_bytes_are_refused_with_a_reason(document: bytes, reason: str) -> None:
    for refused in (lambda: merge_xmp(document, CAPTION), lambda: has_caption(document)):
        with pytest.raises(NotXmp) as error:
            refused()
        assert reason in str(error.value)


spaces = st.sampled_from(["", " ", "\n", "\n  ", "\r\n\t", "<!-- > -->", "\n<!--\n c -->\n ", "<?pi x='>'?>"])
texts = st.sampled_from(["", " ", "mine", "&lt;/&gt;", "<![CDATA[<rdf:li>]]>", "дом", "\U0001f415", ' />x="y"'])
languages = st.sampled_from(["de", "en-US"])
attributes = st.sampled_from(["", ' dc:format="a>b"', "\n  dc:format='a/>'\n", ' dc:format = \'x="y"\' dc:rights=""'])


@st.composite
def properties(draw: st.DrawFn, tag: str) -> str:
    """One property in a form whose text an insertion can fill, or nothing."""
    others = st.tuples(languages, texts)
    entries = draw(st.lists(others, max_size=2, unique_by=lambda entry: entry[0]))
    if draw(st.booleans()):
        default = ("x-default", draw(texts.filter(str.strip)))
        entries.insert(draw(st.integers(0, len(entries))), default)
    items = "".join(f'{draw(spaces)}<rdf:li xml:lang="{lang}">{text}</rdf:li>' for lang, text in entries)
    array = f"<rdf:Alt>{items}{draw(spaces)}</rdf:Alt>"
    plain = draw(texts.filter(str.strip))
    form = draw(st.sampled_from([array, array, plain, None]))
    return "" if form is None else f"{draw(spaces)}<{tag}>{form}</{tag}>"


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    inside = [draw(properties("dc:description")), draw(properties("i:AltTextAccessibility")), draw(texts.map(title))]
    halves = "".join(draw(st.permutations(inside))), draw(texts.map(title))
    nodes = "".join(
        f'{draw(spaces)}<rdf:Description rdf:about="u"{draw(attributes)}>{half}{draw(spaces)}</rdf:Description>'
        for half in halves[: draw(st.integers(1, 2))]
    )
    namespaces = f'xmlns:rdf="{RDF}" xmlns:dc="{DC}" xmlns:i="{IPTC}"'
    document = f"<rdf:RDF {namespaces}>{nodes}{draw(spaces)}</rdf:RDF>"
    if draw(st.booleans()):
        document = f"<?xpacket begin=''?>\n<x:xmpmeta xmlns:x='x'>{document}</x:xmpmeta>\n{' ' * 40}<?xpacket end='r'?>"
    return document.encode(draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])))


def title(text: str) -> str:
    return f"<dc:title>{text}</dc:title>"


@unhurried
@given(documents())
def test_merging_takes_nothing_away(before: bytes) -> None:
    after = merge_xmp(before, CAPTION)
    assert is_part(utf8(before), utf8(after))
    assert has_caption(after)
    assert (after == before) == has_caption(before)


@unhurried
@given(documents(), st.booleans())
def test_merging_again_changes_nothing(before: bytes, replace: bool) -> None:
    once = merge_xmp(before, CAPTION, replace=replace)
    assert merge_xmp(once, CAPTION, replace=replace) == once
    assert merge_xmp(once, "another caption") == once


@unhurried
@given(documents())
def test_replacing_gives_both_defaults_and_keeps_all_titles(before: bytes) -> None:
    after = merge_xmp(before, CAPTION, replace=True)
    assert {name: entries["x-default"] for name, entries in captions(after).items()} == dict.fromkeys(BOTH, CAPTION)
    titles = re.compile(rb"<dc:title>.*?</dc:title>")
    assert titles.findall(utf8(after)) == titles.findall(utf8(before))


@unhurried
@given(st.data())
def test_damaged_documents_merge_or_are_refused(data: st.DataObject) -> None:
    damaged = bytearray(data.draw(documents()))
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        after = merge_xmp(bytes(damaged), CAPTION)
    except NotXmp as error:
        assert "\n" not in str(error)
    else:
        assert has_caption(after)


EXIFTOOL = shutil.which("exiftool")
needs_exiftool = pytest.mark.skipif(EXIFTOOL is None, reason="exiftool is not installed (libimage-exiftool-perl)")


def exiftool(*arguments: str | Path) -> str:
    command = [str(EXIFTOOL), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=True, encoding="utf-8").stdout


def exif(*files: Path) -> list[dict[str, Any]]:
    """What exiftool finds in each file, warnings and its own validation included, without the file's own facts."""
    rows = json.loads(exiftool("-j", "-a", "-struct", "-validate", "-warning", "-XMP:all", *files))
    return [{key: value for key, value in row.items() if key not in ("SourceFile", "XMPToolkit")} for row in rows]


@needs_exiftool
@pytest.mark.parametrize("caption", [CAPTION, "a <b> & \"c\" — 'd' 犬 \U0001f415"])
def test_exiftool_reads_a_new_packet(tmp_path: Path, caption: str) -> None:
    path = tmp_path / "a.xmp"
    path.write_bytes(new_xmp(caption))
    assert exif(path) == [{"Validate": "OK", "Description": caption, "AltTextAccessibility": caption}]


@needs_exiftool
@pytest.mark.parametrize(
    ("document", "kept"),
    [
        (LIGHTROOM.encode(), {"Rating": 3, "Subject": ["garden", "Überlingen"], "Exposure2012": "+0.35"}),
        (LIGHTROOM.encode("utf-16"), {"Label": "Red & ripe", "ToneCurvePV2012": ["0, 0", "255, 255"]}),
        (DARKTABLE.encode(), {"Rating": -1, "Description-de-DE": "Zwei Kühe <am See>", "DerivedFrom": "IMG_0001.CR2"}),
        (rdf("<dc:title>t</dc:title>", ' dc:format="f"'), {"Title": "t", "Format": "f"}),
    ],
)
def test_exiftool_finds_all_that_was_there_and_the_caption(
    tmp_path: Path, document: bytes, kept: dict[str, object]
) -> None:
    before, merged, replaced = (tmp_path / name for name in ("before.xmp", "merged.xmp", "replaced.xmp"))
    before.write_bytes(document)
    merged.write_bytes(merge_xmp(document, CAPTION))
    replaced.write_bytes(merge_xmp(merge_xmp(document, "another caption"), CAPTION, replace=True))
    had, *has = exif(before, merged, replaced)
    assert had.items() >= kept.items()
    assert has == [{**had, "Description": CAPTION, "AltTextAccessibility": CAPTION}] * 2


@needs_exiftool
def test_a_sidecar_of_exiftool_keeps_its_tags_and_its_description(tmp_path: Path) -> None:
    path = tmp_path / "a.xmp"
    exiftool("-q", "-o", path, "-XMP-xmp:Rating=4", "-XMP-dc:Subject=lake", "-XMP-dc:Description=mine")
    exiftool("-q", "-overwrite_original", "-XMP-dc:Description-de=Ein See", path)
    path.write_bytes(merge_xmp(path.read_bytes(), CAPTION))
    tags = {"Rating": 4, "Subject": ["lake"], "Description": "mine", "Description-de": "Ein See"}
    assert exif(path) == [{"Validate": "OK", **tags, "AltTextAccessibility": CAPTION}]


@needs_exiftool
def test_exiftool_can_write_to_a_merged_sidecar(tmp_path: Path) -> None:
    path = tmp_path / "a.xmp"
    path.write_bytes(merge_xmp(LIGHTROOM.encode(), CAPTION))
    exiftool("-q", "-overwrite_original", "-XMP-xmp:Rating=5", "-XMP-iptcCore:AltTextAccessibility=better", path)
    (tags,) = exif(path)
    assert (tags["Rating"], tags["Description"], tags["AltTextAccessibility"]) == (5, CAPTION, "better")
    assert has_caption(path.read_bytes())


@pytest.mark.parametrize(
    "body",
    [
        '<dc:description><rdf:Alt><rdf:li xml:lang="de">Hund</rdf:li>'
        '<rdf:li xml:lang="x-default"> A &lt;dog&gt; </rdf:li></rdf:Alt></dc:description>',
        "<dc:description>A &#60;dog&gt;</dc:description>",
        "<dc:description><rdf:Alt><rdf:li><rdf:Description><rdf:value>A &lt;dog></rdf:value></rdf:Description></rdf:li>"
        "</rdf:Alt></dc:description>",
    ],
)  # fmt: skip
def test_captions_are_read_however_they_are_written(body: str) -> None:
    rdf = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    document = f"<rdf:RDF {rdf}><rdf:Description>{body}</rdf:Description></rdf:RDF>"
    assert read_captions(document.encode()) == {"A <dog>"}
    assert read_captions(merge_xmp(document.encode(), "A & B")) == {"A <dog>", "A & B"}
