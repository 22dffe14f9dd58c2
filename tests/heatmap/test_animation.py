from __future__ import annotations

import io

import numpy as np
import pytest
import skimage.data
from PIL import Image, ImageSequence
from sample_captions import caption, peak, word

from capcli.caption import Caption, Word
from capcli.errors import UsageError
from capcli.heatmap.animation import DURATION, KINDS, animation
from capcli.heatmap.overlay import overlay

kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def photograph() -> Image.Image:
    return Image.fromarray(skimage.data.chelsea())


def frames(content: bytes) -> list[Image.Image]:
    return [frame.convert("RGB") for frame in ImageSequence.Iterator(Image.open(io.BytesIO(content)))]


def difference(image: Image.Image, other: Image.Image) -> np.ndarray:
    return np.abs(np.asarray(image, float) - np.asarray(other, float)).mean(2)


def dog() -> Caption:
    return caption([word("a", weights=peak(0, 0)), word("dog", weights=peak(6, 6)), word("'s")], "A dog's.")


@kinds
def test_words_light_up_one_after_another(photograph: Image.Image, kind: str) -> None:
    content = animation(photograph, dog(), kind)
    file = Image.open(io.BytesIO(content))
    assert file.format == kind.upper()
    assert file.info["loop"] == 0
    found = frames(content)
    assert len(found) == 4
    area = (0, 0, *photograph.size)
    wanted = [photograph, *(overlay(photograph, word.heatmap(photograph.size)) for word in dog().words)]
    for frame, right in zip(found, wanted, strict=True):
        assert difference(frame.crop(area), right).mean() < 8


@kinds
def test_each_frame_stays_long_enough_to_be_read(photograph: Image.Image, kind: str) -> None:
    file = Image.open(io.BytesIO(animation(photograph, dog(), kind)))
    for number in range(4):
        file.seek(number)
        file.load()
        assert file.info["duration"] == DURATION


@kinds
def test_in_the_sentence_the_current_word_alone_is_set_off(photograph: Image.Image, kind: str) -> None:
    found = frames(animation(photograph, dog(), kind))
    below = (0, photograph.height + 8, photograph.width, photograph.height + 48)
    blue = [(np.asarray(frame.crop(below)).astype(int) @ [-1, 0, 1] > 100).any(0).nonzero()[0] for frame in found]
    assert blue[0].size == 0
    assert 0 < blue[1].min() < blue[1].max() < blue[2].min() < blue[2].max()
    assert blue[2].max() <= blue[3].min() + 4


@kinds
@pytest.mark.parametrize(
    ("size", "shown"),
    [
        ((1600, 1200), (640, 480)),
        ((1200, 1600), (480, 640)),
        ((400, 300), (400, 300)),
        ((4000, 400), (640, 64)),
        ((400, 4000), (320, 640)),
        ((16, 16), (320, 320)),
        ((1, 1), (320, 320)),
        ((3000, 1), (640, 1)),
    ],
)
def test_it_has_a_sensible_size(
    photograph: Image.Image, kind: str, size: tuple[int, int], shown: tuple[int, int]
) -> None:
    width, height = Image.open(io.BytesIO(animation(photograph.resize(size), dog(), kind))).size
    assert width == shown[0]
    assert shown[1] + 50 < height < shown[1] + 150


def test_a_gif_keeps_the_colour_of_a_small_hot_spot() -> None:
    picture = Image.fromarray(skimage.data.astronaut())
    hot = word("young", weights=peak(3, 3))
    right = overlay(picture, hot.heatmap(picture.size))
    frame = frames(animation(picture, caption([hot]), "gif"))[1].crop((0, 0, *picture.size))
    assert difference(frame, right)[hot.heatmap(picture.size) > 0.8].mean() < 10


@pytest.mark.parametrize(("kind", "most"), [("gif", 4_000_000), ("webp", 800_000)])
def test_files_are_not_huge(kind: str, most: int) -> None:
    picture = Image.fromarray(skimage.data.coffee()).resize((1280, 960))
    words = [word("dog", weights=peak(place // 2, place % 7)) for place in range(12)]
    assert len(animation(picture, caption(words), kind)) < most


@kinds
@pytest.mark.parametrize("words", [[], ["x" * 60] * 3, ["x" * 60_000], ["\N{DOG FACE}", "\udcff\x1b"], ["犬"] * 40])
def test_any_words_can_be_animated(photograph: Image.Image, kind: str, words: list[str]) -> None:
    found = frames(animation(photograph.resize((32, 24)), caption(words), kind))
    # Neither format keeps a frame that is like the one before it, but for a longer stay.
    assert 1 <= len(found) <= len(words) + 1


@kinds
def test_it_is_the_same_every_time(photograph: Image.Image, kind: str) -> None:
    assert animation(photograph, dog(), kind) == animation(photograph, dog(), kind)


def test_another_kind_is_refused(photograph: Image.Image) -> None:
    with pytest.raises(UsageError, match="gif or webp, not 'mp4'"):
        animation(photograph, dog(), "mp4")  # type: ignore[arg-type]


def test_words_without_attention_are_refused(photograph: Image.Image) -> None:
    with pytest.raises(UsageError, match="no attention"):
        animation(photograph, caption([Word("dog", -1.0, None)]), "gif")
