from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

av = pytest.importorskip("av")

from made_films import grey, quarters, write_film, write_sound  # noqa: E402

from capcli.errors import UnreadableFilm  # noqa: E402
from capcli.video.film import Film  # noqa: E402
from capcli.video.pixels import to_square  # noqa: E402

CONTAINERS = {
    "avi": {"codec": "mpeg4"},
    "flv": {"codec": "flv"},
    "h264": {},
    "mkv": {},
    "mov": {"codec": "mjpeg", "form": "yuvj420p"},
    "mp4": {},
    "mpg": {"codec": "mpeg2video"},
    "ogv": {"codec": "libvpx"},
    "ts": {},
    "webm": {"codec": "libvpx-vp9"},
}


def timed_levels(path: Path, every: float) -> list[tuple[float, int]]:
    """When the frames are shown, and how bright they are."""
    with Film(path) as film:
        return [
            (round(sample.time, 3), round(float(to_square(sample.frame, 8).mean()))) for sample in film.samples(every)
        ]


def refused(path: Path) -> str:
    with pytest.raises(UnreadableFilm) as found, Film(path) as film:
        list(film.samples(1))
    return found.value.reason


@pytest.mark.parametrize("ending", CONTAINERS)
def test_frames_come_at_their_times_from_every_container(ending: str, tmp_path: Path) -> None:
    rate = 25 if ending == "mpg" else 10
    levels = [20 * number for number in range(12)]
    path = write_film(
        tmp_path / f"film.{ending}", map(grey, levels), rate=rate, options={"g": "5"}, **CONTAINERS[ending]
    )
    found = timed_levels(path, 0.001)
    assert [time for time, _ in found] == pytest.approx([number / rate for number in range(12)], abs=0.002)
    assert [level for _, level in found] == pytest.approx(levels, abs=4)
    with Film(path) as film:
        list(film.samples(0.5))
        assert film.end == pytest.approx(12 / rate, abs=1.01 / rate)
        assert film.damage is None


@pytest.mark.slow
@settings(max_examples=25)
@given(st.integers(1, 40), st.integers(0, 3), st.integers(5, 400), st.integers(1, 60))
def test_leaving_out_what_is_not_wanted_gives_the_frames_of_the_whole(
    keyframes: int, between: int, hundredths: int, count: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mkv"
        options = {"g": str(keyframes), "bf": str(between), "preset": "ultrafast", "sc_threshold": "0"}
        write_film(path, (grey(4 * number) for number in range(count)), options=options)
        whole = timed_levels(path, 0.001)
        assert len(whole) == count
        wanted, mark = [], 0
        for time, level in whole:
            if round(100 * time) >= mark:
                wanted.append((time, level))
                mark = (round(100 * time) // hundredths + 1) * hundredths
        assert timed_levels(path, hundredths / 100) == wanted


def test_a_film_of_a_variable_rate_keeps_its_times(tmp_path: Path) -> None:
    times = [0, 0.04, 0.08, 5, 5.5, 31, 31.02]
    path = write_film(tmp_path / "film.mkv", (grey(30 * number) for number in range(7)), times=times)
    assert [time for time, _ in timed_levels(path, 0.01)] == times
    assert [time for time, _ in timed_levels(path, 2)] == [0, 5, 31]


def test_times_are_counted_from_the_beginning_of_the_file(tmp_path: Path) -> None:
    times = [7 + number / 10 for number in range(5)]
    path = write_film(tmp_path / "film.ts", (grey(40 * number) for number in range(5)), times=times)
    assert [time for time, _ in timed_levels(path, 0.01)] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4], abs=0.002)
    # A picture that comes later than the sound does so in what is shown, too.
    path = write_film(tmp_path / "late.mkv", map(grey, (10, 200)), times=[3, 4], sound=5)
    assert [time for time, _ in timed_levels(path, 0.01)] == pytest.approx([3, 4], abs=0.06)


def test_where_time_begins_anew_it_goes_on(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_film(tmp_path / f"{name}.ts", (grey(8 * number) for number in range(30)))
    joined = tmp_path / "film.ts"
    joined.write_bytes((tmp_path / "one.ts").read_bytes() + (tmp_path / "two.ts").read_bytes())
    times = [time for time, _ in timed_levels(joined, 1)]
    assert times == sorted(times)
    assert len(times) == 6
    assert times[-1] == pytest.approx(5, abs=0.2)


def test_every_turn_and_mirror_of_a_film_is_undone(tmp_path: Path) -> None:
    upright = quarters()
    for degrees in (0, 90, 180, 270):
        for mirrored in (False, True):

            def turn(stream: object, degrees: int = degrees, mirrored: bool = mirrored) -> None:
                stream.set_display_rotation(degrees, hflip=mirrored)  # type: ignore[attr-defined]

            # Players turn it against the clock, then mirror it. So this is stored.
            stored = np.ascontiguousarray(np.rot90(upright[:, ::-1] if mirrored else upright, -degrees // 90))
            path = write_film(tmp_path / "film.mp4", [stored] * 3, prepare=turn, options={"crf": "1"})
            with Film(path) as film:
                (sample,) = film.samples(10)
                square = to_square(sample.frame, 48).astype(int)
            expected = np.asarray(Image.fromarray(upright).resize((48, 48), Image.Resampling.BICUBIC), int)
            assert np.abs(square - expected).mean() < 4, (degrees, mirrored)


def test_names_that_mean_something_to_ffmpeg_are_files(tmp_path: Path) -> None:
    names = ["http:film.mp4", "concat:a|b.mp4", "-", "%03d.mp4", "film?.mp4", os.fsdecode(b"\xff\xfe.mp4"), "\n.mp4"]
    for name in names:
        path = tmp_path / name
        write_film(tmp_path / "film.mp4", [grey(100)] * 2).replace(path)
        assert timed_levels(path, 1) == [(0, 100)], name


def test_what_is_no_film_is_refused_with_the_reason(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mp4", [grey(100)] * 20)
    buffer = io.BytesIO()
    Image.fromarray(quarters()).save(buffer, "JPEG")
    (tmp_path / "words.mp4").write_text("Once upon a time there was a film.\n" * 500)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "photo.mp4").write_bytes(buffer.getvalue())
    (tmp_path / "beginning.mp4").write_bytes(film.read_bytes()[:400])
    (tmp_path / "zeros.mp4").write_bytes(bytes(100_000))
    no_film = "is no film, or its beginning or its index is missing or damaged"
    assert refused(tmp_path / "words.mp4") in (no_film, "is no film capcli can read")
    assert refused(tmp_path / "zeros.mp4") == no_film
    assert refused(tmp_path / "beginning.mp4") == no_film
    assert refused(tmp_path / "empty.mp4") == "is empty (0 bytes)"
    assert refused(tmp_path / "photo.mp4") == "is no film capcli can read"
    assert refused(tmp_path / "none.mp4") == "does not exist"
    assert refused(tmp_path) == "is a folder"
    sound = write_sound(tmp_path / "sound.m4a", 1)
    assert refused(sound) == "holds sound and no moving picture"
    covered = write_sound(tmp_path / "covered.mp3", 1, cover=buffer.getvalue())
    assert refused(covered) == "holds sound with a cover and no moving picture"


@pytest.mark.skipif(os.name == "nt", reason="there are no such files")
def test_what_may_have_no_end_is_not_even_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "film.mp4")
    assert "may have no end" in refused(tmp_path / "film.mp4")
    assert "may have no end" in refused(Path("/dev/zero"))


def test_a_list_of_films_leads_to_no_other_file(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.ts", [grey(100)] * 20)
    header = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n"
    for name, content in {
        "list.mp4": f"{header}{film}\n#EXT-X-ENDLIST\n",
        "far.mp4": f"{header}http://127.0.0.1:9/film.ts\n#EXT-X-ENDLIST\n",
        "joined.mp4": f"ffconcat version 1.0\nfile '{film}'\n",
    }.items():
        (tmp_path / name).write_text(content)
        assert refused(tmp_path / name)


def test_a_film_that_was_cut_off_gives_what_is_there_and_says_so(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 48, 64, 3), dtype=np.uint8)
    path = write_film(tmp_path / "film.mkv", noise)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with Film(path) as film:
        times = [sample.time for sample in film.samples(0.5)]
        assert times[0] == 0
        assert 1.5 < times[-1] < 4.5
        assert film.damage is not None
        assert film.damage.startswith(f"ends after {film.end:.1f} of 6.0 seconds")


def test_a_film_that_is_damaged_inside_goes_on_behind_it(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 48, 64, 3), dtype=np.uint8)
    path = write_film(tmp_path / "film.ts", noise, options={"g": "10"})
    content = bytearray(path.read_bytes())
    third = len(content) // 3
    content[third : third + third // 4] = bytes(third // 4)
    path.write_bytes(content)
    with Film(path) as film:
        times = [sample.time for sample in film.samples(0.5)]
        assert (times[0], times[-1]) == (0, pytest.approx(5.5, abs=0.6))
        assert film.damage is not None
        assert "damaged" in film.damage
