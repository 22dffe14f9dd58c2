"""Command-line options made from the option dataclasses, so that each has one definition."""

from __future__ import annotations

import dataclasses
from typing import Any

import typer


def option_for(options: type, name: str) -> Any:
    """The typer option for field `name` of the dataclass `options`.

    Help text and range are those of the field's metadata ("help", "min", "max"). The command's parameter
    should default to None: what is not given is left to the model, and where that says nothing, to the field.
    """
    field = next(field for field in dataclasses.fields(options) if field.name == name)
    return typer.Option(
        f"--{name.replace('_', '-')}",
        help=field.metadata["help"],
        min=field.metadata["min"],
        max=field.metadata["max"],
        show_default=f"the model's own, mostly {field.default}",
    )


def given(**values: Any) -> dict[str, Any]:
    """Those of the options that the user set."""
    return {name: value for name, value in values.items() if value is not None}
