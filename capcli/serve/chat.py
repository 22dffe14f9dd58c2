"""`POST /v1/chat/completions` in the shape of OpenAI's: the last pictures in, their captions out."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from capcli.files.json import dumps
from capcli.serve.desk import Seen
from capcli.serve.payload import Sent, read_data_url
from capcli.serve.refusal import Refused, refuse_picture
from capcli.serve.wish import CHAT

if TYPE_CHECKING:
    from capcli.caption import Caption
    from capcli.decoding.options import DecodingOptions

OWNER = "capcli"


@dataclass(frozen=True)
class Chat:
    """What a client asks.

    Attributes:
        pictures: of the last message that has any.
        fields: options of captions.
        streams: whether the answer comes as events.
        counts: whether the last event tells the usage.
    """

    pictures: Sequence[Sent]
    fields: dict[str, Any]
    streams: bool
    counts: bool


def read_chat(content: Mapping[str, Any], own: DecodingOptions) -> Chat:
    """Reads a request; what capcli has no use for, such as the text of messages, is left aside.

    Args:
        content: the request's JSON.
        own: how captions are chosen where nothing else is asked for.

    Raises:
        Refused: where there is no picture, one is no data URL, an answer in JSON is asked for, or a field of the
            manner of the answer has another type.
    """
    form = content.get("response_format")
    if form is not None and (not isinstance(form, dict) or form.get("type") != "text"):
        raise Refused(400, "captions are plain sentences, and no JSON; leave response_format out")
    pictures = _find_pictures(content.get("messages"))
    names = [name for names in CHAT.values() for name in names]
    fields = {name: content[name] for name in names if content.get(name) is not None}
    if content.get("n") is not None:
        fields["num_captions"] = content["n"]
    most = content.get("max_completion_tokens") or content.get("max_tokens")
    if most is not None and "max_length" not in fields:
        if not isinstance(most, int) or isinstance(most, bool) or most < 1:
            raise Refused(400, "max_tokens must be a whole number of at least 1")
        fields["max_length"] = min(most, own.max_length)
    events = content.get("stream_options") or {}
    if not isinstance(events, dict):
        raise Refused(400, "stream_options must be an object")
    return Chat(pictures, fields, _is_wanted(content, "stream"), _is_wanted(events, "include_usage"))


def _is_wanted(content: Mapping[str, Any], name: str) -> bool:
    wanted = content.get(name)
    if wanted is not None and not isinstance(wanted, bool):
        raise Refused(400, f"{name} must be true or false")
    return bool(wanted)


def _find_pictures(messages: object) -> list[Sent]:
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise Refused(400, "messages must be a list of objects")
    # Clients send the whole conversation again with each question.
    for message in reversed(messages):
        parts = message.get("content")
        urls = [
            part.get("image_url")
            for part in (parts if isinstance(parts, list) else [])
            if isinstance(part, dict) and part.get("type") in ("image_url", "input_image")
        ]
        if urls:
            urls = [url.get("url") if isinstance(url, dict) else url for url in urls]
            return [Sent(str(number), read_data_url(url)) for number, url in enumerate(urls, 1)]
    raise Refused(400, "there is no picture in messages; send one as image_url with a data URL")


def tell_chat(pictures: Sequence[Seen], chat: Chat, model: str, *, regions: int, longest: int) -> tuple[bytes, str]:
    """The answer and its type.

    Args:
        pictures: what became of them.
        chat: what was asked.
        model: its name.
        regions: that the model looks at in a picture, which count as tokens of the question.
        longest: the most words that a caption might have.

    Raises:
        Refused: if one of the pictures could not be read.
    """
    for picture in pictures:
        if picture.error is not None:
            raise refuse_picture(picture.name, picture.error)
    captions = [picture.caption for picture in pictures if picture.caption is not None]
    choices = _choose(captions, longest)
    prompt, completion = regions * len(pictures), sum(map(_count, captions))
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    common = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time()), "model": model}
    if chat.streams:
        return _stream(common, choices, usage if chat.counts else None), "text/event-stream"
    entries = [
        {"index": number, "message": {"role": "assistant", "content": text}, "finish_reason": reason}
        for number, (text, reason) in enumerate(choices)
    ]
    return dumps({**common, "object": "chat.completion", "choices": entries, "usage": usage}), "application/json"


def tell_models(model: str, since: int) -> dict[str, object]:
    """The list of models, which has one."""
    return {"object": "list", "data": [tell_model(model, since)]}


def tell_model(model: str, since: int) -> dict[str, object]:
    """The model, and since when it is served."""
    return {"id": model, "object": "model", "created": since, "owned_by": OWNER}


def _choose(captions: Sequence[Caption], longest: int) -> list[tuple[str, str]]:
    """The choices: the text, which has a line for every picture, and why it ends, in OpenAI's word."""
    ranked = [[caption, *caption.alternatives] for caption in captions]
    choices = []
    for place in range(max(map(len, ranked))):
        lines = [alternatives[min(place, len(alternatives) - 1)] for alternatives in ranked]
        full = any(len(line.words) >= longest for line in lines)
        choices.append(("\n".join(line.text for line in lines), "length" if full else "stop"))
    return choices


def _count(caption: Caption) -> int:
    """Words that were said about a picture."""
    return sum(len(candidate.words) for candidate in (caption, *caption.alternatives))


def _stream(common: Mapping[str, object], choices: Sequence[tuple[str, str]], usage: Mapping[str, int] | None) -> bytes:
    """The same answer as server-sent events: who speaks, the text in one piece, the end."""
    chunk = {**common, "object": "chat.completion.chunk"}
    events: list[dict[str, object]] = []
    for number, (text, end) in enumerate(choices):
        steps: Sequence[tuple[dict[str, str], str | None]] = (
            ({"role": "assistant", "content": ""}, None),
            ({"content": text}, None),
            ({}, end),
        )
        for delta, reason in steps:
            events.append({**chunk, "choices": [{"index": number, "delta": delta, "finish_reason": reason}]})
    if usage is not None:
        events.append({**chunk, "choices": [], "usage": usage})
    return b"".join(b"data: " + dumps(event) + b"\n\n" for event in events) + b"data: [DONE]\n\n"
