"""How long it takes to score captions, beside the COCO toolkit.

usage: python benchmarks/scoring.py DATASET [--images N] [--repeats N]

DATASET is anything `capcli train --data` reads; its test pictures are used, or all where it has no test split. The
hypothesis of a picture is its first caption, and its references are the others and the first caption of the next
picture. Prints, for N and for five times as many pictures (the same ones again), the wall time of
`capcli.evaluation.score` without Java, with and without 1,000 resamples, and that of pycocoevalcap for what both
compute: its tokenizer (a Java program), BLEU, ROUGE-L and CIDEr-D; then the largest difference between them. All on
one core where the system lets a process choose, and each after one run that is not timed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

# Before numpy starts threads.
os.environ["OMP_NUM_THREADS"] = "1"

from machine import describe

from capcli.datasets import read_dataset
from capcli.errors import CapcliError
from capcli.evaluation import score
from capcli.metrics.java import Unavailable, find_jar, find_java

Result = TypeVar("Result")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()

    print(f"machine: {describe()}")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        print("on one of the cores")
    references, hypotheses = captions(options.dataset, options.images)
    for times in (1, 5):
        compare(references * times, hypotheses * times, options.repeats)


def captions(dataset: Path, images: int) -> tuple[list[list[str]], list[str]]:
    try:
        found = read_dataset(dataset)
    except CapcliError as error:
        raise SystemExit(str(error)) from None
    items = (found.split("test") or found.items)[:images]
    if any(len(item.captions) < 2 for item in items):
        raise SystemExit(f"{dataset}: needs at least two captions for each picture")
    firsts = [item.captions[0] for item in items]
    others = [[*item.captions[1:], other] for item, other in zip(items, [*firsts[1:], firsts[0]], strict=True)]
    return others, firsts


def compare(references: list[list[str]], hypotheses: list[str], repeats: int) -> None:
    print(f"{len(references)} images, {sum(map(len, references))} references")
    actual = report("capcli", lambda: score(references, hypotheses, java=False, samples=0), repeats)
    report("capcli with 1000 resamples", lambda: score(references, hypotheses, java=False), repeats)
    try:
        find_toolkit()
    except Unavailable as reason:
        print(f"  no COCO toolkit: {reason}")
        return
    expected = report("pycocoevalcap", lambda: toolkit(references, hypotheses), repeats)
    largest = max(abs(value - (actual.metrics[name].value or 0)) for name, value in expected.items())
    print(f"  largest difference in {', '.join(expected)}: {largest:.1e}")


def report(title: str, work: Callable[[], Result], repeats: int) -> Result:
    result = work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    print(
        f"  {title}: median {statistics.median(times):.2f} s, fastest {min(times):.2f} s, "
        f"slowest {max(times):.2f} s of {repeats}"
    )
    return result


def find_toolkit() -> Path:
    """The toolkit's tokenizer, after putting a Java where the toolkit looks for it; raises Unavailable."""
    jar, java = find_jar("tokenizer/stanford-corenlp-3.4.1.jar"), find_java()
    os.environ["PATH"] = os.pathsep.join([str(java.parent), os.environ.get("PATH", "")])
    return jar


def toolkit(references: list[list[str]], hypotheses: list[str]) -> dict[str, float]:
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    # It prints as it goes.
    with contextlib.redirect_stdout(io.StringIO()):
        truth = PTBTokenizer().tokenize({i: [{"caption": c} for c in texts] for i, texts in enumerate(references)})
        candidates = PTBTokenizer().tokenize({i: [{"caption": text}] for i, text in enumerate(hypotheses)})
        bleu = Bleu(4).compute_score(truth, candidates, verbose=0)[0]
        scores = {f"BLEU-{order}": value for order, value in enumerate(bleu, 1)}
        return {
            **scores,
            "ROUGE-L": float(Rouge().compute_score(truth, candidates)[0]),
            "CIDEr-D": float(Cider().compute_score(truth, candidates)[0]),
        }


if __name__ == "__main__":
    main()
