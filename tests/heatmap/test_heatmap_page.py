"""What the pages hold; how they look and act is checked in a browser, in tests/end_to_end/test_attend_page.py."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import json
import math
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from capcli.caption import Caption, Word
from capcli.heatmap.page import PAGE_BYTES, Entry, index, page, thumbnail
from capcli.heatmap.sentence import probability
from capcli.metrics import detokenize, tokenize

_VOID = ("meta", "link", "img", "input")


class Parsed(HTMLParser):
    """The elements of a page with what is written in them; every tag that is opened must be closed."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self._open: list[int] = []
        self.feed(content.decode())
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))
        if tag not in _VOID:
            self._open.append(len(self.elements) - 1)

    def handle_endtag(self, tag: str) -> None:
        assert self.elements[self._open.pop()][0] == tag

    def handle_data(self, data: str) -> None:
        for place in self._open:
            self.elements[place][2].append(data)

    def texts(self, tag: str, **attributes: str) -> list[str]:
        return ["".join(text) for name, has, text in self.elements if name == tag and attributes.items() <= has.items()]

    def values(self, tag: str, attribute: str) -> list[str | None]:
        return [has[attribute] for name, has, _ in self.elements if name == tag and attribute in has]


def sentence(text: str, *, heads: tuple[int, int] | None = (3, 8), grid: tuple[int, int] = (7, 7)) -> Caption:
    """With random maps; the word "zyzzyva" is unknown."""
    noise = np.random.default_rng(0)
    words = []
    for token in tokenize(text):
        attention = noise.dirichlet(np.ones(math.prod(grid))).reshape(grid).astype(np.float32)
        head_maps = noise.dirichlet(np.ones(math.prod(grid)), heads).reshape(*heads, *grid) if heads else None
        known = token != "zyzzyva"
        words.append(Word(token, -0.5 if known else -math.inf, attention, head_maps, known))
    return Caption(text, tuple(words), 0.5)


def make_page(
    caption: Caption | None = None, picture: Image.Image | None = None, name: str = "a.jpg", **options: Any
) -> bytes:
    caption = sentence("A dog runs.") if caption is None else caption
    return page(picture or Image.new("RGB", (64, 48)), caption, name=name, method="gradient", model="base", **options)


def data(content: bytes) -> dict[str, Any]:
    (text,) = Parsed(content).texts("script", id="data")
    return json.loads(text)


def embedded(content: bytes) -> Image.Image:
    (uri,) = Parsed(content).values("img", "src")
    assert uri is not None
    return Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/jpeg;base64,"))))


def noise(width: int, height: int) -> Image.Image:
    """A picture than which none compresses worse."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_the_sentence_reads_as_it_is_spelt_and_is_the_alternative_text() -> None:
    content = Parsed(make_page(sentence('Bob\u2019s dog, "Rex", doesn\'t run (much)!')))
    (written,) = content.texts("div", id="sentence")
    written = re.sub(r"\d+ %", "", written)
    assert written == 'Bob\u2019s dog, "Rex", doesn\'t run (much)!'
    assert content.values("img", "alt") == ['Bob\u2019s dog, "Rex", doesn\'t run (much)!']
    assert [re.sub(r"\d+ %", "", word) for word in content.texts("span", **{"class": "word"})] == [
        *("Bob", "\u2019s", "dog", "Rex", "does", "n't", "run", "(", "much", ")")
    ]


def test_the_words_that_are_left_of_a_sentence_stay_in_it() -> None:
    caption = sentence("An apple and a dog.")
    some = Caption(caption.text, tuple(word for word in caption.words if word.text in ("a", "dog")), 0.5)
    content = Parsed(make_page(some))
    assert content.texts("div", id="sentence") == ["An apple and a61 % dog61 %."]
    assert len(content.texts("span", **{"class": "word"})) == 2


def test_words_that_are_not_in_the_sentence_are_shown_all_the_same() -> None:
    words = sentence("a dog").words
    assert Parsed(make_page(Caption("Nothing alike.", words, 0.5))).texts("div", id="sentence") == ["a61 % dog61 %"]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["a", "dog", "'s", "i", "n't", "-lrb-", "u.s.", "zyzzyva", "\u4f60"]), max_size=8))
def test_every_word_has_its_button_row_and_map(tokens: list[str]) -> None:
    caption = sentence(detokenize(tokens), heads=None, grid=(2, 3))
    content = make_page(caption)
    parsed = Parsed(content)
    words = [word.text for word in caption.words]
    (written,) = parsed.texts("div", id="sentence")
    assert re.sub(r"61 %|unknown", "", written) == caption.text
    assert parsed.texts("th", scope="row") == words
    assert [word for word, *_ in data(content)["words"]] == words
    assert len(base64.b64decode(data(content)["maps"])) == 6 * len(words)


def test_maps_are_kept_to_a_byte_with_their_heads() -> None:
    caption = sentence("A dog runs.", heads=(2, 3), grid=(4, 5))
    found = data(make_page(caption))
    maps = np.frombuffer(base64.b64decode(found["maps"]), np.uint8).reshape(3, 7, found["rows"], found["columns"])
    for word, mine in zip(caption.words, maps, strict=True):
        assert word.attention is not None and word.heads is not None
        theirs = np.concatenate([word.attention[None], word.heads.reshape(6, 4, 5)])
        assert np.abs(mine / 255 - theirs / theirs.max((1, 2), keepdims=True)).max() <= 0.5 / 255 + 1e-6


def test_heads_can_be_chosen_where_there_are_any() -> None:
    options = Parsed(make_page(sentence("A dog.", heads=(2, 2)))).texts("option")
    assert options == [
        "as measured: gradient",
        "mean of all heads",
        *("layer 1, mean", "layer 1, head 1", "layer 1, head 2"),
        *("layer 2, mean", "layer 2, head 1", "layer 2, head 2"),
    ]
    assert Parsed(make_page(sentence("A dog.", heads=None))).texts("select") == []


def test_heads_that_not_every_word_has_cannot_be_chosen() -> None:
    with_heads, without = sentence("A dog.").words, sentence("A dog.", heads=None).words
    content = make_page(Caption("A dog.", (with_heads[0], without[1]), 0.5))
    assert Parsed(content).texts("select") == []
    assert len(base64.b64decode(data(content)["maps"])) == 2 * 49


def test_words_that_the_model_does_not_know_are_told() -> None:
    content = make_page(sentence("A zyzzyva runs."))
    assert Parsed(content).texts("span", **{"class": "word unknown"}) == ["zyzzyvaunknown"]
    assert b"The model does not know" in content
    assert b"0 %" not in re.sub(rb"base64,[^\"]*", b"", content).replace(b"100% ", b"")
    assert b"The model does not know" not in make_page()


@pytest.mark.parametrize(
    ("log_probability", "expected"),
    [(0.0, "100 %"), (math.log(0.62), "62 %"), (math.log(0.0049), "<1 %"), (math.log(0.012), "1 %"), (-900.0, "<1 %")],
)
def test_probabilities_for_people(log_probability: float, expected: str) -> None:
    assert probability(Word("dog", log_probability, None)) == expected
    assert probability(Word("dog", -math.inf, None, known=False)) == "unknown"


@pytest.mark.parametrize(
    ("cell", "place"), [((0, 0), "upper left"), ((3, 3), "centre"), ((6, 3), "lower centre"), ((3, 6), "middle right")]
)
def test_where_a_map_is_strongest_is_said_in_words(cell: tuple[int, int], place: str) -> None:
    weights = np.zeros((7, 7), np.float32)
    weights[cell] = 1
    content = Parsed(make_page(Caption("dog", (Word("dog", -1.0, weights),), 0.5)))
    assert content.texts("td") == ["37 %", place]


def test_equal_weights_are_strongest_nowhere() -> None:
    word = Word("dog", -1.0, np.full((7, 7), 1 / 49, np.float32))
    assert Parsed(make_page(Caption("dog", (word,), 0.5))).texts("td") == ["37 %", "everywhere alike"]


@pytest.mark.parametrize("size", [(640, 480), (4000, 3000), (3000, 300), (300, 3000), (16, 12), (1, 1)])
@pytest.mark.parametrize("count", [1, 40])
def test_a_page_is_small_whatever_the_picture(size: tuple[int, int], count: int) -> None:
    content = make_page(sentence(" ".join(["dog"] * count)), noise(*size))
    assert len(content) < PAGE_BYTES == 400_000
    shown = embedded(content)
    assert max(shown.size) <= min(1024, max(size))
    assert shown.width == pytest.approx(shown.height * size[0] / size[1], abs=max(1, size[0] / size[1]))


def test_a_photograph_keeps_its_pixels() -> None:
    from skimage import data as photographs

    picture = Image.fromarray(photographs.chelsea()).resize((640, 480))
    shown = embedded(make_page(picture=picture))
    assert shown.size == (640, 480)
    assert np.abs(np.asarray(shown, float) - np.asarray(picture, float)).mean() < 3


def test_nothing_that_the_pictures_file_says_of_it_is_passed_on() -> None:
    picture = Image.new("RGB", (64, 48))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture.info.update(comment=b"private", exif=b"Exif\0\0private", icc_profile=profile, xmp=b"private")
    for content in (make_page(picture=picture), index([Entry("a", thumbnail=thumbnail(picture))], title="t")):
        (uri,) = Parsed(content).values("img", "src")
        assert uri is not None
        inside = base64.b64decode(uri.partition(",")[2])
        assert b"private" not in inside
        assert profile not in inside


def test_the_given_picture_stays_as_it_is() -> None:
    picture = noise(2000, 20)
    before = picture.tobytes()
    make_page(picture=picture)
    thumbnail(picture)
    assert (picture.size, picture.tobytes()) == ((2000, 20), before)


def index_of_two() -> bytes:
    entries = [Entry("a.jpg", "a.html", "A dog.", 0.5, thumbnail(noise(50, 50))), Entry("b.jpg", error="is truncated")]
    return index(entries, title="Two")


@pytest.mark.parametrize("content", [make_page(), make_page(index="../index.html"), index_of_two()])
def test_only_its_own_script_may_run_and_nothing_may_be_fetched(content: bytes) -> None:
    parsed = Parsed(content)
    (policy,) = (has["content"] for _, has, _ in parsed.elements if has.get("http-equiv") == "Content-Security-Policy")
    script = [text for text in parsed.texts("script") if not text.startswith("{")]
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert len(script) == 1
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert f"script-src 'sha256-{digest}'" in policy
    text = content.decode()
    assert "http:" not in text and "https:" not in text
    assert "url(" not in text and "@import" not in text
    assert not re.search(r"\son\w+=", text)
    assert all(uri and uri.startswith("data:") for uri in parsed.values("img", "src") + parsed.values("link", "href"))


_TRAP = '<script>alert("x")</script>&amp;\'</title><!--{picture}{0}%s'


def test_names_and_captions_stay_text() -> None:
    content = Parsed(make_page(sentence(_TRAP), name=_TRAP, index=_TRAP))
    assert len(content.texts("script")) == 2
    assert content.texts("h1") == [_TRAP]
    assert content.texts("title") == [f"{_TRAP} - {_TRAP}"]
    assert content.values("img", "alt") == [_TRAP]
    listed = Parsed(index([Entry(_TRAP, _TRAP, _TRAP, 0.5), Entry(_TRAP, error=_TRAP)], title=_TRAP))
    assert listed.texts("h1") == [_TRAP]
    assert listed.texts("bdi") == [_TRAP, _TRAP]
    assert len(listed.texts("script")) == 1


@settings(max_examples=30, deadline=None)
@given(st.text(st.characters(exclude_categories=()), max_size=20))
def test_a_name_may_hold_anything(name: str) -> None:
    for content in (make_page(name=name), index([Entry(name, caption=name)], title=name)):
        assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]", content.decode())
        Parsed(content)


def test_undecodable_bytes_are_marked_in_names_and_kept_in_links() -> None:
    assert Parsed(make_page(name="caf\udce9.jpg")).texts("h1") == ["caf\ufffd.jpg"]
    linked = index([Entry("caf\udce9.jpg", "a b/caf\udce9#?.html", "A dog.")], title="t")
    assert "a%20b/caf%E9%23%3F.html" in Parsed(linked).values("a", "href")
    assert Parsed(make_page(index="../index.html")).values("a", "href") == ["../index.html"]


def test_the_index_lists_what_worked_in_order_and_what_failed_with_its_reason() -> None:
    content = index_of_two()
    parsed = Parsed(content)
    assert parsed.texts("strong") == ["A dog."]
    assert parsed.values("img", "alt") == [""]  # the link's text is the caption
    assert "a.html" in parsed.values("a", "href")
    (failed,) = parsed.texts("section", id="failed")
    assert failed.split() == ["Failed", "b.jpg:", "is", "truncated"]
    assert "1 picture, 1 failed" in parsed.texts("header")[0]
    assert parsed.values("li", "data-confidence") == ["0.500000"]


def test_an_index_of_nothing_says_so() -> None:
    assert "0 pictures" in Parsed(index([], title="None")).texts("header")[0]


def test_a_page_of_no_words_is_a_page() -> None:
    assert Parsed(make_page(Caption("", (), 0.5))).texts("title") == ["(empty) - a.jpg"]


def test_a_thousand_pictures_make_an_index_of_a_few_megabytes() -> None:
    from skimage import data as photographs

    small = thumbnail(Image.fromarray(photographs.astronaut()))
    entries = [Entry(f"{n}.jpg", f"{n}.html", "A dog runs over the grass.", 0.5, small) for n in range(1000)]
    content = index(entries, title="Many")
    assert len(content) < 9_000_000
    assert set(Parsed(content).values("img", "loading")) == {"lazy"}


def test_the_last_line_says_that_the_caption_is_in_doubt() -> None:
    sure = sentence("A dog runs.")
    assert "confidence 0.50.</p>" in make_page(sure).decode()
    assert "confidence 0.50, uncertain.</p>" in make_page(dataclasses.replace(sure, uncertain=True)).decode()
