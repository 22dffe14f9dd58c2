from __future__ import annotations

import errno
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

av = pytest.importorskip("av")

from made_films import grey, write_film  # noqa: E402

from capcli.errors import UnreadableFilm, UsageError  # noqa: E402
from capcli.video import camera  # noqa: E402
from capcli.video.camera import Source, find_source, open_source, why_silent  # noqa: E402
from capcli.video.feed import Arrival, Feed  # noqa: E402
from capcli.video.pixels import to_square  # noqa: E402

linux = pytest.mark.skipif(sys.platform != "linux", reason="cameras are found by the system's own names")


def arrivals(feed: Feed) -> Iterator[Arrival]:
    while True:
        try:
            arrival = feed.take(5)
        except EOFError:
            return
        assert arrival is not None
        yield arrival


def bright(arrival: Arrival) -> int:
    return round(float(to_square(arrival.frame, 8).mean()))


def test_an_address_is_shown_without_its_password() -> None:
    source = find_source("rtsp://ann:secret@camera.local:554/stream?x=1")
    assert source.name == "rtsp://camera.local:554/stream?x=1"
    assert source.address == "rtsp://ann:secret@camera.local:554/stream?x=1"
    assert "file" not in source.options["protocol_whitelist"].split(",")


def test_a_film_is_played_in_real_time(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.mp4", map(grey, (50, 100, 150)))
    assert find_source(str(path)) == Source(str(path), str(path), film=True)
    assert find_source(path.as_uri()).address == str(path)


@linux
def test_a_camera_that_is_not_there_is_one_line_with_those_that_are(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"there is no camera 77; this computer has no camera|there are /dev/video"):
        find_source("77")
    monkeypatch.setattr(camera, "list_cameras", lambda: ["/dev/video0", "/dev/video2"])
    with pytest.raises(UsageError, match="there is no camera Webcam; there are /dev/video0, /dev/video2"):
        find_source("Webcam")
    with pytest.raises(UnreadableFilm, match="camera /dev/null: is no camera"):
        open_source(find_source("/dev/null"))


@pytest.mark.parametrize(
    ("system", "form", "asked", "address"),
    [
        ("darwin", "avfoundation", "0", "0"),
        ("darwin", "avfoundation", "FaceTime Camera", "FaceTime Camera"),
        ("win32", "dshow", "1", "video=Second"),
        ("win32", "dshow", "First", "video=First"),
    ],
)
def test_each_system_calls_its_cameras_in_its_own_way(
    system: str, form: str, asked: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(camera.sys, "platform", system)
    monkeypatch.setattr(camera, "list_cameras", lambda: ["First", "Second"])
    source = find_source(asked)
    assert (source.form, source.address, source.name) == (form, address, f"camera {asked}")
    with pytest.raises(UsageError, match="there is no camera 2; there are First, Second"):
        find_source("2")


def test_what_a_system_says_of_a_camera_becomes_what_to_do() -> None:
    def reason(number: int) -> str:
        return why_silent(OSError(number, "as the system says it"))

    assert reason(errno.EBUSY) == "is being used by another program; end that first"
    assert reason(errno.EACCES).startswith("may not be used (permission denied); allow it")
    assert reason(errno.ENOENT).startswith("is not there; ")
    assert reason(errno.EIO) == "cannot be opened (as the system says it)"
    assert reason(errno.ETIMEDOUT) == "gives no pictures for 10 seconds"


def test_nobody_at_an_address_is_one_line() -> None:
    with pytest.raises(UnreadableFilm, match=r"http://127.0.0.1:9/x: cannot be opened \(connection refused\)"):
        open_source(find_source("http://me:secret@127.0.0.1:9/x"))


def test_frames_of_a_film_come_when_they_are_due(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.mp4", (grey(20 * number) for number in range(8)))
    begun = time.monotonic()
    with Feed(find_source(str(path))) as feed:
        found = list(arrivals(feed))
    # On a busy machine one may be dropped.
    assert [bright(arrival) for arrival in found] == pytest.approx([200 * arrival.time for arrival in found], abs=3)
    assert len(found) + feed.dropped == 8
    assert all(arrival.at - begun >= arrival.time for arrival in found)
    assert found[-1].time == pytest.approx(0.7)


def test_who_is_slow_gets_the_newest_frame_and_the_others_are_dropped(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.mp4", (grey(10 * number) for number in range(20)), rate=40)
    with Feed(find_source(str(path))) as feed:
        found = []
        for arrival in arrivals(feed):
            found.append(arrival)
            time.sleep(0.15)
    times = [arrived.time for arrived in found]
    assert times == sorted(times)
    assert times[-1] == pytest.approx(19 / 40)
    assert len(found) + feed.dropped == 20
    assert feed.dropped >= 10


def test_a_device_is_received_until_it_ends() -> None:
    with Feed(Source("a test picture", "testsrc=duration=0.4:rate=10:size=64x48", form="lavfi")) as feed:
        found = list(arrivals(feed))
    assert found
    # On a busy machine the first frame may have been dropped for a newer one.
    assert found[0].time == 0 or feed.dropped
    assert to_square(found[0].frame, 8).shape == (8, 8, 3)


def test_a_stream_is_received(tmp_path: Path) -> None:
    write_film(tmp_path / "film.ts", map(grey, (40, 80, 120)))

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Feed(find_source(f"http://127.0.0.1:{server.server_port}/film.ts")) as feed:
            assert bright(list(arrivals(feed))[-1]) == pytest.approx(120, abs=3)
        with pytest.raises(UnreadableFilm, match="cannot be opened"):
            Feed(find_source(f"http://127.0.0.1:{server.server_port}/none.ts"))
        server.shutdown()


def test_leaving_in_the_middle_ends_the_thread(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.mp4", map(grey, (40, 80)), times=[0, 600])
    before, begun = threading.active_count(), time.monotonic()
    with Feed(find_source(str(path))) as feed:
        assert feed.take(5) is not None
        assert feed.take(0.05) is None
    assert threading.active_count() == before
    assert time.monotonic() - begun < 5
