from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from colour_spaces import INKS, SPACES, Space, cmyk_profile, encode, grey_profile
from PIL import Image, ImageCms
from png_files import GREY, GREY_ALPHA, RGB, RGB_ALPHA, chunk, gamma, png, primaries, profile
from stored_photograph import distance, grey, photograph, read_pixels

from capcli.pictures.colour import transform_of
from capcli.pictures.profile import coded_profile, rgb_profile
from capcli.pictures.read import read_array, to_array, upright_rgb

# pytest puts its own warning filters in the place of those that capcli sets.
pytestmark = pytest.mark.filterwarnings("ignore:::PIL")

PIXELS = photograph()
LOSSLESS = {"png": {}, "tif": {}, "webp": {"lossless": True}}
LOSSY = {"jpg": {"quality": 97, "subsampling": 0}, "avif": {"quality": 97, "subsampling": "4:4:4"}}
FORMATS = {**LOSSLESS, **LOSSY, "heic": {"quality": 97, "chroma": 444}}
ADOBE_PRIMARIES = (0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
SRGB_PRIMARIES = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)


@pytest.fixture(params=SPACES)
def space(request: pytest.FixtureRequest) -> Space:
    return SPACES[request.param]


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def light(pixels: np.ndarray) -> np.ndarray:
    """The light, from 0 to 1, of sRGB pixels."""
    samples = pixels / 255
    return np.where(samples <= 0.04045, samples / 12.92, ((samples + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("kind", FORMATS)
def test_an_embedded_profile_is_applied(tmp_path: Path, kind: str, space: Space) -> None:
    if kind == "heic":
        pytest.importorskip("pillow_heif")
    path = tmp_path / f"a.{kind}"
    Image.fromarray(PIXELS).save(path, icc_profile=space.profile, **FORMATS[kind])
    # What the format itself loses is no matter here.
    stored = np.asarray(Image.open(path).convert("RGB")) / 255
    assert distance(read_pixels(path), space.to_srgb(stored)) < 0.5
    assert distance(read_pixels(path), PIXELS) > 4


def test_a_profile_is_applied_where_a_jpeg_is_decoded_smaller(tmp_path: Path) -> None:
    space = SPACES["prophoto"]
    large = Image.fromarray(PIXELS).resize((960, 720))
    large.save(tmp_path / "a.jpg", icc_profile=space.profile, quality=95)
    small = np.asarray(large.resize((64, 64), Image.Resampling.BICUBIC)) / 255
    assert distance(read_array(tmp_path / "a.jpg", 64), space.to_srgb(small)) < 3


@pytest.mark.parametrize("kind", ["png", "jpg", "tif"])
@pytest.mark.parametrize("exponent", [1.0, 1.4, 3.0])
def test_a_grey_profile_is_applied(tmp_path: Path, kind: str, exponent: float) -> None:
    path = tmp_path / f"a.{kind}"
    Image.fromarray(grey(PIXELS)).save(path, icc_profile=grey_profile(exponent))
    stored = np.asarray(Image.open(path)) / 255
    assert distance(read_pixels(path), 255 * encode(stored**exponent)) < 0.6


def test_grey_pixels_follow_the_curve_of_an_rgb_profile(tmp_path: Path) -> None:
    Image.fromarray(grey(PIXELS)).save(tmp_path / "a.png", icc_profile=SPACES["prophoto"].profile)
    assert distance(read_pixels(tmp_path / "a.png"), 255 * encode((grey(PIXELS) / 255) ** 1.8)) < 1


@pytest.mark.parametrize("kind", ["jpg", "tif"])
@pytest.mark.parametrize("ink", INKS)
def test_cmyk_has_the_inks_of_its_profile(tmp_path: Path, kind: str, ink: tuple[int, ...]) -> None:
    path = tmp_path / f"a.{kind}"
    Image.new("CMYK", (16, 16), ink).save(path, icc_profile=cmyk_profile())
    assert read_pixels(path)[8, 8].tolist() == pytest.approx(INKS[ink], abs=4)
    Image.new("CMYK", (16, 16), ink).save(path)
    assert read_pixels(path)[8, 8].tolist() == [255 - level for level in ink[:3]]


def test_colours_are_converted_before_transparency_is_put_on_white(tmp_path: Path, space: Space) -> None:
    image = Image.fromarray(PIXELS).convert("RGBA")
    alpha = np.tile(np.linspace(0, 255, PIXELS.shape[1]).astype(np.uint8), (PIXELS.shape[0], 1))
    image.putalpha(Image.fromarray(alpha))
    share = alpha[..., None] / 255
    expected = space.to_srgb(PIXELS / 255) * share + 255 * (1 - share)
    for kind, options in {"png": {}, "webp": {"lossless": True, "exact": True}, "tif": {}}.items():
        image.save(tmp_path / f"a.{kind}", icc_profile=space.profile, **options)
        assert distance(read_pixels(tmp_path / f"a.{kind}"), expected) < 0.8


def test_a_palette_with_transparency_and_a_profile(tmp_path: Path) -> None:
    space = SPACES["adobe"]
    palette = Image.fromarray(PIXELS).quantize(32)
    stored = np.asarray(palette.convert("RGB")) / 255
    clear = np.asarray(palette) == 3
    palette.save(tmp_path / "one.png", icc_profile=space.profile, transparency=3)
    expected = np.where(clear[..., None], 255, space.to_srgb(stored))
    assert distance(read_pixels(tmp_path / "one.png"), expected) < 0.6
    alphas = bytes([255, 128] * 16)
    palette.save(tmp_path / "many.png", icc_profile=space.profile, transparency=alphas)
    share = np.frombuffer(alphas, np.uint8)[np.asarray(palette)][..., None] / 255
    assert distance(read_pixels(tmp_path / "many.png"), space.to_srgb(stored) * share + 255 * (1 - share)) < 0.8


def test_grey_with_alpha_and_a_profile(tmp_path: Path) -> None:
    image = Image.fromarray(grey(PIXELS)).convert("LA")
    image.putalpha(Image.new("L", image.size, 128))
    image.save(tmp_path / "a.png", icc_profile=grey_profile(1.0))
    share = 128 / 255
    expected = 255 * encode(grey(PIXELS) / 255) * share + 255 * (1 - share)
    assert distance(read_pixels(tmp_path / "a.png"), expected) < 0.6


@pytest.mark.parametrize("kind", ["png", "tif"])
@pytest.mark.parametrize("alpha", [False, True])
def test_shadows_of_linear_16_bit_samples_are_smooth(tmp_path: Path, kind: str, alpha: bool) -> None:
    tifffile = pytest.importorskip("tifffile")
    dark = (PIXELS // 4).astype(np.uint8)
    samples = np.rint(65535 * light(dark)).astype(np.uint16)
    if alpha:
        samples = np.dstack([samples, np.full(samples.shape[:2], 65535, np.uint16)])
    path, linear = tmp_path / f"a.{kind}", SPACES["linear"].profile
    if kind == "png":
        path.write_bytes(png(samples, RGB_ALPHA if alpha else RGB, 16, profile(linear)))
    else:
        extra = {"extrasamples": ["unassalpha"]} if alpha else {}
        tifffile.imwrite(path, samples, photometric="rgb", iccprofile=linear, **extra)
    assert distance(read_pixels(path), dark) < 0.7  # cut to 8 bits first, they are 2 to 4 off


def test_deep_grey_follows_its_profile(tmp_path: Path) -> None:
    dark = grey(PIXELS) // 4
    samples = np.rint(65535 * light(dark)).astype(np.uint16)
    (tmp_path / "a.png").write_bytes(png(samples, GREY, 16, profile(grey_profile(1.0))))
    assert distance(read_pixels(tmp_path / "a.png"), dark) < 0.7


@pytest.mark.parametrize(
    "broken",
    [
        b"\0" * 600,
        b"not a profile at all" * 40,
        SPACES["prophoto"].profile[:200],
        SPACES["prophoto"].profile.replace(b"rTRC", b"xTRC"),
        SPACES["prophoto"].profile.replace(b"acsp", b"asdf"),
        Space(((0, 0, 0), (0, 0, 0), (0, 0, 0)), 1.8).profile,
        cmyk_profile(),
        grey_profile(1.0),
    ],
    ids=["zeros", "text", "cut", "no curve", "no signature", "black", "for CMYK", "for grey"],
)
@pytest.mark.parametrize("kind", ["png", "jpg", "webp", "tif"])
def test_a_profile_that_is_broken_or_for_other_pixels_does_not_count(tmp_path: Path, kind: str, broken: bytes) -> None:
    options = FORMATS[kind]
    Image.fromarray(PIXELS).save(tmp_path / f"with.{kind}", icc_profile=broken, **options)
    Image.fromarray(PIXELS).save(tmp_path / f"without.{kind}", **options)
    assert distance(read_pixels(tmp_path / f"with.{kind}"), read_pixels(tmp_path / f"without.{kind}")) == 0


def test_a_profile_for_rgb_does_not_count_in_cmyk(tmp_path: Path) -> None:
    cmyk = Image.fromarray(PIXELS).convert("CMYK")
    cmyk.save(tmp_path / "with.tif", icc_profile=SPACES["prophoto"].profile)
    cmyk.save(tmp_path / "without.tif")
    assert distance(read_pixels(tmp_path / "with.tif"), read_pixels(tmp_path / "without.tif")) == 0


def test_pixels_in_srgb_are_left_alone_and_cost_no_more_than_a_look() -> None:
    image = Image.fromarray(PIXELS)
    for same in (srgb_profile(), b"", None):
        image.info = {"icc_profile": same}
        assert upright_rgb(image) is image
    before = transform_of.cache_info()
    image.info = {"icc_profile": bytes(bytearray(srgb_profile()))}
    assert upright_rgb(image) is image
    after = transform_of.cache_info()
    assert (after.misses, after.hits) == (before.misses, before.hits + 1)


def test_what_was_converted_is_not_converted_again() -> None:
    image = Image.fromarray(PIXELS)
    image.info["icc_profile"] = SPACES["prophoto"].profile
    once = upright_rgb(image)
    assert "icc_profile" not in once.info
    assert upright_rgb(once) is once
    assert image.info["icc_profile"]  # the caller's picture stays as it was


def test_the_square_for_a_model_has_the_same_colours(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png", icc_profile=SPACES["prophoto"].profile)
    assert (read_array(tmp_path / "a.png", 64) == to_array(Image.fromarray(read_pixels(tmp_path / "a.png")), 64)).all()


@pytest.mark.parametrize("exponent", [1.0, 0.55556, 0.8])
@pytest.mark.parametrize("depth", [8, 16])
def test_the_gamma_of_a_png_is_applied(tmp_path: Path, exponent: float, depth: int) -> None:
    top = 2**depth - 1
    samples = np.rint(top * light(PIXELS) ** exponent)
    (tmp_path / "a.png").write_bytes(png(samples, RGB, depth, gamma(exponent)))
    stored = samples / top
    assert distance(read_pixels(tmp_path / "a.png"), 255 * encode(stored ** (1 / exponent))) < 0.7


def test_gamma_in_every_kind_of_png(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    level = grey(PIXELS)
    expected = 255 * encode(level / 255)
    path.write_bytes(png(level, GREY, 8, gamma(1)))
    assert distance(read_pixels(path), expected) < 0.6
    path.write_bytes(png(level.astype(int) * 257, GREY, 16, gamma(1)))
    assert distance(read_pixels(path), expected) < 0.6
    opaque = np.full_like(level, 255)
    path.write_bytes(png(np.dstack([level, opaque]), GREY_ALPHA, 8, gamma(1)))
    assert distance(read_pixels(path), expected) < 0.6
    path.write_bytes(png(np.dstack([PIXELS, opaque]), RGB_ALPHA, 8, gamma(1)))
    assert distance(read_pixels(path), 255 * encode(PIXELS / 255)) < 0.6


def test_primaries_of_a_png_are_applied_with_its_gamma(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(PIXELS, RGB, 8, gamma(1 / 2.2), primaries(*ADOBE_PRIMARIES)))
    assert distance(read_pixels(tmp_path / "a.png"), SPACES["adobe"].to_srgb(PIXELS / 255)) < 0.6


AS_THEY_ARE = {
    "the usual gamma": [gamma(1 / 2.2)],
    "the primaries of sRGB": [gamma(1 / 2.2), primaries(*SRGB_PRIMARIES)],
    "primaries alone": [primaries(*ADOBE_PRIMARIES)],
    "sRGB": [gamma(1), chunk(b"sRGB", b"\0")],
    "a profile of sRGB": [gamma(1), profile(srgb_profile())],
    "no gamma": [gamma(0)],
    "no primaries": [gamma(1), primaries(*[0.0] * 8)],
    "primaries on a line": [gamma(1), primaries(0.3, 0.3, *[0.5, 0.4] * 3)],
    "sRGB by code points": [chunk(b"cICP", bytes([1, 13, 0, 1]))],
    "unspecified code points": [chunk(b"cICP", bytes([2, 2, 0, 1]))],
    "unknown code points": [chunk(b"cICP", bytes([77, 99, 0, 1]))],
}


@pytest.mark.parametrize("chunks", AS_THEY_ARE.values(), ids=AS_THEY_ARE)
def test_where_a_png_means_srgb_or_nothing_its_pixels_are_as_they_are(tmp_path: Path, chunks: list[bytes]) -> None:
    (tmp_path / "a.png").write_bytes(png(PIXELS, RGB, 8, *chunks))
    assert distance(read_pixels(tmp_path / "a.png"), PIXELS) == 0


def test_the_code_points_of_a_png_go_before_all_else(tmp_path: Path) -> None:
    p3 = chunk(b"cICP", bytes([12, 13, 0, 1]))
    path = tmp_path / "a.png"
    path.write_bytes(png(PIXELS, RGB, 8, p3))
    alone = read_pixels(path)
    assert distance(alone, PIXELS) > 2
    path.write_bytes(png(PIXELS, RGB, 8, p3, profile(SPACES["prophoto"].profile)))
    assert distance(read_pixels(path), alone) == 0
    path.write_bytes(png(PIXELS, RGB, 8, p3, gamma(1)))
    assert distance(read_pixels(path), alone) == 0


def pq(nits: np.ndarray) -> np.ndarray:
    power = (nits / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def hlg(nits: np.ndarray) -> np.ndarray:
    scene = np.clip((nits / 1_000) ** (1 / 1.2), 0, 1)
    bright = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright)


@pytest.mark.parametrize(("transfer", "encoded"), [(16, pq), (18, hlg)], ids=["PQ", "HLG"])
def test_high_dynamic_range_has_white_where_screens_have_it(
    tmp_path: Path, transfer: int, encoded: Callable[[np.ndarray], np.ndarray]
) -> None:
    samples = np.rint(65535 * encoded(203 * light(PIXELS)))
    code = chunk(b"cICP", bytes([1, transfer, 0, 1]))
    (tmp_path / "a.png").write_bytes(png(samples, RGB, 16, code))
    assert distance(read_pixels(tmp_path / "a.png"), PIXELS) < 0.7
    bright = np.rint(65535 * encoded(np.full((8, 8, 3), 900.0)))
    (tmp_path / "bright.png").write_bytes(png(bright, RGB, 16, code))
    assert (read_pixels(tmp_path / "bright.png") == 255).all()


def with_code_points(avif: bytes, primaries: int, transfer: int) -> bytes:
    at = avif.index(b"nclx") + 4
    return avif[:at] + bytes([0, primaries, 0, transfer]) + avif[at + 4 :]


def test_the_code_points_of_an_avif_are_applied(tmp_path: Path) -> None:
    path = tmp_path / "a.avif"
    Image.fromarray(PIXELS).save(path, **LOSSY["avif"])
    plain = path.read_bytes()
    stored = np.asarray(Image.open(path)) / 255
    path.write_bytes(with_code_points(plain, 1, 8))
    assert distance(read_pixels(path), SPACES["linear"].to_srgb(stored)) < 0.7
    path.write_bytes(with_code_points(plain, 2, 8))
    assert distance(read_pixels(path), SPACES["linear"].to_srgb(stored)) < 0.7
    for primaries_and_transfer in ((1, 13), (1, 1), (1, 6), (2, 2)):
        path.write_bytes(with_code_points(plain, *primaries_and_transfer))
        assert distance(read_pixels(path), 255 * stored) == 0


def test_the_code_points_of_a_heic_are_applied(tmp_path: Path) -> None:
    pytest.importorskip("pillow_heif")
    path = tmp_path / "a.heic"
    Image.fromarray(PIXELS).save(path, **FORMATS["heic"], color_primaries=1, transfer_characteristics=8)
    stored = np.asarray(Image.open(path).convert("RGB")) / 255
    assert distance(read_pixels(path), SPACES["linear"].to_srgb(stored)) < 0.7


def test_the_profile_of_a_jpeg_2000_is_applied(tmp_path: Path) -> None:
    path, space = tmp_path / "a.jp2", SPACES["prophoto"]
    Image.fromarray(PIXELS).save(path)
    content = path.read_bytes()
    at = content.index(b"colr") - 4
    length = int.from_bytes(content[at : at + 4], "big")
    box = (11 + len(space.profile)).to_bytes(4, "big") + b"colr\2\0\0" + space.profile
    header = content.index(b"jp2h") - 4
    grown = int.from_bytes(content[header : header + 4], "big") + len(box) - length
    path.write_bytes(
        content[:header] + grown.to_bytes(4, "big") + content[header + 4 : at] + box + content[at + length :]
    )
    assert distance(read_pixels(path), space.to_srgb(PIXELS / 255)) < 0.5


def test_profiles_made_of_numbers_are_those_of_the_specifications() -> None:
    """A colour space described by its primaries is the published one."""
    points = tuple(zip(ADOBE_PRIMARIES[::2], ADOBE_PRIMARIES[1::2], strict=True))
    icc_profile = rgb_profile(points, 2.2)
    assert icc_profile is not None
    image = Image.fromarray(PIXELS)
    image.info["icc_profile"] = icc_profile
    assert distance(upright_rgb(image), SPACES["adobe"].to_srgb(PIXELS / 255)) < 0.5
    image.info["icc_profile"] = coded_profile(12, 4)
    assert distance(upright_rgb(image), SPACES["display p3"].to_srgb(PIXELS / 255)) < 0.5


@pytest.mark.parametrize("channels", ["grey", "rgb"])
def test_large_pictures_of_deep_samples_are_converted_part_by_part(
    tmp_path: Path, channels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = PIXELS if channels == "rgb" else grey(PIXELS)
    given = SPACES["prophoto"].profile if channels == "rgb" else grey_profile(1.0)
    for name, chunks in (("plain", ()), ("managed", (profile(given),))):
        path = tmp_path / f"{name}.png"
        path.write_bytes(png(pixels.astype(int) * 257, RGB if channels == "rgb" else GREY, 16, *chunks))
        whole = read_pixels(path)
        with monkeypatch.context() as patch:
            patch.setattr("capcli.pictures.samples._AT_ONCE", 1000)
            assert distance(read_pixels(path), whole) == 0


def test_a_profile_of_no_known_type_does_not_count() -> None:
    image = Image.fromarray(PIXELS)
    image.info["icc_profile"] = ["a list"]
    assert upright_rgb(image) is image
