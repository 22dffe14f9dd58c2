from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fake_captioner import FakeCaptioner

pytest.importorskip("prometheus_client")
pytest.importorskip("python_multipart")
pytest.importorskip("starlette")
from starlette.testclient import TestClient

from capcli.pictures.stream import ReadingPool
from capcli.serve.application import make_application
from capcli.serve.desk import Desk
from capcli.serve.guard import Guard
from capcli.serve.metrics import Metrics
from capcli.serve.options import ServeOptions

HOST = "127.0.0.1:8766"

Client = Callable[..., TestClient]


@pytest.fixture
def fake() -> FakeCaptioner:
    return FakeCaptioner()


@pytest.fixture
def pool() -> Iterator[ReadingPool]:
    with ReadingPool(2) as pool:
        yield pool


@pytest.fixture
def make_client(fake: FakeCaptioner, pool: ReadingPool) -> Iterator[Client]:
    """Makes clients of servers with the fake captioner, or another; keywords are those of `ServeOptions`."""
    opened = []

    def make(
        captioner: Any = fake, *, token: str | None = None, chooser: Any = None, batch: int = 16, **limits: Any
    ) -> TestClient:
        options, metrics = ServeOptions(**limits), Metrics()
        desk = Desk(
            captioner,
            pool,
            captioner.options,
            chooser,
            batch_size=batch,
            max_pixels=options.max_pixels,
            metrics=metrics,
        )
        app = make_application(desk, options, Guard(token, [HOST, "0.example:1"]), metrics)
        client = TestClient(app, base_url=f"http://{HOST}")
        opened.append(client.__enter__())
        return client

    yield make
    for client in opened:
        client.__exit__()


@pytest.fixture
def client(make_client: Client) -> TestClient:
    return make_client()
