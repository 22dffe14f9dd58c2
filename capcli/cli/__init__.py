"""The command line: one module per subcommand, and what they share. `--help` imports no torch."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from capcli.cli import attend, caption, compress, eval, models, train
from capcli.cli.messages import tell
from capcli.errors import CapcliError
from capcli.files.names import escape


class _Commands(TyperGroup):
    """Ends every command that cannot go on in one line and an exit code, never in a traceback."""

    def main(self, *args: Any, **extra: Any) -> Any:
        try:
            code = super().main(*args, **{**extra, "standalone_mode": False})
        except Exception as error:
            # What the command line itself is wrong about; Typer would draw a box around it.
            wrong: Any = error
            if not hasattr(wrong, "format_message"):
                raise
            message = wrong.format_message()
            if message:
                tell(f"error: {escape(' '.join(message.split()))}")
            else:
                wrong.show()  # the help, where there is no command
            code = wrong.exit_code
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except CapcliError as error:
            tell(f"error: {escape(' '.join(str(error).split()))}")
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            tell("interrupted")
            raise typer.Exit(130) from None
        except BrokenPipeError:
            # The reader, `head` perhaps, has enough; without this Python complains when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(141) from None
        except OSError as error:
            tell(f"error: {_told(error)}")
            raise typer.Exit(1) from None


def _told(error: OSError) -> str:
    what = (error.strerror or str(error)).lower()
    return escape(f"{error.filename}: {what}" if error.filename else what)


app = typer.Typer(
    cls=_Commands,
    help="Turns photographs into English sentences, offline.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(caption.caption)
app.command()(attend.attend)
app.command()(train.train)
app.command("eval")(eval.evaluate)
app.command()(compress.compress)
app.add_typer(models.app, name="models")


def _print_version(wanted: bool) -> None:
    if wanted:
        from capcli import __version__

        typer.echo(f"capcli {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line and leave the process.

    Exit codes: 0 done, 1 some pictures failed, 2 wrong usage, 130 interrupted, 143 terminated, 141 nobody reads the
    output.
    """
    # A stream that the caller has closed takes what it gets, and no file may come to have its number.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: PTH123, SIM115 - open to the end
    try:
        app(prog_name="capcli")
    except SystemExit as end:
        if "torch" not in sys.modules or not isinstance(end.code, int):
            raise
        # Everything is said and closed by now, and torch would take most of a second to take itself apart.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code)
