"""The one object users hold: a model that turns pictures into captions."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from capcli.arrays import Float32Array, UInt8Array
from capcli.attribution.cover import cover
from capcli.attribution.maps import occlusion, relevance, shares
from capcli.attribution.methods import DEFAULT_METHOD, METHODS, check_method
from capcli.caption import Caption, Word
from capcli.captioning import BaseCaptioner, check_prepared
from capcli.decoding.forced import Forced
from capcli.decoding.hypothesis import Hypothesis
from capcli.decoding.options import LM_RESCORE, OF_LANGUAGE_MODELS, DecodingOptions
from capcli.decoding.prefix import encode_prefix
from capcli.decoding.rerank import check_rerank
from capcli.engines.choice import check_sees, load_engine
from capcli.engines.contract import Engine, Regions
from capcli.errors import UsageError
from capcli.keywords.chooser import KeywordChooser
from capcli.model.options import BATCH
from capcli.modelfile.confidence import Calibration, compute_confidence
from capcli.modelfile.expected_words import ExpectedWords
from capcli.modelfile.manner import Manner
from capcli.modelfile.shipped import find_model, is_repository
from capcli.options import spell
from capcli.words.tokens import detokenize, tokenize

if TYPE_CHECKING:
    import torch

    from capcli.modelfile.checkpoint import Checkpoint


class Captioner(BaseCaptioner):
    """A loaded model: what `BaseCaptioner` says, computed by one of capcli's own. `load` loads any.

    Attributes:
        name: name of the shipped model or of the file, without its ending.
        options: the decoding options chosen for the model on dev; with a language model, `LM_RESCORE` among them, and
            the `share` of words that the picture lets it expect.
        engine: what computes it, `onnx` or `torch`.
        device: where it computes, such as "cpu" or "cuda:0".
        heads: layers and heads whose attention the decoder gives, (0, 0) for one without.
        calibration: of the confidence, on the pictures that the model was chosen on; None where it has none. Captions
            chosen with the words that the picture lets it expect may have another.
        precision: "bfloat16" or "float32", the encoder's and the decoder's.
    """

    def __init__(
        self, engine: Engine, manner: Manner, name: str, file: Path | None = None, notes: Sequence[str] = ()
    ) -> None:
        self.name, self._file, self.notes = name, file or name, tuple(notes)
        self._expected = None if file is None else ExpectedWords.of_model(file)
        self.options = manner.options.replace(lm_rescore=LM_RESCORE) if engine.reads else manner.options
        if self._expected is not None:
            # Not `self.options.replace`, which refuses it where the model's own options sample.
            self.options = replace(self.options, word_weight=self._expected.share)
        self.calibration, self._vocabulary = manner.calibration, manner.vocabulary
        self._engine, self.engine = engine, engine.name
        self.device, self.precision, self.matches = engine.device, engine.precision, engine.matches
        self.size, self.grid, self.box, self.heads = engine.size, engine.grid, engine.box, engine.heads
        self.methods = tuple(METHODS) if self.heads != (0, 0) else ("occlusion",)

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
    ) -> BaseCaptioner:
        """Loads a model of any kind.

        Args:
            model: name of a shipped model, path of a model file, `hf:OWNER/NAME` for a captioner of Hugging Face that
                `capcli models pull` brought here, or the folder of one.
            device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
            language_model: path of a model trained on sentences alone, which has a say in searches by the options
                `lm_weight` and `lm_rescore`; for models of capcli.
            engine: `auto`, `onnx` or `torch`; see `capcli.engines.choice.load_engine`. Captioners of Hugging Face are
                computed by torch.

        Raises:
            ModelError: if there is no such model, or its file cannot be used.
            UsageError: if the device is not there, one of the models is in the other's place, or the engine is unknown
                or not for that model or device.
        """
        if not isinstance(model, str | Path):
            raise UsageError(f"a model is a name or a path, not {model!r}")
        if is_repository(model):
            if language_model is not None:
                raise UsageError(f"{model} chooses its words alone; leave --lm out, in Python language_model=")
            if engine == "onnx":
                raise UsageError(f"{model} is computed by torch alone; leave --engine out")
            from capcli.huggingface.captioner import HuggingFaceCaptioner

            return HuggingFaceCaptioner.load(model, device)
        return cls.of_file(find_model(model), device, language_model, engine)

    @classmethod
    def of_file(
        cls, file: Path, device: str = "auto", language_model: str | Path | None = None, engine: str = "auto"
    ) -> Captioner:
        """Loads a model file of capcli; takes and raises what `load` does."""
        language = None if language_model is None else find_model(language_model)
        loaded = load_engine(file, device, engine, language)
        return cls(loaded.engine, loaded.manner, file.stem, file, loaded.notes)

    def check(self, options: DecodingOptions) -> None:
        """Raises UsageError for options that the model cannot follow: a caption longer than its decoder can say,
        a prefix of words it does not know, re-ranking by a matcher it does not have, or the weight of a language model
        or of expected words that are not there.
        """
        check_rerank(options, matches=self.matches)
        if options.prompt:
            raise UsageError(f"{self.name} is asked nothing, so leave --prompt out; --prefix gives its first words")
        longest = self._engine.longest
        if options.max_length > longest:
            raise UsageError(f"max-length must be at most {longest} with this model, not {options.max_length}")
        self._engine.check(options)
        if options.word_weight and self._expected is None:
            raise UsageError(f"{self.name} expects no words of a picture, so leave --word-weight out; base does")
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
            UsageError: as `check` does, and for arrays of another type or shape.
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
        check_method(method, self.methods, self.name)
        given = None if caption is None else self._sentence(caption)

        def attended(batch: UInt8Array) -> list[Caption]:
            regions = self.encode(batch)
            state = self._engine.start(regions)
            if given is None:
                captions = self.decode(regions, chosen, self._seeds(batch, chosen), state=state)
            else:
                captions = [given] * len(batch)
            tokens = [self._tokens(sentence) for sentence in captions]
            traces = self._engine.trace(regions, tokens, gradients=method == "gradient", own=given is None, state=state)
            maps = [
                self._occlusion(array, indices) if method == "occlusion" else relevance(trace, method)
                for array, indices, trace in zip(batch, tokens, traces, strict=True)
            ]
            with_maps = [
                self._attended(*parts, own=given is None, options=chosen)
                for parts in zip(captions, tokens, traces, maps, strict=True)
            ]
            return with_maps if chooser is None else self._with_keywords(with_maps, regions, chooser)

        return self._fitting(arrays, attended)

    def log_probabilities(self, arrays: UInt8Array, words: Sequence[str]) -> Float32Array:
        """Natural logarithms of the probabilities of the words of one caption, and of its end, for each picture.

        Args:
            arrays: uint8 B x S x S x 3, S being `size`.
            words: T words, as in `Caption.words`; one that the model does not know is `<unknown>` to it.

        Returns:
            float32 B x (T + 1).

        Raises:
            UsageError: for no pictures, and for arrays of another type or shape.
        """
        check_prepared(arrays, self, least=1)
        tokens = self._vocabulary.encode(words)
        parts = [arrays[start : start + BATCH] for start in range(0, len(arrays), BATCH)]
        traces = [trace for part in parts for trace in self._engine.trace(self.encode(part), [tokens] * len(part))]
        return np.stack([trace.log_probabilities for trace in traces])

    def find_unknown(self, words: Iterable[str]) -> list[str]:
        """Those of some words that the model does not know."""
        return [word for word in words if word not in self._vocabulary]

    def picture_vectors(self, arrays: UInt8Array) -> Float32Array:
        """The matcher's unit vectors, float32 B x E, of uint8 B x S x S x 3 pictures; raises UsageError without one."""
        self._check_matcher()
        return self._engine.picture_vectors(self.encode(arrays))

    def sentence_vectors(self, sentences: str | Sequence[str]) -> Float32Array:
        """The matcher's unit vectors, float32 N x E, of N sentences, or of a single one; raises UsageError without a
        matcher, and for what is no sentence.
        """
        self._check_matcher()
        if isinstance(sentences, str):
            sentences = [sentences]
        if not isinstance(sentences, Sequence) or not all(isinstance(sentence, str) for sentence in sentences):
            raise UsageError(f"sentences are a list of texts, not {sentences!r}")
        return self._engine.sentence_vectors([self._vocabulary.encode(tokenize(sentence)) for sentence in sentences])

    def pooled(self, arrays: UInt8Array) -> Float32Array:
        """The mean of the regions, float32 B x D, of uint8 B x S x S x 3 pictures."""
        return self.means(self.encode(arrays))

    def means(self, regions: Regions) -> Float32Array:
        """The mean of each picture's regions, float32 B x D, of what `encode` gives."""
        return self._engine.means(regions)

    def _check_matcher(self) -> None:
        if not self.matches:
            raise UsageError(
                f"{self.name} has no matcher: `capcli train matching --from MODEL --data DATA` gives it one"
            )

    def encode(self, arrays: UInt8Array) -> Regions:
        """Regions of uint8 B x S x S x 3 pictures, B x R x D as the engine holds them, which `decode` takes; raises
        UsageError for arrays of another type or shape.
        """
        check_prepared(arrays, self)
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
        expected, calibrations = None, [self.calibration] * len(regions)
        if self._expected is not None and chosen.word_weight and not chosen.sample:
            means = self._engine.means(regions)
            expected = self._expected.expect(means, self._vocabulary)
            if self._expected.confidence is not None and self.calibration is not None:
                calibrations = [*self._expected.confidence.of_pictures(means)]
        found = self._engine.decode(regions, chosen, prefix=prefix, seeds=seeds, state=state, expected=expected)
        captions = (
            [self._caption(hypothesis, len(prefix), chosen, calibration) for hypothesis in hypotheses]
            for hypotheses, calibration in zip(found, calibrations, strict=True)
        )
        return [replace(best, alternatives=tuple(others)) for best, *others in captions]

    def _with_keywords(self, captions: Sequence[Caption], regions: Regions, chooser: KeywordChooser) -> list[Caption]:
        found = chooser.choose(self._engine.means(regions))
        return [replace(caption, keywords=keywords) for caption, keywords in zip(captions, found, strict=True)]

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
            tuple(
                Word(word, 0.0, None, known=is_known, box=self.box) for word, is_known in zip(words, known, strict=True)
            ),
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
        trace: Forced,
        maps: Float32Array,
        *,
        own: bool,
        options: DecodingOptions,
    ) -> Caption:
        """The caption with its words' maps; of a sentence that is not the model's own also with its probabilities."""
        rows, columns = self.grid
        attention = (
            np.full_like(maps, 1 / (rows * columns)) if trace.attention is None else relevance(trace, "attention")
        )
        unknown = np.array([not word.known for word in caption.words], bool)
        word_maps = np.where(unknown[:, None], attention, shares(maps, attention)).reshape(-1, rows, columns)
        *logs, end = trace.log_probabilities.tolist()
        heads = [None] * len(tokens)
        sentinel = _sentinel(trace.sentinel, len(tokens))
        if trace.attention is not None:
            heads = list(trace.attention.reshape(len(tokens), *self.heads, rows, columns))
        words = tuple(
            replace(
                word,
                log_probability=word.log_probability if own else log if word.known else -math.inf,
                attention=word_map,
                heads=word_heads,
                sentinel=word.sentinel if own else share,
            )
            for word, log, word_map, word_heads, share in zip(
                caption.words, logs, word_maps, heads, sentinel, strict=True
            )
        )
        if own:
            return replace(caption, words=words, alternatives=())
        confidence = compute_confidence([*(word.log_probability for word in words), end], self.calibration)
        return replace(caption, words=words, confidence=confidence, uncertain=confidence < options.min_confidence)

    def _caption(
        self, hypothesis: Hypothesis, given: int, options: DecodingOptions, calibration: Calibration | None
    ) -> Caption:
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
        confidence = compute_confidence(chosen, calibration)
        return Caption(detokenize(tokens), words, confidence, uncertain=confidence < options.min_confidence)


def _sentinel(values: Float32Array | None, count: int) -> Sequence[float | None]:
    return [None] * count if values is None else values.tolist()


def _seed(array: UInt8Array, seed: int) -> int:
    """A number that a picture has anywhere and in any batch."""
    return int.from_bytes(hashlib.blake2b(f"{seed} ".encode() + array.tobytes(), digest_size=8).digest(), "big")
