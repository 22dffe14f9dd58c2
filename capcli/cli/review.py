"""`capcli review`: pages on which people check the captions of a library, or rate those of several systems."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from capcli.cli.messages import inform, tell
from capcli.cli.options import Group, path, takes
from capcli.errors import UsageError
from capcli.model.options import ModelOptions
from capcli.options import flag_of
from capcli.ratings.options import ADEQUACY_FLUENCY, RatingOptions
from capcli.web.options import ReviewOptions, login_name


@takes(
    options=Group(ReviewOptions, "Review", common=("port", "reviewer", "open")),
    place=Group(ModelOptions, "Model", without=("lm", "batch_size")),
    rating=Group(RatingOptions, "Rating"),
)
def review(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="LIBRARY | CAPTIONS",
            parser=path,
            help="A library; or with --rate rows of captions in any format, a file for each system.",
        ),
    ],
    rate: Annotated[bool, typer.Option("--rate", help="Rate the captions of one or several systems, blind.")] = False,
    *,
    options: dict[str, Any],
    place: dict[str, Any],
    rating: dict[str, Any],
) -> None:
    """Serve a page, on this computer alone, on which you accept, edit, reject and flag the captions of a LIBRARY.

    With --rate it shows CAPTIONS of several systems blind and in random order, and asks which is better, or how good
    each is.

    It prints the address of the page and serves it until Ctrl-C. Each change is stored at once.
    """
    if rate:
        if "reviewer" in options:
            raise UsageError("--reviewer is who reviews a library; who rates is --rater")
        if place:
            raise UsageError(f"{flag_of(next(iter(place)))} makes heatmaps of a library, and --rate has none")
        _rate(files, RatingOptions(**rating), ReviewOptions(**options))
        return
    if rating:
        raise UsageError(f"{flag_of(next(iter(rating)))} belongs to --rate")
    if len(files) > 1:
        raise UsageError("one library is reviewed at a time; --rate compares files of captions")
    _serve(files[0], ReviewOptions(**options), ModelOptions(**place))


def _serve(library: Path, wanted: ReviewOptions, model: ModelOptions) -> None:
    need_server()
    from capcli.web.serving import serve_review

    serve_review(library, wanted, model, announce(f"it serves {library}", opens=wanted.open))


def _rate(files: list[Path], wanted: RatingOptions, served: ReviewOptions) -> None:
    need_server()
    if len(files) == 1 and wanted.scale != ADEQUACY_FLUENCY:
        raise UsageError(f"a preference is between two systems; name another file, or --scale {ADEQUACY_FLUENCY}")
    from capcli.evaluation.systems import read_systems
    from capcli.ratings.questions import ask, scales_of
    from capcli.ratings.session import Session
    from capcli.web.answers import name_store
    from capcli.web.serving import serve_rating

    systems = read_systems(files, wanted.pictures)
    rater = wanted.name(login_name())
    questions = ask(systems.pictures, wanted.scale, rater, wanted.seed, wanted.count)
    session = Session(questions, scales_of(wanted.scale), rater, wanted.output)
    for note in (*systems.notes, *session.notes):
        tell(note)
    summary = f"{rater} has {session.count_open():,} of {session.count:,} questions to answer, into {wanted.output}"
    serve_rating(
        session, name_store(wanted.output, rater, *session.scales), served, announce(summary, opens=served.open)
    )


def need_server(page: str = "the review page") -> None:
    """Raises UsageError, which says what to install, where a page cannot be served."""
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("starlette", "uvicorn"):
            raise
        raise UsageError(f'{page} needs Starlette and uvicorn: pip install "capcli[review]"') from None


def announce(summary: str, *, opens: bool) -> Callable[[str], None]:
    """What is done with the address of the page."""

    def ready(address: str) -> None:
        typer.echo(address)
        sys.stdout.flush()
        inform(f"open this address in a browser of this computer; {summary}, until Ctrl-C")
        if opens:
            import webbrowser

            webbrowser.open(address)

    return ready
