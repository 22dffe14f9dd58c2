"""Pictures with the captions that they are to have."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from capcli.datasets.records import IMAGE_KEYS, Record, read_records
from capcli.errors import DatasetError
from capcli.files.database import is_database
from capcli.keywords.keyword import Keyword
from capcli.library.contents import read_results
from capcli.output import Result
from capcli.output.naming import absolute
from capcli.output.xmp import xml_text
from capcli.pictures.facts import Facts

_SPELT_TRUE = ("true", "1", "yes")


@dataclass(frozen=True)
class Described:
    """A picture and what was said of it.

    Attributes:
        path: its file, as the source spells it.
        caption: one sentence; never blank.
        where: file and line of the source.
        confidence: of the caption, in [0, 1], where the source gives it.
        uncertain: whether the source marks the caption as below the least confidence that was asked for.
        keywords: with their levels; those of a table are sure.
        size: of the file in bytes when it was captioned, where the source gives it.
        modified: when the file was last changed before it was captioned, in seconds since 1970, where the source
            gives it.
        status: what a person made of the caption, such as "accepted"; None where nobody has looked at it.
        facts: what a library remembers of the picture as it was captioned.
    """

    path: Path
    caption: str
    where: str
    confidence: float | None = None
    uncertain: bool = False
    keywords: tuple[Keyword, ...] = ()
    size: int | None = None
    modified: float | None = None
    status: str | None = None
    facts: Facts | None = None


def read_described(source: Path) -> list[Described]:
    """The pictures with captions in rows that capcli wrote in any format, a library or a table; failures are left out.

    A row names its picture and has its caption as for `capcli.evaluation.predictions.read_predictions`; it may have
    `confidence`, `uncertain`, `keywords`, `size`, `mtime` and `status`. A keyword is a text, in
    which a bar stands between levels, or an object with a `word`, or a `path` of words from the general to the special
    and the `parents` of these that are keywords, too.

    Raises:
        DatasetError: the file cannot be read, a row is broken (with its line), none has a caption, or two are about
            one picture.
        UsageError: it is a library of another version; CapcliError if it is locked or damaged.
    """
    if is_database(source):
        described = [_kept(result, str(source)) for result in read_results(source) if result.captions]
    else:
        described = [_described(record) for record in read_records(source) if not record.fields.get("error")]
    seen: dict[Path, str] = {}
    for picture in described:
        before = seen.setdefault(absolute(picture.path), picture.where)
        if before != picture.where:
            raise DatasetError(f"{picture.where}: {picture.path} has a caption already ({before}); leave one in")
    if not described:
        raise DatasetError(f"{source}: holds no captions")
    return described


def _kept(result: Result, where: str) -> Described:
    facts = result.facts
    return Described(
        result.path,
        result.captions[0],
        where,
        result.confidences[0],
        result.uncertain,
        result.keywords or (),
        None if facts is None else facts.size,
        None if facts is None else facts.mtime / 1e9,
        result.status,
        facts,
    )


def _described(record: Record) -> Described:
    caption = record.caption()
    if not (caption and caption.strip()):
        raise DatasetError(f"{record.where}: has no caption")
    fields = record.fields
    return Described(
        _path(record),
        caption.strip(),
        record.where,
        record.confidence(),
        str(fields.get("uncertain") or "").strip().lower() in _SPELT_TRUE,
        _keywords(record),
        _whole(record, "size"),
        _number(record, "mtime"),
        str(fields.get("status") or "").strip().lower() or None,
    )


def _path(record: Record) -> Path:
    # COCO's list of results has a number as well, and it comes first there.
    for key in reversed(IMAGE_KEYS):
        value = record.fields.get(key)
        if isinstance(value, str) and value.strip():
            return Path(value)
    raise DatasetError(f"{record.where}: names no file (under {', '.join(IMAGE_KEYS[1:])})")


def _keywords(record: Record) -> tuple[Keyword, ...]:
    value = record.fields.get("keywords")
    if isinstance(value, str):  # a cell of a table
        try:
            value = json.loads(value) if value.lstrip().startswith("[") else [value]
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"{record.where}: its keywords are no JSON list ({error})") from None
    if value is None:
        return ()
    try:
        found = [_keyword(keyword) for keyword in (value if isinstance(value, list) else [value])]
    except TypeError:
        raise DatasetError(f"{record.where}: its keywords are no list of texts") from None
    return tuple(dict.fromkeys(keyword for keyword in found if keyword.word))


def _keyword(value: object) -> Keyword:
    """A keyword of a row, without a word where it is blank; raises TypeError for what is none."""
    fields = value if isinstance(value, dict) else {"path": value.split("|") if isinstance(value, str) else [value]}
    path = _texts(fields.get("path") or [fields.get("word")])
    return Keyword(path[-1] if path else "", 1.0, path, _texts(fields.get("parents") or []))


def _texts(levels: object) -> tuple[str, ...]:
    if not (isinstance(levels, list) and all(isinstance(level, str) for level in levels)):
        raise TypeError
    return tuple(filter(None, (xml_text(" ".join(level.split())) for level in levels)))


def _whole(record: Record, key: str) -> int | None:
    number = _number(record, key)
    return None if number is None else int(number)


def _number(record: Record, key: str) -> float | None:
    value = record.fields.get(key)
    if value is None or value == "":
        return None
    try:
        return float(str(value))
    except ValueError:
        raise DatasetError(f"{record.where}: its {key} is {value!r}, not a number") from None
