"""Captions as people judge them: contact sheets to read, and what a reader's marks say.

usage: python benchmarks/everyday.py sheet DATASET -o FOLDER [--split dev] [--count 120] [--seed 1]
                                     [--model NAME|FILE ...] [--people]
       python benchmarks/everyday.py shares FOLDER [--marks FILE ...] [--key FILE]

`sheet` draws COUNT pictures of a split at random (DATASET is anything `capcli train --data` reads; without --split the
dev split, or else the pictures that the training of all the models held out) and has each model caption them. It
writes to a new folder:

  page-01.png ...  twelve pictures a page, each with its number, a caption, and the confidence
  marks.csv        a table for the reader, who writes signed, partly or wrong behind each number, and a note if useful
  key.csv          whose caption each number has; the reader opens it afterwards

With several models, or with --people, a picture comes once for each of them, in an order that hides whose caption it
is. All captions are then written in one manner (words in lower case, no commas) and without confidence, for people
have none. The picture's second caption is many pages behind the first. --people takes one of the captions in DATASET.

A caption is signed where the reader would put a name to it because all of it is true, partly right where its main
thing is right and something else is not, and wrong where its main thing is wrong. A first letter is enough.

`shares` prints for each source how many of its captions were signed, partly right and wrong, with 95 % intervals
(Wilson 1927), and the differences between sources on the pictures that were marked for both, with 95 % intervals of
the bootstrap over pictures. With the marks of several readers it also prints how far they agree.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from marks import PEOPLE, read_key, report, write_table

from capcli.errors import CapcliError, UsageError
from capcli.words.tokens import detokenize, tokenize

if TYPE_CHECKING:
    from capcli.evaluation.references import Reference

BATCH = 16


@dataclass(frozen=True)
class Remark:
    """A caption, and whose it is.

    Attributes:
        source: label of a model, or PEOPLE.
        picture: the file.
        caption: the sentence.
        confidence: the model's, 0 to 1; None for people.
    """

    source: str
    picture: Path
    caption: str
    confidence: float | None = None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="sheet | shares")
    sheet = commands.add_parser("sheet", help="make contact sheets of a data set")
    sheet.add_argument("dataset", type=Path)
    sheet.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    sheet.add_argument("--split")
    sheet.add_argument("--count", type=int, default=120)
    sheet.add_argument("--seed", type=int, default=1)
    sheet.add_argument("--model", action="append", dest="models", metavar="NAME|FILE", help="by default base; repeat")
    sheet.add_argument("--people", action="store_true", help="mix in a person's caption of each picture")
    shares = commands.add_parser("shares", help="print the shares of a reader's marks")
    shares.add_argument("folder", type=Path)
    shares.add_argument("--marks", action="append", type=Path, metavar="FILE", help="by default marks.csv; repeat")
    shares.add_argument("--key", type=Path, metavar="FILE", help="by default key.csv of the folder")
    options = parser.parse_args()
    try:
        if options.command == "sheet":
            make_sheets(options)
        else:
            key = read_key(options.key or options.folder / "key.csv")
            print("\n".join(report(key, options.marks or [options.folder / "marks.csv"])))
    except CapcliError as error:
        print(error, file=sys.stderr)
        raise SystemExit(error.exit_code) from None


def make_sheets(options: argparse.Namespace) -> None:
    """Captions pictures of a data set and writes the folder; raises CapcliError."""
    if options.count < 1:
        raise UsageError("--count must be at least 1")
    check_new(options.output)
    models = label_models(options.models or ["base"])
    items = draw_items(options.dataset, options.split, list(models.values()), options.count, options.seed)
    pictures = [item.image for item in items if item.image is not None]
    remarks = [remark for label, file in models.items() for remark in caption_pictures(label, file, pictures)]
    if options.people:
        remarks += quote_people(items, options.seed)
    pages = write_sheets(options.output, remarks, options.dataset.resolve().name, options.seed)
    print(f"{options.output}: {len(remarks)} captions of {len(pictures)} pictures on {pages} pages; fill in marks.csv")


def check_new(folder: Path) -> None:
    """Raises UsageError where the folder holds something already, which may be marks."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: exists already; name a new folder with -o")


def label_models(models: Sequence[str]) -> dict[str, Path]:
    """Files of models by a short label; raises ModelError for a missing model, UsageError for one named twice."""
    from capcli.modelfile.shipped import find_model

    files = [find_model(model) for model in models]
    if len({file.resolve() for file in files}) < len(files):
        raise UsageError("one model is named twice; name each once with --model")
    labels = [file.stem for file in files]
    if len(set(labels)) < len(labels):
        labels = list(models)
    if PEOPLE in labels:
        raise UsageError(f"a model called {PEOPLE} cannot be told from people; rename its file")
    return dict(zip(labels, files, strict=True))


def draw_items(dataset: Path, split: str | None, models: Sequence[Path], count: int, seed: int) -> list[Reference]:
    """Captioned pictures of a split at random; the order of the data set's source does not matter.

    Raises:
        DatasetError: for a data set that cannot be read or lacks pictures.
        UsageError: for one without such a split.
    """
    from capcli.compression.measurement import find_references
    from capcli.compression.options import MeasureOptions

    found = find_references(MeasureOptions(data=dataset, split=split), models)
    items = sorted((item for item in found.items if item.captions), key=lambda item: item.name) if found else []
    return random.Random(seed).sample(items, min(count, len(items)))


def caption_pictures(label: str, file: Path, pictures: Sequence[Path]) -> list[Remark]:
    """What one model says of pictures; raises CapcliError for one that cannot be read."""
    from capcli import Captioner

    captioner = Captioner.load(file)
    remarks: list[Remark] = []
    for start in range(0, len(pictures), BATCH):
        batch = pictures[start : start + BATCH]
        for picture, caption in zip(batch, captioner.caption(batch), strict=True):
            remarks.append(Remark(label, picture, caption.text, caption.confidence))
        print(f"{label}: {len(remarks)} of {len(pictures)} pictures", file=sys.stderr)
    return remarks


def quote_people(items: Sequence[Reference], seed: int) -> list[Remark]:
    """One of the captions of each picture, at random."""
    chance = random.Random(seed)
    return [
        Remark(PEOPLE, item.image, chance.choice(item.captions).strip()) for item in items if item.image is not None
    ]


def write_sheets(folder: Path, remarks: Sequence[Remark], title: str, seed: int) -> int:
    """Writes pages, an empty table of marks and the key; returns the number of pages.

    Raises:
        UsageError: where the folder is not a new one.
        UnreadableImage: for a picture that cannot be read.
        CapcliError: where the folder cannot be written.
    """
    from contact_sheet import Panel, draw_pages

    check_new(folder)
    blind = len({remark.source for remark in remarks}) > 1
    numbered = list(enumerate(shuffle(remarks, seed) if blind else remarks, 1))
    panels = [
        Panel(
            number,
            remark.picture,
            detokenize(tokenize(remark.caption)) if blind else remark.caption,
            None if blind else remark.confidence,
        )
        for number, remark in numbered
    ]
    pages = list(draw_pages(panels, title))  # first, because a picture may turn out to be unreadable
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number, page in enumerate(pages, 1):
            page.save(folder / f"page-{number:02}.png")
        rows = [
            {
                "number": number,
                "source": remark.source,
                "picture": remark.picture.as_posix(),
                "caption": remark.caption,
                "confidence": "" if remark.confidence is None else f"{remark.confidence:.4f}",
            }
            for number, remark in numbered
        ]
        write_table(folder / "key.csv", rows)
        write_table(folder / "marks.csv", [{"number": number, "mark": "", "note": ""} for number, _ in numbered])
    except OSError as error:
        raise CapcliError(f"{error.filename or folder}: cannot be written ({error.strerror or error})") from None
    return len(pages)


def shuffle(remarks: Sequence[Remark], seed: int) -> list[Remark]:
    """An order in rounds, each of which has every picture once, with a source at random.

    So a reader meets a picture again only when all the others have passed, and no source has the earlier places.
    """
    chance = random.Random(seed)
    of_picture: dict[Path, list[Remark]] = defaultdict(list)
    for remark in remarks:
        of_picture[remark.picture].append(remark)
    for group in of_picture.values():
        chance.shuffle(group)
    order: list[Remark] = []
    while any(of_picture.values()):
        round_ = [group.pop() for group in of_picture.values() if group]
        chance.shuffle(round_)
        order += round_
    return order


if __name__ == "__main__":
    main()
