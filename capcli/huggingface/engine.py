"""A loaded checkpoint with all that one must know of its family: it is asked, says tokens, and looks at given ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from capcli.arrays import UInt8Array
from capcli.decoding.options import DecodingOptions
from capcli.hub.repository import Repository
from capcli.huggingface.asking import ENCODED, Asked, Asking, generate
from capcli.huggingface.generated import Generated, read_generated
from capcli.huggingface.loading import Loaded
from capcli.huggingface.looking import Looked, look
from capcli.huggingface.words import Spelled, count_words, spell_out

FAR = 1_000_000
"""More words, and more tokens, than any caption has."""


class Engine:
    """Says and looks at tokens.

    Attributes:
        loaded: the checkpoint.
        family: of it.
        kind: its `model_type`.
        ends: tokens that end a caption, the usual one first.
        room: how many tokens the decoder can hold.
    """

    def __init__(self, repository: Repository, loaded: Loaded) -> None:
        self.loaded, self.family = loaded, repository.family
        self.kind = str(repository.config["model_type"])
        self.ends, self.room = _ends(loaded), _room(loaded.model)
        self._asking = Asking(loaded, self.kind, self.family.processing)

    def ask(self, arrays: UInt8Array, options: DecodingOptions) -> Asked:
        """What the model is given for uint8 B x H x W x 3 pictures, B above 0."""
        prompt = options.prompt or self.family.prompt
        with torch.inference_mode():
            return self._asking.ask(arrays, prompt, self.family.chats, options.prefix)

    def say(self, arrays: UInt8Array, options: DecodingOptions) -> list[Generated]:
        """What the model says of each picture, as many captions of one after another as the options ask for."""
        from capcli.huggingface.limits import generation_options

        asked = self.ask(arrays, options)
        times = options.num_captions if options.sample else 1
        with torch.inference_mode():
            more = asked.repeated(times)
            how = generation_options(
                options,
                begin=asked.begin,
                head=asked.head.shape[1],
                ends=self.ends,
                room=self.room,
                count=partial(count_words, self.loaded.tokenizer, family=self.family),
                seeds=[_seed(array, options.seed, number) for array in arrays for number in range(times)],
            )
            generated = generate(self.loaded, self.kind, more, **how)
            sequences = read_generated(generated, more, self.ends, self.loaded.tokenizer)
        if not options.prefix:
            return sequences
        # No search tells how likely the prefix is.
        looks = self.look(asked.repeated(options.num_captions), [sequence.ids for sequence in sequences])
        return [
            replace(sequence, logs=looked.log_probabilities[:-1].tolist())
            for sequence, looked in zip(sequences, looks, strict=True)
        ]

    def look(self, asked: Asked, captions: Sequence[Sequence[int]], **how: bool) -> list[Looked]:
        """How likely given captions are, one for each picture; takes the keywords of `look`."""
        return look(self.loaded, self.kind, asked, captions, self.ends[0], **how)

    def spell(self, ids: Sequence[int], most: int = FAR) -> Spelled:
        """The sentence that tokens say, of so many words at most."""
        return spell_out(self.loaded.tokenizer, ids, self.family, most)

    def encode(self, text: str) -> list[int]:
        """The tokens of a sentence."""
        # A decoder that says a start token first says one here, too.
        forced = self.loaded.model.generation_config.forced_bos_token_id
        first = [forced] if isinstance(forced, int) and self.kind in ENCODED else []
        return [*first, *(int(token) for token in self.loaded.tokenizer(text, add_special_tokens=False).input_ids)]

    def regions(self, asked: Asked, keys: int, count: int) -> slice:
        """Which of the decoder's keys are the picture's regions; before them there may be others, of the whole."""
        if self.kind == "florence2":
            # What the model is asked follows the picture.
            keys = int((asked.inputs["input_ids"][0] == self.loaded.model.config.image_token_id).sum())
        return slice(keys - count, keys)


def _ends(loaded: Loaded) -> list[int]:
    config = loaded.model.config
    text = config.get_text_config(decoder=True)
    configured: list[Any] = [
        getattr(text, "sep_token_id", None) if config.model_type == "blip" else None,
        loaded.model.generation_config.eos_token_id,
        getattr(text, "eos_token_id", None),
        loaded.tokenizer.eos_token_id if config.model_type in (*ENCODED, "blip-2") else None,
        loaded.tokenizer.sep_token_id if config.model_type in ("blip", "git") else None,
    ]
    flat = [
        token
        for entry in configured
        for token in (entry if isinstance(entry, Iterable) else [entry])
        if token is not None
    ]
    return list(dict.fromkeys(int(token) for token in flat))


def _room(model: Any) -> int:
    config = model.config.get_text_config(decoder=True)
    limits = (getattr(config, name, None) for name in ("max_position_embeddings", "n_positions"))
    return min((limit for limit in limits if isinstance(limit, int)), default=FAR)


def _seed(array: UInt8Array, seed: int, number: int) -> int:
    """A number that a draw for a picture has anywhere and in any batch."""
    content = f"{seed} {number} {array.shape} ".encode() + array.tobytes()
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big")
