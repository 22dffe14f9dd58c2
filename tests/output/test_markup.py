from __future__ import annotations

import pytest

from capcli.output.markup import Element, Malformed, parse


def child(document: bytes) -> Element:
    return parse(document).root.children[0]


@pytest.mark.parametrize(
    "element",
    [
        b"<b/>",
        b"<b />",
        b"<b></b>",
        b"<b>text</b >",
        b"<b x='>' y=\"/>\"\n/>",
        b'<b >y="1"</b>',
        b"<b><b/><b></b></b>",
        b"<p:b xmlns:p='u' p:x = '\"'><!-- </p:b> --><![CDATA[</p:b>]]></p:b>",
        "<b ü='ß'>é</b>".encode(),
    ],
)
@pytest.mark.parametrize("after", [b"", b" />", b' y="1"', b"<c/>"])
def test_an_element_stands_where_it_is_written(element: bytes, after: bytes) -> None:
    found = child(b"<a>\n " + element + after.replace(b">", b"&gt;", after.startswith(b" ")) + b"</a>")
    assert found.source[found.start : found.stop] == element


@pytest.mark.parametrize(
    ("element", "content"), [(b"<b/>", b""), (b"<b></b>", b""), (b"<b x='>'> <c/>d</b>", b" <c/>d")]
)
def test_content_is_what_stands_between_the_tags(element: bytes, content: bytes) -> None:
    assert child(b"<a>" + element + b"</a>").content == content


def test_names_are_read_with_their_namespace_and_as_written() -> None:
    element = child(b"<a xmlns:p='urn:u'><p:b p:x='1' y='2' xmlns:q='urn:q' q:z='3'/></a>")
    assert element.name == "urn:u b"
    assert element.attributes == {"urn:u x": "1", "y": "2", "urn:q z": "3"}
    assert (element.written_name, element.prefix) == (b"p:b", b"p:")
    assert child(b"<a><b/></a>").prefix == b""


@pytest.mark.parametrize(
    ("content", "has_text"),
    [
        *[(blank, False) for blank in ("", " \n", "<!-- x -->", "&#32;", "<c x='x'/>")],
        *[(text, True) for text in ("x", "&lt;", "<![CDATA[x]]>", "<c><d>x</d></c>")],
    ],
)
def test_text_counts_at_any_depth_unless_blank(content: str, has_text: bool) -> None:
    assert child(f"<a><b>{content}</b>x</a>".encode()).has_text is has_text


@pytest.mark.parametrize(
    ("space", "margin"),
    [(b"", b""), (b"  ", b""), (b"\n", b"\n"), (b"\n\n \t", b"\n \t"), (b"\r\n ", b"\r\n "), (b"<!-- c --> ", b"")],
)
def test_margin_is_the_line_break_and_indentation(space: bytes, margin: bytes) -> None:
    assert child(b"<a>" + space + b"<b/></a>").margin == margin


@pytest.mark.parametrize("name", ["urn:u x", "y", "urn:q z"])
def test_one_attribute_goes_and_the_others_stay(name: str) -> None:
    document = parse(b"<a xmlns:p='urn:u'><b  xmlns='urn:d' p:x = 'x=\"1\"'\n xmlns:q='urn:q'\ty='>' q:z='3' /></a>")
    element = document.root.children[0]
    after = child(document.spliced([element.without_attribute(name)]))
    assert after.attributes == {key: value for key, value in element.attributes.items() if key != name}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"<a><b/></a>", b"<a><b>new</b></a>"),
        (b"<a>\n <b /></a>", b"<a>\n <b >new\n </b></a>"),
        (b"<a><b></b></a>", b"<a><b>new</b></a>"),
        (b"<a>\n <b>\n  <c/>\n </b></a>", b"<a>\n <b>\n  <c/>new\n </b></a>"),
    ],
)
def test_new_content_comes_last(before: bytes, after: bytes) -> None:
    document = parse(before)
    assert document.spliced([document.root.children[0].with_last(b"new")]) == after


@pytest.mark.parametrize("declaration", ["", "<?xml version='1.0'?>"])
@pytest.mark.parametrize(
    ("codec", "mark"),
    [(codec, mark) for codec in ("utf-8", "utf-16-le", "utf-16-be") for mark in ("", "\ufeff")],
)
def test_a_document_comes_back_in_its_encoding(declaration: str, codec: str, mark: str) -> None:
    text = mark + declaration + "<a>é\U0001f415<b/>\r\n</a>\n"
    document = parse(text.encode(codec))
    insertion = document.root.children[0].with_last("ß".encode())
    assert document.spliced([insertion]).decode(codec) == text.replace("<b/>", "<b>ß</b>")


@pytest.mark.parametrize("codec", ["utf-8", "utf-16"])
def test_a_declared_encoding_may_be_the_true_one(codec: str) -> None:
    assert parse(f"<?xml version='1.0' encoding='{codec.upper()}'?><a/>".encode(codec)).root.name == "a"


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"", "no well-formed XML"),
        (b"a", "no well-formed XML"),
        (b"<a>", "no well-formed XML"),
        (b"<a/><b/>", "line 1"),
        (b"<p:a/>", "no well-formed XML"),
        (b"<a>&nbsp;</a>", "undefined entity"),
        (b"<a/>\0", "no well-formed XML"),
        (b"<a>\xff</a>", "no text in UTF-8 (at byte 3)"),
        (b"\xff\xfe<\0a\0/\0>\0a", "no text in UTF-16"),
        ("<a/>".encode("utf-32"), "no well-formed XML"),
        (b"<?xml version='1.0' encoding='ISO-8859-1'?><a/>", "ISO-8859-1"),
        (b"<?xml version='1.0' encoding='UTF-16'?><a/>", "UTF-16"),
        ("<?xml version='1.0' encoding='utf-8'?><a/>".encode("utf-16"), "utf-8"),
        (b"<!DOCTYPE a><a/>", "DOCTYPE"),
        (b"<!DOCTYPE a [<!ENTITY b 'bb'><!ENTITY c '&b;&b;'>]><a>&c;</a>", "DOCTYPE"),
    ],
)
def test_other_bytes_are_refused_with_a_reason(document: bytes, reason: str) -> None:
    with pytest.raises(Malformed) as error:
        parse(document)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


def test_nesting_may_be_deep() -> None:
    assert parse(b"<a>" * 50_000 + b"x" + b"</a>" * 50_000).root.has_text
