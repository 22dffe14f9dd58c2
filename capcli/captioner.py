"""The one object users hold: a model that turns pictures into captions."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, overload

import numpy as np
from PIL import Image

from capcli.arrays import AnyArray, Float32Array, UInt8Array
from capcli.attribution.cover import cover
from capcli.attribution.maps import occlusion, relevance, shares
from capcli.attribution.methods import DEFAULT_METHOD, check_method
from capcli.caption import Caption, Word
from capcli.decoding.forced import Forced
from capcli.decoding.hypothesis import Hypothesis
from capcli.decoding.options import LM_RESCORE, OF_LANGUAGE_MODELS, DecodingKeywords, DecodingOptions
from capcli.decoding.prefix import encode_prefix
from capcli.decoding.rerank import check_rerank
from capcli.engines.choice import check_sees, load_engine
from capcli.engines.contract import Engine, Regions
from capcli.errors import CapcliError, UnreadableImage, UsageError
from capcli.keywords.chooser import KeywordChooser, read_chooser
from capcli.keywords.options import KeywordOptions
from capcli.modelfile.confidence import compute_confidence
from capcli.modelfile.manner import Manner
from capcli.modelfile.shipped import find_model
from capcli.options import spell
from capcli.pictures.read import read_array, to_array, upright_rgb
from capcli.pictures.spelling import respell
from capcli.words.tokens import detokenize, tokenize

if TYPE_CHECKING:
    import torch
    from typing_extensions import Unpack

    from capcli.modelfile.checkpoint import Checkpoint

BATCH = 16
"""Pictures that are captioned at once where nothing else is asked for."""

_OVERSHOOT = 0.5
"""How far the samples of a float array may lie outside 0 to 1."""

Picture = str | Path | Image.Image | AnyArray

_T = TypeVar("_T")


class Captioner:
    """A loaded model.

    Attributes:
        name: name of the shipped model or of the file, without its ending.
        options: the decoding options chosen for the model on dev; with a language model, `LM_RESCORE` among them.
        engine: what computes it, `onnx` or `torch`.
        device: where it computes, such as "cpu" or "cuda:0".
        notes: for the user, a line each: why the engine is not the one that was asked for.
        size: side of the model's square input in pixels.
        grid: rows and columns of the regions that the decoder looks at.
        box: where that grid lies, as `Word.box`.
        heads: layers and heads whose attention the decoder tells, (0, 0) for one without.
        calibration: of the confidence, on the pictures that the model was chosen on; None where it has none.
        precision: "bfloat16" or "float32", the encoder's and the decoder's.
        fits: the most pictures that fit into memory at once; None as long as every batch did.
    """

    def __init__(
        self, engine: Engine, manner: Manner, name: str, file: Path | None = None, notes: Sequence[str] = ()
    ) -> None:
        self.name, self._file, self.notes = name, file or name, list(notes)
        self.options = manner.options.replace(lm_rescore=LM_RESCORE) if engine.reads else manner.options
        self.calibration, self._vocabulary = manner.calibration, manner.vocabulary
        self._engine, self.engine = engine, engine.name
        self.device, self.precision = engine.device, engine.precision
        self.size, self.grid, self.box, self.heads = engine.size, engine.grid, engine.box, engine.heads
        self.fits: int | None = None

    @classmethod
    def of(cls, checkpoint: Checkpoint, name: str, device: torch.device) -> Captioner:
        """Of a model that is in memory, whose weights become the captioner's, in torch; raises UsageError for a
        language model.
        """
        from capcli.engines.torch_engine import TorchEngine

        check_sees(checkpoint.model.config.encoder.name, name)
        return cls(TorchEngine(checkpoint, device), checkpoint.manner, name)

    @classmethod
    def load(
        cls,
        model: str | Path = "base",
        device: str = "auto",
        language_model: str | Path | None = None,
        engine: str = "auto",
    ) -> Captioner:
        """Loads a model.

        Args:
            model: name of a shipped model or path of a model file.
            device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
            language_model: path of a model trained on sentences alone, which has a say in searches by the options
                `lm_weight` and `lm_rescore`.
            engine: `auto`, `onnx` or `torch`; see `capcli.engines.choice.load_engine`.

        Raises:
            ModelError: if there is no such model, or its file cannot be used.
            UsageError: if the device is not there, one of the models is in the other's place, or the engine is unknown
                or not for that device.
        """
        file = find_model(model)
        language = None if language_model is None else find_model(language_model)
        loaded = load_engine(file, device, engine, language)
        return cls(loaded.engine, loaded.manner, file.stem, file, loaded.notes)

    # A path that is a str also is an iterable of them, which types cannot exclude; it is one picture all the same.
    @overload
    def caption(  # type: ignore[overload-overlap]
        self,
        images: Picture,
        *,
        keywords: int = 0,
        vocabulary: str | Path | None = None,
        **options: Unpack[DecodingKeywords],
    ) -> Caption: ...
    @overload
    def caption(
        self,
        images: Iterable[Picture],
        *,
        keywords: int = 0,
        vocabulary: str | Path | None = None,
        **options: Unpack[DecodingKeywords],
    ) -> list[Caption]: ...
    def caption(
        self,
        images: Picture | Iterable[Picture],
        *,
        keywords: int = 0,
        vocabulary: str | Path | None = None,
        **options: Unpack[DecodingKeywords],
    ) -> Caption | list[Caption]:
        """Captions one picture, or a list of them in batches.

        Args:
            images: path, PIL image or array; an array is H x W x 3 RGB or H x W gray, uint8 or float from 0 to 1.
            keywords: how many keywords each picture gets at most.
            vocabulary: a file with the only words that may be keywords; see `capcli.keywords.tree`.
            **options: fields of `DecodingOptions` that take the place of the model's own.

        Returns:
            A caption for one picture, a list of captions for a list.

        Raises:
            UnreadableImage: for the first picture that cannot be read.
            UsageError: for something that is no picture; for an option that is unknown, out of range or beyond the
                model; for a vocabulary that cannot be used.
            ModelError: if the file of the model's keywords cannot be used.
            CapcliError: if not even one picture fits into memory.
        """
        chosen = self.options.replace(**options)
        self.check(chosen)
        wanted = KeywordOptions(keywords, None if vocabulary is None else Path(vocabulary))
        chooser = read_chooser(self._file, wanted)
        return self._each(images, lambda arrays: self.caption_arrays(arrays, chosen, chooser))

    @overload
    def attend(  # type: ignore[overload-overlap]
        self,
        images: Picture,
        *,
        caption: str | None = None,
        method: str = DEFAULT_METHOD,
        **options: Unpack[DecodingKeywords],
    ) -> Caption: ...
    @overload
    def attend(
        self,
        images: Iterable[Picture],
        *,
        caption: str | None = None,
        method: str = DEFAULT_METHOD,
        **options: Unpack[DecodingKeywords],
    ) -> list[Caption]: ...
    def attend(
        self,
        images: Picture | Iterable[Picture],
        *,
        caption: str | None = None,
        method: str = DEFAULT_METHOD,
        **options: Unpack[DecodingKeywords],
    ) -> Caption | list[Caption]:
        """Captions pictures as `caption` does, and measures what each word owes to each part of the picture.

        Args:
            images: as `caption` takes them.
            caption: a sentence to look at in place of the model's own; it may hold words that the model does not
                know, whose maps are the decoder's attention whatever the method.
            method: `gradient`, `attention` or `occlusion`: see `capcli.attribution.methods`.
            **options: of decoding, as `caption` takes them.

        Returns:
            Captions whose words' `attention` is by that method and whose words have their `heads`. They have no
            alternatives.

        Raises:
            UsageError: as `caption` does; for an unknown method, a model without attention (but for `occlusion`), or
                a sentence without words or with more than the model can say.
            UnreadableImage: as `caption` does.
            CapcliError: as `caption` does.
        """
        chosen = self.options.replace(**options)
        self.check(chosen)
        check_method(method, attends=self.heads != (0, 0), model=self.name)
        if caption is not None:
            self._sentence(caption)
            unused = [name for name in options if name != "min_confidence"]
            if unused:
                raise UsageError(f"with a caption of your own none is searched for, so leave {unused[0]} out")
        return self._each(images, lambda arrays: self.attend_arrays(arrays, chosen, caption=caption, method=method))

    def _each(
        self, images: Picture | Iterable[Picture], work: Callable[[UInt8Array], list[Caption]]
    ) -> Caption | list[Caption]:
        captions = [caption for batch in self._batches(images) for caption in work(batch)]
        return captions[0] if isinstance(images, (str, Path, Image.Image, np.ndarray)) else captions

    def _batches(self, images: Picture | Iterable[Picture]) -> Iterator[UInt8Array]:
        """The pictures, or the one, prepared, at most `BATCH` of them at once."""
        if isinstance(images, (str, Path, Image.Image, np.ndarray)):
            images = [images]
        if isinstance(images, (bytes, bytearray, memoryview)) or not isinstance(images, Iterable):
            raise UsageError(f"pictures are paths, PIL images, arrays or lists of them, not {type(images).__name__}")
        waiting = iter(images)
        while batch := [self.prepare(image) for image in islice(waiting, BATCH)]:
            yield np.stack(batch)

    def check(self, options: DecodingOptions) -> None:
        """Raises UsageError for options that the model cannot follow: a caption longer than its decoder can say,
        a prefix of words it does not know, re-ranking by a matcher it does not have, or the weight of a language model
        that is not there.
        """
        check_rerank(options, matches=self.matches)
        longest = self._engine.longest
        if options.max_length > longest:
            raise UsageError(f"max-length must be at most {longest} with this model, not {options.max_length}")
        self._engine.check(options)
        weighed = None if self._engine.reads else next((n for n in OF_LANGUAGE_MODELS if getattr(options, n)), None)
        if weighed is not None:
            raise UsageError(f"{spell(weighed)} needs a language model: add --lm FILE, in Python language_model=")
        encode_prefix(options, self._vocabulary)

    def caption_arrays(
        self, arrays: UInt8Array, options: DecodingOptions | None = None, chooser: KeywordChooser | None = None
    ) -> list[Caption]:
        """Captions a batch of prepared pictures.

        A batch that does not fit into memory is halved until it does, and no larger one is tried again. What is
        sampled for a picture depends on its pixels and `options.seed`, not on the rest of the batch.

        Args:
            arrays: uint8 B x S x S x 3, S being `size`.
            options: in place of the model's own.
            chooser: gives the captions their keywords.

        Raises:
            UsageError: as `check` does.
            CapcliError: if not even one picture fits into memory.
        """
        chosen = options or self.options
        self.check(chosen)

        def work(batch: UInt8Array) -> list[Caption]:
            regions = self.encode(batch)
            captions = self.decode(regions, chosen, self._seeds(batch, chosen))
            return captions if chooser is None else self._with_keywords(captions, regions, chooser)

        return self._fitting(arrays, work)

    def caption_and_embed_arrays(
        self, arrays: UInt8Array, options: DecodingOptions | None = None, chooser: KeywordChooser | None = None
    ) -> list[tuple[Caption, Float32Array]]:
        """`caption_arrays`, each caption with its picture's vector, float32 E, as `picture_vectors` gives it.

        The pictures are encoded once for both. Raises what either raises.
        """
        chosen = options or self.options
        self.check(chosen)
        self._check_matcher()

        def work(batch: UInt8Array) -> list[tuple[Caption, Float32Array]]:
            regions = self.encode(batch)
            vectors = self._engine.picture_vectors(regions)
            captions = self.decode(regions, chosen, self._seeds(batch, chosen))
            if chooser is not None:
                captions = self._with_keywords(captions, regions, chooser)
            return list(zip(captions, vectors, strict=True))

        return self._fitting(arrays, work)

    def attend_arrays(
        self,
        arrays: UInt8Array,
        options: DecodingOptions | None = None,
        *,
        caption: str | None = None,
        method: str = DEFAULT_METHOD,
        chooser: KeywordChooser | None = None,
    ) -> list[Caption]:
        """`attend` for prepared pictures, uint8 B x S x S x 3, with keywords where a chooser is given; raises what it
        raises.
        """
        chosen = options or self.options
        self.check(chosen)
        check_method(method, attends=self.heads != (0, 0), model=self.name)
        given = None if caption is None else self._sentence(caption)

        def attended(batch: UInt8Array) -> list[Caption]:
            regions = self.encode(batch)
            state = self._engine.start(regions)
            if given is None:
                captions = self.decode(regions, chosen, self._seeds(batch, chosen), state=state)
            else:
                captions = [given] * len(batch)
            tokens = [self._tokens(one) for one in captions]
            told = self._engine.trace(regions, tokens, gradients=method == "gradient", own=given is None, state=state)
            maps = [
                self._occlusion(array, one) if method == "occlusion" else relevance(one_told, method)
                for array, one, one_told in zip(batch, tokens, told, strict=True)
            ]
            seen = [
                self._attended(*one, own=given is None, options=chosen)
                for one in zip(captions, tokens, told, maps, strict=True)
            ]
            return seen if chooser is None else self._with_keywords(seen, regions, chooser)

        return self._fitting(arrays, attended)

    def log_probabilities(self, arrays: UInt8Array, words: Sequence[str]) -> Float32Array:
        """Natural logarithms of the probabilities of the words of one caption, and of its end, for each picture.

        Args:
            arrays: uint8 B x S x S x 3, S being `size`.
            words: T words, as in `Caption.words`; one that the model does not know is `<unknown>` to it.

        Returns:
            float32 B x (T + 1).
        """
        tokens = self._vocabulary.encode(words)
        parts = [arrays[start : start + BATCH] for start in range(0, len(arrays), BATCH)]
        told = [one for part in parts for one in self._engine.trace(self.encode(part), [tokens] * len(part))]
        return np.stack([one.log_probabilities for one in told])

    def similarities(self, images: Picture | Iterable[Picture], sentences: Sequence[str]) -> Float32Array:
        """How well each of N sentences fits each of B pictures, by the model's matcher.

        Args:
            images: as `caption` takes them; a single one is B = 1.
            sentences: words that the model does not know count as `<unknown>`.

        Returns:
            float32 B x N cosine similarities, -1 to 1.

        Raises:
            UsageError: for a model without a matcher, and for something that is no picture.
            UnreadableImage: for the first picture that cannot be read.
        """
        vectors = self.sentence_vectors(sentences)
        nothing = np.empty((0, vectors.shape[1]), np.float32)
        pictures = np.concatenate([nothing, *map(self.picture_vectors, self._batches(images))])
        similarities: Float32Array = pictures @ vectors.T
        return similarities

    def find_unknown(self, words: Iterable[str]) -> list[str]:
        """Those of some words that the model does not know."""
        return [word for word in words if word not in self._vocabulary]

    @property
    def matches(self) -> bool:
        """Whether the model has a matcher."""
        return self._engine.matches

    def picture_vectors(self, arrays: UInt8Array) -> Float32Array:
        """The matcher's unit vectors, float32 B x E, of uint8 B x S x S x 3 pictures; raises UsageError without one."""
        self._check_matcher()
        return self._engine.picture_vectors(self.encode(arrays))

    def sentence_vectors(self, sentences: Sequence[str]) -> Float32Array:
        """The matcher's unit vectors, float32 N x E, of N sentences; raises UsageError without one."""
        self._check_matcher()
        return self._engine.sentence_vectors([self._vocabulary.encode(tokenize(one)) for one in sentences])

    def pooled(self, arrays: UInt8Array) -> Float32Array:
        """The mean of the regions, float32 B x D, of uint8 B x S x S x 3 pictures."""
        return self._engine.means(self.encode(arrays))

    def _check_matcher(self) -> None:
        if not self.matches:
            raise UsageError(
                f"{self.name} has no matcher: `capcli train matching --from MODEL --data DATA` gives it one"
            )

    def prepare(self, image: Picture) -> UInt8Array:
        """A picture as the methods on prepared ones take it: uint8 S x S x 3, S being `size`.

        Raises:
            UnreadableImage: if it cannot be read.
            UsageError: if it is no picture.
        """
        if isinstance(image, np.ndarray):
            image = _from_array(image)
        if not isinstance(image, (str, Path, Image.Image)):
            raise UsageError(f"a picture is a path, a PIL image or an array, not {type(image).__name__}")
        if isinstance(image, Image.Image):
            try:
                return to_array(upright_rgb(image), self.size)
            except Exception as error:  # Pillow's plugins raise nearly every type on damaged files
                name = getattr(image, "filename", "") or "image"
                raise UnreadableImage(name, f"is damaged ({error})") from None
        return read_array(respell(image), self.size)

    def encode(self, arrays: UInt8Array) -> Regions:
        """Regions of uint8 B x S x S x 3 pictures, B x R x D as the engine holds them, which `decode` takes."""
        return self._engine.encode(arrays)

    def decode(
        self,
        regions: Regions,
        options: DecodingOptions | None = None,
        seeds: Sequence[int] | None = None,
        *,
        state: object = None,
    ) -> list[Caption]:
        """The best caption for each of B pictures' regions, with its alternatives.

        Args:
            regions: as `encode` gives them.
            options: in place of the model's own.
            seeds: one for each picture that is sampled, by default `options.seed` for all of them.
            state: what the engine's `start` gave for the regions, where it is there already.

        Raises:
            UsageError: as `check` does.
        """
        chosen = options or self.options
        self.check(chosen)
        prefix = encode_prefix(chosen, self._vocabulary)
        found = self._engine.decode(regions, chosen, prefix=prefix, seeds=seeds, state=state)
        captions = ([self._caption(one, len(prefix), chosen) for one in hypotheses] for hypotheses in found)
        return [replace(best, alternatives=tuple(others)) for best, *others in captions]

    def _with_keywords(self, captions: Sequence[Caption], regions: Regions, chooser: KeywordChooser) -> list[Caption]:
        found = chooser.choose(self._engine.means(regions))
        return [replace(caption, keywords=keywords) for caption, keywords in zip(captions, found, strict=True)]

    def _fitting(self, arrays: UInt8Array, work: Callable[[UInt8Array], list[_T]]) -> list[_T]:
        """What `work` makes of each picture, as many at once as fit into memory."""
        made: list[_T] = []
        while len(made) < len(arrays):
            batch = arrays[len(made) :][: self.fits]
            try:
                made += work(batch)
            except Exception as error:  # an engine's own types
                if not self._engine.out_of_memory(error):
                    raise
                if len(batch) == 1:
                    raise CapcliError(
                        "not enough memory to caption even one picture; close other programs, take a smaller beam "
                        "or another device"
                    ) from None
                self.fits = len(batch) // 2
        return made

    def _seeds(self, arrays: UInt8Array, options: DecodingOptions) -> list[int] | None:
        return [_seed(array, options.seed) for array in arrays] if options.sample else None

    def _sentence(self, text: str) -> Caption:
        """A sentence of the user's own, whose words still lack all that the picture decides."""
        if not isinstance(text, str):
            raise UsageError(f"a caption is a sentence, not {text!r}")
        words = tokenize(text)
        if not words:
            raise UsageError(f"the caption {text!r} has no words; give some, such as 'a dog runs'")
        longest = self._engine.longest
        if len(words) > longest:
            raise UsageError(f"the caption has {len(words)} words and this model can say {longest}; shorten it")
        known = [word in self._vocabulary for word in words]
        return Caption(
            " ".join(text.split()),
            tuple(Word(word, 0.0, None, known=one, box=self.box) for word, one in zip(words, known, strict=True)),
            0.0,
        )

    def _tokens(self, caption: Caption) -> list[int]:
        return self._vocabulary.encode([word.text for word in caption.words])

    def _occlusion(self, array: UInt8Array, tokens: Sequence[int]) -> Float32Array:
        words = [self._vocabulary.words[token] for token in tokens]
        whole = self.log_probabilities(array[None], words)
        return occlusion(
            lambda covered: (whole - self.log_probabilities(cover(array, covered, self.grid, self.box), words))[:, :-1],
            self.grid,
        )

    def _attended(
        self,
        caption: Caption,
        tokens: Sequence[int],
        told: Forced,
        maps: Float32Array,
        *,
        own: bool,
        options: DecodingOptions,
    ) -> Caption:
        """The caption with its words' maps; of a sentence that is not the model's own also with its probabilities."""
        rows, columns = self.grid
        attention = np.full_like(maps, 1 / (rows * columns)) if told.attention is None else relevance(told, "attention")
        unknown = np.array([not word.known for word in caption.words], bool)
        seen = np.where(unknown[:, None], attention, shares(maps, attention)).reshape(-1, rows, columns)
        *logs, end = told.log_probabilities.tolist()
        heads = [None] * len(tokens)
        sentinel = _sentinel(told.sentinel, len(tokens))
        if told.attention is not None:
            heads = list(told.attention.reshape(len(tokens), *self.heads, rows, columns))
        words = tuple(
            replace(
                word,
                log_probability=word.log_probability if own else log if word.known else -math.inf,
                attention=place,
                heads=each,
                sentinel=word.sentinel if own else share,
            )
            for word, log, place, each, share in zip(caption.words, logs, seen, heads, sentinel, strict=True)
        )
        if own:
            return replace(caption, words=words, alternatives=())
        confidence = compute_confidence([*(word.log_probability for word in words), end], self.calibration)
        return replace(caption, words=words, confidence=confidence, uncertain=confidence < options.min_confidence)

    def _caption(self, hypothesis: Hypothesis, given: int, options: DecodingOptions) -> Caption:
        tokens = [self._vocabulary.words[index] for index in hypothesis.tokens]
        attention: Sequence[Float32Array | None] = [None] * len(tokens)
        if hypothesis.attention is not None:
            attention = list(hypothesis.attention.reshape(-1, *self.grid))
        words = tuple(
            Word(token, log, place, box=self.box, sentinel=share)
            for token, log, place, share in zip(
                tokens,
                hypothesis.log_probabilities,
                attention,
                _sentinel(hypothesis.sentinel, len(tokens)),
                strict=True,
            )
        )
        end = hypothesis.end_log_probability
        chosen = [*hypothesis.log_probabilities[given:], *([] if end is None else [end])]
        confidence = compute_confidence(chosen, self.calibration)
        return Caption(detokenize(tokens), words, confidence, uncertain=confidence < options.min_confidence)


def _sentinel(told: Float32Array | None, count: int) -> Sequence[float | None]:
    return [None] * count if told is None else told.tolist()


def _seed(array: UInt8Array, seed: int) -> int:
    """A number that a picture has anywhere and in any batch."""
    return int.from_bytes(hashlib.blake2b(f"{seed} ".encode() + array.tobytes(), digest_size=8).digest(), "big")


def _from_array(array: AnyArray) -> Image.Image:
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or 0 in array.shape:
        raise UnreadableImage("array", f"has shape {array.shape}, not height x width (x 3)")
    if array.dtype.kind == "f":
        known = np.nan_to_num(array, posinf=1, neginf=0)
        lowest, highest = known.min(), known.max()
        # A little beyond is what resizing leaves; more is another scale, and would be seen as black or white.
        if lowest < -_OVERSHOOT or highest > 1 + _OVERSHOOT:
            told = f"has float values from {lowest:.4g} to {highest:.4g}"
            raise UnreadableImage("array", f"{told}; give floats from 0 to 1, or uint8 from 0 to 255")
        array = (known.clip(0, 1) * 255).round()
    elif array.dtype == np.bool_:
        array = array * 255
    elif array.dtype != np.uint8:
        raise UnreadableImage("array", f"has values of type {array.dtype}, not uint8 or float from 0 to 1")
    return Image.fromarray(array.astype(np.uint8))
