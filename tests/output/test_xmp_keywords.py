"""Keywords in XMP: `dc:subject` and Lightroom's `lr:hierarchicalSubject`."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capcli.keywords.keyword import Keyword, fold
from capcli.output.xmp import merge_xmp, new_xmp

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
SUBJECT = "{http://purl.org/dc/elements/1.1/}subject"
HIERARCHY = "{http://ns.adobe.com/lightroom/1.0/}hierarchicalSubject"

DOG = Keyword("dog", 0.9, ("animals", "pets", "dog"), ("animals",))
SEA = Keyword("sand & sea", 0.5, ("sand & sea",))


def document(inside: str, attributes: str = "") -> bytes:
    names = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    return f'<rdf:RDF {names}><rdf:Description rdf:about=""{attributes}>{inside}</rdf:Description></rdf:RDF>'.encode()


def items(packet: bytes, name: str) -> list[str]:
    bags = [bag for element in ElementTree.fromstring(packet).iter(name) for bag in element]
    assert all(bag.tag in (f"{RDF}Bag", f"{RDF}Seq") for bag in bags)
    return [item.text or "" for bag in bags for item in bag]


def test_a_new_packet_has_words_and_levels() -> None:
    packet = new_xmp("a dog", [DOG, SEA])
    assert items(packet, SUBJECT) == ["animals", "dog", "sand & sea"]
    assert items(packet, HIERARCHY) == ["animals|pets|dog"]
    assert b"hierarchicalSubject" not in new_xmp("a dog", [SEA])


@pytest.mark.parametrize(
    ("inside", "attributes", "kept"),
    [
        ("<dc:subject><rdf:Bag>\n <rdf:li>lake</rdf:li>\n</rdf:Bag></dc:subject>", "", ["lake"]),
        ("<dc:subject><rdf:Bag><rdf:li>Dog</rdf:li></rdf:Bag></dc:subject>", "", ["Dog"]),
        ("<dc:subject><rdf:Bag><rdf:li>sand &#38; sea</rdf:li></rdf:Bag></dc:subject>", "", ["sand & sea"]),
        ("<dc:subject><rdf:Bag/></dc:subject>", "", []),
        ("<dc:subject/>", "", []),
        ("<dc:subject>lake &amp; hill</dc:subject>", "", ["lake & hill"]),
        ("", ' dc:subject="lake"', ["lake"]),
    ],
)
def test_keywords_of_a_person_stay_and_none_is_there_twice(inside: str, attributes: str, kept: list[str]) -> None:
    before = document(inside, attributes)
    for replace in (False, True):
        after = merge_xmp(before, "a dog", [DOG, SEA], replace=replace)
        found = items(after, SUBJECT)
        assert found[: len(kept)] == kept
        assert sorted(word.casefold() for word in found) == sorted(
            {*map(str.casefold, kept), "animals", "dog", SEA.word}
        )
        assert merge_xmp(after, "a dog", [DOG, SEA], replace=replace) == after


def test_a_new_keyword_stands_on_a_line_of_its_own() -> None:
    before = document("\n <dc:subject>\n  <rdf:Bag>\n   <rdf:li>lake</rdf:li>\n  </rdf:Bag>\n </dc:subject>")
    assert b"<rdf:li>lake</rdf:li>\n   <rdf:li>sand &amp; sea</rdf:li>\n  </rdf:Bag>" in merge_xmp(before, "a", [SEA])


words = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]) | st.sampled_from("&<>\"'|"), min_size=1)


@settings(deadline=None)
@given(st.lists(words, max_size=4), st.lists(words, max_size=4))
def test_merging_takes_no_byte_away_and_adds_every_word(had: list[str], new: list[str]) -> None:
    before = new_xmp("a", [Keyword(word, 1.0) for word in had])
    after = merge_xmp(before, "a", [Keyword(word, 1.0) for word in new])
    rest = iter(re.split(rb"(?<=>)|(?=<)", after))
    assert all(part in rest for part in re.split(rb"(?<=>)|(?=<)", before))
    folded = set(map(fold, items(after, SUBJECT)))
    assert folded >= {fold(re.sub("[\ufffe\uffff]", "", word)) for word in new}
