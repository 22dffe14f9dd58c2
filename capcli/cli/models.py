"""`capcli models`: which models there are, what is known of them, and how they compare."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from capcli.cli.console import Console
from capcli.cli.help import PlainCommand, PlainGroup
from capcli.cli.messages import inform, is_hushed, print_json, tell
from capcli.cli.options import Group, takes
from capcli.cli.progress import counting
from capcli.cli.reports import publish_measured
from capcli.compression.options import MeasureOptions
from capcli.errors import ModelError, UsageError
from capcli.evaluation.options import CalibrationOptions
from capcli.model.options import ModelOptions
from capcli.modelfile.shipped import find_model, is_repository, shipped_models
from capcli.words.counting import count_of

app = typer.Typer(cls=PlainGroup, help="List, show, verify, compare and pull models.", no_args_is_help=True)

_Model = Annotated[
    str, typer.Argument(metavar="MODEL", help="A model that ships, a .safetensors file, hf:OWNER/NAME or its folder.")
]
_Hub = Annotated[str, typer.Argument(metavar="hf:OWNER/NAME", help="A model on Hugging Face, @REVISION behind it.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON in place of the table.")]


@app.command("list", cls=PlainCommand)
def list_models(
    pulled: Annotated[bool, typer.Option("--pulled", help="List captioners of Hugging Face on this machine.")] = False,
    as_json: _Json = False,
) -> None:
    """List the models that ship: size, hash, data sets that chose their weights, and CIDEr-D on dev and test pictures.

    A file that cannot be used gets a line on stderr, and the exit code is 1.
    """
    if pulled:
        _list_pulled(as_json)
        return
    from capcli.catalogue.facts import Facts

    found, broken = [], False
    for name, file in shipped_models().items():
        try:
            found.append(Facts.read(name, file))
        except ModelError as error:
            tell(str(error))
            broken = True
    if as_json:
        print_json([facts.to_json() for facts in found])
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

    if is_repository(model):
        _show_pulled(model, as_json)
        return
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
    from capcli.catalogue.pulled import PulledFacts
    from capcli.catalogue.pulled import checks as check_pulled
    from capcli.catalogue.soundness import checks

    if is_repository(model):
        pulled = PulledFacts.read(model)
        file, sha256, found = pulled.repository.folder, pulled.repository.sha256, list(check_pulled(pulled))
    else:
        facts = Facts.read(model, find_model(model))
        file, sha256, found = facts.file, facts.sha256, list(checks(facts))
    sound = all(check.passed is not False for check in found)
    if as_json:
        rows = [{"check": check.name, "passed": check.passed, "found": check.finding} for check in found]
        print_json({"model": model, "file": str(file), "sha256": sha256, "sound": sound, "checks": rows})
    else:
        from capcli.catalogue.table import print_checks

        print_checks(model, file, found)
    if not sound:
        raise typer.Exit(1)


@app.command(cls=PlainCommand)
@takes()
def pull(model: _Hub, as_json: _Json = False) -> None:
    """Download a captioner of Hugging Face; nothing else in capcli asks the network. Needs capcli[hf].

    Size, licence and revision are said first. A download that was broken off goes on where it was.
    """
    import sys

    from capcli.catalogue.table import megabytes
    from capcli.hub.pull import ask_hub
    from capcli.hub.pull import pull as download
    from capcli.output.table import print_table

    offer = ask_hub(model)
    details = {
        "model": f"hf:{offer.name}",
        "family": offer.family.name,
        "size": offer.size,
        "licence": offer.licence,
        "revision": offer.revision,
    }
    if not as_json:
        here = f", {megabytes(offer.there)} of them here already" if offer.there else ""
        print_table(
            "", ("", ""), [(k, f"{megabytes(offer.size)}{here}" if k == "size" else str(v)) for k, v in details.items()]
        )
        sys.stdout.flush()
    if is_hushed() or not sys.stderr.isatty():
        from huggingface_hub.utils import disable_progress_bars

        disable_progress_bars()
    found = download(offer)
    if as_json:
        print_json({**details, "file": str(found.folder), "sha256": found.sha256})
    else:
        inform(f"pulled and checked, in {found.folder}; --model hf:{offer.name} takes it")


@app.command(cls=PlainCommand)
@takes(
    where=Group(CalibrationOptions, "Measuring", common=("data", "split", "pictures")),
    place=Group(ModelOptions, "Measuring", without=("model", "lm", "engine", "batch_size")),
)
def calibrate(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A captioner of Hugging Face: hf:OWNER/NAME or its folder.")
    ],
    *,
    where: dict[str, Any],
    place: dict[str, Any],
) -> None:
    """Fit the confidence of a captioner of Hugging Face to captions by people: how often are captions so sure good?

    It is kept for this user, and the model's files stay as they are. capcli's own models are fitted in training.
    """
    chosen = CalibrationOptions(**where)
    assert chosen.data is not None, "its options see to that"
    if not is_repository(model):
        find_model(model)
        raise UsageError(f"{model} is a model of capcli's, whose confidence is fitted when it is trained")

    from capcli.evaluation.references import dataset_references
    from capcli.training.calibrate import calibrate_pulled

    references = dataset_references(chosen.data, chosen.split, default="dev")
    with counting() as progress:
        file, fitted, count = calibrate_pulled(
            model, references, chosen.pictures, ModelOptions(**place).device, progress=progress
        )
    good = fitted.table[0][1]
    inform(f"fitted to {count_of(count, 'caption')}, {good:.0%} of them good; kept in {file}")


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


def _list_pulled(as_json: bool) -> None:
    from capcli.catalogue.pulled import list_pulled

    found, broken = list_pulled()
    for line in broken:
        tell(line)
    if as_json:
        print_json([facts.to_json() for facts in found])
    elif found:
        from capcli.catalogue.table import print_pulled

        print_pulled(found)
    elif not broken:
        tell("no captioner of Hugging Face is here; `capcli models pull hf:OWNER/NAME` downloads one")
    if broken:
        raise typer.Exit(1)


def _show_pulled(model: str, as_json: bool) -> None:
    from capcli.catalogue.pulled import PulledFacts

    facts = PulledFacts.read(model)
    if as_json:
        print_json(facts.to_json())
        return
    from capcli.output.table import print_table

    print_table(facts.label, ("", ""), list(facts.rows()))
