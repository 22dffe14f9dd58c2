"""The review server: who may ask it, and what it answers."""

from __future__ import annotations

import shutil
import sqlite3
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from kept_results import make_kept
from PIL import Image

from capcli.library import database
from capcli.library.keeping import LibraryFile

pytest.importorskip("starlette")
from starlette.testclient import TestClient

from capcli.model.options import ModelOptions
from capcli.web.application import WINDOW, make_application
from capcli.web.heatmaps import Heatmaps

HERE = "http://127.0.0.1:8765"
CHANGE = {"version": 0, "status": "accepted", "caption": "A dog."}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of a window and five rows more; its pictures lie on their sides."""
    folder = tmp_path_factory.mktemp("photos")
    exif = Image.Exif()
    exif[274] = 6
    with LibraryFile(folder / "photos.db") as kept:
        for number in range(WINDOW + 5):
            path = folder / f"{number:03}.jpg"
            Image.new("RGB", (400, 300), (number, 0, 0)).save(path, exif=exif)
            kept.write(make_kept(path, f"Picture {number}.", confidences=(number / 1000,)))
    return folder / "photos.db"


@pytest.fixture
def library(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(whole, tmp_path))


@pytest.fixture
def client(library: Path) -> TestClient:
    app = make_application(library, "Ann", Heatmaps(ModelOptions()), "secret", 8765)
    return TestClient(app, base_url=f"{HERE}/secret/", headers={"Origin": HERE})


def test_the_page_gets_windows_of_rows_and_every_row_once(client: TestClient) -> None:
    first = client.get("rows").json()
    second = client.get("rows", params={"after": str(first["next"]).replace("'", '"')}).json()
    assert (len(first["rows"]), len(second["rows"]), second["next"]) == (WINDOW, 5, None)
    names = [row["name"] for row in first["rows"] + second["rows"]]
    assert names == [f"{number:03}.jpg" for number in range(WINDOW + 5)]
    assert client.get("counts").json()["counts"][""] == WINDOW + 5


def test_a_change_is_in_the_library_when_it_is_answered(client: TestClient, library: Path) -> None:
    edited = client.post("rows/1", json=CHANGE).json()["row"]
    assert (edited["caption"], edited["status"], edited["reviewer"]) == ("A dog.", "edited", "Ann")
    with TestClient(
        make_application(library, "Bob", Heatmaps(ModelOptions()), "other", 8765), base_url=f"{HERE}/other/"
    ) as other:
        answer = other.get("rows/1").json()
    assert (answer["row"]["caption"], answer["changes"][0]["by"]) == ("A dog.", "Ann")
    undone = client.post("rows/1/undo", json={"version": edited["version"]}).json()["row"]
    assert (undone["caption"], undone["status"]) == ("Picture 0.", None)
    assert client.get("rows", params={"show": "edited"}).json()["rows"] == []


def test_a_conflict_answers_what_is_stored(client: TestClient) -> None:
    client.post("rows/1", json=CHANGE)
    late = client.post("rows/1", json={**CHANGE, "caption": "A cat.", "version": 10**20})
    assert (late.status_code, late.json()["row"]["caption"]) == (409, "A dog.")
    assert client.get("rows/1").json()["changes"][0]["new"] == "A cat."


def test_pictures_are_small_and_upright_and_named_by_number_alone(client: TestClient, library: Path) -> None:
    for side, size in {"small": (120, 160), "large": (300, 400)}.items():
        answer = client.get("pictures/1", params={"side": side})
        picture = Image.open(BytesIO(answer.content))
        assert (answer.headers["content-type"], picture.size, picture.getexif()) == ("image/jpeg", size, {})
    with sqlite3.connect(library) as connection:
        connection.execute("UPDATE picture SET path = '/nowhere/000.jpg' WHERE id = 1")
    gone = client.get("pictures/1")
    assert (gone.status_code, gone.json()["error"]) == (404, "the picture is missing")
    for name in ("../photos.db", str(library), "99999", f"{10**30}"):
        assert client.get(f"pictures/{name}").status_code == 404
    assert all("path" not in row for row in client.get("rows").json()["rows"])


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Host": "evil.example:8765"}, 421),
        ({"Host": "127.0.0.1"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:8765"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_nobody_else_may_ask(client: TestClient, headers: dict[str, str], code: int) -> None:
    assert client.get("rows", headers=headers).status_code == code
    assert client.get("rows/1/heatmaps", headers=headers).status_code == code
    assert client.post("rows/1", json=CHANGE, headers=headers).status_code == code
    assert client.get("rows/1").json()["row"]["status"] is None


def test_the_token_and_for_changes_the_origin_are_needed(library: Path, client: TestClient) -> None:
    bare = TestClient(make_application(library, "Ann", Heatmaps(ModelOptions()), "secret", 8765), base_url=HERE)
    for path in ("/", "/rows", "/rows/1/heatmaps", "/secre/rows", "/secrets/rows", "//rows", "/secret\u00e9/rows"):
        assert bare.get(path).status_code == 404
    assert bare.get("/secret/rows").status_code == 200
    assert bare.post("/secret/rows/1", json=CHANGE).status_code == 403
    local = TestClient(
        make_application(library, "Ann", Heatmaps(ModelOptions()), "secret", 8765), base_url="http://localhost:8765"
    )
    assert local.get("/secret/", headers={"Origin": "http://localhost:8765"}).status_code == 200


def test_every_answer_holds_the_page_to_this_server(client: TestClient) -> None:
    for path in ("", "rows", "review.js", "review.css", "pictures/1", "nothing", "../wrong/rows"):
        answer = client.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in answer.headers
    page = client.get("").text
    assert "http://" not in page.replace("http-equiv", "")
    assert "<style" not in page and "<script>" not in page


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", 400),
        (b"[1]", 400),
        (b'{"version": true, "status": "accepted", "caption": "x"}', 400),
        (b'{"version": 1e99, "status": "accepted", "caption": "x"}', 400),
        (b'{"version": 0, "status": "deleted", "caption": "x"}', 400),
        (b'{"version": 0, "status": "accepted", "caption": " "}', 422),
        (b"[" * 100_000, 413),
        (b"[" * 50_000, 400),
    ],
)
def test_what_is_no_change_is_refused(client: TestClient, body: bytes, code: int) -> None:
    answer = client.post("rows/1", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, list(answer.json())) == (code, ["error"])
    assert client.get("rows/1").json()["row"]["status"] is None


def test_a_form_of_another_site_could_not_make_a_change(client: TestClient) -> None:
    assert client.post("rows/1", content=b"{}", headers={"Content-Type": "text/plain"}).status_code == 415


@pytest.mark.parametrize(
    "after",
    [
        *("x", "[1]", '["", "a", 1]', '["", 1, 1e999]', "[" * 9999, '["\\ud800", 0, 1]', '["seen", 0, 1]'),
        *('[["edited"], 0, 1]', '["", 1e999, 1]', '["", NaN, 1]', '["", 0, []]'),
    ],
)
def test_a_place_that_is_none_is_refused(client: TestClient, after: str) -> None:
    assert client.get("rows", params={"after": after}).status_code == 400
    assert client.get("rows", params={"show": "nothing"}).status_code == 400


@pytest.mark.parametrize("number", [-(10**30), 10**30])
def test_a_place_whose_number_no_row_can_have_is_taken(client: TestClient, number: int) -> None:
    rows = client.get("rows", params={"after": f'["", -1, {number}]'}).json()["rows"]
    assert len(rows) == WINDOW


def test_a_library_that_takes_no_change_is_said_in_a_line(
    client: TestClient, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "PATIENCE", 0.01)
    other: Any = sqlite3.connect(library, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    answer = client.post("rows/1", json=CHANGE)
    assert (answer.status_code, "locked by another program" in answer.json()["error"]) == (503, True)
    other.execute("ROLLBACK")
    other.close()
    assert client.post("rows/1", json=CHANGE).status_code == 200
