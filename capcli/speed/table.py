"""How fast this machine captions, on a terminal; plain where it goes into a pipe."""

from __future__ import annotations

from collections.abc import Mapping

from capcli.output.table import print_table
from capcli.speed.bench import Bench


def print_bench(bench: Bench) -> None:
    """Prints the machine, the model and the figures to stdout."""
    machine, model = bench.machine, bench.model
    sets, versions = machine["instructions"], machine["versions"]
    assert isinstance(versions, Mapping), "describe_machine sees to that"
    known = ", ".join(map(str, sets)) if isinstance(sets, list) else "this system does not tell"
    facts = [
        ("processor", f"{machine['processor']}, {machine['cores']} cores"),
        ("instructions", known or "none that make it faster"),
        ("system", f"{machine['system']}, " + ", ".join(f"{name} {number}" for name, number in versions.items())),
        ("model", f"{model['name']} (SHA-256 {str(model['sha256'])[:12]})"),
        ("computed by", f"{model['engine']} on {model['device']}, {model['batch_size']} pictures at once"),
        ("beam", str(model["beam_size"])),
        ("pictures", bench.timed_on),
        ("encoder alone", bench.encoder),
    ]
    print_table("", ("", ""), facts)
    print()
    names = {
        "images_per_second": ("images/s", 1, 1),
        "encoder_images_per_second": ("images/s of the encoder alone", 1, 1),
        "times_the_encoder": ("images/s over the encoder alone", 1, 2),
        "first_caption_seconds": ("first caption, s", 1, 2),
        "peak_memory_bytes": ("peak memory, GB", 1e9, 2),
    }
    rows = []
    for name, (title, unit, digits) in names.items():
        if spread := bench.figures.get(name):
            figures = (spread.median, spread.least, spread.most)
            rows.append((title, *(f"{figure / unit:.{digits}f}" for figure in figures)))
    columns = ("", "median", "least", "most")
    count = len(bench.rounds)
    notes = [f"of {count} rounds in turns, each in a process of its own" if count > 1 else "of one round"]
    print_table("", columns, rows, numbers=columns[1:], footnotes=notes)
