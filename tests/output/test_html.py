from __future__ import annotations

import base64
import hashlib
import io
import re
from importlib.resources import files

import pytest
from jinja2 import UndefinedError
from PIL import Image

from capcli.output.html import data_uri, fragment, jpeg, render

BASE = "output/page.html"


def test_a_page_without_a_script_may_run_none() -> None:
    content = render(BASE, title="Title").decode()
    assert content.startswith("<!doctype html>\n")
    assert "default-src 'none'" in content
    assert "<script" not in content and "script-src" not in content


def test_styles_are_within_the_page() -> None:
    content = render(BASE, title="Title", style="heatmap/index.css").decode()
    (style,) = re.findall("<style>(.*)</style>", content, re.DOTALL)
    assert "--paper: #fff" in style
    assert ".finder input" in style


def test_a_script_is_allowed_by_its_hash() -> None:
    content = render(BASE, title="Title", script="heatmap/index.js").decode()
    (script,) = re.findall("<script>(.*)</script>", content, re.DOTALL)
    assert script == files("capcli").joinpath("heatmap", "index.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'\">" in content


def test_a_page_says_what_made_it() -> None:
    assert '<meta name="generator" content="a &amp; b">' in render(BASE, title="Title", generator="a & b").decode()
    assert "generator" not in render(BASE, title="Title").decode()


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("<b> & c {{ 1 }}", "&lt;b&gt; &amp; c {{ 1 }}"),
        ("caf\udce9 \ud800", "caf\ufffd \ufffd"),
        ("a\x00\x1b\x9f", "a\ufffd\ufffd\ufffd"),
    ],
)
def test_any_title_is_text(title: str, shown: str) -> None:
    assert f"<title>{shown}</title>" in render(BASE, title=title).decode()


def test_what_a_template_names_must_be_given() -> None:
    with pytest.raises(UndefinedError, match="title"):
        render(BASE)


def test_a_fragment_is_not_escaped_again() -> None:
    plot = fragment(
        "evaluation/plot.svg", alt='"<&>"', width=9, height=9, left=1, right=8, top=1, floor=8, x_ticks=[], y_ticks=[],
        x_label="<x>", y_label="&", paths=[], legend=[],
    )  # fmt: skip
    whole = render("evaluation/plots.svg", plots=[("<t>", plot)], across=9, down=9, width=9, left=1, top=1,
                   plot_width=9, plot_height=9).decode()  # fmt: skip
    assert plot.strip() in whole
    assert plot.count("&lt;x&gt;") == whole.count("&lt;x&gt;") == 1
    assert "&lt;t&gt;" in whole


def test_a_picture_becomes_an_address_that_holds_it() -> None:
    uri = data_uri(jpeg(Image.new("RGB", (30, 20), "red"), 90))
    image = Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/jpeg;base64,"))))
    assert (image.format, image.size) == ("JPEG", (30, 20))
    assert image.getpixel((15, 10)) == pytest.approx((255, 0, 0), abs=3)
