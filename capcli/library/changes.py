"""What a result changes in a library, and what stays of what was there."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from itertools import starmap
from pathlib import Path
from typing import Any

from capcli.files.json import dumps
from capcli.keywords.keyword import Keyword, list_words
from capcli.library.database import OF_MODEL, encode_name, parsing, read_rows
from capcli.library.statuses import CHECKED, KEPT, PROGRAM
from capcli.library.vectors import copy_vector, drop_vector, put_vector
from capcli.output import Result
from capcli.pictures.facts import Facts

_OF_CAPTIONS = ("caption", "confidence", "others", "uncertain", "words", "keywords", "subjects", "error")
_OF_FILES = ("size", "mtime", "width", "height", "taken", "pixels")
_WITH_HISTORY = ("path", "caption", "keywords", "error", "status")
_UNREVIEWED = {"status": None, "reviewed": None, "reviewer": None}


def put_result(connection: sqlite3.Connection, result: Result, *, replace: bool = False) -> None:
    """Keeps a result; the caller holds a transaction.

    A row whose pixels are the same keeps its caption, and so all that people changed. Where the same pixels are at
    another path and the old one is gone, the row moves. A caption that a person accepted, edited or flagged stays in
    any case: where its picture changed it is flagged, and the new captions stand among the others.

    Args:
        connection: of the library.
        result: of a picture.
        replace: give a row another caption even if its pixels are the same, also where it moved.

    A caption that was copied brings the vector of the picture that it is of, so that a search finds both. Where a
    person has edited it, the history says so of the copy, too.
    """
    key, facts = key_of(result.path), result.facts
    row = _find(connection, "path = CAST(? AS TEXT)", _key(result.path))
    if facts is not None and row is None and (row := _find_moved(connection, facts.pixels)) is not None:
        change_row(connection, row, {"path": key})
    same = facts is not None and row is not None and row["pixels"] == facts.pixels
    if row is not None and same and row["caption"] is not None and not replace:
        change_row(connection, row, {"missing": 0, **_facts(result), **_look(result)})
        return
    if row is not None and row["status"] in KEPT:
        _keep_reviewed(connection, row, result)
        return
    model = _model(connection, result)
    source = _find_source(connection, result)
    values = {**_captions(result), **_facts(result), "model": model, "missing": 0}
    values |= {"look": result.look, "copied": source and source["id"]}
    edited = values["caption"] if source is not None and source["edited"] else None
    if source is not None and edited is not None:
        values["caption"], editor = _find_edit(connection, source)
    if row is None:
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        picture = connection.execute(
            f"INSERT INTO picture (path, {names}) VALUES (CAST(? AS TEXT), {marks})",
            (encode_name(key), *values.values()),
        ).lastrowid
        assert picture is not None
    else:
        picture = row["id"]
        change_row(connection, row, {**values, **_UNREVIEWED})
        if row["model"] is not None and (result.vector is None or row["model"] != model):
            drop_vector(connection, picture)
    if edited is not None:
        stored = _find(connection, "id = ?", picture)
        assert stored is not None
        change_row(connection, stored, {"caption": edited}, editor)
    if source is not None:
        copy_vector(connection, source["id"], picture)
    if result.vector is not None and model is not None:
        put_vector(connection, picture, model, result.vector)


def change_row(
    connection: sqlite3.Connection,
    row: sqlite3.Row,
    values: Mapping[str, object],
    by: str = PROGRAM,
    undoes: int | None = None,
) -> None:
    """Gives a row of pictures other values; its old path, caption, keywords, error and status go into the history.

    Args:
        connection: of the library; the caller holds a transaction.
        row: as it is.
        values: by the names of columns.
        by: who changes it.
        undoes: the version of the row that this takes back the change of.
    """
    for field in _WITH_HISTORY:
        if field in values and row[field] != values[field]:
            remember(connection, row, field, row[field], values[field], by, undoes)
    sets = ", ".join(f"{name} = CAST(? AS TEXT)" if name == "path" else f"{name} = ?" for name in values)
    new = (_bytes(value) if name == "path" else value for name, value in values.items())
    connection.execute(f"UPDATE picture SET {sets} WHERE id = ?", (*new, row["id"]))


def remember(
    connection: sqlite3.Connection,
    row: sqlite3.Row,
    field: str,
    old: object,
    new: object,
    by: str,
    undoes: int | None = None,
) -> None:
    """Writes an entry of the history, with the version that the row has before the change."""
    connection.execute(
        "INSERT INTO history (picture, field, old, new, at, by, version, undoes) "
        "VALUES (?, ?, CAST(? AS TEXT), CAST(? AS TEXT), ?, ?, ?, ?)",
        (row["id"], field, _bytes(old), _bytes(new), now(), by, row["version"], undoes),
    )


def now() -> str:
    """This moment by UTC, as the library writes it."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def mark_missing(connection: sqlite3.Connection) -> None:
    """Marks the rows whose files are gone, and no longer those whose files are back; the caller holds a transaction."""
    rows = connection.execute("SELECT id, path, missing FROM picture")
    changed = [(gone, picture) for picture, path, was in rows if (gone := not os.path.lexists(path)) != bool(was)]
    connection.executemany("UPDATE picture SET missing = ? WHERE id = ?", changed)


def read_result(row: sqlite3.Row) -> Result:
    """The result that a row of pictures keeps; raises sqlite3.DatabaseError where the row is damaged."""
    with parsing(row):
        return _parse(row)


def _parse(row: sqlite3.Row) -> Result:
    path = Path(row["path"])
    if row["error"] is not None:
        return Result(path, error=_as_text(row["error"]), version=_as_whole(row["version"]))
    others = _read_others(row)
    # A text of a person that nobody has looked at beside this picture was written for the one that it is copied from.
    is_copy = row["copied_path"] is not None and not (row["edited"] and row["status"])
    words = None if row["words"] is None else tuple(starmap(_read_word, json.loads(row["words"])))
    return Result(
        path,
        (_as_text(row["caption"]), *(text for text, _ in others)),
        (_as_number(row["confidence"] or 0.0), *(confidence for _, confidence in others)),
        None if row["model_name"] is None else _as_text(row["model_name"]),
        bool(row["uncertain"]) and row["status"] not in CHECKED,
        None if row["edited"] else words,  # which are those of the model's sentence
        None if row["keywords"] is None else tuple(map(_read_keyword, json.loads(row["keywords"]))),
        facts=_read_facts(row),
        status=row["status"],
        version=_as_whole(row["version"]),
        copied_from=Path(row["copied_path"]) if is_copy else None,
    )


def read_facts(row: sqlite3.Row) -> Facts | None:
    """What a row has of its file, None where that was not read; raises sqlite3.DatabaseError where it is damaged."""
    with parsing(row):
        return _read_facts(row)


def _read_facts(row: sqlite3.Row) -> Facts | None:
    if row["pixels"] is None:
        return None
    if row["taken"] is not None:
        datetime.fromisoformat(row["taken"])
    whole = {name: _as_whole(row[name]) for name in ("size", "mtime", "width", "height")}
    return Facts(**whole, taken=row["taken"], pixels=_as_text(row["pixels"]))


def _read_others(row: sqlite3.Row) -> tuple[tuple[str, float], ...]:
    return tuple((_as_text(text), _as_number(confidence)) for text, confidence in json.loads(row["others"] or "[]"))


def key_of(path: Path) -> str:
    """The path that a library knows a picture by, the same for every spelling that does not go through links."""
    return os.path.normcase(os.path.abspath(path))  # noqa: PTH100 - Path.resolve would follow links


def stamp_of(path: str) -> tuple[int | None, int | None]:
    """Size and time of a file, or twice None where there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 - of names that Path would change
    except (OSError, ValueError):
        return None, None
    return found.st_size, found.st_mtime_ns


def _facts(result: Result) -> dict[str, object]:
    if result.facts is None:
        size, mtime = stamp_of(key_of(result.path))
        return {**dict.fromkeys(_OF_FILES), "size": size, "mtime": mtime}
    return {name: getattr(result.facts, name) for name in _OF_FILES}


def _look(result: Result) -> dict[str, object]:
    return {} if result.look is None else {"look": result.look}


def _key(path: Path) -> bytes:
    return encode_name(key_of(path))


def _captions(result: Result) -> dict[str, object]:
    """The columns of what a model said, or of the error."""
    values: dict[str, object] = {**dict.fromkeys(_OF_CAPTIONS), "uncertain": int(result.uncertain)}
    if result.error is not None:
        return {**values, "error": _text(result.error)}
    others = list(zip(result.captions[1:], result.confidences[1:], strict=True))
    return {
        **values,
        "caption": _text(result.captions[0]),
        "confidence": result.confidences[0],
        "others": _json(others) if others else None,
        "words": None if result.words is None else _json(result.words),
        **_keywords(result.keywords),
    }


def _keywords(keywords: Sequence[Keyword] | None) -> dict[str, object]:
    """The columns of keywords: all of them, and the words that search finds, those of the levels above among them."""
    if keywords is None:
        return {}
    given = [{**asdict(keyword), "word": _text(keyword.word)} for keyword in keywords]
    findable = dict.fromkeys(list_words(keywords))
    return {"keywords": _json(given), "subjects": _text("\n".join(findable))}


def _read_keyword(values: dict[str, Any]) -> Keyword:
    path, parents = (tuple(map(_as_text, values[name])) for name in ("path", "parents"))
    return Keyword(_as_text(values["word"]), _as_number(values["probability"]), path, parents)


def _read_word(text: str, log_probability: float, sentinel: float | None) -> tuple[str, float, float | None]:
    return _as_text(text), _as_number(log_probability), None if sentinel is None else _as_number(sentinel)


def _as_text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    value.encode()  # bytes that are no UTF-8 are half characters by now
    return value


def _as_number(value: object) -> float:
    if not isinstance(value, (int, float)):
        raise TypeError
    return value


def _as_whole(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError
    return value


def _keep_reviewed(connection: sqlite3.Connection, row: sqlite3.Row, result: Result) -> None:
    """What a result changes of a picture whose caption a person has looked at: never the caption."""
    if result.error is not None:
        return
    values: dict[str, object] = {"missing": 0}
    if result.facts is not None:
        values |= _facts(result)
    if result.facts is not None and result.facts.pixels != row["pixels"]:
        with parsing(row):
            held = _read_others(row)
        others = [*zip(map(_text, result.captions), result.confidences, strict=True), *held]
        values |= {"others": _json(others), "status": "flagged", "reviewed": now(), "reviewer": PROGRAM}
    change_row(connection, row, values)
    if result.vector is not None and (model := _model(connection, result)) is not None:
        drop_vector(connection, row["id"])
        put_vector(connection, row["id"], model, result.vector)


def _find(connection: sqlite3.Connection, where: str, value: object) -> sqlite3.Row | None:
    return next(read_rows(connection, where, (value,)), None)


def _find_source(connection: sqlite3.Connection, result: Result) -> sqlite3.Row | None:
    """The row of the picture that a caption was copied from."""
    if result.copied_from is None:
        return None
    return _find(connection, "path = CAST(? AS TEXT)", _key(result.copied_from))


def _find_edit(connection: sqlite3.Connection, row: sqlite3.Row) -> tuple[str, str]:
    """The model's caption of a row whose caption a person has edited, and who edited it last."""
    (caption,) = connection.execute(f"SELECT {OF_MODEL} FROM picture WHERE id = ?", (row["id"],)).fetchone()
    edits = "SELECT by FROM history WHERE picture = ? AND field = 'caption' ORDER BY id DESC LIMIT 1"
    (by,) = connection.execute(edits, (row["id"],)).fetchone()
    return caption, by


def _find_moved(connection: sqlite3.Connection, pixels: str) -> sqlite3.Row | None:
    """The row of the same pixels at a path where there is no file any more; of several one that a person reviewed."""
    rows = read_rows(connection, "pixels = ? AND caption IS NOT NULL", (pixels,))
    moved = (row for row in rows if not os.path.lexists(row["path"]))
    return min(moved, key=lambda row: row["status"] not in KEPT, default=None)


def _model(connection: sqlite3.Connection, result: Result) -> int | None:
    """The number of the model that made a result."""
    if result.model is None:
        return None
    made_by = _text(result.model), result.model_sha256 or ""
    connection.execute("INSERT OR IGNORE INTO model (name, sha256) VALUES (?, ?)", made_by)
    row = connection.execute("SELECT id FROM model WHERE name = ? AND sha256 = ?", made_by).fetchone()
    return int(row[0])


def _bytes(value: object) -> bytes | None:
    return None if value is None else encode_name(str(value))


def _json(value: object) -> str:
    return dumps(value).decode()


def _text(text: str) -> str:
    # A model's words may be anything, half a character too.
    return text.encode(errors="replace").decode()
