"""What every place does that keeps results for a later run to go on with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from capcli.output import Result, State
from capcli.output.resume_record import ResumeRecord


class Kept(AbstractContextManager["Kept"], Protocol):
    """A file of results; as a context manager it closes what it opened.

    Opening one raises UsageError where there is one already and a run neither resumes nor overwrites, where it holds
    something else, and where another process writes it.
    """

    @property
    def count(self) -> int:
        """How many pictures it held results of when the run began, as far as they stay."""
        ...

    def record(self, options: Mapping[str, object], *, resumes: bool, anyway: bool) -> ResumeRecord:
        """The record of what made its results.

        Args:
            options: those beside decoding that change the results.
            resumes: whether the run goes on with them.
            anyway: whether it goes on whatever made them.
        """
        ...

    def is_file(self, path: Path) -> bool:
        """Whether `path` leads to this very file."""
        ...

    def state(self, path: Path) -> State | None:
        """What it held of a picture when the run began; what the run itself wrote need not be remembered."""
        ...

    def states(self, folder: Path, names: Sequence[str]) -> Sequence[State | None]:
        """What it held of pictures of a folder, by their names there."""
        ...

    def forget(self, paths: Iterable[Path]) -> None:
        """Take pictures that are about to be captioned again for such as it does not hold; raises CapcliError."""
        ...

    def write(self, result: Result) -> bool:
        """Keep a result, out of the process when this returns; raises CapcliError where the disk does not take it.

        Returns:
            whether there is a row for a result like this.
        """
        ...

    def recall(self, result: Result) -> Result | None:
        """A result as its row has it by now, for sidecars; None for a caption that is not to be handed on."""
        ...

    def complete(self) -> None:
        """Hear that a run has settled all of its pictures; raises CapcliError where the disk does not take it."""
        ...


class ByFolder:
    """A place that looks for the pictures of a folder together, also where there is one."""

    def states(self, folder: Path, names: Sequence[str]) -> Sequence[State | None]:
        """What it held of pictures of a folder, by their names there."""
        raise NotImplementedError

    def state(self, path: Path) -> State | None:
        """What it held of a picture when the run began; nothing of one that is to be captioned again."""
        return self.states(path.parent, [path.name])[0]


class Faithful:
    """A place whose rows say what the run said: nobody decides in it about captions."""

    def recall(self, result: Result) -> Result | None:
        """The result as it is."""
        return result


class Endless:
    """A place that does not say whether a run has settled all of its pictures."""

    def complete(self) -> None:
        """Hears it, and writes nothing."""
