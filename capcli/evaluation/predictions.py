"""Captions to be scored, whatever program made them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from capcli.datasets.records import CAPTION_KEYS, Record, read_records
from capcli.errors import DatasetError
from capcli.files.database import is_database
from capcli.library.contents import read_results
from capcli.output import Result


@dataclass(frozen=True)
class Prediction:
    """What a model said about one image.

    Attributes:
        names: what its source calls the image, ids or file names, at least one.
        caption: as it is written, "" for a blank one; None where the model failed, `error` then says why.
        where: file and line, or place in its list.
        confidence: in [0, 1] where the source gives one.
        model: its name where the source gives it.
        error: why there is no caption.
    """

    names: tuple[str, ...]
    caption: str | None
    where: str
    confidence: float | None = None
    model: str | None = None
    error: str | None = None

    @classmethod
    def of(cls, record: Record) -> Prediction:
        """The prediction in a row; raises DatasetError if it names no image, or has neither caption nor error."""
        names, caption, fields = record.names(), record.caption(), record.fields
        error, model = (fields.get(key) or None for key in ("error", "model"))
        if error is None and caption is None:
            raise DatasetError(f"{record.where}: has no caption (a text under {' or '.join(CAPTION_KEYS)})")
        return cls(
            names,
            caption if error is None else None,
            record.where,
            record.confidence() if error is None else None,
            str(model) if model is not None else None,
            str(error) if error is not None else None,
        )

    @classmethod
    def kept(cls, result: Result, where: str) -> Prediction:
        """The prediction in a row of a library."""
        names = (str(result.path),)
        if result.error is not None:
            return cls(names, None, where, error=result.error)
        return cls(names, result.captions[0], where, result.confidences[0], result.model)


def read_predictions(path: Path) -> list[Prediction]:
    """Reads rows that capcli wrote in any format, COCO's list of results, a table with a header, or {image: caption}.

    Of a library it takes the captions as they stand, with all that people changed.

    See `capcli.datasets.records.read_records` for the kinds of files. A row names its image under `image_id`, `image`,
    `path`, `file_name`, `filename` or `file`, has its caption under `caption` or `text`, and may have a `confidence`.
    A row of capcli's with an `error` is a failure.

    Raises:
        DatasetError: the file cannot be read, a row is broken (with its line), or there are none.
        UsageError: it is a library of another version; CapcliError if it is locked or damaged.
    """
    if is_database(path):
        rows = enumerate(read_results(path), 1)
        predictions = [Prediction.kept(result, f"{path}, row {number}") for number, result in rows]
    else:
        predictions = [Prediction.of(record) for record in read_records(path)]
    if not predictions:
        raise DatasetError(f"{path}: holds no predictions")
    return predictions
