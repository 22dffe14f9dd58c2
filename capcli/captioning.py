"""What every captioner does, whatever computes for it: it takes pictures, and says what runs ask of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np
from PIL import Image

from capcli.arrays import AnyArray, Float32Array, UInt8Array, group_by_shape
from capcli.attribution.methods import DEFAULT_METHOD
from capcli.caption import Caption
from capcli.decoding.options import DecodingKeywords, DecodingOptions
from capcli.errors import CapcliError, UnreadableImage, UsageError
from capcli.keywords.chooser import KeywordChooser, read_chooser
from capcli.keywords.options import KeywordOptions
from capcli.model.device import out_of_memory
from capcli.model.options import BATCH
from capcli.modelfile.confidence import Calibration
from capcli.pictures.read import read_array, to_array, upright_rgb
from capcli.pictures.spelling import respell

if TYPE_CHECKING:
    from typing_extensions import Unpack

_OVERSHOOT = 0.25
"""How far the samples of a float array may lie outside 0 to 1."""

Picture = str | Path | Image.Image | AnyArray

_T = TypeVar("_T")


class _Unmatched:
    """What a model answers that has no matcher to compare pictures with sentences.

    Attributes:
        matches: whether it has one after all.
    """

    name: str
    matches = False

    def caption_and_embed_arrays(
        self, arrays: UInt8Array, options: DecodingOptions | None = None, chooser: KeywordChooser | None = None
    ) -> list[tuple[Caption, Float32Array]]:
        """`caption_arrays`, each caption with its picture's vector, float32 E; raises UsageError without a matcher."""
        raise self._refusal()

    def picture_vectors(self, arrays: UInt8Array) -> Float32Array:
        """The matcher's unit vectors, float32 B x E, of uint8 B x S x S x 3 pictures; raises UsageError without one."""
        raise self._refusal()

    def sentence_vectors(self, sentences: str | Sequence[str]) -> Float32Array:
        """The matcher's unit vectors, float32 N x E, of N sentences; raises UsageError without one."""
        raise self._refusal()

    def find_unknown(self, words: Iterable[str]) -> list[str]:
        """Those of some words that the model does not know."""
        return []

    def _refusal(self) -> UsageError:
        return UsageError(f"{self.name} has no matcher, so it compares no pictures with sentences; base does")


class BaseCaptioner(_Unmatched, ABC):
    """A loaded model. `Captioner` computes with capcli's own, `HuggingFaceCaptioner` with those of Hugging Face.

    Attributes:
        name: of the model.
        options: the decoding options that are the model's own.
        device: where it computes; as text, what torch calls it.
        notes: for the user, a line each: why something else computes than was asked for.
        size: side in pixels of the square that it takes pictures as; of a model that keeps proportions the longest
            side.
        keeps_proportions: whether it takes pictures of any proportions. A batch has pictures of one shape.
        grid: rows and columns of the regions that maps tell of.
        box: where that grid lies, as `Word.box`.
        methods: by which it makes maps, of `capcli.attribution.methods.METHODS`, the default first.
        calibration: of the confidence; None where it has none.
        fits: the most pictures that fit into memory at once; None as long as every batch did.
    """

    options: DecodingOptions
    device: Any
    notes: tuple[str, ...] = ()
    size: int
    keeps_proportions = False
    grid: tuple[int, int]
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    methods: tuple[str, ...]
    calibration: Calibration | None = None
    fits: int | None = None
    _file: str | Path

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, device={str(self.device)!r})"

    @abstractmethod
    def check(self, options: DecodingOptions) -> None:
        """Raises UsageError for options that the model cannot follow."""

    @abstractmethod
    def caption_arrays(
        self, arrays: UInt8Array, options: DecodingOptions | None = None, chooser: KeywordChooser | None = None
    ) -> list[Caption]:
        """Captions a batch of prepared pictures.

        A batch that does not fit into memory is halved until it does, and no larger one is tried again. What is
        sampled for a picture depends on its pixels and `options.seed`, not on the rest of the batch.

        Args:
            arrays: uint8 B x S x S x 3, S being `size`; see `keeps_proportions`.
            options: in place of the model's own.
            chooser: gives the captions their keywords.

        Raises:
            UsageError: as `check` does, and for arrays of another type or shape.
            CapcliError: if not even one picture fits into memory.
        """

    @abstractmethod
    def attend_arrays(
        self,
        arrays: UInt8Array,
        options: DecodingOptions | None = None,
        *,
        caption: str | None = None,
        method: str = DEFAULT_METHOD,
        chooser: KeywordChooser | None = None,
    ) -> list[Caption]:
        """`attend` for prepared pictures, as `caption_arrays` takes them, with keywords where a chooser is given;
        raises what it raises, for no pictures, too.
        """

    @abstractmethod
    def log_probabilities(self, arrays: UInt8Array, words: Sequence[str]) -> Float32Array:
        """Natural logarithms of the probabilities of the words of one caption, and of its end, for each picture.

        Args:
            arrays: as `caption_arrays` takes them.
            words: T words, as in `Caption.words`.

        Returns:
            float32 B x (T + 1).

        Raises:
            UsageError: for no pictures, and for arrays of another type or shape.
        """

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
        wanted = KeywordOptions(keywords, Path(vocabulary) if isinstance(vocabulary, str) else vocabulary)
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
            Captions whose words' `attention` is by that method and whose words have their `heads`, where the model
            tells them. They have no alternatives.

        Raises:
            UsageError: as `caption` does; for an unknown method, one that the model has no maps by, or a sentence
                without words or with more than the model can say.
            UnreadableImage: as `caption` does.
            CapcliError: as `caption` does.
        """
        chosen = self.options.replace(**options)
        # Of no picture at all: what is wrong with the rest is reported before any is read.
        self.attend_arrays(np.empty((0, self.size, self.size, 3), np.uint8), chosen, caption=caption, method=method)
        if caption is not None:
            unused = [name for name in options if name != "min_confidence"]
            if unused:
                raise UsageError(f"with a caption of your own none is searched for, so leave {unused[0]} out")
        return self._each(images, lambda arrays: self.attend_arrays(arrays, chosen, caption=caption, method=method))

    def similarities(self, images: Picture | Iterable[Picture], sentences: str | Sequence[str]) -> Float32Array:
        """How well each of N sentences fits each of B pictures, by the model's matcher.

        Args:
            images: as `caption` takes them; a single one is B = 1.
            sentences: a single one is N = 1; words that the model does not know count as `<unknown>`.

        Returns:
            float32 B x N cosine similarities, -1 to 1.

        Raises:
            UsageError: for a model without a matcher, and for something that is no picture or no sentence.
            UnreadableImage: for the first picture that cannot be read.
        """
        vectors = self.sentence_vectors(sentences)
        nothing = np.empty((0, vectors.shape[1]), np.float32)
        pictures = np.concatenate(
            [nothing, *(self.picture_vectors(np.stack(batch)) for batch in self._batches(images))]
        )
        similarities: Float32Array = pictures @ vectors.T
        return similarities

    def _each(
        self, images: Picture | Iterable[Picture], work: Callable[[UInt8Array], list[Caption]]
    ) -> Caption | list[Caption]:
        captions = [caption for batch in self._batches(images) for caption in _each_shape(batch, work)]
        return captions[0] if isinstance(images, (str, Path, Image.Image, np.ndarray)) else captions

    def _batches(self, images: Picture | Iterable[Picture]) -> Iterator[list[UInt8Array]]:
        """The pictures, or the one, prepared, at most `BATCH` of them at once."""
        if isinstance(images, (str, Path, Image.Image, np.ndarray)):
            images = [images]
        if isinstance(images, (bytes, bytearray, memoryview)) or not isinstance(images, Iterable):
            raise UsageError(f"pictures are paths, PIL images, arrays or lists of them, not {type(images).__name__}")
        waiting = iter(images)
        while batch := [self.prepare(image) for image in islice(waiting, BATCH)]:
            yield batch

    def prepare(self, image: Picture) -> UInt8Array:
        """A picture as the methods on prepared ones take it: uint8 S x S x 3, S being `size`; of a model that keeps
        proportions the longer side is at most S.

        Raises:
            UnreadableImage: if it cannot be read.
            UsageError: if it is no picture.
        """
        if isinstance(image, np.ndarray):
            image = _from_array(image)
        if not isinstance(image, (str, Path, Image.Image)):
            raise UsageError(f"a picture is a path, a PIL image or an array, not {type(image).__name__}")
        if isinstance(image, Image.Image):
            if 0 in image.size:
                width, height = image.size
                raise UnreadableImage(getattr(image, "filename", "") or "image", f"has {width} x {height} pixels")
            try:
                return to_array(upright_rgb(image), self.size, proportions=self.keeps_proportions)
            except Exception as error:  # Pillow's plugins raise nearly every type on damaged files
                name = getattr(image, "filename", "") or "image"
                raise UnreadableImage(name, f"is damaged ({error})") from None
        return read_array(respell(image), self.size, proportions=self.keeps_proportions)

    def _fitting(self, arrays: UInt8Array, work: Callable[[UInt8Array], list[_T]]) -> list[_T]:
        """What `work` makes of each picture, as many at once as fit into memory."""
        check_prepared(arrays, self)
        results: list[_T] = []
        while len(results) < len(arrays):
            batch = arrays[len(results) :][: self.fits]
            try:
                results += work(batch)
            except Exception as error:  # each engine has its own types
                if not out_of_memory(error):
                    raise
                if len(batch) == 1:
                    raise CapcliError(
                        "not enough memory to caption even one picture; close other programs, take a smaller beam "
                        "or another device"
                    ) from None
                self.fits = len(batch) // 2
        return results


def check_prepared(arrays: object, captioner: BaseCaptioner, least: int = 0) -> None:
    """Raises UsageError for what is no array of at least so many pictures as `captioner.prepare` makes them."""
    side, proportions = captioner.size, captioner.keeps_proportions
    shape = f"(B, {side}, {side}, 3)"
    if proportions:
        shape = f"(B, height, width, 3), neither side above {side}"
    wanted = f"pictures are a uint8 array of shape {shape}"
    if not isinstance(arrays, np.ndarray):
        raise UsageError(f"{wanted}, not {type(arrays).__name__}; captioner.prepare makes one picture")
    sides = arrays.shape[1:3]
    fits = 0 < min(sides) <= max(sides) <= side if proportions and sides else sides == (side, side)
    if arrays.dtype != np.uint8 or arrays.ndim != 4 or arrays.shape[3] != 3 or not fits:
        raise UsageError(f"{wanted}, not {arrays.dtype} of shape {arrays.shape}; captioner.prepare makes one picture")
    if len(arrays) < least:
        raise UsageError(f"{wanted}, and this one has no pictures; give {least} or more")


def _each_shape(batch: Sequence[UInt8Array], work: Callable[[UInt8Array], list[_T]]) -> list[_T]:
    """What `work` makes of pictures that may have several shapes, in their order."""
    results: dict[int, _T] = {}
    for places in group_by_shape(batch):
        results.update(zip(places, work(np.stack([batch[place] for place in places])), strict=True))
    return [results[place] for place in range(len(batch))]


def _from_array(array: AnyArray) -> Image.Image:
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or 0 in array.shape:
        raise UnreadableImage("array", f"has shape {array.shape}, not height x width (x 3)")
    if array.dtype.kind == "f":
        if np.isnan(array).all():
            raise UnreadableImage("array", "has no number in it, only NaN")
        known = np.nan_to_num(array, posinf=1, neginf=0)
        lowest, highest = known.min(), known.max()
        # A little beyond is what resizing leaves; more is another scale, and would be seen as black or white.
        if lowest < -_OVERSHOOT or highest > 1 + _OVERSHOOT:
            fault = f"has float values from {lowest:.4g} to {highest:.4g}"
            raise UnreadableImage("array", f"{fault}; give floats from 0 to 1, or uint8 from 0 to 255")
        array = (known.clip(0, 1) * 255).round()
    elif array.dtype == np.bool_:
        array = array * 255
    elif array.dtype != np.uint8:
        raise UnreadableImage("array", f"has values of type {array.dtype}, not uint8 or float from 0 to 1")
    return Image.fromarray(array.astype(np.uint8))
