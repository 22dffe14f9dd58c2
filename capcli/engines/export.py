"""Graphs of a model, made with torch: what ONNX Runtime computes, without the weights."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import io
import logging
import math
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from capcli.engines.graphs import OPSET, Graph, Graphs, Leaf
from capcli.model.decoders.contract import Decoder
from capcli.model.decoders.registry import decoder_config
from capcli.model.network import CaptioningModel

_EXTERNAL = "weights"
"""The name of a file that is not there: weights come from the model's own."""


def export_graphs(model: CaptioningModel) -> Graphs:
    """The graphs of a model that sees pictures, on the CPU and in evaluation mode.

    Raises:
        Exception: nearly any, where torch cannot tell what a part of it computes.
    """
    # Shapes decide, not weights.
    model = copy.deepcopy(model).eval().requires_grad_(False).float().to(memory_format=torch.contiguous_format)
    size, config = model.encoder.config.size, model.config
    _spell_out_cells(model)
    with torch.no_grad(), _for_export():
        pictures = torch.zeros(2, size, size, 3, dtype=torch.uint8)
        regions = torch.randn(2, model.encoder.grid[0] * model.encoder.grid[1], model.encoder.width)
        parts = {"encoder": _export(_Encode(model.encoder), (pictures,), ["pictures"], ["regions"], [(0,)], [(0,)])}
        if model.matcher is not None:
            match = _Match(model.matcher)
            parts["matcher"] = _export(match, (regions,), ["regions"], ["vectors"], [(0,)], [(0,)])
        start, step, leaves, extras = _export_decoder(model.decoder, regions)
    return Graphs(
        {**parts, "start": start, "step": step},
        leaves,
        size=size,
        grid=model.encoder.grid,
        box=model.encoder.box,
        heads=model.decoder.heads,
        longest=decoder_config(config.decoder)[1].max_length,
        tells=extras,
        shapes={name: tuple(value.shape) for name, value in model.state_dict().items()},
    )


class _Encode(nn.Module):
    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, pictures: Tensor) -> Tensor:
        regions: Tensor = self.encoder(pictures)
        return regions


class _Match(nn.Module):
    def __init__(self, matcher: Any) -> None:
        super().__init__()
        self.matcher = matcher

    def forward(self, regions: Tensor) -> Tensor:
        vectors: Tensor = self.matcher.pictures(regions)
        return vectors


class _Start(nn.Module):
    def __init__(self, decoder: Decoder[Any]) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, regions: Tensor) -> tuple[Tensor, ...]:
        return tuple(_leaves(self.decoder.start(regions)))


class _Step(nn.Module):
    """Gives log-probabilities, attention and sentinel where the decoder has them, and those leaves that change."""

    def __init__(self, decoder: Decoder[Any], state: object, changing: Sequence[bool]) -> None:
        super().__init__()
        self.decoder, self._state, self._changing = decoder, state, changing

    def forward(self, tokens: Tensor, *leaves: Tensor) -> tuple[Tensor, ...]:
        log_probabilities, attention, state = self.decoder.attend(tokens, _rebuilt(self._state, iter(leaves)))
        share = self.decoder.sentinel(state)
        changed = [leaf for leaf, changes in zip(_leaves(state), self._changing, strict=True) if changes]
        return tuple(output for output in (log_probabilities, attention, share, *changed) if output is not None)


class _LSTMCell(nn.LSTMCell):
    """In operations that ONNX has: i, f, g, o = W_i x + b_i + W_h h + b_h."""

    def forward(self, given: Tensor, before: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        assert before is not None
        hidden, cell = before
        both = F.linear(given, self.weight_ih, self.bias_ih) + F.linear(hidden, self.weight_hh, self.bias_hh)
        take, forget, new, out = (both[:, n * self.hidden_size : (n + 1) * self.hidden_size] for n in range(4))
        cell = torch.sigmoid(forget) * cell + torch.sigmoid(take) * torch.tanh(new)
        return torch.sigmoid(out) * torch.tanh(cell), cell


class _GRUCell(nn.GRUCell):
    """In operations that ONNX has: r, z, n = W_i x + b_i, the last with r times W_h h + b_h."""

    def forward(self, given: Tensor, before: Tensor | None = None) -> Tensor:
        assert before is not None
        sides = F.linear(given, self.weight_ih, self.bias_ih), F.linear(before, self.weight_hh, self.bias_hh)
        parts = ([side[:, n * self.hidden_size : (n + 1) * self.hidden_size] for n in range(3)] for side in sides)
        (reset, update, new), (old_reset, old_update, old) = parts
        kept = torch.sigmoid(update + old_update)
        return (1 - kept) * torch.tanh(new + torch.sigmoid(reset + old_reset) * old) + kept * before


def _spell_out_cells(model: nn.Module) -> None:
    """Has cells computed by operations that the exporter knows; their weights keep their names."""
    for module in model.modules():
        if type(module) is nn.LSTMCell:
            module.__class__ = _LSTMCell
        elif type(module) is nn.GRUCell:
            module.__class__ = _GRUCell


def _export_decoder(decoder: Decoder[Any], regions: Tensor) -> tuple[Graph, Graph, list[Leaf], list[str]]:
    """The graphs of a decoder's start and step, what its state consists of, and what a step gives beside that."""
    small, large = _probe(decoder, regions, 3, 2), _probe(decoder, regions[[0, 0, 1]], 4, 3)
    begun, more = (_leaves(decoder.start(some)) for some in (regions, regions[[0, 0, 1]]))
    leaves = []
    for number, (first, other, small_leaf, large_leaf, (before, after)) in enumerate(
        zip(begun, more, *(_leaves(probe[0]) for probe in (small, large)), zip(*small[1:], strict=True), strict=True)
    ):
        axes = [axis for axis in range(first.dim()) if first.shape[axis] != other.shape[axis]]
        axis = axes[0] if axes else None
        spread = axis is not None and small_leaf.shape[axis] == 6
        moving = tuple(axis for axis in range(small_leaf.dim()) if small_leaf.shape[axis] != large_leaf.shape[axis])
        leaves.append(Leaf(f"state{number}", axis, spread=spread, changes=before is not after, moving=moving))
    state = small[0]
    names, changing = [leaf.name for leaf in leaves], [leaf.changes for leaf in leaves]
    tokens = torch.full((6,), 3)
    _, attention, after = decoder.attend(tokens, state)
    extras = ["attention"] * (attention is not None) + ["sentinel"] * (decoder.sentinel(after) is not None)
    start = _export(
        _Start(decoder),
        (regions,),
        ["regions"],
        names,
        [(0,)],
        [() if leaf.axis is None else (leaf.axis,) for leaf in leaves],
    )
    changed = [leaf for leaf in leaves if leaf.changes]
    step = _export(
        _Step(decoder, state, changing),
        (tokens, *(leaf.clone() for leaf in _leaves(state))),
        ["tokens", *names],
        ["said", *extras, *(f"next_{leaf.name}" for leaf in changed)],
        [(0,), *(leaf.moving for leaf in leaves)],
        [(0,), *[(0,)] * len(extras), *(leaf.moving for leaf in changed)],
    )
    return start, step, leaves, extras


def _probe(decoder: Decoder[Any], regions: Tensor, count: int, steps: int) -> tuple[Any, list[Tensor], list[Tensor]]:
    """A state after some steps of `count` captions of each picture, and its leaves before and after one more."""
    state = decoder.begin(regions, count)
    for _ in range(steps):
        _, _, state = decoder.attend(torch.full((len(regions) * count,), 3), state)
    held = _rebuilt(state, iter(_leaves(state)))
    after = decoder.attend(torch.full((len(regions) * count,), 3), held)[2]
    return state, _leaves(held), _leaves(after)


def _leaves(state: object) -> list[Tensor]:
    """The tensors of a state; a whole number is one, too."""
    if isinstance(state, Tensor):
        return [state]
    if isinstance(state, int):
        return [torch.tensor(state)]
    parts = state if isinstance(state, (tuple, list)) else [getattr(state, field.name) for field in _fields(state)]
    return [leaf for part in parts for leaf in _leaves(part)]


def _rebuilt(state: Any, leaves: Iterator[Tensor]) -> Any:
    """The same state with other leaves."""
    if isinstance(state, (Tensor, int)):
        return next(leaves)
    if isinstance(state, (tuple, list)):
        return type(state)(_rebuilt(part, leaves) for part in state)
    return dataclasses.replace(
        state, **{field.name: _rebuilt(getattr(state, field.name), leaves) for field in _fields(state)}
    )


def _fields(state: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(state)


def _export(
    module: nn.Module,
    arguments: tuple[Tensor, ...],
    inputs: Sequence[str],
    outputs: Sequence[str],
    moving_inputs: Sequence[Sequence[int]],
    moving_outputs: Sequence[Sequence[int]],
) -> Graph:
    """The ONNX graph of a module without its weights; the axes that move may have any length."""
    import onnx

    moving = {
        name: {axis: f"{name}_{axis}" for axis in axes}
        for name, axes in zip([*inputs, *outputs], [*moving_inputs, *moving_outputs], strict=True)
    }
    # The other exporter needs packages more, takes ten times as long, and reads shapes as facts.
    known: dict[str, Any] = {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "graph.onnx")
        torch.onnx.export(
            module.eval(), arguments, file, input_names=list(inputs), output_names=list(outputs), dynamic_axes=moving,
            opset_version=OPSET, do_constant_folding=False, **known,
        )  # fmt: skip
        graph = onnx.load(file)
    weights = [tensor for tensor in graph.graph.initializer if tensor.name in module.state_dict()]
    for weight in weights:
        weight.ClearField("raw_data")
        weight.data_location = onnx.TensorProto.EXTERNAL
        del weight.external_data[:]
        weight.external_data.add(key="location", value=_EXTERNAL)
    return Graph(graph.SerializeToString(deterministic=True), [weight.name for weight in weights])


@contextmanager
def _for_export() -> Iterator[None]:
    """Operations that ONNX Runtime is quick at, and none of the exporter's remarks, which are for those who wrote the
    module.
    """
    log, fast = logging.getLogger("torch.onnx"), torch.backends.mha.get_fastpath_enabled()
    level = log.level
    log.setLevel(logging.ERROR)
    torch.backends.mha.set_fastpath_enabled(False)
    torch.onnx.register_custom_op_symbolic("aten::squeeze", _squeeze, OPSET)  # type: ignore[attr-defined]
    try:
        with (
            _in_place_of("scaled_dot_product_attention", _attend),
            _in_place_of("linear", _project),
            warnings.catch_warnings(),
            redirect_stdout(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
        torch.backends.mha.set_fastpath_enabled(fast)
        torch.onnx.unregister_custom_op_symbolic("aten::squeeze", OPSET)  # type: ignore[attr-defined]


@contextmanager
def _in_place_of(name: str, function: Callable[..., Tensor]) -> Iterator[None]:
    """Another function of torch.nn.functional."""
    real = getattr(F, name)
    setattr(F, name, function)
    try:
        yield
    finally:
        setattr(F, name, real)


def _project(given: Tensor, weight: Tensor, bias: Tensor | None = None, linear: Any = F.linear) -> Tensor:
    """`linear`, of single words as one product with its sum; of a sequence, it would be a product and a sum."""
    single = given.dim() == 3 and given.shape[1] == 1
    projected: Tensor = linear(given.squeeze(1), weight, bias).unsqueeze(1) if single else linear(given, weight, bias)
    return projected


def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None = None,
    dropout: float = 0.0,
    causal: bool = False,
) -> Tensor:
    """Scaled dot-product attention in evaluation; the exporter's own would turn all keys round in each step."""
    assert not causal, "a step looks at nothing later"
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    return (scores if bias is None else scores + bias).softmax(-1) @ value


def _squeeze(graph: Any, given: Any, axis: Any) -> Any:
    """`squeeze` of an axis that is known to be 1; the exporter's own would ask in each step, and copy."""
    return graph.op("Squeeze", given, graph.op("Constant", value_t=torch.tensor([axis.node().t("value").item()])))
