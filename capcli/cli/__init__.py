"""The command line: one module per subcommand, and what they share. `--help` imports no torch."""

from __future__ import annotations

import os
import shlex
import sys
from typing import Annotated, Any

import typer

from capcli.cli import (
    apply,
    attend,
    bench,
    caption,
    compare,
    compress,
    duplicates,
    eval,
    faithfulness,
    library,
    live,
    merge,
    models,
    review,
    score,
    search,
    serve,
    train,
)
from capcli.cli.help import PlainCommand, PlainGroup
from capcli.cli.messages import hush, see_help, tell
from capcli.cli.streams import drop_stderr, drop_stdout, finish_stdout, replace_closed_streams, require_stdout
from capcli.errors import CapcliError, UsageError, system_reason
from capcli.options import near_names
from capcli.pictures.kinds import EXTENSIONS
from capcli.runs.session import Load


class _Commands(PlainGroup):
    """Ends every command that cannot go on in one line and an exit code, never in a traceback."""

    def main(self, *args: Any, **extra: Any) -> Any:
        hush(False)  # until a command asks for it
        try:
            code = super().main(*args, **{**extra, "standalone_mode": False})
        except Exception as error:
            code = _tell_end(error)
            if code is None:
                raise
        sys.exit(code if isinstance(code, int) else 0)

    def make_context(self, *args: Any, **extra: Any) -> Any:
        try:
            return super().make_context(*args, **extra)
        except KeyboardInterrupt as error:  # Typer loads more of itself here, and would end without a word
            raise typer.Exit(_tell_end(error) or 0) from None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if self.get_command(ctx, args[0]) is None and _may_be_picture(args[0]):
            raise UsageError(f"{args[0]} is no command; this captions it: capcli caption {shlex.join(args)}")
        resolved = super().resolve_command(ctx, args)
        # All others print a result, some of them after hours; captions may go to a file instead.
        if resolved[0] != "caption":
            require_stdout()
        return resolved

    def invoke(self, ctx: Any) -> Any:
        try:
            super().invoke(ctx)
            finish_stdout()
        except (CapcliError, KeyboardInterrupt, OSError) as error:
            raise typer.Exit(_tell_end(error) or 0) from None


def _may_be_picture(name: str) -> bool:
    ending = os.path.splitext(name)[1].lower()  # noqa: PTH122 - no name is too odd for these
    return ending in EXTENSIONS or name.startswith("file:") or os.path.exists(name)  # noqa: PTH110


def _tell_end(error: BaseException) -> int | None:
    """Tells why the command ends, if that is no fault of its own; returns its exit code, None for a fault."""
    if isinstance(error, CapcliError):
        drop_stdout()
        _tell_error(str(error))
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        tell("interrupted")
        return 130
    if isinstance(error, BrokenPipeError):
        # The reader, `head` perhaps, has enough.
        drop_stdout()
        return 141
    if isinstance(error, OSError):
        drop_stdout()
        reason = system_reason(error)
        _tell_error(f"{error.filename}: {reason}" if error.filename else reason)
        return 1
    if isinstance(error, ModuleNotFoundError) and str(error.name).split(".")[0] in ("torch", "torchvision"):
        _tell_error("this needs torch, which is not installed: pip install torch torchvision")
        return UsageError.exit_code
    # What the command line itself is wrong about; Typer would draw a box around it.
    wrong: Any = error
    if not hasattr(wrong, "format_message"):
        return None
    message = wrong.format_message()
    if message.startswith("Usage:"):  # the help, where there is no command
        wrong.show()
    else:
        _tell_error(_with_hint(message, getattr(wrong, "ctx", None)))
    return int(wrong.exit_code)


def _with_hint(message: str, context: Any) -> str:
    """The message about a wrong command line; where it does not say what would be right, what does."""
    if context is None or any(hint in message for hint in ("Possible options", "Did you mean", "Invalid value")):
        return message
    command = " ".join(["capcli", *context.command_path.split()[1:]])
    return f"{message.rstrip('.')}; {see_help(command)}"


def _tell_error(text: str) -> None:
    # Typer's own messages may have several lines.
    tell(f"error: {' '.join(text.split())}")


app = typer.Typer(
    cls=_Commands,
    help="Turns photographs into English sentences, offline.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for title, commands in {
    "Pictures": {
        "caption": caption.caption,
        "attend": attend.attend,
        "merge": merge.merge,
        "search": search.search,
        "duplicates": duplicates.duplicates,
        "review": review.review,
        "apply": apply.apply,
        "live": live.live,
        "serve": serve.serve,
    },
    "Figures": {
        "eval": eval.evaluate,
        "score": score.score,
        "compare": compare.compare,
        "faithfulness": faithfulness.faithfulness,
        "bench": bench.bench,
    },
    "Models": {"train": train.train, "compress": compress.compress},
}.items():
    for name, command in commands.items():
        app.command(name, cls=PlainCommand, rich_help_panel=title)(command)
app.add_typer(library.app, name="library", rich_help_panel="Pictures")
app.add_typer(models.app, name="models", rich_help_panel="Models")


@app.command("help", cls=PlainCommand, rich_help_panel="Help")
def show_help(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="COMMAND", help="A command, such as caption or models show.")
    ] = None,
) -> None:
    """Show the help of a command, or of all."""
    asked = context.find_root()
    for name in names or []:
        find = getattr(asked.command, "get_command", None)
        command = find(asked, name) if find else None
        if command is None:
            known = getattr(asked.command, "commands", {})
            near = near_names(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise UsageError(f"{asked.command_path} has no command {name}; {hint if known else 'leave it out'}")
        asked = type(context)(command, info_name=name, parent=asked)
    typer.echo(asked.get_help())


def _print_version(wanted: bool) -> None:
    if wanted:
        from capcli import __version__

        typer.echo(f"capcli {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", "-V", help="Print the version and exit.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    pass


def main(load: Load | None = None) -> None:
    """Run the command line and leave the process.

    `load` loads models in the place of capcli's own loader.

    Exit codes: 0 done, 1 some pictures failed or results could not be written, 2 wrong usage, 130 interrupted,
    143 terminated, 141 nobody reads the output.
    """
    replace_closed_streams()
    try:
        app(prog_name="capcli", obj=load)
    except SystemExit as end:
        drop_stderr()
        if "torch" not in sys.modules or not isinstance(end.code, int):
            raise
        # Everything is said and closed by now, and torch would take most of a second to take itself apart.
        sys.stdout.flush()
        os._exit(end.code)
