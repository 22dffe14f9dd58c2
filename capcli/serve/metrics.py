"""Figures of the server for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_PICTURES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Counts what the server does; it holds nothing of any picture or client."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "capcli_requests", "Requests by path and status.", ("path", "status"), registry=registry
        )
        self._seconds = Histogram(
            "capcli_request_seconds", "From a request's head to its answer.", ("path",), buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip
        self._pictures = Counter(
            "capcli_pictures", "Pictures that were captioned, or could not be read.", ("outcome",), registry=registry
        )
        self._batches = Histogram(
            "capcli_batch_pictures", "Pictures that the model got at once.", buckets=_PICTURES, registry=registry
        )
        self._computing = Counter("capcli_model_seconds", "Time that the model computed.", registry=registry)
        self._in_hand = Gauge("capcli_requests_in_hand", "Requests without an answer yet.", registry=registry)
        self._waiting = Gauge("capcli_pictures_waiting", "Pictures before the model.", registry=registry)

    def watch(self, in_hand: Callable[[], int], waiting: Callable[[], int]) -> None:
        """Says where to look for what changes by itself."""
        self._in_hand.set_function(in_hand)
        self._waiting.set_function(waiting)

    def count_request(self, path: str, status: int, seconds: float) -> None:
        """Counts an answer, and how long it took."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def count_picture(self, *, captioned: bool) -> None:
        """Counts a picture."""
        self._pictures.labels("captioned" if captioned else "unreadable").inc()

    def count_batch(self, pictures: int, seconds: float) -> None:
        """Counts a batch of the model."""
        self._batches.observe(pictures)
        self._computing.inc(seconds)

    def text(self) -> bytes:
        """All of them, in Prometheus's text format."""
        return generate_latest(self._registry)
