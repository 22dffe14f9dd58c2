"""An account of every picture of a run."""

from __future__ import annotations

from dataclasses import dataclass

from capcli.output import Result


@dataclass
class Tally:
    """What became of the pictures of a run.

    Attributes:
        captioned: pictures with captions.
        skipped: pictures that an earlier run settled, `failed_before` of them as failures.
        failed: pictures with an error.
        copied: captioned ones that have the caption of another picture of their burst.
        uncertain: captioned ones below the least confidence.
        undrawn: pictures whose captions have no word to draw; they are not among the captioned.
        seconds: the run took, without loading the model.
        interrupted: whether the user ended the run before its end.
    """

    captioned: int = 0
    skipped: int = 0
    failed_before: int = 0
    failed: int = 0
    copied: int = 0
    uncertain: int = 0
    undrawn: int = 0
    seconds: float = 0.0
    interrupted: bool = False

    def count(self, result: Result) -> None:
        if result.error is None:
            self.captioned += 1
            self.copied += result.copied_from is not None
            self.uncertain += result.uncertain
        else:
            self.failed += 1

    def __str__(self) -> str:
        before = f" ({self.failed_before:,} failed before, see --retry-failed)" if self.failed_before else ""
        copied = f" ({self.copied:,} by another picture of their burst)" if self.copied else ""
        summary = f"captioned {self.captioned:,}{copied}, skipped {self.skipped:,}{before}, failed {self.failed:,}"
        if self.uncertain:
            summary += f", uncertain {self.uncertain:,}"
        if self.undrawn:
            summary += f", nothing to draw {self.undrawn:,}"
        if self.seconds:
            summary += f", {self.captioned / self.seconds:.1f} images/s"
        return summary
