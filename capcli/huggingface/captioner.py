"""A captioner of Hugging Face, in the place of one of capcli's own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from capcli.arrays import BoolArray, Float32Array, UInt8Array
from capcli.attribution.cover import cover
from capcli.attribution.maps import occlusion, shares
from capcli.attribution.methods import check_method
from capcli.caption import Caption, Word
from capcli.captioning import BATCH, BaseCaptioner
from capcli.decoding.options import DecodingOptions
from capcli.errors import UsageError
from capcli.hub.families import check_prompt
from capcli.hub.repository import Repository
from capcli.hub.settings import own_options, read_calibration
from capcli.huggingface.asking import ENCODED, Asked, Asking, generate
from capcli.huggingface.loading import Loaded, load
from capcli.huggingface.looking import Looked, look
from capcli.huggingface.said import Said, read_said
from capcli.huggingface.shape import find_grid, find_size
from capcli.huggingface.words import Spelled, compose, count_words, spell_out
from capcli.keywords.chooser import KeywordChooser
from capcli.model.device import choose_device
from capcli.modelfile.confidence import compute_confidence
from capcli.words.tokens import tokenize

_COARSE = 8
"""Rows and columns that `occlusion` covers at most; each cover costs a pass through the whole model."""

_FAR = 1_000_000


class HuggingFaceCaptioner(BaseCaptioner):
    """A captioner of any family of `capcli.hub.families`, computed by transformers.

    Attributes:
        repository: its files.
        model: transformers' own.
        precision: "bfloat16" or "float32".
    """

    def __init__(self, repository: Repository, loaded: Loaded) -> None:
        self.repository, self._loaded = repository, loaded
        self.name, self._file = repository.name, repository.folder
        self._family, self._kind = repository.family, str(repository.config["model_type"])
        self.options = own_options(repository)
        fitted = read_calibration(repository)
        self.calibration = None if fitted is None else fitted[0]
        self.model, self.device = loaded.model, loaded.model.device
        self.precision = str(loaded.dtype).removeprefix("torch.")
        self.size, self.keeps_proportions = find_size(loaded.images, self._family.longest)
        self.grid = find_grid(loaded, self._kind) if self._family.attends else (_COARSE, _COARSE)
        self.methods = self._family.methods
        self._asking = Asking(loaded, self._kind, self._family.processing)
        self._ends = _ends(loaded)
        self._count = partial(count_words, loaded.tokenizer, family=self._family)

    @classmethod
    def load(cls, model: str | Path, device: str = "auto") -> HuggingFaceCaptioner:
        """Loads a model that `capcli models pull` brought here, `hf:OWNER/NAME`, or the folder of one.

        Raises:
            ModelError: if there is no such model, or it cannot be used.
            UsageError: for a name that is none, if the device is not there, or transformers is not installed.
            CapcliError: if it does not fit into memory.
        """
        place, repository = choose_device(device), Repository.find(model)
        return cls(repository, load(repository, place))

    def check(self, options: DecodingOptions) -> None:
        from capcli.huggingface.limits import check_honoured

        check_honoured(options, self.options, self.name)
        check_prompt(self._family, self.name, options.prompt, options.prefix)
        if options.prefix:
            words = len(tokenize(options.prefix))
            if not words:
                raise UsageError(f"the prefix {options.prefix!r} has no words; leave it out or give some")
            if words > options.max_length:
                raise UsageError(f"the prefix has {words} words and max-length is {options.max_length}; change one")

    def caption_arrays(
        self, arrays: UInt8Array, options: DecodingOptions | None = None, chooser: KeywordChooser | None = None
    ) -> list[Caption]:
        chosen = options or self.options
        self._check_all(chosen, chooser)
        return self._fitting(arrays, lambda batch: [caption for caption, _ in self._captioned(batch, chosen)])

    def attend_arrays(
        self,
        arrays: UInt8Array,
        options: DecodingOptions | None = None,
        *,
        caption: str | None = None,
        method: str = "gradient",
        chooser: KeywordChooser | None = None,
    ) -> list[Caption]:
        chosen = options or self.options
        self._check_all(chosen, chooser)
        check_method(method, self.methods, self.name)
        given = None if caption is None else self._sentence(caption)

        def attended(batch: UInt8Array) -> list[Caption]:
            if given is None:
                found = self._captioned(batch, chosen)
            else:
                found = [(Caption("", (), 0.0), given)] * len(batch)
            asked = self._ask(batch, chosen)
            ids = [said.ids for _, said in found]
            how = {"attention": method != "occlusion", "gradients": method == "gradient"}
            looked = look(self._loaded, self._kind, asked, ids, self._ends[0], **how)
            return [
                self._attended(one, array, chosen, method, own=given is None)
                for one, array in zip(zip(*zip(*found, strict=True), looked, strict=True), batch, strict=True)
            ]

        return self._fitting(arrays, attended)

    def log_probabilities(self, arrays: UInt8Array, words: Sequence[str]) -> Float32Array:
        text = compose(words, self._family)
        ids = self._encode(text)
        spelled = spell_out(self._loaded.tokenizer, ids, self._family, _FAR)
        return np.stack([_of_words(one, spelled) for one in self._forced(arrays, ids, self.options)])

    def _check_all(self, options: DecodingOptions, chooser: KeywordChooser | None) -> None:
        self.check(options)
        if chooser is not None:
            raise UsageError(f"{self.name} knows no keywords; base does")

    def _ask(self, arrays: UInt8Array, options: DecodingOptions) -> Asked:
        prompt = self._family.prompt if not options.prompt else options.prompt
        return self._asking.ask(arrays, prompt, self._family.chats, options.prefix)

    def _captioned(self, batch: UInt8Array, options: DecodingOptions) -> list[tuple[Caption, Said]]:
        """The best caption for each picture, with its alternatives, and what it was made of."""
        from capcli.huggingface.limits import generation_options

        times = options.num_captions if options.sample else 1
        with torch.inference_mode():
            asked = self._ask(batch, options)
            more = asked.repeated(times)
            how = generation_options(
                options,
                begin=asked.begin,
                head=asked.head.shape[1],
                ends=self._ends,
                room=_room(self._loaded.model),
                count=self._count,
                seeds=[_seed(array, options.seed, number) for array in batch for number in range(times)],
            )
            made = generate(self._loaded, self._kind, more, **how)
            said = read_said(made, more, self._ends, self._loaded.tokenizer)
        if options.prefix:
            said = self._with_prefix(asked, said, options.num_captions)
        each = len(said) // len(batch)
        captions = [self._caption(one, options) for one in said]
        return [
            self._best(list(zip(captions, said, strict=True))[start : start + each], options)
            for start in range(0, len(said), each)
        ]

    def _with_prefix(self, asked: Asked, said: list[Said], times: int) -> list[Said]:
        """The same with the log-probabilities of the prefix, which no search tells."""
        told = look(self._loaded, self._kind, asked.repeated(times), [one.ids for one in said], self._ends[0])
        return [
            replace(one, logs=looked.log_probabilities[:-1].tolist()) for one, looked in zip(said, told, strict=True)
        ]

    def _best(self, found: list[tuple[Caption, Said]], options: DecodingOptions) -> tuple[Caption, Said]:
        """The first of one picture's captions with the others that differ from it; of draws the likeliest is first."""
        if options.sample:
            found = sorted(found, key=lambda one: -one[1].score(options.length_penalty))
        apart = list({caption.text: (caption, said) for caption, said in reversed(found)}.values())[::-1]
        best, said = apart[0]
        return replace(best, alternatives=tuple(caption for caption, _ in apart[1:])), said

    def _caption(self, said: Said, options: DecodingOptions) -> Caption:
        spelled = spell_out(self._loaded.tokenizer, said.ids, self._family, options.max_length)
        words = tuple(Word(word, float(sum(said.logs[place] for place in own)), None) for word, own in spelled.words)
        given = len(tokenize(options.prefix)) if options.prefix else 0
        chosen = [word.log_probability for word in words[given:]]
        if said.end is not None and not spelled.cut:
            chosen.append(said.end)
        confidence = compute_confidence(chosen, self.calibration)
        return Caption(spelled.text, words, confidence, uncertain=confidence < options.min_confidence)

    def _attended(
        self,
        found: tuple[Caption, Said, Looked],
        array: UInt8Array,
        options: DecodingOptions,
        method: str,
        *,
        own: bool,
    ) -> Caption:
        """The caption with its words' maps; of a sentence that is not the model's own also with its probabilities."""
        caption, said, looked = found
        spelled = spell_out(self._loaded.tokenizer, said.ids, self._family, options.max_length if own else _FAR)
        logs = _of_words(looked, spelled)
        rows, columns = self.grid
        even = np.full((len(spelled.words), rows * columns), 1 / (rows * columns), np.float32)
        if method == "occlusion":
            maps = shares(self._occlusion(array, said.ids, spelled, logs, options), even)
        else:
            assert looked.attention is not None, "the family attends"
            places = self._places(looked.attention.shape[1], array, options)
            attention = shares(_merged(looked.attention[:, places].numpy(), spelled), even)
            maps = attention
            if looked.relevance is not None:
                maps = shares(_merged(looked.relevance[:, places].numpy(), spelled), attention)
        before = caption.words if own else [Word(word, float(log), None) for (word, _), log in zip(spelled.words, logs)]  # noqa: B905
        seen = tuple(
            replace(word, attention=place.reshape(rows, columns)) for word, place in zip(before, maps, strict=True)
        )
        if own:
            return replace(caption, words=seen, alternatives=())
        confidence = compute_confidence(logs.tolist(), self.calibration)
        return Caption(spelled.text, seen, confidence, uncertain=confidence < options.min_confidence)

    def _places(self, keys: int, array: UInt8Array, options: DecodingOptions) -> slice:
        """Which of the decoder's keys are regions of the picture; before them there may be others, of the whole."""
        regions = self.grid[0] * self.grid[1]
        stop = keys
        if self._kind == "florence2":
            # What the model is asked follows the picture.
            ids = self._ask(array[None], options).inputs["input_ids"][0]
            stop = int((ids == self._loaded.model.config.image_token_id).sum())
        return slice(stop - regions, stop)

    def _occlusion(
        self, array: UInt8Array, ids: Sequence[int], spelled: Spelled, whole: Float32Array, options: DecodingOptions
    ) -> Float32Array:
        """Words x regions; covers of a grid that is coarser where the model's own is fine."""
        coarse = (min(self.grid[0], _COARSE), min(self.grid[1], _COARSE))

        def fall(covered: BoolArray) -> Float32Array:
            told = self._forced(cover(array, covered, coarse, self.box), ids, options)
            return np.stack([(whole - _of_words(one, spelled))[:-1] for one in told])

        found = occlusion(fall, coarse).reshape(-1, *coarse)
        rows, columns = (np.arange(fine) * few // fine for fine, few in zip(self.grid, coarse, strict=True))
        spread: Float32Array = found[:, rows][:, :, columns].reshape(len(found), -1)
        return spread

    def _forced(self, arrays: UInt8Array, ids: Sequence[int], options: DecodingOptions) -> list[Looked]:
        """One caption's tokens under each of some pictures."""

        def work(batch: UInt8Array) -> list[Looked]:
            with torch.inference_mode():
                asked = self._ask(batch, replace(options, prefix=""))
            return look(self._loaded, self._kind, asked, [ids] * len(batch), self._ends[0])

        parts = [arrays[start : start + BATCH] for start in range(0, len(arrays), BATCH)]
        return [one for part in parts for one in self._fitting(part, work)]

    def _sentence(self, text: str) -> Said:
        """The tokens of a sentence of the user's own."""
        words = tokenize(text)
        if not words:
            raise UsageError(f"the caption {text!r} has no words; give some, such as 'a dog runs'")
        ids = self._encode(compose(words, self._family))
        room = _room(self._loaded.model) - 1
        if len(ids) > room:
            raise UsageError(f"the caption has {len(ids)} tokens and this model can say {room}; shorten it")
        return Said(ids, [0.0] * len(ids), None)

    def _encode(self, text: str) -> list[int]:
        # A decoder that says a start token first says one here, too.
        told = self._loaded.model.generation_config.forced_bos_token_id
        first = [told] if isinstance(told, int) and self._kind in ENCODED else []
        return [*first, *(int(one) for one in self._loaded.tokenizer(text, add_special_tokens=False).input_ids)]


def _of_words(looked: Looked, spelled: Spelled) -> Float32Array:
    """Log-probabilities of the words, and of the end."""
    logs = looked.log_probabilities.numpy()
    return np.array([*(logs[list(own)].sum() for _, own in spelled.words), logs[-1]], np.float32)


def _merged(maps: Float32Array, spelled: Spelled) -> Float32Array:
    """Words x regions from tokens x regions: the mean over a word's tokens, zeros for a word without any."""
    nothing = np.zeros(maps.shape[1], np.float32)
    return np.stack([maps[list(own)].mean(0) if own else nothing for _, own in spelled.words])


def _ends(loaded: Loaded) -> list[int]:
    """Tokens that end a caption, the usual one first."""
    config = loaded.model.config
    told: list[Any] = [
        getattr(config.get_text_config(decoder=True), "sep_token_id", None) if config.model_type == "blip" else None,
        loaded.model.generation_config.eos_token_id,
        getattr(config.get_text_config(decoder=True), "eos_token_id", None),
        loaded.tokenizer.eos_token_id if config.model_type in (*ENCODED, "blip-2") else None,
        loaded.tokenizer.sep_token_id if config.model_type in ("blip", "git") else None,
    ]
    flat = [one for each in told for one in (each if isinstance(each, Iterable) else [each]) if one is not None]
    return list(dict.fromkeys(int(one) for one in flat))


def _room(model: Any) -> int:
    """How many tokens the decoder can hold."""
    config = model.config.get_text_config(decoder=True)
    told = (getattr(config, name, None) for name in ("max_position_embeddings", "n_positions"))
    return min((one for one in told if isinstance(one, int)), default=_FAR)


def _seed(array: UInt8Array, seed: int, number: int) -> int:
    """A number that a draw for a picture has anywhere and in any batch."""
    content = f"{seed} {number} {array.shape} ".encode() + array.tobytes()
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big")
