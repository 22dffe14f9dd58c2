"""One run over pictures, with a captioner that is handed in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fake_captioner import FakeCaptioner
from PIL import Image

from capcli.errors import UsageError
from capcli.model.options import ModelOptions
from capcli.output import Result
from capcli.output.resume_record import ResumeRecord
from capcli.output.survey import Survey, look_through
from capcli.runs.batches import make_result
from capcli.runs.observer import Observer
from capcli.runs.session import Session
from capcli.runs.tally import Tally

PLACE = ModelOptions(batch_size=2)


class Collect:
    """A job that keeps what it gets, and leaves out what it is told is settled."""

    singly = False
    describes = False
    records: Sequence[ResumeRecord] = ()
    notes = ("a\nremark",)

    def __init__(self, settled: Sequence[str] = ()) -> None:
        self._settled = settled
        self.kept: list[tuple[str, Any]] = []
        self.calls: list[str] = []

    def survey(self, pictures: Iterable[Path]) -> Survey | None:
        return look_through(pictures, self.is_settled, lambda picture: picture.name == "1.png")

    def is_settled(self, picture: Path) -> bool:
        return picture.name in self._settled

    def begin(self, session: Session) -> None:
        self.calls.append("begin")
        self._session = session

    def ask(self, arrays: np.ndarray) -> list[Any]:
        return self._session.captioner.caption_arrays(arrays, self._session.options)

    def is_asked(self, reading: Any) -> bool:
        return True

    def keep(self, reading: Any, answer: Any) -> Result | None:
        self.kept.append((reading.path.name, answer and answer.text))
        return None if answer and answer.text == "brightness 3" else make_result(reading, answer, "fake")

    def finish(self, tally: Tally, *, interrupted: bool) -> None:
        self.calls.append(f"finish {interrupted}")


class Hear(Observer):
    """Remembers what it hears, and interrupts a run after a number of pictures."""

    def __init__(self, patience: int = 99) -> None:
        self.heard: list[str] = []
        self.totals: list[int | Iterable[object]] = []
        self.event, self._patience = Event(), patience

    def warn(self, line: str) -> None:
        self.heard.append(line)

    def progress(self, total: int | Iterable[object]) -> Any:
        self.totals.append(total)
        return super().progress(total)

    def interruptible(self) -> Any:
        class Given:
            __enter__ = staticmethod(lambda: self.event)
            __exit__ = staticmethod(lambda *_: None)

        return Given()


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    for i in range(5):
        Image.new("RGB", (9, 9), (i, i, i)).save(tmp_path / f"{i}.png")
    return [tmp_path / f"{i}.png" for i in range(5)]


def test_each_picture_is_kept_once_and_in_order_and_accounted_for(pictures: list[Path]) -> None:
    pictures[1].write_bytes(b"")
    fake, observer, job = FakeCaptioner(), Hear(), Collect()
    with Session(PLACE, {"beam_size": 2}, observer=observer, load=fake.load) as session:
        tally = session.run(job, pictures, notes=lambda: ["about pictures"])
    assert job.kept == [
        ("0.png", "brightness 0"),
        ("1.png", None),
        *((f"{i}.png", f"brightness {i}") for i in (2, 3, 4)),
    ]
    assert job.calls == ["begin", "finish False"]
    assert (tally.captioned, tally.failed, tally.undrawn, tally.skipped) == (3, 1, 1, 0)
    assert observer.heard == ["a\nremark", "about pictures", f"{pictures[1]}: is empty (0 bytes)"]
    assert observer.totals == [5]
    assert {options.beam_size for options in fake.asked} == {2}
    assert fake.loaded == [PLACE]


def test_a_run_with_nothing_to_do_loads_nothing(pictures: list[Path]) -> None:
    fake, job = FakeCaptioner(), Collect([picture.name for picture in pictures])
    with Session(PLACE, load=fake.load) as session:
        tally = session.run(job, pictures)
    assert (fake.loaded, job.calls, job.kept) == ([], [], [])
    assert (tally.skipped, tally.failed_before) == (5, 1)


def test_what_an_earlier_run_settled_only_fills_its_batch(pictures: list[Path]) -> None:
    fake, job = FakeCaptioner(), Collect(["0.png", "1.png", "2.png"])
    with Session(PLACE, load=fake.load) as session:
        session.run(job, pictures)
    assert [name for name, _ in job.kept] == ["3.png", "4.png"]
    assert fake.batches == [2, 1]


@pytest.mark.parametrize(("singly", "kept"), [(False, 2), (True, 1)])
def test_an_interrupt_ends_a_run_with_the_batch_or_the_picture_in_hand(
    pictures: list[Path], singly: bool, kept: int
) -> None:
    observer, job = Hear(), Collect()
    job.singly = singly
    ask = job.ask

    def interrupting(arrays: np.ndarray) -> list[Any]:
        observer.event.set()
        return ask(arrays)

    job.ask = interrupting  # type: ignore[method-assign]
    with Session(PLACE, observer=observer, load=FakeCaptioner().load) as session:
        tally = session.run(job, pictures)
    assert len(job.kept) == kept == tally.captioned
    assert job.calls == ["begin", "finish True"]


def test_pictures_that_arrive_follow_those_that_are_there(pictures: list[Path]) -> None:
    def arriving(interrupt: Event, tally: Tally) -> Iterator[Path | None]:
        yield None
        tally.skipped += 1
        yield pictures[4]

    observer, job = Hear(), Collect()
    with Session(PLACE, observer=observer, load=FakeCaptioner().load) as session:
        tally = session.run(job, pictures[:1], arriving=arriving)
    assert [name for name, _ in job.kept] == ["0.png", "4.png"]
    assert tally.skipped == 1
    assert observer.totals == [0]


def test_a_model_that_cannot_follow_is_refused_before_the_job_begins(pictures: list[Path]) -> None:
    job = Collect()
    with (
        Session(PLACE, {"prefix": "unknowable"}, load=FakeCaptioner().load) as session,
        pytest.raises(UsageError, match="unknowable"),
    ):
        session.run(job, pictures)
    assert (job.calls, job.kept) == ([], [])


def test_several_runs_share_a_model(pictures: list[Path]) -> None:
    fake = FakeCaptioner()
    with Session(PLACE, load=fake.load) as session:
        for _ in range(2):
            session.run(Collect(), pictures)
        readings = list(session.read(pictures[:3]))
    assert len(fake.loaded) == 1
    assert [reading.path for reading in readings] == pictures[:3]
    assert {reading.array.shape for reading in readings if reading.array is not None} == {(8, 8, 3)}


def test_results_hold_what_the_formats_tell(pictures: list[Path]) -> None:
    word = SimpleNamespace(text="dog", log_probability=-0.5, sentinel=None)
    other = SimpleNamespace(text="a cat", confidence=0.2)
    best: Any = SimpleNamespace(
        text="a dog", confidence=0.7, alternatives=(other,), uncertain=True, keywords=None, words=(word,)
    )
    reading: Any = SimpleNamespace(path=pictures[0], error=None, facts=None)
    assert make_result(reading, best, "m", with_words=True) == Result(
        pictures[0], ("a dog", "a cat"), (0.7, 0.2), "m", True, (("dog", -0.5, None),)
    )
    assert make_result(reading, best, "m").words is None


class Walk:
    """Pictures that nobody has counted."""

    def __init__(self, pictures: Sequence[Path]) -> None:
        self._pictures = pictures

    def __iter__(self) -> Iterator[Path]:
        return iter(self._pictures)


@pytest.mark.parametrize("settled", [(), ("0.png", "1.png", "2.png"), ("1.png",), ("4.png",)])
def test_pictures_that_come_one_after_another_are_done_as_a_list_of_them(
    pictures: list[Path], settled: tuple[str, ...]
) -> None:
    found = []
    for given in (pictures, Walk(pictures)):
        fake, job = FakeCaptioner(), Collect(settled)
        with Session(PLACE, load=fake.load) as session:
            tally = session.run(job, given)
        found.append((job.kept, fake.batches, tally.skipped, tally.failed_before))
    assert found[0] == found[1]
    assert sorted(name for name, _ in found[0][0]) == [path.name for path in pictures if path.name not in settled]


def test_uncounted_pictures_are_handed_to_whoever_shows_progress(pictures: list[Path]) -> None:
    observer, walk = Hear(), Walk(pictures)
    with Session(PLACE, observer=observer, load=FakeCaptioner().load) as session:
        session.run(NeverBefore(), walk)
    assert observer.totals == [walk]


class NeverBefore(Collect):
    """A job that knows without a look that nothing is settled."""

    def survey(self, pictures: Iterable[Path]) -> Survey | None:
        return None
