"""Who may ask the server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from serve_pictures import error_of, in_base64, png
from starlette.testclient import TestClient

from capcli.errors import UsageError
from capcli.serve.options import ServeOptions

Client = Callable[..., TestClient]

SECRET = "a-secret-of-enough-letters"
PATHS = ("/v1/captions", "/v1/heatmaps", "/v1/chat/completions")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Host": "evil.example:8766"}, 421),
        ({"Host": "127.0.0.1"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({}, 200),
        ({"Origin": "http://127.0.0.1:8766"}, 200),
    ],
)
def test_no_page_of_another_site_and_no_other_name_leads_here(
    client: TestClient, headers: dict[str, str], code: int
) -> None:
    answer = client.post("/v1/captions", json={"image": in_base64(png())}, headers=headers)
    assert answer.status_code == code
    if code == 421:
        assert error_of(answer)[1] == "this server answers at its own address alone: http://127.0.0.1:8766"
    if code != 200:
        error_of(answer)
        for path in ("/healthz", "/metrics", "/v1/models"):
            assert client.get(path, headers=headers).status_code == code


@pytest.mark.parametrize(
    "authorization", [None, "", SECRET, f"Basic {SECRET}", "Bearer", f"Bearer {SECRET}x", f"Bearer {SECRET[:-1]}"]
)
def test_a_wrong_token_opens_nothing_but_the_health(make_client: Client, authorization: str | None) -> None:
    client = make_client(token=SECRET)
    headers = {} if authorization is None else {"Authorization": authorization}
    for answer in (
        *(client.post(path, json={"image": in_base64(png())}, headers=headers) for path in PATHS),
        *(client.get(path, headers=headers) for path in ("/v1/models", "/metrics", "/nothing")),
    ):
        assert error_of(answer)[0] == 401
        assert answer.headers["www-authenticate"] == "Bearer"
    assert client.get("/healthz", headers=headers).status_code == 200


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_the_token_opens_all(make_client: Client, scheme: str) -> None:
    client = make_client(token=SECRET)
    client.headers["Authorization"] = f"{scheme} {SECRET}"
    assert client.post("/v1/captions", json={"image": in_base64(png())}).status_code == 200
    assert client.get("/metrics").status_code == 200


def test_with_the_token_a_server_before_this_one_may_pass_its_name_on(make_client: Client) -> None:
    client = make_client(token=SECRET)
    proxied = {"Host": "captions.example.com"}
    answer = client.post(
        "/v1/captions", json={"image": in_base64(png())}, headers={**proxied, "Authorization": f"Bearer {SECRET}"}
    )
    assert answer.status_code == 200
    assert error_of(client.get("/v1/models", headers=proxied))[0] == 401


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file or directory"),
        (b"", "a token is one line of at least 16 characters"),
        (b"short\n", "a token is one line of at least 16 characters"),
        (b"two words of many letters\n", "a token is one line of at least 16 characters"),
        (b"\xff" * 20, "a token is letters and digits on one line"),
    ],
)
def test_a_file_without_a_token_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError) as refused:
        ServeOptions(token_file=file).read_token()
    assert str(refused.value) == f"{file}: {message}"


def test_a_token_may_end_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{SECRET}\n")
    assert ServeOptions(token_file=file).read_token() == SECRET
    assert ServeOptions().read_token() is None
