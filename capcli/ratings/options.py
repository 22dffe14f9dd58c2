"""How captions are rated: one definition for the command line and the API."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from pathlib import Path

from capcli.errors import UsageError
from capcli.options import check, option
from capcli.ratings.judgement import PREFERENCE

ADEQUACY_FLUENCY = "adequacy-fluency"

WAYS = (PREFERENCE, ADEQUACY_FLUENCY)


@dataclass(frozen=True)
class RatingOptions:
    """Who rates what, and where the ratings go.

    Raises:
        UsageError: for an unknown scale, and for a name that names nobody.
    """

    output: Path = option(
        Path("ratings.jsonl"), "The file of ratings, to which answers are added.", flag="-o", metavar="FILE"
    )
    scale: str = option(
        PREFERENCE,
        "Which of two captions is better, or how adequate and fluent each is, from 1 to 5.",
        choices=WAYS,
        metavar="SCALE",
    )
    rater: str | None = option(None, "Who rates.", metavar="NAME", shown="the name that you are logged in by")
    count: int = option(0, "How many pictures, drawn at random, the same for all raters; 0 for all.", least=0)
    seed: int = option(0, "Another seed draws other pictures, and shows them in another order.", least=0)
    pictures: Path | None = option(
        None, "The folder of the pictures, where the rows do not say where they are.", metavar="DIR"
    )

    def __post_init__(self) -> None:
        check(self)
        if self.rater is not None and not self.rater.strip():
            raise UsageError("--rater names nobody")

    def name(self, otherwise: str) -> str:
        """Who rates: one spelling for one name, or `otherwise` where none was given."""
        return unicodedata.normalize("NFC", (self.rater or otherwise).strip())
