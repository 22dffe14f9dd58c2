"""Pictures as clients send them, and refusals as they get them."""

from __future__ import annotations

import base64
import io
from typing import Any

from PIL import Image


def png(light: int = 100, size: tuple[int, int] = (9, 9)) -> bytes:
    """A grey picture."""
    file = io.BytesIO()
    Image.new("RGB", size, (light, light, light)).save(file, "PNG")
    return file.getvalue()


def in_base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def data_url(content: bytes) -> str:
    return f"data:image/png;base64,{in_base64(content)}"


def error_of(answer: Any) -> tuple[int, str]:
    """The status of a refusal, and its sentence; every refusal is JSON of the same shape."""
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert answer.headers["content-type"] == "application/json"
    assert error["message"].count("\n") == 0
    assert error["code"]
    return answer.status_code, error["message"]
