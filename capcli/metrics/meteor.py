"""METEOR 1.5 (Denkowski and Lavie 2014) for English, aligned by its authors' program."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from capcli.arrays import Float64Array
from capcli.errors import CapcliError
from capcli.metrics.java import VERSIONS, find_jar, find_java
from capcli.metrics.statistics import Sums, Tokens

# The paper's table 1 for English, and section 2.2 for the weights of exact, stem, synonym and paraphrase matches.
_ALPHA, _BETA, _GAMMA, _DELTA = 0.85, 0.2, 0.6, 0.75
_WEIGHTS = np.array([1.0, 0.6, 0.8, 0.6])

# Words and function words of hypothesis and reference; for each kind of match those of content words and then of
# function words, in hypothesis and reference; chunks, and matched words of hypothesis and reference.
_STATISTICS = 4 + 4 * len(_WEIGHTS) + 3

_ENDS = re.compile(r"\|\|\||[\r\n]")

# Seconds for Java to end after its last word.
_PATIENCE = 10.0


class Meteor:
    """The running program, which takes seconds to start; a context manager that ends it.

    Args:
        aligned: is called after every caption, of which the program does about a hundred in a second.

    Raises:
        Unavailable: there is no Java, or pycocoevalcap is not installed.
        CapcliError: Java can not be started.
    """

    def __init__(self, aligned: Callable[[], None] | None = None) -> None:
        self._aligned = aligned or (lambda: None)
        jar = find_jar(f"meteor/meteor-{VERSIONS['METEOR']}.jar")
        command: list[str | Path] = [find_java(), "-Xmx2G", "-jar", jar, "-", "-", "-stdio", "-l", "en", "-norm"]
        # A pipe that nobody reads would fill up and stop the program.
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - closed on exit
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._complaints
            )
        except OSError as error:
            self._complaints.close()
            raise CapcliError(f"METEOR can not be started ({error}); --no-java leaves it out") from None

    def __enter__(self) -> Meteor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # It has nothing to lose, and might be in the middle of an answer.
        self._process.kill()
        self._process.communicate()
        self._complaints.close()

    def statistics(self, references: Sequence[Sequence[Tokens]], hypotheses: Sequence[Tokens]) -> Sums:
        """METEOR, from the alignment of each hypothesis with its best reference.

        Args:
            references: for each image its reference sentences as tokens, at least one each.
            hypotheses: one sentence for each image, in the same order.

        Raises:
            ValueError: an image without references, or not as many hypotheses as images.
            CapcliError: the program fails.
        """
        if not all(references):
            raise ValueError("METEOR needs at least one reference for each image")
        rows = [self._align(sentences, words) for sentences, words in zip(references, hypotheses, strict=True)]
        return Sums(("METEOR",), np.array(rows, float).reshape(-1, _STATISTICS), _formula)

    def _align(self, references: Sequence[Tokens], hypothesis: Tokens) -> list[float]:
        line = " ||| ".join(["SCORE", *map(_sentence, references), _sentence(hypothesis)])
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        answer = b""
        try:
            # One line for each: with one on its way at a time, neither side waits for the other to read.
            stdin.write(f"{line}\n".encode(errors="replace"))
            stdin.flush()
            answer = stdout.readline()
            row = [float(number) for number in answer.split()]
        except (OSError, ValueError):
            row = []
        if len(row) != _STATISTICS:
            raise CapcliError(f"METEOR failed ({self._complaint(answer)}); --no-java leaves it out")
        self._aligned()
        # A sentence that is its reference counts as unbroken, also within sums.
        if row[0] == sum(row[4:-3:2]) and row[1] == sum(row[5:-3:2]) and row[-3] == 1:
            row[-3] = 0.0
        return row

    def _complaint(self, answer: bytes) -> str:
        if not answer:
            try:
                self._process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                return "no answer"
            self._complaints.seek(0)
            answer = self._complaints.read()
        lines = answer.decode(errors="replace").strip().splitlines()
        return lines[0] if lines else f"Java ended with exit code {self._process.returncode}"


def _sentence(words: Tokens) -> str:
    # What the program takes for the end of a sentence can not be part of one.
    return _ENDS.sub(" ", " ".join(map(str, words)))


def _formula(totals: Float64Array) -> Float64Array:
    """Section 2.1 of the paper on sums over the images, as the program aggregates them; 0 where nothing matches."""
    lengths, function_words = totals[..., 0:2], totals[..., 2:4]
    matches = totals[..., 4:-3].reshape(*totals.shape[:-1], len(_WEIGHTS), 2, 2)
    chunks, matched = totals[..., -3], totals[..., -2:]
    importance = np.array([_DELTA, 1 - _DELTA])
    weighted = np.einsum("...mws,m,w->...s", matches, _WEIGHTS, importance)
    weighted_lengths = _DELTA * (lengths - function_words) + (1 - _DELTA) * function_words
    with np.errstate(divide="ignore", invalid="ignore"):
        precision, recall = np.moveaxis(weighted / weighted_lengths, -1, 0)
        mean = 1 / ((1 - _ALPHA) / precision + _ALPHA / recall)
        score = mean * (1 - _GAMMA * (chunks / matched.mean(-1)) ** _BETA)
    values: Float64Array = np.maximum(np.nan_to_num(score), 0.0)
    return values[..., None]
