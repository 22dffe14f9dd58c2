"""How well a model with a matcher finds the references of pictures, and the pictures of references."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from capcli.errors import UsageError
from capcli.evaluation.references import References
from capcli.model.options import ModelOptions
from capcli.modelfile.header import read_header
from capcli.modelfile.shipped import find_model

if TYPE_CHECKING:
    from capcli.metrics.retrieval import Retrieval


def check_matcher(model: ModelOptions) -> None:
    """Raises UsageError for a model without a matcher, which is not loaded, and ModelError where there is none."""
    if read_header(find_model(model.model)).described.get("matcher") is None:
        raise UsageError(
            f"--retrieval is by a matcher, and {model.model} has none: "
            f"`capcli train matching --from {model.model} --data DATA` gives it one"
        )


def retrieval(
    references: References, model: ModelOptions, *, progress: Callable[[int, int], None] | None = None
) -> Retrieval | None:
    """Retrieval among the images that can be read and have references, and these references.

    Args:
        references: whose images.
        model: the model, where it computes, and how many images at once.
        progress: is called after every batch with how many images are done and how many there are.

    Returns:
        None where no image can be read.

    Raises:
        ModelError: if there is no such model, or its file cannot be used.
        UsageError: if it has no matcher, or the device is not there.
    """
    check_matcher(model)
    import numpy as np

    from capcli.captioner import Captioner
    from capcli.metrics.retrieval import retrieve
    from capcli.pictures.stream import ReadingPool

    captioner = Captioner.load(model.model, model.device)
    captions = {item.image: item.captions for item in references.items if item.captions and item.image is not None}
    vectors, sentences, owners = [], list[str](), list[int]()
    done = read = 0
    with ReadingPool() as pool:
        for batch in pool.stream(captions, captioner.size, model.batch_size):
            there = [(captions[reading.path], reading.array) for reading in batch if reading.array is not None]
            if there:
                vectors.append(captioner.picture_vectors(np.stack([array for _, array in there])))
            for place, (told, _) in enumerate(there, read):
                sentences += told
                owners += [place] * len(told)
            read, done = read + len(there), done + len(batch)
            if progress is not None:
                progress(done, len(captions))
    if not vectors:
        return None
    return retrieve(np.concatenate(vectors) @ captioner.sentence_vectors(sentences).T, owners)
