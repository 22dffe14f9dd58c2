"""A hub of Hugging Face on this machine, as small as its own client lets it be."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote, urlsplit

LARGE = 4096
"""Files of more bytes are large ones, which the hub knows by their SHA-256."""


@dataclass
class Model:
    """A model on the hub.

    Attributes:
        files: contents by name.
        licence: as its card names it.
        refusal: "gated" or "private"; empty for a model that everybody may have.
    """

    files: dict[str, bytes]
    licence: str = "mit"
    refusal: str = ""

    @property
    def commit(self) -> str:
        """The commit of its main branch, which is another one with other files."""
        digest = hashlib.sha1()
        for name, content in sorted(self.files.items()):
            digest.update(f"{name} {len(content)} ".encode() + content)
        return digest.hexdigest()


@dataclass
class Hub:
    """What the server has and was asked.

    Attributes:
        endpoint: its address, for HF_ENDPOINT.
        models: by OWNER/NAME.
        asked: method and path of every request.
        sent: bytes of files that were sent.
        cut: names of files whose next transfer breaks off half-way.
        spoilt: names of files that are sent with a byte changed.
    """

    endpoint: str = ""
    models: dict[str, Model] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    sent: int = 0
    cut: set[str] = field(default_factory=set)
    spoilt: set[str] = field(default_factory=set)


@contextmanager
def serving() -> Iterator[Hub]:
    """Serves an empty hub."""
    hub = Hub()

    class Handler(_Handler):
        shared = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def describe(content: bytes) -> dict[str, object]:
    """What the hub tells of a file."""
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    large = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
    return {"size": len(content), "blobId": blob, **({"lfs": large} if len(content) > LARGE else {})}


class _Handler(BaseHTTPRequestHandler):
    shared: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        """Nobody reads it."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        self.shared.asked.append(f"{self.command} {path}")
        parts = path.strip("/").split("/")
        api = parts[:2] == ["api", "models"]
        owner, name, *rest = parts[2:] if api else parts
        model = self.shared.models.get(f"{owner}/{name}")
        if model is None or model.refusal == "private":
            self._send(401, b"", {"X-Error-Code": "RepoNotFound"}, body=body)
        elif model.refusal == "gated" and not (api and rest[:1] != ["tree"]):
            self._send(403, b"", {"X-Error-Code": "GatedRepo"}, body=body)
        elif len(rest) > 1 and rest[1] not in ("main", model.commit):
            self._send(404, b"", {"X-Error-Code": "RevisionNotFound"}, body=body)
        elif api:
            self._tell(f"{owner}/{name}", model, rest, body=body)
        else:
            self._give(model, "/".join(rest[2:]), body=body)

    def _tell(self, name: str, model: Model, rest: list[str], *, body: bool) -> None:
        if rest[:1] == ["tree"]:
            payload: object = [
                {"type": "file", "path": file, "oid": about["blobId"], **about}
                for file, about in ((file, describe(content)) for file, content in model.files.items())
            ]
            for entry in payload:  # type: ignore[attr-defined]
                if "lfs" in entry:
                    entry["lfs"]["oid"] = entry["lfs"].pop("sha256")
        else:
            siblings = [{"rfilename": file, **describe(content)} for file, content in model.files.items()]
            payload = {
                "id": name, "modelId": name, "sha": model.commit, "private": False, "gated": bool(model.refusal),
                "cardData": {"license": model.licence}, "siblings": siblings, "tags": [], "downloads": 0, "likes": 0,
            }  # fmt: skip
        self._send(200, json.dumps(payload).encode(), {"Content-Type": "application/json"}, body=body)

    def _give(self, model: Model, name: str, *, body: bool) -> None:
        content = model.files.get(name)
        if content is None:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"}, body=body)
            return
        about = describe(content)
        large = about.get("lfs")
        tag = large["sha256"] if isinstance(large, dict) else about["blobId"]
        headers = {"X-Repo-Commit": model.commit, "ETag": f'"{tag}"', "Accept-Ranges": "bytes"}
        if name in self.shared.spoilt:
            content = bytes([content[0] ^ 1]) + content[1:]
        start = 0
        if asked := self.headers.get("Range"):
            start = int(asked.removeprefix("bytes=").split("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        part = content[start:]
        if body and name in self.shared.cut:
            self.shared.cut.discard(name)
            self._send(206 if start else 200, part, headers, body=True, most=len(part) // 2)
            self.close_connection = True
            return
        if body:
            self.shared.sent += len(part)
        self._send(206 if start else 200, part, headers, body=body)

    def _send(
        self, code: int, content: bytes, headers: Mapping[str, str], *, body: bool, most: int | None = None
    ) -> None:
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content[:most])
