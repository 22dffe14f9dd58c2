"""`POST /v1/captions`: pictures in any form in, rows out, and a reason for whatever is wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_captioner import FakeCaptioner
from PIL import Image
from serve_pictures import data_url, error_of, in_base64, png
from starlette.testclient import TestClient

Client = Callable[..., TestClient]


def form(*pictures: tuple[str, bytes], **fields: str) -> dict[str, Any]:
    return {"files": [("image", picture) for picture in pictures], "data": fields}


def test_a_form_and_json_give_the_rows_that_the_command_writes(client: TestClient) -> None:
    sent = client.post("/v1/captions", **form(("dark.png", png(10)), ("light.png", png(200))))
    assert sent.json() == {
        "model": "fake",
        "results": [
            {"name": "dark.png", "caption": "brightness 10", "captions": ["brightness 10"], "confidence": 0.502},
            {"name": "light.png", "caption": "brightness 200", "captions": ["brightness 200"], "confidence": 0.502},
        ],
    }
    images = [in_base64(png(10)), data_url(png(200)), {"name": "last", "data": in_base64(png(30))}]
    results = client.post("/v1/captions", json={"images": images}).json()["results"]
    assert [(row["name"], row["caption"]) for row in results] == [
        *(("1", "brightness 10"), ("2", "brightness 200"), ("last", "brightness 30")),
    ]
    single = client.post("/v1/captions", json={"image": in_base64(png(7))}).json()["results"]
    assert [row["caption"] for row in single] == ["brightness 7"]


def test_a_request_has_the_options_of_the_command(client: TestClient, fake: FakeCaptioner) -> None:
    wanted = {"num_captions": 3, "beam_size": 2, "min_confidence": 0.9, "prefix": "a", "with_words": True}
    in_json = client.post("/v1/captions", json={"image": in_base64(png()), **wanted}).json()
    texts = {name: "true" if value is True else str(value) for name, value in wanted.items()}
    in_form = client.post("/v1/captions", **form(("1", png()), **texts)).json()
    assert in_json == in_form
    (row,) = in_json["results"]
    assert row["captions"] == ["brightness 100", "other 1", "other 2"]
    assert row["uncertain"] is True
    assert row["words"] == [{"word": "brightness", "log_probability": -0.5}]
    asked = fake.asked[-1]
    assert (asked.num_captions, asked.beam_size, asked.min_confidence, asked.prefix) == (3, 2, 0.9, "a")
    assert (asked.max_length, fake.asked[-2]) == (7, asked)


def test_keywords_are_as_many_as_a_request_wants(make_client: Client, fake: FakeCaptioner) -> None:
    from capcli.keywords.keyword import Keyword

    class Chooser:
        def choose(self, pooled: np.ndarray[Any, Any]) -> list[tuple[Keyword, ...]]:
            return [tuple(Keyword(word, 0.5) for word in ("light", "grey", "flat"))] * len(pooled)

    client = make_client(chooser=Chooser())
    (row,) = client.post("/v1/captions", json={"image": in_base64(png()), "keywords": 2}).json()["results"]
    assert row["keywords"] == [{"word": "light", "probability": 0.5}, {"word": "grey", "probability": 0.5}]
    (row,) = client.post("/v1/captions", json={"image": in_base64(png())}).json()["results"]
    assert "keywords" not in row
    without = make_client()
    refused = without.post("/v1/captions", json={"image": in_base64(png()), "keywords": 2})
    assert error_of(refused) == (400, "fake has no keywords; leave keywords out")


def test_a_picture_is_read_as_a_file_of_it_is(client: TestClient, tmp_path: Path, fake: FakeCaptioner) -> None:
    exif = Image.Exif()
    exif[274] = 6
    turned = Image.new("RGB", (40, 20))
    turned.paste((255, 255, 255), (0, 0, 20, 20))
    turned.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    batches: list[Any] = []
    real = fake.caption_arrays
    fake.caption_arrays = lambda arrays, *rest: (batches.append(arrays), real(arrays, *rest))[1]  # type: ignore[method-assign]
    client.post("/v1/captions", **form(("turned.jpg", (tmp_path / "turned.jpg").read_bytes())))
    from capcli.pictures.read import read_array

    np.testing.assert_array_equal(batches[0][0], read_array(tmp_path / "turned.jpg", 8))
    assert batches[0][0][0].mean() > 200 > 50 > batches[0][0][-1].mean()


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (b"", 422, "picture a.png is empty (0 bytes)"),
        (b"no picture", 422, "picture a.png is not a picture capcli can read"),
        (png(size=(90, 90))[:60], 422, "picture a.png is truncated"),
        (png(size=(101, 100)), 413, "picture a.png has 101 x 100 pixels, and at most 10,000 are taken; scale it down"),
    ],
)
def test_a_picture_that_cannot_be_read_is_told_why(
    make_client: Client, content: bytes, code: int, message: str
) -> None:
    client = make_client(max_pixels=10_000)
    assert error_of(client.post("/v1/captions", **form(("a.png", content)))) == (code, message)
    # Beside one that can be read it has its own row.
    mixed = client.post("/v1/captions", **form(("a.png", content), ("b.png", png())))
    assert mixed.status_code == 200
    first, second = mixed.json()["results"]
    assert first == {"name": "a.png", "error": message.removeprefix("picture a.png ")}
    assert second["caption"] == "brightness 100"


def test_a_bomb_is_refused_before_it_is_decoded(client: TestClient) -> None:
    import struct
    import zlib

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack("!I", len(content)) + kind + content + struct.pack("!I", zlib.crc32(kind + content))

    head = struct.pack("!IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    code, message = error_of(client.post("/v1/captions", **form(("bomb.png", bomb))))
    assert code == 413
    assert "100000 x 100000 pixels" in message


@pytest.mark.parametrize(
    ("sent", "code", "message"),
    [
        ({"json": {}}, 400, "there is no picture; "),
        ({"json": {"images": []}}, 400, "there is no picture; "),
        ({"json": {"images": "x"}}, 400, "images must be a list"),
        ({"json": {"images": [7]}}, 400, "each of images must be base64"),
        ({"json": {"images": ["http://127.0.0.1/a.jpg"]}}, 400, "this server fetches nothing"),
        ({"json": {"images": ["data:image/png,x"]}}, 400, "a data URL must hold base64"),
        ({"json": {"images": ["###"]}}, 400, "a picture is no base64"),
        ({"json": [1]}, 400, "the body must be a JSON object"),
        ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 400, "the body is no JSON"),
        ({"content": b"[" * 100_000, "headers": {"Content-Type": "application/json"}}, 400, "the body is no JSON"),
        ({"content": b"x", "headers": {"Content-Type": "image/png"}}, 415, "send pictures as files of"),
        ({"content": b"x"}, 415, "send pictures as files of"),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400, "the body is no multipart"),
        ({"data": {"beam_size": "2"}, "files": {}}, 415, "send pictures as files of"),
        (form(("1", png()), ("2", png()), ("3", png())), 413, "there are 3 pictures, and a request may have 2"),
        ({"json": {"images": ["AAAA"] * 3}}, 413, "there are 3 pictures, and a request may have 2"),
        (form(("1", png()), beam_sze="2"), 400, "no option is called 'beam_sze'; near it: beam_size"),
        (form(("1", png()), beam_size="two"), 400, "beam_size must be a whole number from 1 to 32, not 'two'"),
        (form(("1", png()), beam_size="99"), 400, "beam_size must be a whole number from 1 to 32, not 99"),
        (form(("1", png()), sample="yes"), 400, "sample must be true or false, not 'yes'"),
        (form(("1", png()), with_words="yes"), 400, "with_words must be true or false, not 'yes'"),
        ({"json": {"image": in_base64(png()), "with_words": 1}}, 400, "with_words must be true or false, not 1"),
        (
            {"files": [("image", ("1", png()))], "data": {"beam_size": ["2", "3"]}},
            *(400, "the field 'beam_size' stands twice in the form"),
        ),
        (form(("1", png()), vocabulary="/etc/passwd"), 400, "no option is called 'vocabulary'"),
        (form(("1", png()), output="/tmp/x"), 400, "no option is called 'output'"),
        (form(("1", png()), prefix="unknowable"), 400, "the model does not know the word 'unknowable'"),
    ],
)
def test_what_is_wrong_with_a_request_is_one_sentence(
    make_client: Client, sent: dict[str, Any], code: int, message: str
) -> None:
    found = error_of(make_client(max_pictures=2).post("/v1/captions", **sent))
    assert found[0] == code
    assert found[1].startswith(message)


def test_a_form_without_its_end_is_refused(client: TestClient) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    whole = client.post("/v1/captions", content=head + png() + b"\r\n--x--\r\n", headers=headers)
    assert whole.status_code == 200
    torn = client.post("/v1/captions", content=head + png()[:20], headers=headers)
    assert error_of(torn) == (400, "the form has no end; not all of it was sent")


def test_no_path_and_no_method_but_these(client: TestClient) -> None:
    wrong = client.get("/v1/captions")
    assert (error_of(wrong)[0], wrong.headers["allow"]) == (405, "POST")
    assert error_of(client.get("/"))[0] == 404
    assert error_of(client.post("/v1/captions/", json={"image": in_base64(png())}, follow_redirects=False))[0] == 404


def test_too_many_bytes_are_refused_whether_they_are_announced_or_not(make_client: Client) -> None:
    client = make_client(max_bytes=2000)
    message = "a request may have 2,000 bytes; send smaller pictures, or fewer"
    assert error_of(client.post("/v1/captions", **form(("1", bytes(3000))))) == (413, message)

    def parts() -> Iterator[bytes]:
        yield from [bytes(500)] * 5

    streamed = client.post("/v1/captions", content=parts(), headers={"Content-Type": "application/json"})
    assert error_of(streamed) == (413, message)


class Slow(FakeCaptioner):
    """Waits until it may go on."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.may_go_on = threading.Event(), threading.Event()

    def caption_arrays(self, *arguments: Any) -> list[Any]:
        self.begun.set()
        assert self.may_go_on.wait(30)
        return super().caption_arrays(*arguments)


def test_pictures_of_different_requests_are_computed_together(make_client: Client) -> None:
    slow = Slow()
    client = make_client(slow, batch=3)
    with ThreadPoolExecutor(6) as threads:
        first = threads.submit(client.post, "/v1/captions", **form(("0", png(0))))
        assert slow.begun.wait(30)
        more = [threads.submit(client.post, "/v1/captions", **form(("1", png(light)))) for light in range(1, 5)]
        other = threads.submit(client.post, "/v1/captions", **form(("1", png(9)), beam_size="2"))
        waiting = "capcli_pictures_waiting 6.0"
        deadline = time.monotonic() + 30
        while waiting not in client.get("/metrics").text and time.monotonic() < deadline:
            time.sleep(0.01)
        slow.may_go_on.set()
        captions = [future.result().json()["results"][0]["caption"] for future in (first, *more, other)]
    assert captions == [f"brightness {light}" for light in (0, 1, 2, 3, 4, 9)]
    assert sorted(slow.batches) == [1, 1, 1, 3]
    assert slow.batches[0] == 1


def test_more_requests_than_the_queue_holds_are_told_to_come_again(make_client: Client) -> None:
    slow = Slow()
    client = make_client(slow, queue=2)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(client.post, "/v1/captions", **form(("1", png())))
        assert slow.begun.wait(30)
        second = threads.submit(client.post, "/v1/captions", **form(("1", png())))
        deadline = time.monotonic() + 30
        while "capcli_requests_in_hand 2.0" not in client.get("/metrics").text and time.monotonic() < deadline:
            time.sleep(0.01)
        refused = client.post("/v1/captions", **form(("1", png())))
        assert error_of(refused)[0] == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert client.get("/healthz").json() == {"status": "ok"}
        slow.may_go_on.set()
        assert first.result().status_code == second.result().status_code == 200
    assert client.post("/v1/captions", **form(("1", png()))).status_code == 200


def test_an_answer_that_takes_too_long_is_given_up(make_client: Client) -> None:
    slow = Slow()
    client = make_client(slow, timeout=0.5)
    late = client.post("/v1/captions", **form(("1", png())))
    slow.may_go_on.set()
    assert error_of(late) == (503, "there was no answer within 0.5 s; try again later")
    assert late.headers["retry-after"]
    assert client.post("/v1/captions", **form(("1", png()))).status_code == 200


def test_an_error_that_nobody_foresaw_is_an_answer_and_no_end(make_client: Client, fake: FakeCaptioner) -> None:
    client, real = make_client(), fake.caption_arrays

    def fail(*arguments: Any) -> Any:
        raise ValueError("bytes of a picture")

    fake.caption_arrays = fail  # type: ignore[method-assign]
    assert error_of(client.post("/v1/captions", **form(("1", png())))) == (
        500,
        "the server made a mistake; its stderr says where",
    )
    fake.caption_arrays = real  # type: ignore[method-assign]
    assert client.post("/v1/captions", **form(("1", png()))).status_code == 200


def test_nothing_is_written_to_the_disk(client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    noise = np.random.default_rng(0).integers(0, 256, (1000, 1000, 3), np.uint8)
    import io

    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    assert len(file.getvalue()) > 2**21
    assert client.post("/v1/captions", **form(("large.png", file.getvalue()))).status_code == 200
    sent = client.post("/v1/captions", json={"image": in_base64(file.getvalue())})
    assert sent.status_code == 200


def test_metrics_count_what_happened(client: TestClient) -> None:
    client.post("/v1/captions", **form(("1", png()), ("2", png()), ("3", b"x")))
    client.post("/v1/captions", json={})
    client.get("/somewhere/else")
    metrics = client.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = metrics.text.splitlines()
    for line in (
        'capcli_requests_total{path="/v1/captions",status="200"} 1.0',
        'capcli_requests_total{path="/v1/captions",status="400"} 1.0',
        'capcli_requests_total{path="other",status="404"} 1.0',
        'capcli_pictures_total{outcome="captioned"} 2.0',
        'capcli_pictures_total{outcome="unreadable"} 1.0',
        "capcli_batch_pictures_sum 2.0",
        "capcli_requests_in_hand 0.0",
    ):
        assert line in lines
