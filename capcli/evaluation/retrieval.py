"""How well a model with a matcher finds the references of pictures, and the pictures of references."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from capcli.errors import UsageError
from capcli.evaluation.references import References
from capcli.known import know_model
from capcli.model.options import ModelOptions
from capcli.runs.session import Session

if TYPE_CHECKING:
    from capcli.arrays import Float32Array
    from capcli.metrics.retrieval import Retrieval


def check_matcher(model: ModelOptions) -> None:
    """Raises UsageError for a model without a matcher, which is not loaded, and ModelError where there is none."""
    if not know_model(model.model).matches:
        raise UsageError(
            f"--retrieval is by a matcher, and {model.model} has none: "
            f"`capcli train matching --from {model.model} --data DATA` gives it one"
        )


def measure_retrieval(
    references: References,
    session: Session,
    known: Mapping[Path, Float32Array | None] | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Retrieval | None:
    """Retrieval among the images that can be read and have references, and these references.

    Args:
        references: whose images.
        session: the model, which must have a matcher.
        known: vectors of images that it has seen already, None for one that cannot be read; as `Captioned.vectors`.
        progress: is called after every batch of other images with how many of them are done and how many there are.

    Returns:
        None where no image can be read.

    Raises:
        ModelError: if there is no such model, or its file cannot be used.
        UsageError: if it has no matcher, or the device is not there.
    """
    check_matcher(session.model)
    import numpy as np

    from capcli.metrics.retrieval import retrieve

    captions = {item.image: item.captions for item in references.items if item.captions and item.image is not None}
    vectors, done = dict(known or {}), 0
    others = [image for image in captions if image not in vectors]
    for batch in session.batches(session.captioner.picture_vectors, others):
        vectors.update((reading.path, vector) for reading, vector in batch)
        done += len(batch)
        if progress is not None:
            progress(done, len(others))
    readable = [(vector, texts) for image, texts in captions.items() if (vector := vectors[image]) is not None]
    if not readable:
        return None
    sentences = [sentence for _, texts in readable for sentence in texts]
    owners = [place for place, (_, texts) in enumerate(readable) for _ in texts]
    alike = np.stack([vector for vector, _ in readable]) @ session.captioner.sentence_vectors(sentences).T
    return retrieve(alike, owners)
