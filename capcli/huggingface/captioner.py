"""A captioner of Hugging Face, in the place of one of capcli's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from capcli.arrays import BoolArray, Float32Array, UInt8Array
from capcli.attribution.cover import cover
from capcli.attribution.maps import occlusion, shares
from capcli.attribution.methods import check_method
from capcli.caption import Caption, Word
from capcli.captioning import BaseCaptioner, check_prepared
from capcli.decoding.options import DecodingOptions
from capcli.errors import UsageError
from capcli.hub.families import check_prompt
from capcli.hub.repository import Repository
from capcli.hub.settings import own_options, read_calibration
from capcli.huggingface.asking import Asked
from capcli.huggingface.engine import FAR, Engine
from capcli.huggingface.generated import Generated
from capcli.huggingface.loading import Loaded, load
from capcli.huggingface.looking import Looked
from capcli.huggingface.shape import find_grid, find_size
from capcli.huggingface.words import Spelled, compose
from capcli.keywords.chooser import KeywordChooser
from capcli.model.device import choose_device
from capcli.model.options import BATCH
from capcli.modelfile.confidence import compute_confidence
from capcli.words.tokens import tokenize

_COARSE = 8
"""Rows and columns that `occlusion` covers at most; each cover costs a pass through the whole model."""


class HuggingFaceCaptioner(BaseCaptioner):
    """A captioner of any family of `capcli.hub.families`, computed by transformers.

    Attributes:
        repository: its files.
        engine: says and looks at tokens.
        model: transformers' own.
        precision: "bfloat16" or "float32".
    """

    def __init__(self, repository: Repository, loaded: Loaded) -> None:
        self.repository, self.engine, self.model = repository, Engine(repository, loaded), loaded.model
        self.name, self._file = repository.name, repository.folder
        self.options, fitted = own_options(repository), read_calibration(repository)
        self.calibration = None if fitted is None else fitted[0]
        self.device, self.precision = loaded.model.device, str(loaded.dtype).removeprefix("torch.")
        family = repository.family
        self.size, self.keeps_proportions = find_size(loaded.images, family.longest)
        self.grid = find_grid(loaded, self.engine.kind) if family.attends else (_COARSE, _COARSE)
        self.methods = family.methods

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
        check_prompt(self.engine.family, self.name, options.prompt, options.prefix)
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
        return self._fitting(arrays, lambda batch: [caption for caption, _ in self.captioned(batch, chosen)])

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
        given = None if caption is None else _encode_sentence(self.engine, caption)
        how = {"attention": method != "occlusion", "gradients": method == "gradient"}

        def attended(batch: UInt8Array) -> list[Caption]:
            captioned = self.captioned(batch, chosen) if given is None else [(None, given)] * len(batch)
            asked = self.engine.ask(batch, chosen)
            looks = self.engine.look(asked, [sequence.ids for _, sequence in captioned], **how)
            return [
                self._attended(caption, sequence, look, array, asked, chosen)
                for (caption, sequence), look, array in zip(captioned, looks, batch, strict=True)
            ]

        return self._fitting(arrays, attended)

    def log_probabilities(self, arrays: UInt8Array, words: Sequence[str]) -> Float32Array:
        check_prepared(arrays, self, least=1)
        ids = self.engine.encode(compose(words, self.engine.family))
        spelled = self.engine.spell(ids)
        return np.stack([_of_words(look, spelled) for look in self._forced(arrays, ids, self.options)])

    def captioned(self, batch: UInt8Array, options: DecodingOptions) -> list[tuple[Caption, Generated]]:
        """The best caption of each picture, with its alternatives, and the tokens that it was made of."""
        sequences = self.engine.say(batch, options)
        count = len(sequences) // len(batch)
        found = [(self._caption(sequence, options), sequence) for sequence in sequences]
        return [_best(found[start : start + count], options) for start in range(0, len(found), count)]

    def _check_all(self, options: DecodingOptions, chooser: KeywordChooser | None) -> None:
        self.check(options)
        if chooser is not None:
            raise UsageError(f"{self.name} knows no keywords; base does")

    def _caption(self, sequence: Generated, options: DecodingOptions) -> Caption:
        spelled = self.engine.spell(sequence.ids, options.max_length)
        words = tuple(
            Word(word, float(sum(sequence.logs[place] for place in places)), None) for word, places in spelled.words
        )
        given = len(tokenize(options.prefix)) if options.prefix else 0
        chosen = [word.log_probability for word in words[given:]]
        if sequence.end is not None and not spelled.cut:
            chosen.append(sequence.end)
        confidence = compute_confidence(chosen, self.calibration)
        return Caption(spelled.text, words, confidence, uncertain=confidence < options.min_confidence)

    def _attended(
        self,
        caption: Caption | None,
        sequence: Generated,
        looked: Looked,
        array: UInt8Array,
        asked: Asked,
        options: DecodingOptions,
    ) -> Caption:
        """The caption with its words' maps; None stands for a sentence of the user's own, which also gets the rest."""
        spelled = self.engine.spell(sequence.ids, FAR if caption is None else options.max_length)
        logs = _of_words(looked, spelled)
        if caption is None:
            confidence = compute_confidence(logs.tolist(), self.calibration)
            words = tuple(Word(word, float(log), None) for (word, _), log in zip(spelled.words, logs[:-1], strict=True))
            caption = Caption(spelled.text, words, confidence, uncertain=confidence < options.min_confidence)
        regions = self.grid[0] * self.grid[1]
        maps = np.full((len(spelled.words), regions), 1 / regions, np.float32)
        if looked.attention is None:

            def fall(covered: BoolArray) -> Float32Array:
                looks = self._forced(cover(array, covered, coarse, self.box), sequence.ids, options)
                return np.stack([(logs - _of_words(look, spelled))[:-1] for look in looks])

            coarse = (min(self.grid[0], _COARSE), min(self.grid[1], _COARSE))
            maps = shares(_occlusion(fall, coarse, self.grid), maps)
        else:
            places = self.engine.regions(asked, looked.attention.shape[1], regions)
            for weights in (looked.attention, looked.relevance):
                maps = maps if weights is None else shares(_merged(weights[:, places].numpy(), spelled), maps)
        attended = tuple(
            replace(word, attention=place.reshape(self.grid)) for word, place in zip(caption.words, maps, strict=True)
        )
        return replace(caption, words=attended, alternatives=())

    def _forced(self, arrays: UInt8Array, ids: Sequence[int], options: DecodingOptions) -> list[Looked]:
        """One caption's tokens under each of some pictures."""

        def work(batch: UInt8Array) -> list[Looked]:
            return self.engine.look(self.engine.ask(batch, options), [ids] * len(batch))

        parts = [arrays[start : start + BATCH] for start in range(0, len(arrays), BATCH)]
        return [look for part in parts for look in self._fitting(part, work)]


def _encode_sentence(engine: Engine, text: str) -> Generated:
    """The tokens of a sentence of the user's own."""
    if not isinstance(text, str):
        raise UsageError(f"a caption is a sentence, not {text!r}")
    words = tokenize(text)
    if not words:
        raise UsageError(f"the caption {text!r} has no words; give some, such as 'a dog runs'")
    ids = engine.encode(compose(words, engine.family))
    if len(ids) >= engine.room:
        raise UsageError(f"the caption has {len(ids)} tokens and this model can say {engine.room - 1}; shorten it")
    return Generated(ids, [0.0] * len(ids), None)


def _best(found: list[tuple[Caption, Generated]], options: DecodingOptions) -> tuple[Caption, Generated]:
    """The first of one picture's captions with the others that differ from it; of draws the likeliest is first."""
    if options.sample:
        found = sorted(found, key=lambda pair: -pair[1].score(options.length_penalty))
    apart = list({caption.text: (caption, sequence) for caption, sequence in reversed(found)}.values())[::-1]
    best, sequence = apart[0]
    return replace(best, alternatives=tuple(caption for caption, _ in apart[1:])), sequence


def _of_words(looked: Looked, spelled: Spelled) -> Float32Array:
    """Log-probabilities of the words, and of the end."""
    logs = looked.log_probabilities.numpy()
    return np.array([*(logs[list(own)].sum() for _, own in spelled.words), logs[-1]], np.float32)


def _merged(maps: Float32Array, spelled: Spelled) -> Float32Array:
    """Words x regions from tokens x regions: the mean over a word's tokens, zeros for a word without any."""
    nothing = np.zeros(maps.shape[1], np.float32)
    return np.stack([maps[list(own)].mean(0) if own else nothing for _, own in spelled.words])


def _occlusion(
    fall: Callable[[BoolArray], Float32Array], coarse: tuple[int, int], grid: tuple[int, int]
) -> Float32Array:
    """Words x regions of a grid, by covers of one that is coarser where that is fine."""
    found = occlusion(fall, coarse).reshape(-1, *coarse)
    rows, columns = (np.arange(fine) * few // fine for fine, few in zip(grid, coarse, strict=True))
    spread: Float32Array = found[:, rows][:, :, columns].reshape(len(found), -1)
    return spread
