"""`capcli models`: which models there are, what is known of them, and how they compare."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from capcli.cli.console import Console
from capcli.cli.help import PlainCommand, PlainGroup
from capcli.cli.messages import print_json, tell
from capcli.cli.options import Group, takes
from capcli.cli.progress import counting
from capcli.cli.reports import publish_measured
from capcli.compression.options import MeasureOptions
from capcli.errors import ModelError, UsageError
from capcli.modelfile.shipped import find_model, shipped_models

app = typer.Typer(cls=PlainGroup, help="List, show, verify and compare models.", no_args_is_help=True)

_Model = Annotated[str, typer.Argument(metavar="NAME|FILE", help="A model that ships, or a .safetensors file.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON in place of the table.")]


@app.command("list", cls=PlainCommand)
def list_models(as_json: _Json = False) -> None:
    """List the models that ship: size, hash, what they were trained on, and CIDEr-D on dev and test pictures.

    A file that cannot be used gets a line on stderr, and the exit code is 1.
    """
    from capcli.catalogue.facts import Facts

    found, broken = [], False
    for name, file in shipped_models().items():
        try:
            found.append(Facts.read(name, file))
        except ModelError as error:
            tell(str(error))
            broken = True
    if as_json:
        print_json([one.to_json() for one in found])
    elif found:
        from capcli.catalogue.table import print_list

        print_list(found)
    elif not broken:
        tell("this installation lacks its weights; give commands a model file by --model FILE")
    if broken:
        raise typer.Exit(1)


@app.command(cls=PlainCommand)
def show(model: _Model, as_json: _Json = False) -> None:
    """Show what a model file says of itself (config, recipe, scores) and its card, the .md file beside it."""
    from capcli.catalogue.facts import Facts

    facts = Facts.read(model, find_model(model))
    if as_json:
        print_json({**facts.to_json(), "card": facts.card.text})
        return
    from capcli.catalogue.table import print_facts

    print_facts(facts)


@app.command(cls=PlainCommand)
def verify(model: _Model, as_json: _Json = False) -> None:
    """Check a model file: its hash against its card's, names, types and shapes against its config, all values finite.

    The exit code is 1 if anything is wrong.
    """
    from capcli.catalogue.facts import Facts
    from capcli.catalogue.soundness import checks

    facts = Facts.read(model, find_model(model))
    found = list(checks(facts))
    sound = all(check.passed is not False for check in found)
    if as_json:
        rows = [{"check": check.name, "passed": check.passed, "found": check.told} for check in found]
        told = {"model": model, "file": str(facts.file), "sha256": facts.sha256}
        print_json({**told, "sound": sound, "checks": rows})
    else:
        from capcli.catalogue.table import print_checks

        print_checks(facts, found)
    if not sound:
        raise typer.Exit(1)


@app.command(cls=PlainCommand)
@takes(where=Group(MeasureOptions, "Measuring"))
def compare(
    models: Annotated[
        list[str],
        typer.Argument(metavar="NAME|FILE", help="Two models or more; the first is what others are held to."),
    ],
    as_json: _Json = False,
    *,
    where: dict[str, Any],
) -> None:
    """Put models side by side: size, parameters, vocabulary, measured images/s, and scores.

    Scores are those that the files hold, or with --data measured on the same pictures, with paired intervals.
    """
    measuring = MeasureOptions(**where)
    if len(models) < 2:
        raise UsageError("name two models or more; `capcli models show` is for one")
    files = {model: find_model(model) for model in models}
    if len(files) < len(models):
        twice = next(model for model in models if models.count(model) > 1)
        raise UsageError(f"{twice} is named twice; name two models or more")

    from capcli.compression.measurement import find_references, measure_models, timed_pictures
    from capcli.compression.table import print_compared

    references, pictures = find_references(measuring, list(files.values())), timed_pictures(measuring.pictures)
    with counting() as progress:
        found = measure_models(files, measuring, references, pictures, observer=Console(), progress=progress)
    publish_measured(found, print_compared, as_json=as_json)
