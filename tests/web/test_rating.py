"""The rating server: what it answers, and what it never tells."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from capcli.ratings.judgement import PREFERENCE
from capcli.ratings.options import ADEQUACY_FLUENCY
from capcli.ratings.questions import Candidates, ask, scales_of
from capcli.ratings.session import Session

pytest.importorskip("starlette")
from starlette.testclient import TestClient

from capcli.web.rating import make_application

HERE = "http://127.0.0.1:8765"
SYSTEMS = ("zebra-model.jsonl", "quagga-model.jsonl")


def make_client(folder: Path, way: str) -> TestClient:
    pictures = []
    for number in range(3):
        path = folder / f"secretname-{number}.jpg"
        Image.new("RGB", (400, 300), (number, 0, 0)).save(path)
        captions = {name: f"Text {place} of {number}." for place, name in enumerate(SYSTEMS)}
        pictures.append(Candidates(str(path), path, captions))
    session = Session(ask(pictures, way, "Ann", 0), scales_of(way), "Ann", folder / "ratings.jsonl")
    app = make_application(session, "0123", "secret", 8765)
    return TestClient(app, base_url=f"{HERE}/secret/", headers={"Origin": HERE})


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    return make_client(tmp_path, PREFERENCE)


@pytest.mark.parametrize("way", [PREFERENCE, ADEQUACY_FLUENCY])
def test_nothing_tells_whose_captions_they_are(tmp_path: Path, way: str) -> None:
    client = make_client(tmp_path, way)
    values = {PREFERENCE: 1} if way == PREFERENCE else {"adequacy": 2, "fluency": 3}
    answers = [client.get(path) for path in ("", "rate.js", "rate.css", "progress", "questions/0", "questions/9")]
    answers += [client.post("questions/0", json=values), client.post("questions/0/undo", json={})]
    answers += [client.post("questions/0", json={}), client.get("pictures/0"), client.get("pictures/9")]
    for answer in answers:
        text = (answer.content + str(answer.headers).encode()).decode("latin-1").lower()
        for secret in ("zebra", "quagga", "secretname", "jsonl", str(tmp_path).lower()):
            assert secret not in text
    # The sides of a pair and the ids of questions do not either: they are the same if the systems change their names.
    assert set(answers[4].json()["question"]) == {"place", "id", "captions", "values"}


def test_an_answer_is_in_the_file_when_it_is_answered(client: TestClient, tmp_path: Path) -> None:
    asked = client.get("questions/0").json()
    assert (asked["count"], asked["done"], asked["open"], asked["question"]["values"]) == (3, 0, 1, {})
    stored = client.post("questions/0", json={PREFERENCE: 2}).json()
    assert (stored["done"], stored["open"], stored["question"]["values"]) == (1, 1, {PREFERENCE: 2})
    (line,) = (json.loads(line) for line in (tmp_path / "ratings.jsonl").read_text().splitlines())
    assert line["captions"][line["value"] - 1] == asked["question"]["captions"][1]
    assert client.post("questions/0/undo", json={}).json()["done"] == 0
    for place in range(3):
        last = client.post(f"questions/{place}", json={PREFERENCE: 0}).json()
    assert (last["done"], last["open"]) == (3, None)


def test_pictures_are_small_and_named_by_their_place_alone(client: TestClient, tmp_path: Path) -> None:
    answer = client.get("pictures/0")
    assert (answer.headers["content-type"], Image.open(BytesIO(answer.content)).size) == ("image/jpeg", (400, 300))
    for name in ("3", "../ratings.jsonl", str(tmp_path / "secretname-0.jpg"), f"{10**30}"):
        assert client.get(f"pictures/{name}").status_code == 404
    for path in tmp_path.glob("*.jpg"):
        path.unlink()
    assert client.get("pictures/1").json() == {"error": "the picture is missing"}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", 400),
        (b'{"preference": true}', 400),
        (b'{"preference": 1.0}', 400),
        (b'{"preference": 7}', 422),
        (b'{"adequacy": 1}', 400),
        (b"[" * 90_000, 413),
    ],
)
def test_what_is_no_answer_is_refused(client: TestClient, tmp_path: Path, body: bytes, code: int) -> None:
    answer = client.post("questions/0", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, list(answer.json())) == (code, ["error"])
    assert (tmp_path / "ratings.jsonl").read_bytes() == b""


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Host": "evil.example:8765"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_nobody_else_may_ask(client: TestClient, tmp_path: Path, headers: dict[str, str], code: int) -> None:
    assert client.get("questions/0", headers=headers).status_code == code
    assert client.post("questions/0", json={PREFERENCE: 1}, headers=headers).status_code == code
    assert (tmp_path / "ratings.jsonl").read_bytes() == b""


def test_a_file_that_takes_no_answer_is_said_in_a_line(client: TestClient, tmp_path: Path) -> None:
    file = tmp_path / "ratings.jsonl"
    file.write_text("something else\n")
    answer = client.post("questions/0", json={PREFERENCE: 1})
    assert (answer.status_code, "broken JSON" in answer.json()["error"]) == (503, True)
    file.unlink()
    assert client.get("questions/0").status_code == 503
