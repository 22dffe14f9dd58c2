"""`capcli serve` before it serves."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from fake_captioner import FakeCaptioner
from typer.testing import CliRunner, Result

from capcli.cli import app


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["serve", *arguments], obj=FakeCaptioner().load, env={"COLUMNS": "80"})


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "prometheus_client", "python_multipart"])
def test_without_its_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    result = run()
    message = f'capcli: error: capcli serve needs {package}: pip install "capcli[serve]"\n'
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", message)


def test_the_line_at_its_begin_names_the_help_and_that_lists_what_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    def serve(given: object, model: object, decoding: object, announce: Callable[[str], None], **rest: object) -> None:
        announce("http://127.0.0.1:8766")

    monkeypatch.setattr("capcli.serve.server.serve", serve)
    result = run()
    assert (result.exit_code, result.stdout) == (0, "http://127.0.0.1:8766\n")
    assert result.stderr == "capcli: it answers at this address until Ctrl-C; capcli serve --help says what to ask\n"
    shown = run("--help").stdout
    for path in ("/v1/captions", "/v1/heatmaps", "/v1/chat/completions", "/healthz", "/metrics"):
        assert path in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "65536"], "less than or equal to 65535"),
        (["--queue", "0"], "greater than or equal to 1"),
        (["--timeout", "0"], "greater than or equal to 0.1"),
        (["--min-length", "9", "--max-length", "3"], "min-length 9 is above max-length 3"),
        (["--keywords", "3"], "No such option: --keywords"),
    ],
)
def test_options_that_cannot_be_are_refused_before_anything_is_loaded(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert message in result.stderr
