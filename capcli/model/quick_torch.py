"""What makes a model load fast: torch's compiler stays out, which takes longer to import than all else together."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_COMPILER, _UTILS = "torch._dynamo", "torch._dynamo.utils"


@contextmanager
def without_compiler() -> Iterator[None]:
    """Lets torchvision be imported, and tensors on the meta device be computed with, without torch's compiler.

    torch imports it, 1,400 modules, only to except functions from being compiled, and torchvision for one function that
    it may call later. Here the former stay as they are, and the latter imports the compiler once it is called. Whatever
    else is asked of the compiler meanwhile comes from the real one.
    """
    if _COMPILER in sys.modules:
        yield
        return
    excepted: list[Callable[..., Any]] = []

    def disable(function: Callable[..., Any], *options: object, **more: object) -> Callable[..., Any]:
        excepted.append(function)
        return function

    def is_compile_supported(device: str) -> Any:
        return importlib.import_module(_UTILS).is_compile_supported(device)

    stubs = [_Stub(_COMPILER, {"disable": disable}), _Stub(_UTILS, {"is_compile_supported": is_compile_supported})]
    sys.modules.update({stub.__name__: stub for stub in stubs})
    try:
        yield
    finally:
        _remove_stubs()
        for function in excepted:
            # Where torch remembers what `disable` gave it; the real one shall be asked again.
            vars(function).pop("__dynamo_disable", None)


@contextmanager
def shapes_only() -> Iterator[None]:
    """Modules that are built here have shapes but no storage, and nobody draws the weights that they begin with."""
    with without_compiler(), torch.device("meta"), _Undrawn():
        yield


class _Undrawn(TorchFunctionMode):
    """Leaves tensors as they are that would be filled with random numbers."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in ("normal_", "uniform_"):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


class _Stub(ModuleType):
    """A module with a few functions; all else comes from the real one, which takes its place."""

    def __init__(self, name: str, functions: dict[str, Callable[..., Any]]) -> None:
        super().__init__(name)
        vars(self).update(functions)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # as `inspect` asks of all modules
            raise AttributeError(name)
        _remove_stubs()
        return getattr(importlib.import_module(self.__name__), name)


def _remove_stubs() -> None:
    for name in (_COMPILER, _UTILS):
        if isinstance(sys.modules.get(name), _Stub):
            del sys.modules[name]
