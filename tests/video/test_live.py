from __future__ import annotations

from io import BytesIO
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest
from fake_captioner import FakeCaptioner
from PIL import Image

av = pytest.importorskip("av")

from made_films import grey, quarters, write_film  # noqa: E402

from capcli.video.camera import find_source  # noqa: E402
from capcli.video.feed import Arrival, Feed  # noqa: E402
from capcli.video.live import Account, Sight, caption_live, warm_up  # noqa: E402
from capcli.video.viewer import EncodingViewer  # noqa: E402


class Screen:
    """Remembers what it is given."""

    def __init__(self, leave: Event | None = None, after: int = 0) -> None:
        self.seen: list[Sight] = []
        self._leave, self._after = leave, after

    def show(self, sight: Sight) -> None:
        self.seen.append(sight)
        if self._leave is not None and len(self.seen) == self._after:
            self._leave.set()


def live(path: Path, fake: Any, screen: Screen, *, least: float = 0.5, leave: Event | None = None) -> Account:
    with Feed(find_source(str(path))) as feed:
        return caption_live(
            feed, EncodingViewer(fake, fake.options), screen, every=0, scene_change=least, leave=leave or Event()
        )


def test_only_frames_that_show_something_else_are_captioned(tmp_path: Path) -> None:
    levels = [40] * 5 + [220] * 5 + [60] * 5
    path, fake, screen = write_film(tmp_path / "film.mp4", map(grey, levels)), FakeCaptioner(), Screen()
    account = live(path, fake, screen)
    captioned = [int(sight.caption.text.split()[1]) for sight in screen.seen if sight.new]
    assert captioned == pytest.approx([40, 220, 60], abs=4)
    assert (account.captioned, fake.captioned, len(account.delays)) == (3, 3, 3)
    assert account.looked == len(screen.seen)
    # What is shown between is the caption of the scene.
    assert all(sight.caption.text for sight in screen.seen)
    assert 0 < account.median <= account.late < 5
    assert "captioned 3, delay " in str(account)


def test_at_zero_each_look_is_captioned(tmp_path: Path) -> None:
    screen = Screen()
    account = live(write_film(tmp_path / "film.mp4", [grey(200)] * 4), FakeCaptioner(), screen, least=0)
    assert account.captioned == account.looked == len(screen.seen)


def test_it_ends_when_the_user_wants_it(tmp_path: Path) -> None:
    leave = Event()
    path = write_film(tmp_path / "film.mp4", map(grey, (40, 220)), times=[0, 600])
    account = live(path, FakeCaptioner(), Screen(leave, 1), leave=leave)
    assert (account.looked, account.captioned) == (1, 1)


def test_the_model_is_warm_before_the_first_frame() -> None:
    fake: Any = FakeCaptioner()
    warm_up(EncodingViewer(fake, fake.options))
    assert fake.captioned == 1


def test_the_page_shows_the_newest_picture_and_its_sentence() -> None:
    pytest.importorskip("starlette")
    from starlette.testclient import TestClient

    from capcli.video.page import Board, make_application

    board, fake = Board(), FakeCaptioner()
    here = "http://127.0.0.1:8766"
    client = TestClient(make_application(board, "camera <0>", "secret", 8766), base_url=f"{here}/secret/")
    assert client.get("picture").status_code == 404
    (caption,) = fake.caption_arrays(np.full((1, 8, 8, 3), 99, np.uint8), fake.options)
    frame = av.VideoFrame.from_ndarray(quarters((320, 240)), "rgb24")
    shown: Any = Sight(Arrival(frame, 0.0, 0.0), 1.0, caption, True, 0.123)
    # A page that waits hears of it at once.
    answers: list[Any] = []
    waiting = Thread(target=lambda: answers.append(client.get("state?after=0").json()))
    waiting.start()
    board.show(shown)
    waiting.join(4)
    assert answers == [{"number": 1, "ended": False, "sentence": "brightness 99", "delay": 123}]
    with Image.open(BytesIO(client.get("picture?number=1").content)) as picture:
        assert picture.size == (320, 240)
        pixel: Any = picture.convert("RGB").getpixel((40, 40))
    assert np.abs(np.subtract(pixel, (200, 30, 40))).max() < 12
    board.end()
    assert client.get("state?after=1").json()["ended"] is True
    assert "camera &lt;0&gt;" in client.get("").text
    assert client.get("live.css").headers["content-type"].startswith("text/css")
    assert "javascript" in client.get("live.js").headers["content-type"]
    assert client.get("state?after=-1").status_code == 400
    # The guard of the review page stands before it.
    assert client.get(f"{here}/other/").status_code == 404
    assert client.get("", headers={"Host": "evil.example"}).status_code == 421
    assert "default-src 'none'" in client.get("").headers["content-security-policy"]
