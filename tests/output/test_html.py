from __future__ import annotations

import base64
import io

import pytest
from PIL import Image

from capcli.output.html import data_uri, document, jpeg


def test_a_page_without_a_script_may_run_none() -> None:
    content = document("Title", "<p>text</p>", style="p { color: red }").decode()
    assert content.startswith("<!doctype html>")
    assert "<p>text</p>" in content
    assert "p { color: red }" in content
    assert "<script" not in content and "script-src" not in content


def test_a_script_is_allowed_by_its_hash() -> None:
    content = document("Title", "", script="f()").decode()
    assert "<script>f()</script>" in content
    assert "script-src 'sha256-GcEEE0IkDzIP5EQ6DXZaDPORqT5RTBELX8Fyzyg9yvo='" in content


def test_a_page_says_what_made_it() -> None:
    assert '<meta name="generator" content="a &amp; b">' in document("Title", "", generator="a & b").decode()
    assert "generator" not in document("Title", "").decode()


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("<b> & c", "&lt;b&gt; &amp; c"),
        ("caf\udce9 \ud800", "caf\ufffd \ufffd"),
        ("a\x00\x1b\x9f", "a\ufffd\ufffd\ufffd"),
    ],
)
def test_any_title_is_text(title: str, shown: str) -> None:
    assert f"<title>{shown}</title>" in document(title, "").decode()


def test_a_picture_becomes_an_address_that_holds_it() -> None:
    uri = data_uri(jpeg(Image.new("RGB", (30, 20), "red"), 90))
    image = Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/jpeg;base64,"))))
    assert (image.format, image.size) == ("JPEG", (30, 20))
    assert image.getpixel((15, 10)) == pytest.approx((255, 0, 0), abs=3)
