"""One run of a model over pictures, assembled once for every command.

What is left to do, the processes that read pictures, the model, the check of its options, what an earlier run began,
and the loop: a `Session` puts them together. A `Job` says what the model is asked, and what is done with its answers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence, Sized
from contextlib import ExitStack, closing
from functools import cached_property
from itertools import chain
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from capcli.decoding.options import DecodingKeywords, DecodingOptions
from capcli.model.options import ModelOptions
from capcli.output import Result
from capcli.output.origin import Origin, read_origin
from capcli.output.resume_record import ResumeRecord
from capcli.output.shard import Share
from capcli.output.survey import Survey
from capcli.runs.batches import Answer, ask_in_batches
from capcli.runs.observer import Observer
from capcli.runs.plan import Plan
from capcli.runs.tally import Tally

if TYPE_CHECKING:
    from capcli.arrays import UInt8Array
    from capcli.captioning import BaseCaptioner
    from capcli.pictures.stream import Reading, ReadingPool

Load = Callable[[ModelOptions], "BaseCaptioner"]
"""Loads the model that the options name; raises ModelError, and UsageError where the device is not there."""

Arriving = Callable[[Event, Tally], Iterator["Path | None"]]
"""Gives pictures that come while a run goes on, until the event is set; counts in the tally those that it leaves out.
"""


def load_captioner(place: ModelOptions) -> BaseCaptioner:
    """Loads the model that the options name, with the language model beside it."""
    from capcli.captioner import Captioner

    return Captioner.load(place.model, place.device, place.lm, place.engine)


class Job(Protocol[Answer]):
    """What a run makes of its pictures."""

    @property
    def singly(self) -> bool:
        """Whether each answer takes long to keep, so that a run may end between two pictures of a batch."""
        ...

    @property
    def describes(self) -> bool:
        """Whether it wants each reading's `facts`."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """Remarks for the user, a line each, that are known after `survey`."""
        ...

    @property
    def records(self) -> Sequence[ResumeRecord]:
        """Of the outputs that a later run may go on with."""
        ...

    def survey(self, pictures: Iterable[Path]) -> Survey | None:
        """Looks at all pictures before a run.

        Returns:
            what earlier runs settled; None where that is nothing, so that there was no need to look.

        Raises:
            UsageError: if the run must not begin.
        """
        ...

    def is_settled(self, picture: Path) -> bool:
        """Whether earlier runs settled a picture."""
        ...

    def begin(self, session: Session) -> None:
        """Makes everything ready once the model is there; raises UsageError for what it cannot do."""
        ...

    def ask(self, arrays: UInt8Array) -> Iterable[Answer]:
        """The model's answers about uint8 B x S x S x 3 pictures, S being the captioner's `size`."""
        ...

    def is_asked(self, reading: Reading) -> bool:
        """Whether the model is asked about a picture that could be read; called once for each, in their order."""
        ...

    def keep(self, reading: Reading, answer: Answer | None) -> Result | None:
        """Does something with the answer about a picture; there is none where the model was not asked.

        Returns:
            what became of the picture, or None if there was nothing to do with the answer.
        """
        ...

    def finish(self, tally: Tally, *, interrupted: bool) -> None:
        """Ends what `begin` began, once all pictures are done or the user interrupted the run."""
        ...


class Session:
    """A model and the processes that read pictures for it; a context manager.

    Both are there once they are needed. A run that has nothing to do loads nothing.

    Args:
        model: the model, where it computes, and how many pictures it gets at once.
        decoding: fields of `DecodingOptions` that take the place of the model's own.
        observer: hears of the runs.
        load: loads the model.
        readers: how many processes read pictures; by default as `ReadingPool` has it.

    Attributes:
        origin: what makes the results of the run that goes on, where its outputs have a record of that.
    """

    def __init__(
        self,
        model: ModelOptions,
        decoding: DecodingKeywords | None = None,
        *,
        observer: Observer | None = None,
        load: Load = load_captioner,
        readers: int | None = None,
    ) -> None:
        self.model, self.observer = model, observer or Observer()
        self._decoding, self._load = (decoding or DecodingKeywords()).copy(), load
        self._readers, self._stack = readers, ExitStack()
        self.origin: Origin | None = None

    @cached_property
    def captioner(self) -> BaseCaptioner:
        """The model.

        Raises:
            ModelError: if there is no such model, or its file cannot be used.
            UsageError: if the device is not there, or the model cannot follow the options.
        """
        self._pool.pids  # noqa: B018 - the processes start here, and load while torch does
        captioner = self._load(self.model)
        self._warn(*captioner.notes)
        captioner.check(captioner.options.replace(**self._decoding))
        return captioner

    @cached_property
    def options(self) -> DecodingOptions:
        """How captions are chosen: by the model's own options, but for those that were asked for."""
        return self.captioner.options.replace(**self._decoding)

    def run(
        self,
        job: Job[Answer],
        pictures: Iterable[Path],
        *,
        notes: Callable[[], Iterable[str]] = tuple,
        arriving: Arriving | None = None,
        share: Share | None = None,
    ) -> Tally:
        """Does a job on pictures, each exactly once and in order. What an earlier run settled is left out.

        Args:
            job: what to do.
            pictures: all pictures of the run; several iterations give the same. None is remembered.
            notes: gives remarks about them, a line each; it is called once all pictures were looked for.
            arriving: gives further pictures; a None among them hands over what there is so far.
            share: whose pictures they are, if they are only a part of those of a larger run.

        Raises:
            UsageError: for what the job or the model cannot do, and for outputs that something else made; nothing is
                done then.
            CapcliError: if the memory does not hold even one picture, and as the job does.
        """
        self.origin = origin = read_origin(self.model, self._decoding) if job.records else None
        remarks = [record.check(origin) for record in job.records if origin]
        survey = job.survey(pictures)
        self._warn(*job.notes, *remarks)
        tally = Tally(skipped=survey.settled, failed_before=survey.failed) if survey else Tally()
        total = _total(pictures, survey)
        if not (total or arriving):
            self._warn(*notes())
            return tally
        self.captioner  # noqa: B018 - loaded here, so that an interrupt meanwhile ends the run at once
        together = None if share is None else share.together(self.model.batch_size)
        plan = Plan(pictures, survey, job.is_settled, self.model.batch_size, together=together, notes=notes)
        with self.observer.interruptible() as interrupt:
            job.begin(self)
            coming = arriving(interrupt, tally) if arriving else ()
            how: Any = {"described": job.describes, "is_asked": job.is_asked, "together": together}
            with closing(self.batches(job.ask, chain(plan, coming), **how)) as batches:
                self._loop(job, batches, plan, tally, 0 if arriving else total, interrupt)
            tally.interrupted = interrupt.is_set()
            job.finish(tally, interrupted=tally.interrupted)
        return tally

    def batches(
        self,
        ask: Callable[[UInt8Array], Iterable[Answer]],
        pictures: Iterable[Path | None],
        **how: Any,
    ) -> Generator[list[tuple[Reading, Answer | None]], None, None]:
        """Pictures with the model's answers, as `ask_in_batches` gives them; `how` is for it, too."""
        size, batch_size = self.captioner.size, self.model.batch_size
        proportions = self.captioner.keeps_proportions
        return ask_in_batches(
            ask, pictures, self._pool, size=size, batch_size=batch_size, proportions=proportions, **how
        )

    def read(self, pictures: Iterable[Path]) -> Iterator[Reading]:
        """Pictures as the model takes them, one after another."""
        size, proportions = self.captioner.size, self.captioner.keeps_proportions
        with closing(self._pool.stream(pictures, size, 1, proportions=proportions)) as readings:
            for (reading,) in readings:
                yield reading

    @cached_property
    def _pool(self) -> ReadingPool:
        from capcli.pictures.stream import ReadingPool

        return self._stack.enter_context(ReadingPool(self._readers))

    def _loop(
        self,
        job: Job[Answer],
        batches: Iterable[list[tuple[Reading, Answer | None]]],
        plan: Plan,
        tally: Tally,
        total: int | Iterable[Path],
        interrupt: Event,
    ) -> None:
        start = time.monotonic()
        parts = ([pair] for batch in batches for pair in batch) if job.singly else batches
        with self.observer.progress(total) as progress:
            for part in parts:
                with progress.lifted(sum(reading.path not in plan.mates for reading, _ in part)):
                    self._warn(*plan.remarks())
                    for reading, answer in part:
                        if reading.path not in plan.mates:
                            self._warn(*(record.begin() for record in job.records))
                            self._account(job.keep(reading, answer), tally)
                            self._warn(*(record.complete() for record in job.records))
                tally.seconds = time.monotonic() - start
                if interrupt.is_set():
                    break
        self._warn(*plan.remarks())

    def _warn(self, *lines: str | None) -> None:
        for line in filter(None, lines):
            self.observer.warn(line)

    def _account(self, result: Result | None, tally: Tally) -> None:
        if result is None:
            tally.undrawn += 1
            return
        tally.count(result)
        if result.error is not None:
            self._warn(f"{result.path}: {result.error}")

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, at)


def _total(pictures: Iterable[Path], survey: Survey | None) -> int | Iterable[Path]:
    """How many pictures are to do; the pictures themselves where that is not known without going through them."""
    if survey is not None:
        return survey.left
    return len(pictures) if isinstance(pictures, Sized) else pictures
