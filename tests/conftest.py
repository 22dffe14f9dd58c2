from __future__ import annotations

import dataclasses
import os
import signal
import sys
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from preloaded import TORCH_MODULES, ForkServer
from quick_readers import MODULES, quick

if "PYTEST_XDIST_WORKER" in os.environ:
    # Threads that the other workers keep from their cores wait for each other; commands that tests start inherit it.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Without bytecode each command that tests start would compile capcli anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# What one test leaves there would decide which engine the next one has; those that want a cache name their own.
os.environ["XDG_CACHE_HOME"] = os.devnull

# A shell that runs tests in the background has them ignore Ctrl-C, and so the commands that they start and send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What takes long to import is imported by fixtures: the process that hands tests to workers needs none of it.
if TYPE_CHECKING:
    import torch

    from capcli.modelfile.checkpoint import Checkpoint

# How long an example takes says how busy the machine is, not whether it is right.
hypothesis.settings.register_profile("capcli", deadline=None)
hypothesis.settings.load_profile("capcli")

TINY = {
    "width": 16,
    "embedding": 12,
    "attention_width": 8,
    "region_width": 16,
    "heads": 2,
    "layers": 2,
    "region_heads": 2,
}
VARIANTS = {
    "adaptive": ("adaptive", {}),
    "adaptive-regions": ("adaptive", {"region_layers": 1}),
    "gru": ("gru", {"layers": 1}),
    "gru-layers-dot": ("gru", {"layers": 3, "attention": "dot"}),
    "gru-regions": ("gru", {"region_layers": 2, "region_width": 20, "positions": "absolute"}),
    "inject-every": ("inject", {"image": "every"}),
    "inject-first": ("inject", {"image": "first", "layers": 1}),
    "inject-regions": ("inject", {"region_layers": 1, "region_width": 8, "positions": "relative"}),
    "lstm": ("lstm", {"layers": 1}),
    "lstm-dot": ("lstm", {"layers": 1, "attention": "dot"}),
    "lstm-layers": ("lstm", {"layers": 2}),
    "lstm-multi-head": ("lstm", {"layers": 1, "attention": "multi-head"}),
    "lstm-regions": ("lstm", {"region_layers": 1, "attention": "multi-head", "positions": "relative"}),
    "merge-add": ("merge", {"fusion": "add"}),
    "merge-concat": ("merge", {"fusion": "concat"}),
    "merge-regions": ("merge", {"region_layers": 1, "region_width": 12, "region_dropout": 0.5}),
    "transformer": ("transformer", {}),
    "transformer-absolute": ("transformer", {"positions": "absolute"}),
    "transformer-relative": ("transformer", {"positions": "relative"}),
}
"""Every decoder with every choice that makes it another one."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begins with jobs on Ray, which take longest, so that no worker has them alone before it when the others end.

    All else stays in its order, so that tests which share a fixture stay together.
    """
    items.sort(key=lambda item: item.path.parent.name != "ray")


@pytest.fixture(scope="session")
def readers() -> Iterator[ForkServer]:
    """Forks processes that read pictures."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"}
    with ForkServer(sys.executable, environment, MODULES) as server:
        yield server


# What makes rich and typer believe in a terminal or not, and what could bring another capcli than the installed one.
_UNWANTED = ("FORCE_COLOR", "NO_COLOR", "CLICOLOR_FORCE", "GITHUB_ACTIONS", "PY_COLORS", "TTY_COMPATIBLE", "PYTHONPATH")


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment in which nothing can be downloaded and nothing was downloaded before."""
    nowhere = "http://127.0.0.1:9"
    home = str(tmp_path_factory.mktemp("home"))
    kept = {key: value for key, value in os.environ.items() if key not in _UNWANTED}
    proxies = {"http_proxy": nowhere, "https_proxy": nowhere, "HTTP_PROXY": nowhere, "HTTPS_PROXY": nowhere}
    return {**kept, **proxies, "HOME": home, "TORCH_HOME": home, "COLUMNS": "100"}


@pytest.fixture(scope="session")
def preloaded(environment: dict[str, str]) -> Iterator[ForkServer]:
    """Starts programs that need torch."""
    with ForkServer(sys.executable, environment, TORCH_MODULES) as server:
        # Most of what a program takes is importing these, where they are not there: not one test would fail.
        asked = server.start(
            "import sys; sys.exit('torchvision' not in sys.modules)", ["python"], Path.cwd(), environment
        )
        assert asked.wait() == 0
        yield server


@pytest.fixture(autouse=True)
def quick_readers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has pictures read by a forked process. `tests/pictures/` reads them by those that users have."""
    import capcli.pictures.stream

    real = capcli.pictures.stream.worker_command

    def command() -> list[str]:
        return quick(real, request.getfixturevalue("readers").address)()

    # Starting these is much of what a run over a few pictures takes. Commands that are forked have two or more.
    monkeypatch.setattr(capcli.pictures.stream, "_MOST_WORKERS", 1)
    if hasattr(os, "fork"):
        monkeypatch.setattr(capcli.pictures.stream, "worker_command", command)


@pytest.fixture(scope="session", autouse=True)
def commands_built_once() -> Iterator[None]:
    """Has typer's runner keep the commands that it builds from `app`, which takes longer than most of their tests."""
    from typer.main import get_command

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.testing._get_command", cache(get_command))
        yield


@pytest.fixture(scope="session")
def tiny_settings() -> Callable[..., dict[str, Any]]:
    """Gives the smallest sensible settings of a decoder by its name; keywords take precedence."""
    from capcli.model.decoders.registry import decoders

    def settings(name: str, **options: Any) -> dict[str, Any]:
        known = {field.name for field in dataclasses.fields(decoders()[name][0])}
        return {"name": name} | {key: value for key, value in TINY.items() if key in known} | options

    return settings


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest, tiny_settings: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """Settings of each variant of each decoder in turn."""
    name, options = VARIANTS[request.param]
    return tiny_settings(name, **options)


@pytest.fixture(params=[name for name, (decoder, _) in VARIANTS.items() if decoder not in ("inject", "merge")])
def attending_variant(request: pytest.FixtureRequest, tiny_settings: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """Settings of each variant that has attention."""
    name, options = VARIANTS[request.param]
    return tiny_settings(name, **options)


@pytest.fixture(scope="session")
def shaken() -> Callable[[torch.nn.Module], torch.nn.Module]:
    """Gives a module weights so large that each part of it matters to what comes out."""
    import torch

    def shake(module: torch.nn.Module) -> torch.nn.Module:
        source = torch.Generator().manual_seed(7)
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.normal_(0, 0.4, generator=source)
        return module.eval()

    return shake


@pytest.fixture(scope="session")
def tiny_checkpoint(
    tiny_settings: Callable[..., dict[str, Any]], shaken: Callable[[torch.nn.Module], torch.nn.Module]
) -> Callable[..., Checkpoint]:
    """Builds a whole model with random weights and eight words, by the name of its decoder."""
    from tiny_models import tiny_captioner

    from capcli.model.encoder import EncoderConfig

    return partial(tiny_captioner, EncoderConfig("mobilenet_v3_small", 64), tiny_settings, shaken)


@pytest.fixture(scope="session")
def small_checkpoint(
    tiny_settings: Callable[..., dict[str, Any]], shaken: Callable[[torch.nn.Module], torch.nn.Module]
) -> Callable[..., Checkpoint]:
    """Builds such a model several times as fast, of an encoder that no other process knows."""
    from small_encoder import SMALL_ENCODER
    from tiny_models import tiny_captioner

    from capcli.model.encoder import EncoderConfig

    return partial(tiny_captioner, EncoderConfig(SMALL_ENCODER, 32), tiny_settings, shaken)


@pytest.fixture(scope="session")
def tiny_language(
    tiny_settings: Callable[..., dict[str, Any]], shaken: Callable[[torch.nn.Module], torch.nn.Module]
) -> Callable[..., Checkpoint]:
    """Builds a language model with random weights from its words and the name of its decoder."""
    from tiny_models import tiny_language_model

    return partial(tiny_language_model, tiny_settings, shaken)


@pytest.fixture(scope="session")
def tiny_file(tiny_checkpoint: Callable[..., Checkpoint], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file in float16; tests leave it as it is."""
    file = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    tiny_checkpoint().save(file)
    return file


@pytest.fixture(scope="session")
def small_file(small_checkpoint: Callable[..., Checkpoint], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Such a file that no other process can read, and that is read several times as fast."""
    file = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    small_checkpoint().save(file)
    return file


@pytest.fixture
def scored(tiny_checkpoint: Callable[..., Checkpoint]) -> Callable[..., Path]:
    """Saves a tiny model that says it has certain scores."""

    def save(file: Path, scores: dict[str, object], **changes: object) -> Path:
        dataclasses.replace(tiny_checkpoint(), scores=scores, **changes).save(file)  # type: ignore[arg-type]
        return file

    return save
