"""The shape of OpenAI's chat completions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fake_captioner import FakeCaptioner
from serve_pictures import data_url, error_of, png
from starlette.testclient import TestClient

TEXT = {"type": "text", "text": "What is in this picture?"}


def part(light: int) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": data_url(png(light)), "detail": "low"}}


def message(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": [*parts]}


def ask(client: TestClient, *messages: Any, **fields: Any) -> Any:
    return client.post("/v1/chat/completions", json={"model": "gpt-4o", "messages": list(messages), **fields})


def test_the_answer_has_the_caption_and_what_it_took(client: TestClient) -> None:
    completion = ask(client, {"role": "system", "content": "Be brief."}, message(TEXT, part(50))).json()
    assert completion.pop("id").startswith("chatcmpl-")
    assert isinstance(completion.pop("created"), int)
    assert completion == {
        "object": "chat.completion",
        "model": "fake",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "brightness 50"}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 64, "completion_tokens": 1, "total_tokens": 65},
    }


def test_the_pictures_of_the_last_question_are_captioned_a_line_each(client: TestClient) -> None:
    before, answer = message(TEXT, part(1)), {"role": "assistant", "content": "brightness 1"}
    completion = ask(client, before, answer, message(part(2), part(3), TEXT)).json()
    assert completion["choices"][0]["message"]["content"] == "brightness 2\nbrightness 3"
    assert completion["usage"]["prompt_tokens"] == 128
    # A question about the picture before is about that.
    completion = ask(client, before, answer, {"role": "user", "content": "And now?"}).json()
    assert completion["choices"][0]["message"]["content"] == "brightness 1"


def test_what_chats_are_tuned_by_changes_nothing_and_options_of_captions_do(
    client: TestClient, fake: FakeCaptioner
) -> None:
    tuned = {"temperature": 0.7, "top_p": 0.9, "seed": 3, "presence_penalty": 1, "max_tokens": 300, "user": "me"}
    completion = ask(client, message(part(4)), **tuned).json()
    assert completion["choices"][0]["message"]["content"] == "brightness 4"
    assert fake.asked[-1] == fake.options
    several = ask(client, message(part(4)), n=3, beam_size=2, max_tokens=5).json()
    assert [choice["message"]["content"] for choice in several["choices"]] == ["brightness 4", "other 1", "other 2"]
    asked = fake.asked[-1]
    assert (asked.num_captions, asked.beam_size, asked.max_length) == (3, 2, 5)


def test_a_stream_is_the_same_answer_in_events(client: TestClient) -> None:
    answer = ask(client, message(part(6)), stream=True, stream_options={"include_usage": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = answer.text.split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    deltas = [chunk["choices"][0] for chunk in chunks[:-1]]
    assert deltas[0]["delta"] == {"role": "assistant", "content": ""}
    assert "".join(choice["delta"].get("content", "") for choice in deltas) == "brightness 6"
    assert [choice["finish_reason"] for choice in deltas] == [None, None, "stop"]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["total_tokens"] == 65
    without = ask(client, message(part(6)), stream=True).text
    assert "usage" not in without


def test_an_answer_says_whether_the_longest_length_ended_it(client: TestClient) -> None:
    def reasons(**fields: Any) -> list[str]:
        return [choice["finish_reason"] for choice in ask(client, message(part(7)), **fields).json()["choices"]]

    assert reasons(max_tokens=2) == ["stop"]
    assert reasons(max_tokens=1) == ["length"]
    assert reasons(max_length=1) == ["length"]
    # The fake's other captions have no words.
    assert reasons(max_tokens=1, n=2) == ["length", "stop"]
    together = ask(client, message(part(7), part(8)), max_tokens=1).json()
    assert [choice["finish_reason"] for choice in together["choices"]] == ["length"]
    events = ask(client, message(part(7)), max_tokens=1, stream=True).text
    assert '"finish_reason": "length"' in events
    assert '"finish_reason": "stop"' not in events


@pytest.mark.parametrize(
    ("messages", "fields", "code", "expected"),
    [
        ([{"role": "user", "content": "Hello"}], {}, 400, "there is no picture in messages"),
        ([message(TEXT)], {}, 400, "there is no picture in messages"),
        (["Hello"], {}, 400, "messages must be a list of objects"),
        ([message({"type": "image_url", "image_url": {"url": "https://a.example/b.jpg"}})], {}, 400, "this server fet"),
        ([message({"type": "image_url", "image_url": {"url": "file:///etc/passwd"}})], {}, 400, "this server fetches"),
        ([message({"type": "image_url"})], {}, 400, "this server fetches nothing"),
        ([message({"type": "image_url", "image_url": {"url": data_url(b"no picture")}})], {}, 422, "picture 1 is not"),
        ([message(*[part(1)] * 17)], {}, 413, "there are 17 pictures, and a request may have 16"),
        ([message(part(1))], {"response_format": {"type": "json_object"}}, 400, "captions are plain sentences"),
        ([message(part(1))], {"n": 0}, 400, "num_captions must be a whole number from 1 to 32, not 0"),
        ([message(part(1))], {"max_tokens": "many"}, 400, "max_tokens must be a whole number"),
        ([message(part(1))], {"stream_options": 1}, 400, "stream_options must be an object"),
        ([message(part(1))], {"stream_options": {"include_usage": "yes"}}, 400, "include_usage must be true or false"),
    ],
)
def test_what_it_cannot_do_is_one_sentence(
    client: TestClient, messages: list[Any], fields: dict[str, Any], code: int, expected: str
) -> None:
    found = error_of(ask(client, *messages, **fields))
    assert found[0] == code
    assert found[1].startswith(expected)
    # The same where events were asked for: nothing is begun that cannot be ended.
    assert error_of(ask(client, *messages, **fields, stream=True)) == found


def test_whether_an_answer_comes_as_events_is_never_guessed(client: TestClient) -> None:
    assert error_of(ask(client, message(part(1)), stream="yes")) == (400, "stream must be true or false")
    assert ask(client, message(part(1)), stream=None).json()["object"] == "chat.completion"


def test_the_models_are_the_one_that_is_served(client: TestClient) -> None:
    models = client.get("/v1/models").json()
    (model,) = models["data"]
    assert (models["object"], model["id"], model["object"], model["owned_by"]) == ("list", "fake", "model", "capcli")
    assert client.get("/v1/models/fake").json() == model
    assert error_of(client.get("/v1/models/gpt-4o")) == (404, "this server has one model, fake")
