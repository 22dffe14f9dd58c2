"""What a fine-tuned encoder remembers of the kinds of things that it knew when its training began.

usage: python benchmarks/forgetting.py DATASET --encoder-weights [NAME=]FILE [--model NAME|FILE ...] [--limit N]
                                       [--batch-size 32] [--device auto]

DATASET is a folder with captions.jsonl, or such a file, whose rows have an image, the kind "object" and a label. Each
of these pictures asks for its nearest neighbour among all the others, by the cosine of their mean regions, and is right
if the neighbour has the same label. The share of right ones is printed for every model's encoder, beside that of the
encoder that it started from: a torchvision model of the same name with the weights in FILE (or `imagenet`, which
torchvision downloads). The interval of their ratio is from 10,000 resamples of the pictures, the same for both. Where
rows name a split, the pictures of the dev split, which no training saw, are counted apart as well.

NAME= says which encoder FILE is of, where models have different ones. --limit takes whole labels, by a hash of their
names, as long as they have at most N pictures together; a figure depends on how many labels take part, so compare
figures of one limit. Pictures without another one of their label are left out.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from machine import describe

from capcli.arrays import AnyArray, BoolArray, Float32Array, Float64Array
from capcli.datasets.dataset import image_folders, locate
from capcli.datasets.records import read_records
from capcli.errors import CapcliError, UsageError
from capcli.metrics.bootstrap import full, interval, resample
from capcli.metrics.statistics import Sums

if TYPE_CHECKING:
    import torch

    from capcli.model.encoder import Encoder, EncoderConfig

SAMPLES = 10_000
ROWS = 1024
"""Pictures that are compared with all others at once."""


@dataclass(frozen=True)
class Thing:
    """A picture of an object, what the object is, and the split of the picture, "" for none."""

    picture: Path
    label: str
    split: str


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--encoder-weights", action="append", required=True, metavar="[NAME=]FILE")
    parser.add_argument("--model", action="append", dest="models", metavar="NAME|FILE", help="by default base; repeat")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    try:
        things = choose(read_things(options.dataset), options.limit)
        print(f"machine: {describe()}")
        print("\n".join(measure(things, options)))
    except CapcliError as error:
        print(error, file=sys.stderr)
        raise SystemExit(error.exit_code) from None


def read_things(dataset: Path) -> list[Thing]:
    """The objects of a data set, each picture once; raises DatasetError, or UsageError where it has none."""
    file = dataset if dataset.is_file() else dataset / "captions.jsonl"
    folders = image_folders(file.parent)
    things: dict[str, Thing] = {}
    for record in read_records(file):
        label = record.fields.get("label")
        if record.fields.get("kind") != "object" or not isinstance(label, str) or not label.strip():
            continue
        name = record.names()[0]
        split = str(record.fields.get("split") or "")
        thing = things.setdefault(name, Thing(locate(name, folders), label.strip(), split))
        if thing.label != label.strip():
            raise UsageError(f"{record.where}: {name} has two labels, {thing.label} and {label.strip()}")
    if not things:
        raise UsageError(f'{file}: has no rows of kind "object" with a label')
    return list(things.values())


def choose(things: Sequence[Thing], limit: int | None) -> list[Thing]:
    """Those that share their label with others, of as many labels as the limit allows.

    Raises:
        UsageError: if nothing is left.
    """
    of_label: dict[str, list[Thing]] = defaultdict(list)
    for thing in things:
        of_label[thing.label].append(thing)
    chosen: list[Thing] = []
    for label in sorted(of_label, key=lambda label: hashlib.sha256(label.encode("utf-8", "replace")).digest()):
        if len(of_label[label]) < 2:
            continue
        if limit is not None and len(chosen) + len(of_label[label]) > limit:
            break
        chosen += of_label[label]
    if not chosen:
        raise UsageError("no label has two pictures" + ("" if limit is None else " within --limit; raise it"))
    return chosen


def measure(things: Sequence[Thing], options: argparse.Namespace) -> Iterator[str]:
    """Lines of Markdown with a row for each model; raises CapcliError."""
    from capcli.model.device import choose_device
    from capcli.model.encoder import Encoder
    from capcli.modelfile.checkpoint import Checkpoint
    from capcli.modelfile.shipped import find_model

    if options.batch_size < 1:
        raise UsageError("--batch-size must be at least 1")
    device = choose_device(options.device)
    models = {str(model): find_model(model) for model in options.models or ["base"]}
    encoders: dict[object, Encoder] = {}
    for model, file in models.items():
        encoder = Checkpoint.load(file).model.encoder
        if not isinstance(encoder, Encoder):
            raise UsageError(f"{model} is a language model and sees no pictures")
        encoders[model] = encoder
    starts = load_starts([encoder.config for encoder in encoders.values()], options.encoder_weights)

    features = encode({**encoders, **starts}, things, options.batch_size, device)
    labels = np.array([thing.label for thing in things])
    right = {name: find_right(values, labels) for name, values in features.items()}
    splits = np.array([thing.split for thing in things])
    groups = {"all": np.ones(len(things), bool)}
    if 0 < (splits == "dev").sum() < len(things):
        groups["dev"] = splits == "dev"
    yield f"{len(things):,} pictures of {len(set(labels)):,} labels"
    yield ""
    yield "| encoder of | pictures | nearest neighbour | before training | ratio |"
    yield "|---|---|---|---|---|"
    for name, encoder in encoders.items():
        for group, members in groups.items():
            now, before = right[name][members], right[encoder.config][members]
            yield f"| {name} | {group}, {members.sum():,} | {' | '.join(compare(now, before))} |"


def load_starts(configs: Sequence[EncoderConfig], weights: Sequence[str]) -> dict[object, Encoder]:
    """For each config an encoder with the weights that training began from.

    Raises:
        UsageError: where no weights are named for an encoder.
        ModelError: for weights that cannot be read or are of another encoder.
    """
    from capcli.model.encoder import Encoder

    named, of_all = dict[str, str](), ""
    for text in weights:
        name, equals, file = text.partition("=")
        if equals and not Path(text).exists():
            named[name] = file
        else:
            of_all = text
    starts: dict[object, Encoder] = {}
    for config in configs:
        source = named.get(config.name, of_all)
        if not source:
            raise UsageError(f"no weights are named for {config.name}: --encoder-weights {config.name}=FILE")
        if config not in starts:
            starts[config] = Encoder(config)
            starts[config].load_pretrained(source)
    return starts


def encode(
    encoders: Mapping[object, Encoder], things: Sequence[Thing], batch_size: int, device: torch.device
) -> dict[object, Float32Array]:
    """For each encoder float32 N x D unit vectors, the mean regions of the N pictures; raises CapcliError.

    Computed in the precision that captioning has on the device.
    """
    import torch

    from capcli.model.device import bfloat16_pays
    from capcli.pictures.stream import ReadingPool

    dtype = torch.bfloat16 if bfloat16_pays(device) else torch.float32
    for encoder in encoders.values():
        encoder.eval().to(device, dtype).to(memory_format=torch.channels_last)
    features: dict[object, list[Float32Array]] = {name: [] for name in encoders}
    pictures = [thing.picture for thing in things]
    with ReadingPool() as pool, torch.inference_mode():
        for size in {encoder.config.size for encoder in encoders.values()}:
            done = 0
            for batch in pool.stream(pictures, size, batch_size):
                for reading in batch:
                    if reading.error is not None:
                        raise reading.error
                arrays = torch.from_numpy(np.stack([reading.array for reading in batch])).to(device)  # type: ignore[misc]
                for name, encoder in encoders.items():
                    if encoder.config.size == size:
                        features[name].append(encoder(arrays).float().mean(1).cpu().numpy())
                done += len(batch)
                print(f"{done:,} of {len(pictures):,} pictures of {size} pixels", file=sys.stderr)
    joined = {name: np.concatenate(parts) for name, parts in features.items()}
    return {name: values / np.linalg.norm(values, axis=1, keepdims=True) for name, values in joined.items()}


def find_right(vectors: Float32Array, labels: AnyArray) -> BoolArray:
    """Whether the nearest other picture has the same label: bool array of shape (N,) from N x D unit vectors."""
    right = np.empty(len(vectors), bool)
    for start in range(0, len(vectors), ROWS):
        near = vectors[start : start + ROWS] @ vectors.T
        places = np.arange(len(near))
        near[places, start + places] = -np.inf
        right[start : start + ROWS] = labels[near.argmax(1)] == labels[start : start + ROWS]
    return right


def compare(now: BoolArray, before: BoolArray) -> list[str]:
    """Both shares and their ratio, each with its 95 % interval."""
    names = ("now", "before", "ratio")
    sums = Sums(names, np.stack([now, before, np.ones(len(now))], 1).astype(float), _shares)
    # In a resample of few pictures the start may know none, and the ratio is not a number.
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = resample([sums], len(now), SAMPLES, seed=0)
        found = [(value, *interval(drawn[name])) for name, value in zip(names, full(sums, len(now)), strict=True)]
    return ["{:.3f} ({:.3f} to {:.3f})".format(*estimate) if np.isfinite(estimate).all() else "-" for estimate in found]


def _shares(sums: Float64Array) -> Float64Array:
    now, before, count = (sums[..., place] for place in range(3))
    return np.stack([now / count, before / count, now / before], -1)


if __name__ == "__main__":
    main()
