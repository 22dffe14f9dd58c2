"""Models pulled from a hub on this machine, by the hub's own client, and every hub that says no."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hub_server import Hub, Model, serving

pytest.importorskip("huggingface_hub")

# The client reads its settings once, as it is imported: each test has a process of its own, forked from this one.
_CHILD = """
import json, os, sys
from typer.testing import CliRunner
import huggingface_hub, huggingface_hub._snapshot_download, huggingface_hub.hf_api, huggingface_hub.utils
from huggingface_hub import constants, errors
import capcli.catalogue.pulled, capcli.catalogue.table, capcli.hub.pull
from capcli.cli import app

huggingface_hub.HfApi, huggingface_hub.snapshot_download, huggingface_hub.hf_hub_download, huggingface_hub.utils.httpx

for line in sys.stdin:
    asked = json.loads(line)
    pid = os.fork()
    if pid == 0:
        constants.ENDPOINT, constants.HF_HUB_CACHE = asked["endpoint"], asked["cache"]
        constants.HUGGINGFACE_CO_URL_TEMPLATE = asked["endpoint"] + "/{repo_id}/resolve/{revision}/{filename}"
        constants.HF_HUB_OFFLINE = asked["offline"]
        constants.HF_HUB_DISABLE_XET = True
        if asked["free"] is not None:
            import shutil, collections
            shutil.disk_usage = lambda path: collections.namedtuple("Usage", "total used free")(0, 0, asked["free"])
        done = CliRunner().invoke(app, asked["arguments"])
        told = {"code": done.exit_code, "out": done.stdout, "err": done.stderr}
        if done.exception and not isinstance(done.exception, SystemExit):
            told["err"] += f"TRACEBACK {done.exception!r}"
        print(json.dumps(told), flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
"""

Run = Callable[..., Any]
Done = namedtuple("Done", "code out err")


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    home = str(tmp_path_factory.mktemp("huggingface"))
    environment = {**os.environ, "HF_HUB_DISABLE_TELEMETRY": "1", "HF_TOKEN": "", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    environment["HF_HOME"] = home
    with subprocess.Popen(
        [sys.executable, "-c", _CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving() as hub:
        hub.models["me/blip"] = Model(files())
        yield hub


@pytest.fixture
def run(child: subprocess.Popen[str], hub: Hub, tmp_path: Path) -> Run:
    """Runs `capcli models ...` against the hub, with a cache of this test's own."""

    def run(*arguments: str, endpoint: str = "", offline: bool = False, free: int | None = None) -> Done:
        asked = {
            "arguments": ["models", *arguments], "endpoint": endpoint or hub.endpoint, "offline": offline,
            "cache": str(tmp_path / "hub"), "free": free,
        }  # fmt: skip
        assert child.stdin is not None and child.stdout is not None
        print(json.dumps(asked), file=child.stdin, flush=True)
        return Done(**json.loads(child.stdout.readline()))

    return run


def files(**changes: bytes | None) -> dict[str, bytes]:
    """Contents of a model whose weights are none; nothing loads them here."""
    contents: dict[str, bytes | None] = {
        "config.json": json.dumps({"model_type": "blip"}).encode(),
        "model.safetensors": os.urandom(1) * 300_000,
        "preprocessor_config.json": b"{}",
        "tokenizer.json": b"{}" * 5000,
        "README.md": b"---\nlicense: mit\n---\nA model.",
        "pytorch_model.bin": b"\x80pickle" * 1000,
        "run.py": b"print('owned')",
        **{name.replace("__", "."): content for name, content in changes.items()},
    }
    return {name: content for name, content in contents.items() if content is not None}


@pytest.mark.slow
def test_what_comes_is_told_first_checked_and_pinned(run: Run, hub: Hub, tmp_path: Path) -> None:
    done = run("pull", "hf:me/blip")
    assert done.code == 0, done.err
    commit = hub.models["me/blip"].commit
    lines = {line.split()[0]: line.split(maxsplit=1)[1] for line in done.out.splitlines()}
    assert lines == {
        "model": "hf:me/blip", "family": "BLIP", "size": "0.3 MB", "licence": "mit", "revision": commit,
    }  # fmt: skip
    folder = tmp_path / "hub" / "models--me--blip"
    snapshot = folder / "snapshots" / commit
    wanted = {name for name in hub.models["me/blip"].files if name not in ("pytorch_model.bin", "run.py")}
    assert {file.name for file in snapshot.iterdir()} == wanted
    assert (folder / "refs" / "main").read_text() == commit
    assert not any("agent" in asked for asked in hub.asked)
    shown = json.loads(run("show", "hf:me/blip", "--json").out)
    assert (shown["revision"], shown["family"], shown["licence"]) == (commit, "BLIP", "mit")
    assert json.loads(run("list", "--pulled", "--json").out)[0]["model"] == "hf:me/blip"


def test_what_is_here_is_not_downloaded_again(run: Run, hub: Hub) -> None:
    assert run("pull", "hf:me/blip").code == 0
    before = hub.sent
    done = run("pull", "hf:me/blip")
    assert (done.code, hub.sent) == (0, before)
    assert "of them here already" in done.out


def test_a_broken_download_goes_on_where_it_was(run: Run, hub: Hub, tmp_path: Path) -> None:
    hub.models["me/blip"] = Model(files(model__safetensors=os.urandom(2_000_000)))
    hub.cut = {"model.safetensors"}
    done = run("pull", "hf:me/blip")
    if done.code:  # some clients try again by themselves
        assert done.code == 1 and done.err.startswith("capcli: error: hf:me/blip: ")
        assert run("pull", "hf:me/blip").code == 0
    whole = sum(len(content) for name, content in hub.models["me/blip"].files.items() if name != "pytorch_model.bin")
    assert hub.sent < whole, "the half that had come was sent again"


def test_a_file_that_is_not_the_hubs_is_refused_and_removed(run: Run, hub: Hub, tmp_path: Path) -> None:
    hub.spoilt = {"model.safetensors"}
    done = run("pull", "hf:me/blip")
    assert done.code != 0 and "model.safetensors" in done.err and "TRACEBACK" not in done.err
    assert not list((tmp_path / "hub").rglob("model.safetensors"))
    refused = run("show", "hf:me/blip")
    assert refused.code == 2
    hub.spoilt = set()
    assert run("pull", "hf:me/blip").code == 0


def test_a_small_file_that_is_not_the_hubs_is_refused(run: Run, hub: Hub) -> None:
    hub.spoilt = {"preprocessor_config.json"}
    done = run("pull", "hf:me/blip")
    assert done.code != 0 and "TRACEBACK" not in done.err
    hub.spoilt = set()
    assert run("pull", "hf:me/blip").code == 0


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("hf:me", 2, "'hf:me' is no model's name; it is hf:OWNER/NAME, or hf:OWNER/NAME@REVISION"),
        ("hf:me/blip/../x", 2, "is no model's name"),
        ("blip", 2, "'blip' is no model's name"),
        ("hf:me/bilp", 2, "the hub has no hf:me/bilp: it is misspelt, or private and needs HF_TOKEN"),
        ("hf:me/private", 2, "the hub has no hf:me/private: it is misspelt, or private and needs HF_TOKEN"),
        ("hf:me/gated", 2, "hf:me/gated is gated: accept its terms on its page, and set HF_TOKEN"),
        ("hf:me/blip@v9", 2, "hf:me/blip@v9: the hub has no such revision"),
        ("hf:me/pickled", 2, "has its weights in pickles alone, which can run anything; capcli takes safetensors only"),
        ("hf:me/empty", 2, "hf:me/empty has no config.json, so it is no model of transformers"),
        ("hf:me/coded", 2, "hf:me/coded needs code of its own, and capcli runs none"),
        ("hf:me/bert", 2, "hf:me/bert is of the family 'bert'; capcli knows the captioners BLIP, GIT"),
        ("hf:me/untold", 2, "hf:me/untold does not say of which family it is"),
        ("hf:me/broken", 2, "config.json: cannot be read"),
        ("hf:me/half", 2, "hf:me/half lacks tokenizer.json"),
    ],
)
def test_models_that_are_refused(name: str, code: int, message: str, run: Run, hub: Hub) -> None:
    hub.models |= {
        "me/private": Model(files(), refusal="private"),
        "me/gated": Model(files(), refusal="gated"),
        "me/pickled": Model(files(model__safetensors=None)),
        "me/empty": Model({"README.md": b"nothing"}),
        "me/coded": Model(files(config__json=b'{"model_type": "florence2", "auto_map": {"AutoModel": "x.Y"}}')),
        "me/bert": Model(files(config__json=b'{"model_type": "bert"}')),
        "me/untold": Model(files(config__json=b"{}")),
        "me/broken": Model(files(config__json=b"{")),
        "me/half": Model(files(tokenizer__json=None)),
    }
    done = run("pull", name)
    assert done.code == code
    assert done.err.startswith("capcli: error: ") and message in " ".join(done.err.split()), done.err
    assert len(done.err.splitlines()) == 1
    if "half" not in name:
        assert not any("GET" in asked and asked.endswith("safetensors") for asked in hub.asked)


def test_no_network_no_permission_and_no_room_are_a_line_each(run: Run, tmp_path: Path) -> None:
    done = run("pull", "hf:me/blip", endpoint="http://127.0.0.1:9")
    assert (done.code, done.out) == (1, "") and "is out of reach" in done.err and len(done.err.splitlines()) == 1
    done = run("pull", "hf:me/blip", offline=True)
    assert (done.code, done.err) == (
        2,
        "capcli: error: HF_HUB_OFFLINE forbids the network, and pull needs it; unset it\n",
    )
    done = run("pull", "hf:me/blip", free=1_000_000)
    assert done.code == 1 and "needs 0.00 GB more" in done.err and "HF_HOME says where else" in done.err
    (tmp_path / "hub").mkdir(exist_ok=True)
    shutil.rmtree(tmp_path / "hub")
    (tmp_path / "hub").write_text("a file")
    done = run("pull", "hf:me/blip")
    assert done.code == 1 and done.err.startswith("capcli: error: hf:me/blip: ") and "TRACEBACK" not in done.err


@pytest.mark.slow
def test_revisions_lie_side_by_side(run: Run, hub: Hub) -> None:
    assert run("pull", "hf:me/blip").code == 0
    first = hub.models["me/blip"].commit
    hub.models["me/blip"] = Model(files(model__safetensors=b"other" * 2000))
    second = hub.models["me/blip"].commit
    assert run("pull", f"hf:me/blip@{second}").code == 0
    facts = {commit: json.loads(run("show", f"hf:me/blip@{commit[:9]}", "--json").out) for commit in (first, second)}
    assert [facts[commit]["revision"] for commit in (first, second)] == [first, second]
    assert facts[first]["sha256"] != facts[second]["sha256"]
    # What main was when it was pulled.
    assert json.loads(run("show", "hf:me/blip", "--json").out)["revision"] == first
    assert run("pull", "hf:me/blip").code == 0
    assert json.loads(run("show", "hf:me/blip", "--json").out)["revision"] == second
