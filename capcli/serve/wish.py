"""What a request wants of its pictures, from the options that the commands have."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, get_type_hints

from capcli.attribution.methods import check_method
from capcli.decoding.options import DecodingOptions
from capcli.errors import UsageError
from capcli.heatmap.options import AttendOptions
from capcli.keywords.options import KeywordOptions
from capcli.options import build, near_names
from capcli.output.options import OutputOptions
from capcli.serve.options import OverlayOptions

if TYPE_CHECKING:
    from capcli.captioning import BaseCaptioner

METHOD = "attention"
"""How the server makes maps: the others need torch, or take seconds."""

Sources = Mapping[type, tuple[str, ...]]

_DECODING = tuple(field.name for field in dataclasses.fields(DecodingOptions))

CAPTION: Sources = {DecodingOptions: _DECODING, KeywordOptions: ("keywords",), OutputOptions: ("with_words",)}
"""Fields of a request for captions, by the options that they are of."""

HEATMAP: Sources = {
    DecodingOptions: tuple(name for name in _DECODING if name != "num_captions"),
    KeywordOptions: ("keywords",),
    AttendOptions: ("words", "caption"),
    OverlayOptions: ("overlay", "side"),
}
"""Fields of a request for heatmaps."""

CHAT: Sources = {DecodingOptions: tuple(n for n in _DECODING if n not in ("temperature", "top_p", "seed", "top_k"))}
"""Fields of a chat that are capcli's own; what others call alike means the manner of a chat there."""


@dataclass(frozen=True)
class Question:
    """What the model is asked; pictures with the same question are computed together.

    Attributes:
        decoding: how captions are chosen.
        keywords: whether keywords are wanted.
        maps: whether the words' maps are.
        sentence: to look at in place of a caption of the model's own.
    """

    decoding: DecodingOptions
    keywords: bool = False
    maps: bool = False
    sentence: str | None = None


@dataclass(frozen=True)
class Wish:
    """A question, and what its answer holds.

    Attributes:
        question: for the model.
        keywords: how many it holds.
        with_words: whether it holds the words' log-probabilities.
        words: those whose maps it holds; empty for all.
        overlay: whether and how large maps are drawn.
    """

    question: Question
    keywords: int = 0
    with_words: bool = False
    words: frozenset[str] = frozenset()
    overlay: OverlayOptions = dataclasses.field(default_factory=OverlayOptions)


def read_wish(
    fields: Mapping[str, Any], sources: Sources, captioner: BaseCaptioner, own: DecodingOptions, *, typed: bool
) -> Wish:
    """The wish of a request.

    Args:
        fields: of the request.
        sources: those that it may have.
        captioner: that is to fulfil it.
        own: how captions are chosen where nothing else is asked for.
        typed: whether values have their types; else they are texts that say them.

    Raises:
        UsageError: for a field that is unknown, of the wrong type, out of range, or beyond the model.
    """
    places = {name: kind for kind, names in sources.items() for name in names}
    given: dict[type, dict[str, Any]] = {kind: {} for kind in sources}
    for name, value in fields.items():
        if name not in places:
            near = near_names(name, places)
            raise UsageError(f"no option is called {name!r}" + (f"; near it: {', '.join(near)}" if near else ""))
        given[places[name]][name] = value if typed else _parse(places[name], name, value)
    decoding = own.replace(**given[DecodingOptions])
    words: KeywordOptions = build(KeywordOptions, given.get(KeywordOptions, {}))
    output: OutputOptions = build(OutputOptions, {"format": "jsonl", **given.get(OutputOptions, {})})
    drawing: AttendOptions = build(AttendOptions, given.get(AttendOptions, {}))
    overlay: OverlayOptions = build(OverlayOptions, given.get(OverlayOptions, {}))
    maps = AttendOptions in sources
    captioner.check(decoding)
    searching = [name for name in given[DecodingOptions] if name != "min_confidence"]
    if drawing.caption is not None and searching:
        raise UsageError(f"with a caption of your own none is searched for, so leave {searching[0]} out")
    if maps:
        check_method(METHOD, captioner.methods, captioner.name)
    question = Question(decoding, words.keywords > 0, maps, drawing.caption)
    return Wish(question, words.keywords, output.with_words, drawing.chosen, overlay)


def _parse(kind: type, name: str, text: str) -> object:
    """The value that the text of a form's field says; the text where it says none, which is refused then."""
    value: object = text
    if not _is_text(kind, name):
        with suppress(ValueError, RecursionError):
            value = json.loads(text)
    return value


@cache
def _is_text(kind: type, name: str) -> bool:
    return get_type_hints(kind)[name] in (str, str | None)
