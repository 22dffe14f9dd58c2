"""What a request brings: pictures, and fields of any kind beside them; from a form or from JSON, all in memory."""

from __future__ import annotations

import base64
import binascii
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, FormParser, parse_options_header

from capcli.serve.refusal import Refused

JSON, FORM = "application/json", "multipart/form-data"

# Its remarks on damaged forms quote them, and belong in no log.
logging.getLogger("python_multipart").addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Sent:
    """A picture as it came.

    Attributes:
        name: what the client calls it, else its number from 1 on.
        content: what a file of it would hold.
    """

    name: str
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class Payload:
    """All of a request.

    Attributes:
        pictures: in their order.
        fields: the others by name; those of a form are texts.
        typed: whether they have types of their own, as those of JSON do.
    """

    pictures: Sequence[Sent]
    fields: dict[str, Any]
    typed: bool


def read_payload(content_type: str, body: bytes, most: int) -> Payload:
    """Reads a request for some pictures.

    Args:
        content_type: of the body.
        body: all of it.
        most: pictures that are taken.

    Raises:
        Refused: where it holds no picture, more than `most`, a field of a form twice, or is no form and no JSON.
    """
    kind, parameters = parse_options_header(content_type)
    if kind == FORM.encode():
        payload = _read_form(body, parameters.get(b"boundary"))
    elif kind == JSON.encode():
        fields = read_object(content_type, body)
        payload = Payload(_take_pictures(fields), fields, typed=True)
    else:
        raise Refused(415, f"send pictures as files of {FORM}, or in base64 in {JSON}")
    if not payload.pictures:
        raise Refused(400, "there is no picture; send files of a form, or base64 under images in JSON")
    check_count(payload.pictures, most)
    return payload


def check_count(pictures: Sequence[Sent], most: int) -> None:
    """Raises Refused for more pictures than are taken."""
    if len(pictures) > most:
        raise Refused(413, f"there are {len(pictures)} pictures, and a request may have {most}; send several requests")


def read_object(content_type: str, body: bytes) -> dict[str, Any]:
    """The fields of a request that is a JSON object; raises Refused."""
    if parse_options_header(content_type)[0] != JSON.encode():
        raise Refused(415, f"send {JSON}")
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, "the body is no JSON, or not all of it") from None
    if not isinstance(content, dict):
        raise Refused(400, "the body must be a JSON object")
    return content


def read_data_url(url: object) -> bytes:
    """What a data URL holds; raises Refused for every other URL, because the server fetches nothing."""
    if not isinstance(url, str) or not url[:5].lower() == "data:":
        raise Refused(400, "this server fetches nothing: send the picture itself, as data:image/jpeg;base64,...")
    head, comma, data = url.partition(",")
    if not comma or not head.lower().endswith(";base64"):
        raise Refused(400, "a data URL must hold base64, as data:image/jpeg;base64,...")
    return _decode(data)


def _take_pictures(fields: dict[str, Any]) -> list[Sent]:
    """The pictures of a JSON object, which loses them."""
    given = fields.pop("images", [])
    if not isinstance(given, list):
        raise Refused(400, "images must be a list")
    if "image" in fields:
        given = [fields.pop("image"), *given]
    return [_read_picture(picture, number) for number, picture in enumerate(given, 1)]


def _read_picture(given: object, number: int) -> Sent:
    name, data = str(number), given
    if isinstance(given, dict):
        name, data = given.get("name", name), given.get("data")
    if not isinstance(name, str) or not isinstance(data, str):
        raise Refused(400, 'each of images must be base64, a data URL, or {"name": ..., "data": ...}')
    return Sent(name, read_data_url(data) if ":" in data[:16] else _decode(data))


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise Refused(400, "a picture is no base64") from None


def _read_form(body: bytes, boundary: bytes | None) -> Payload:
    fields: dict[str, Any] = {}
    pictures: list[Sent] = []
    ended = []

    def take_field(field: Field) -> None:
        name = _text(field.field_name)
        if name in fields:
            raise Refused(400, f"the field {name!r} stands twice in the form, and takes one value")
        fields[name] = _text(field.value)

    def take_picture(file: File) -> None:
        file.file_object.seek(0)
        pictures.append(Sent(_text(file.file_name) or str(len(pictures) + 1), file.file_object.read()))

    # By itself it would put larger files on the disk.
    config = {"MAX_MEMORY_FILE_SIZE": len(body) + 1}
    try:
        parser = FormParser(FORM, take_field, take_picture, lambda: ended.append(True), boundary, config=config)
        parser.write(body)
        parser.finalize()
    except FormParserError:
        raise Refused(400, f"the body is no {FORM}") from None
    if not ended:
        raise Refused(400, "the form has no end; not all of it was sent")
    return Payload(pictures, fields, typed=False)


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="replace")
