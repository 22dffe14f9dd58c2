"""One measurement in a process of its own, so that none warms caches or fills memory for another.

`take_turn` starts this module as a program, and gives back what it prints.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from capcli.errors import CapcliError, UsageError
from capcli.model.options import ModelOptions
from capcli.modelfile.shipped import find_model, is_repository
from capcli.speed.memory import peak_memory

_ENCODER_BATCH = 16
"""Pictures that the encoder alone gets at once, however many the model does: ratios compare from run to run."""


@dataclass(frozen=True)
class Work:
    """What is measured.

    Attributes:
        model: the model, where it computes, and how many pictures at once.
        folder: its pictures are captioned.
        count: how many of them, at most.
    """

    model: ModelOptions
    folder: Path
    count: int


def take_turn(name: str, work: Work) -> dict[str, Any]:
    """Takes a turn of `TURNS` in a process of its own.

    Returns:
        what the turn found, and `whole`, the seconds from the start of the process to its end.

    Raises:
        CapcliError: if it failed; the message is its own.
    """
    request = json.dumps({"model": asdict(work.model), "folder": str(work.folder), "count": work.count})
    printed, whole = time_command([sys.executable, "-m", "capcli.speed.turns", name], request.encode())
    found: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return {**found, "whole": whole}


def time_command(arguments: Sequence[str], given: bytes = b"") -> tuple[bytes, float]:
    """Runs a program.

    Args:
        arguments: the program and what it gets.
        given: to its stdin.

    Returns:
        what it prints, and the seconds from its start to its end.

    Raises:
        CapcliError: if it failed; the message is its last line on stderr. A UsageError, if its exit code says so.
    """
    start = time.perf_counter()
    done = subprocess.run(arguments, input=given, capture_output=True, check=False)
    taken = time.perf_counter() - start
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"]
        kind = UsageError if done.returncode == UsageError.exit_code else CapcliError
        raise kind(lines[-1].removeprefix("capcli: ").removeprefix("error: "))
    return done.stdout, taken


def encoder_of(model: str) -> tuple[str, int] | None:
    """The torchvision model that a model sees by, and the side of its pictures; None where it has none.

    Raises:
        ModelError: if there is no such model.
    """
    from capcli.modelfile.header import read_header
    from capcli.modelfile.manner import describing

    if is_repository(model):
        return None
    file = find_model(model)
    with describing(file):
        encoder = read_header(file).described["encoder"]
        return None if encoder["name"] == "none" else (str(encoder["name"]), int(encoder["size"]))


def time_encoder(work: Work) -> dict[str, Any]:
    """Pictures a second through the kind of encoder that the model has: torch as it is, float32, random pixels."""
    import torch
    from torchvision.models import get_model

    encoder = encoder_of(work.model.model)
    assert encoder is not None, "`encoder_of` is asked before"
    name, side = encoder
    sized: dict[str, Any] = {"image_size": side} if name.startswith("vit_") else {}
    if name.startswith("maxvit_"):
        sized = {"input_size": (side, side)}
    model = get_model(name, weights=None, **sized).eval()
    batch = min(_ENCODER_BATCH, work.count)
    images = torch.rand(batch, 3, side, side)
    steps = max(1, work.count // batch)
    with torch.inference_mode():
        model(images)
        start = time.perf_counter()
        for _ in range(steps):
            model(images)
        taken = time.perf_counter() - start
    return {"rate": steps * batch / taken}


def time_memory(work: Work) -> dict[str, Any]:
    """Pictures a second through the model, encoder and search, from memory where they lie prepared."""
    import numpy as np

    from capcli.captioner import Captioner
    from capcli.pictures.read import read_array
    from capcli.speed.in_memory import measure

    place = work.model
    captioner = Captioner.of_file(find_model(place.model), place.device, place.lm, place.engine)
    arrays = np.stack([read_array(file, captioner.size) for file in _pictures(work)])
    return {"rate": measure([captioner], [arrays], work.model.batch_size, rounds=1).rate(0)}


def time_folder(work: Work) -> dict[str, Any]:
    """Pictures a second as `capcli caption FOLDER -o rows.jsonl` does it, from the list of paths to the last row.

    Reading, decoding, resizing, encoding, search and writing are in it; the start of the program, loading the model and
    one picture to warm it up are not. `peak` is the process's memory in bytes, with none of that of the processes which
    read pictures.
    """
    from capcli.captioner import Captioner
    from capcli.output.options import OutputOptions
    from capcli.output.outputs import Outputs
    from capcli.runs.session import Session
    from capcli.runs.writing import WriteCaptions

    pictures = _pictures(work)
    with tempfile.TemporaryDirectory() as place, Session(work.model) as session:
        captioner = session.captioner
        captioner.caption_arrays(captioner.prepare(pictures[0])[None])
        with Outputs(OutputOptions(output=Path(place, "rows.jsonl")), sys.stdout.buffer, work.folder) as outputs:
            tally = session.run(WriteCaptions(outputs), pictures)
        return {
            "rate": tally.captioned / tally.seconds,
            "pictures": len(pictures),
            "failed": tally.failed,
            "peak": peak_memory(),
            "model": captioner.name,
            "engine": captioner.engine if isinstance(captioner, Captioner) else "torch",
            "device": str(captioner.device),
            "beam_size": captioner.options.beam_size,
            "notes": list(captioner.notes),
        }


def _pictures(work: Work) -> list[Path]:
    from capcli.pictures.find import find_pictures

    return find_pictures([work.folder]).pictures[: work.count]


TURNS: Mapping[str, Callable[[Work], dict[str, Any]]] = {
    "encoder": time_encoder,
    "memory": time_memory,
    "folder": time_folder,
}


def main() -> None:
    """Takes the turn that the command line names, of the work on stdin, and prints what it found."""
    request = json.load(sys.stdin)
    work = Work(ModelOptions(**request["model"]), Path(request["folder"]), request["count"])
    try:
        print(json.dumps(TURNS[sys.argv[1]](work)))
    except CapcliError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
