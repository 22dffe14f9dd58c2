"""What made results: the model, the options, and how pictures were prepared."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from capcli.decoding.options import LM_RESCORE, DecodingKeywords, DecodingOptions
from capcli.known import EXPECTED, know_model
from capcli.model.options import ModelOptions
from capcli.modelfile.identity import ModelIdentity, identify_model
from capcli.options import flag_of
from capcli.pictures.preparation import PREPARATION
from capcli.version import __version__


@dataclass(frozen=True)
class Origin:
    """What makes results.

    Attributes:
        model: the model.
        language_model: the one that has a say beside it, if any.
        pixels: number of the rules by which pictures are prepared, `PREPARATION`.
        options: every option that changes results, by its name in Python; plain values.
        version: of capcli, which nothing is refused for.
    """

    model: ModelIdentity
    language_model: ModelIdentity | None = None
    pixels: int = PREPARATION
    options: Mapping[str, object] = field(default_factory=dict)
    version: str = __version__

    def difference(self, asked: Origin, other: str | None = None) -> str | None:
        """How what made results differs from what is asked for now, in words; None if it does not.

        Args:
            asked: what is asked for.
            other: what messages call the results that `asked` made, where it is not the user who asks.
        """
        asking = f"{other} was made with" if other else "you ask for"
        if self.model.sha256 != asked.model.sha256:
            return f"with --model {_named(self.model)}; {asking} {_named(asked.model)}"
        beside = [origin.language_model for origin in (self, asked)]
        if len({model and model.sha256 for model in beside}) > 1:
            before, now = (None if model is None else _named(model) for model in beside)
            return _difference("lm", before, now, asking)
        if self.pixels != asked.pixels:
            who = f"{other} is of rules" if other else "this version of capcli prepares them by rules"
            return f"from pictures prepared by rules {self.pixels}; {who} {asked.pixels}"
        for name in dict.fromkeys([*asked.options, *self.options]):
            old, new = (origin.options.get(name, _DEFAULTS.get(name)) for origin in (self, asked))
            if old != new:
                return _difference(name, _spell(old), _spell(new), asking)
        return None

    def with_options(self, options: Mapping[str, object]) -> Origin:
        """The same with further options."""
        return dataclasses.replace(self, options={**self.options, **options})

    def without_options(self, *names: str) -> Origin:
        """The same without some options."""
        return dataclasses.replace(
            self, options={key: value for key, value in self.options.items() if key not in names}
        )

    def to_json(self) -> dict[str, object]:
        """All of it as plain values."""
        models = {
            "model": self.model.to_json(),
            "language_model": self.language_model and self.language_model.to_json(),
        }
        return {**dataclasses.asdict(self), **models}

    @classmethod
    def from_json(cls, values: Any) -> Origin:
        """Reads what `to_json` gave, keys of later versions left out; raises ValueError for anything else."""
        try:
            beside = values["language_model"]
            return cls(
                _identity(values["model"]),
                None if beside is None else _identity(beside),
                int(values["pixels"]),
                dict(values["options"]),
                str(values["version"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(str(error)) from None


def read_origin(model: ModelOptions, decoding: DecodingKeywords) -> Origin:
    """What makes the captions of a run, read from the model's files without loading it.

    Args:
        model: names the model.
        decoding: fields of `DecodingOptions` that take the place of the model's own.

    Raises:
        ModelError: if there is no such model, or its files are not one.
        UsageError: for options that contradict each other.
    """
    known = know_model(model.model)
    options = known.options
    if model.lm is not None:
        options = options.replace(lm_rescore=LM_RESCORE)
    chosen = dataclasses.asdict(options.replace(**decoding))
    # Without what then changes nothing.
    del chosen["word_weight" if chosen["sample"] else "seed"]
    others = {name: value for name, value in known.beside.items() if name != EXPECTED or chosen.get("word_weight")}
    beside = None if model.lm is None else identify_model(model.lm)
    return Origin(known.identity, beside, PREPARATION, {**chosen, **others})


_DEFAULTS = {option.name: option.default for option in dataclasses.fields(DecodingOptions)}
"""What an option was before it was there."""


def _identity(values: Any) -> ModelIdentity:
    revision = values.get("revision")
    return ModelIdentity(str(values["name"]), str(values["sha256"]), None if revision is None else str(revision))


def _named(model: ModelIdentity) -> str:
    return f"{model.name} (SHA-256 {model.sha256[:12]})"


def _difference(name: str, before: str | None, now: str | None, asking: str) -> str:
    """A difference of an option in words; None stands for an option that is not given, "" for a flag that is."""
    flag = name if " " in name else flag_of(name)
    if before is None:
        return f"without {flag}; {asking} {now or 'it'}"
    if not before and asking.startswith("you"):
        return f"with {flag}; you do not ask for it"
    return f"with {flag} {before}".rstrip() + f"; {asking} {now or 'none'}"


def _spell(value: object) -> str | None:
    if value is None or value is False or value == "":
        return None
    if value is True:
        return ""
    # The words of a prefix or a sentence are one value.
    return repr(value) if isinstance(value, str) and " " in value else str(value)
