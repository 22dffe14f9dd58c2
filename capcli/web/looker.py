"""The program of the process that makes heatmaps for the review page: it loads the model, and looks where asked.

It speaks with its parent as `capcli.pictures.worker` does, and like that one never outlives it. The content of a READ
message is JSON that `ask` makes, and that of its PIXELS is JSON, too.
"""

from __future__ import annotations

import io
import json
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from capcli.errors import CapcliError, UnreadableImage
from capcli.files.json import dumps
from capcli.pictures.read import read_described
from capcli.pictures.worker import Kind, serve
from capcli.words.tokens import tokenize

if TYPE_CHECKING:
    from capcli.caption import Word
    from capcli.library.review import Looked
    from capcli.model.options import ModelOptions

SIDE = 384
"""Pixels of the longer side of a heatmap, which is too smooth for more to be seen."""


def ask(looked: Looked, model: ModelOptions) -> bytes:
    """The content of a READ message.

    Args:
        looked: the picture and its caption.
        model: that looks; a process has one, the first that it is asked for.
    """
    asked = {"path": looked.path, "caption": looked.caption, "pixels": looked.pixels}
    return dumps({**asked, "model": model.model, "device": model.device})


class Looker:
    """Answers what `ask` asks; the model is loaded with the first answer."""

    def __init__(self) -> None:
        self._captioner: Any = None

    def answer(self, wanted: bytes, turn: AbstractContextManager[None] | None = None) -> tuple[Kind, bytes]:
        """PIXELS with a list of the words, each as `_describe` makes it, or REASON with a clause on why there is none.

        One picture is read at a time, so that a large one need not wait for its turn.
        """
        asked = json.loads(wanted)
        try:
            return Kind.PIXELS, dumps(self._look(asked))
        except UnreadableImage as error:
            return Kind.REASON, f"the picture {error.reason}".encode("utf-8", "replace")
        except CapcliError as error:
            return Kind.REASON, str(error).encode("utf-8", "replace")
        except MemoryError:
            return Kind.REASON, b"the picture does not fit into memory"

    def _look(self, asked: dict[str, Any]) -> list[dict[str, object]]:
        if self._captioner is None:
            from capcli.model.options import ModelOptions
            from capcli.runs.session import load_captioner

            self._captioner = load_captioner(ModelOptions(model=asked["model"], device=asked["device"]))
        size, proportions = self._captioner.size, self._captioner.keeps_proportions
        array, facts = read_described(asked["path"], size, proportions=proportions, large=nullcontext())
        if asked["pixels"] not in (None, facts.pixels):
            raise CapcliError("the picture has changed since it was captioned; caption it again")
        (caption,) = self._captioner.attend_arrays(array[None], caption=asked["caption"])
        if [word.text for word in caption.words] != tokenize(asked["caption"]):  # by which the page has cut it
            raise CapcliError("the model cuts the caption into words of its own")
        scale = SIDE / max(facts.width, facts.height)
        drawn = max(1, round(facts.width * scale)), max(1, round(facts.height * scale))
        return [_describe(word, drawn) for word in caption.words]


def _describe(word: Word, size: tuple[int, int]) -> dict[str, object]:
    """What the page shows of a word: its probability, where its map is strongest, and the map as a PNG to lay over."""
    from capcli.heatmap.overlay import veil
    from capcli.heatmap.sentence import probability, strongest
    from capcli.output.html import data_uri

    file = io.BytesIO()
    veil(word.heatmap(size)).save(file, "PNG")
    uri = data_uri(file.getvalue(), "image/png")
    return {"known": word.known, "probability": probability(word), "place": strongest(word), "map": uri}


def main() -> None:
    """Serve the parent until it closes the pipe."""
    # At full priority, because somebody waits for the answer.
    serve(Looker().answer)
