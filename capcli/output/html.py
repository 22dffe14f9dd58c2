"""HTML pages that stand alone: one file each, which fetches nothing and can be sent to anybody."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from html import escape

from PIL import Image

# A browser shows control characters and halves of characters, such as the undecodable bytes of a name, as it likes.
_UNSHOWN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1c2126; --quiet: #57606a; --line: #d5dae0; --card: #f6f8fa;
  --accent: #0b62b8; --warm: #b3450b; }
@media (prefers-color-scheme: dark) { :root { --paper: #12161b; --ink: #e7eaed; --quiet: #a1abb5; --line: #343c45;
  --card: #1b2128; --accent: #6cb4f7; --warm: #f2a46c; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .5rem 0; }
h2 { font-size: 1.25rem; margin: 2.25rem 0 .5rem; }
h3 { font-size: 1rem; margin: 0; }
summary { cursor: pointer; padding: .25rem 0; }
p { margin: .5rem 0; max-width: 44rem; }
.quiet, figcaption, dt { color: var(--quiet); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
a { color: var(--accent); }
.skip { position: absolute; left: -100rem; }
.skip:focus { position: static; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem 1rem .3rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line);
  overflow-wrap: normal; }
thead th { white-space: nowrap; }
td.number { text-align: right; white-space: nowrap; }
figure { margin: 0; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 16rem), 1fr)); gap: 1rem; padding: 0;
  list-style: none; }
.cards > li { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .75rem;
  display: flex; flex-direction: column; gap: .5rem; }
.cards img, .none { width: 100%; height: 11rem; object-fit: contain; background: var(--paper); border-radius: .25rem; }
.none { display: grid; place-items: center; color: var(--quiet); }
.cards p { margin: 0; }
"""
"""What all pages look like, in the light and in the dark; text has a contrast of 4.5 or more in both."""


def document(title: str, body: str, *, style: str = "", script: str = "", generator: str = "") -> bytes:
    """A whole page.

    Args:
        title: text.
        body: HTML.
        style: CSS after STYLE.
        script: JavaScript at the end of the page; the only one that a browser will run in it.
        generator: what made the page, text; told near its start.

    Returns:
        UTF-8. Where text has no character, as for an undecodable byte of a name, stands U+FFFD.
    """
    # The policy makes a browser refuse what these pages promise not to do: to fetch anything or run another script.
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    if script:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        policy += f"; script-src 'sha256-{digest}'"
    made = f'\n<meta name="generator" content="{escape(generator)}">' if generator else ""
    text = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">{made}
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<style>{STYLE}{style}</style>
</head>
<body>
{body}
{f"<script>{script}</script>" if script else ""}
</body>
</html>
"""
    return _UNSHOWN.sub("\ufffd", text).encode()


def jpeg(picture: Image.Image, quality: int) -> bytes:
    """An RGB picture as JPEG, without what the file that it comes from says about it."""
    file = io.BytesIO()
    # Pillow would repeat the comment of that file, which may be long, or meant for nobody else.
    picture.save(file, "JPEG", quality=quality, optimize=True, comment="")
    return file.getvalue()


def data_uri(content: bytes, kind: str = "image/jpeg") -> str:
    """A file as an address that holds it whole."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
