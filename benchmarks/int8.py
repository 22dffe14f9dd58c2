"""Whether int8 in ONNX Runtime pays: ways to quantize a model's graphs, how fast they are, and what they cost captions.

usage: python benchmarks/int8.py DATA [--split NAME] [--count N] [--calibrate N] [--rounds N] [--model NAME|FILE]
                                 [--ways NAME ...] [--processor-time]

Each way of `WAYS` gives the encoder's graph 8-bit weights for each output channel and 8-bit arrays between its layers,
whose ranges come from pictures of DATA's train split; `decoder` gives the decoder's step 8-bit matrices instead. Where
nothing else is said weights use 7 bits of the 8: with 8, the kernels of a processor that has AVX2 and no VNNI
overflow. All ways take turns with float32 on the same pictures, 16 at once. Then each captions the pictures of DATA's
split, and the captions are scored against those of float32.

Prints for each way how many times as fast as float32 the encoder and the whole of captioning are (medians of the
rounds), how far the regions are from those of float32 (length of the difference over length), how many captions are the
same, and CIDEr-D with the difference from float32, whose interval is that of the paired bootstrap. --processor-time
counts the processor's time, for a machine that others use, too, at OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from machine import describe
from onnx import helper, numpy_helper

Samples = Mapping[str, Any]
"""Some of the values of each array that lies between layers, float32."""

LAYERS = ("Conv", "Sigmoid", "Mul", "Add", "GlobalAveragePool")
KEPT = 8192
"""Most values of an array that are kept of each picture."""

SEARCHED = 32768
"""About as many values of an array decide on its range."""

SMALLEST = -8.0
"""What a sigmoid linear unit makes of anything smaller is nearly 0, so an array that goes into one needs no more."""


@dataclass(frozen=True)
class Way:
    """How a graph becomes one of int8.

    Attributes:
        float32: groups of layers that stay float32, as `groups` names them.
        ranges: whole (least to largest value), percentile (99.99 % of the values), or squared (least squared error).
        bits: of weights.
        part: `encoder` or `step`.
    """

    float32: tuple[str, ...] = ()
    ranges: str = "squared"
    bits: int = 7
    part: str = "encoder"


WAYS = {
    "all, whole ranges": Way(ranges="whole"),
    "all, 99.99 %": Way(ranges="percentile"),
    "all, squared": Way(),
    "all, 8-bit weights": Way(bits=8),
    "not depthwise": Way(("depthwise",)),
    "not squeeze, first, last": Way(("squeeze", "first", "last")),
    "blocks 3 to 6": Way(("block 0", "block 1", "block 2", "block 7", "block 8")),
    "convolutions alone": Way(("squeeze", "unit", "scale", "pool", "add")),
    "1 x 1 alone": Way(("depthwise", "squeeze", "first", "unit", "scale", "pool", "add")),
    "decoder": Way(part="step"),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", default="dev")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--calibrate", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", default="base")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--processor-time", action="store_true")
    options = parser.parse_args()
    print(f"machine: {describe()}")
    compare_ways(options, prepare(options))


def prepare(options: argparse.Namespace) -> Ways:
    """The sessions of every way, calibrated on pictures of the train split."""
    from capcli.captioner import Captioner
    from capcli.datasets.detect import read_dataset
    from capcli.modelfile.shipped import find_model

    captioner = Captioner.of_file(find_model(options.model), "cpu", engine="onnx")
    assert captioner.engine == "onnx", captioner.notes
    ways, samples = Ways(captioner, find_model(options.model)), None
    pictures = [item.image for item in read_dataset(options.data).split("train")]
    chosen = evenly(list(dict.fromkeys(pictures)), options.calibrate)
    for name in options.ways:
        way = WAYS[name]
        if way.part == "encoder" and samples is None:
            samples = sample(ways.whole["encoder"], (captioner.prepare(picture) for picture in chosen))
        ways.add(name, way, samples or {})
    return ways


def compare_ways(options: argparse.Namespace, ways: Ways) -> None:
    from capcli.evaluation.comparison import compare
    from capcli.evaluation.options import ComparingOptions
    from capcli.evaluation.predictions import Prediction
    from capcli.evaluation.references import References, dataset_references

    all_of_them = dataset_references(options.data, options.split)
    items = tuple(evenly(all_of_them.items, options.count))
    references = References(all_of_them.source, all_of_them.name, all_of_them.split, items)
    arrays = np.stack([ways.captioner.prepare(item.image) for item in items])
    clock = time.process_time if options.processor_time else time.perf_counter
    speeds = ways.measure(arrays[:16], options.rounds, clock)
    predictions = {}
    for name in ways.sessions:
        captions = ways.caption(name, arrays)
        predictions[name] = [Prediction((i.name,), text, i.name) for i, text in zip(items, captions, strict=True)]
        encoder, everything, apart = speeds[name]
        found = compare(references, predictions["float32"], predictions[name], ComparingOptions(no_java=True))
        difference = found.differences.metrics["CIDEr-D"]
        same = sum(a.caption == b.caption for a, b in zip(predictions["float32"], predictions[name], strict=True))
        print(
            f"{name}: encoder {encoder:.2f} times, all {everything:.2f} times, regions {apart:.3f} apart, "
            f"{same} of {len(items)} captions the same, "
            f"CIDEr-D {difference.b:.4f}, {difference.value:+.4f} ({difference.low:+.4f} to {difference.high:+.4f})",
            flush=True,
        )


class Ways:
    """One captioner, whose encoder and decoder become those of one way after the other.

    Attributes:
        whole: the model's graphs with their weights in them, in float32.
        sessions: of each way by its name, and of `float32`.
    """

    def __init__(self, captioner: Any, file: Path) -> None:
        from capcli.engines.graphs import architecture, read_graphs
        from capcli.modelfile.header import read_header
        from capcli.modelfile.weights import read_weights

        self.captioner, self._engine = captioner, captioner._engine
        graphs = read_graphs(architecture(read_header(file).described))
        assert graphs is not None, "the captioner has them"
        weights = read_weights(file, graphs.shapes)
        self.whole = {part: filled(graphs.parts[part].content, weights) for part in ("encoder", "step")}
        self.sessions = {"float32": {part: session(content) for part, content in self.whole.items()}}

    def add(self, name: str, way: Way, samples: Samples) -> None:
        changed = dynamic(self.whole["step"]) if way.part == "step" else quantized(self.whole["encoder"], way, samples)
        self.sessions[name] = {**self.sessions["float32"], way.part: session(changed)}

    def take(self, name: str) -> None:
        self._engine._encoder = self.sessions[name]["encoder"]
        for speaker in (self._engine._alone, self._engine._together):
            speaker._step = self.sessions[name]["step"]

    def measure(self, arrays: Any, rounds: int, clock: Callable[[], float]) -> dict[str, tuple[float, float, float]]:
        """How many times as fast as float32 encoder and captioning are, and how far the regions are apart."""
        regions, taken = {}, {name: list[tuple[float, float]]() for name in self.sessions}
        for _ in range(rounds + 1):
            for name, times in taken.items():
                self.take(name)
                start = clock()
                regions[name] = self.captioner.encode(arrays)
                encoded = clock()
                self._engine.decode(regions[name], self.captioner.options)
                times.append((encoded - start, clock() - start))
        true = regions["float32"]
        speeds = {}
        for name, times in taken.items():
            # The first round warms up.
            ratios = [[b / o for b, o in zip(*both, strict=True)] for both in zip(taken["float32"], times, strict=True)]
            encoder, everything = (statistics.median(column) for column in zip(*ratios[1:], strict=True))
            apart = float(np.linalg.norm(regions[name] - true) / np.linalg.norm(true))
            speeds[name] = (encoder, everything, apart)
        return speeds

    def caption(self, name: str, arrays: Any) -> list[str]:
        self.take(name)
        parts = (self.captioner.caption_arrays(arrays[first : first + 16]) for first in range(0, len(arrays), 16))
        return [caption.text for part in parts for caption in part]


def evenly(items: Sequence[Any], count: int) -> list[Any]:
    """So many of the items, evenly spread."""
    return list(items[:: max(1, len(items) // count)][:count])


def filled(content: bytes, weights: Mapping[str, Any]) -> bytes:
    """A graph with its weights, what is constant computed."""
    import onnxruntime

    model = onnx.load_from_string(content)
    for tensor in model.graph.initializer:
        if tensor.name in weights:
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(weights[tensor.name]), tensor.name))
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(Path(folder, "graph.onnx"))
        options.log_severity_level = 4
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return Path(folder, "graph.onnx").read_bytes()


def session(content: bytes) -> Any:
    from capcli.engines.graphs import Graph
    from capcli.engines.session import Session

    return Session(Graph(content, []), {})


def sample(content: bytes, pictures: Iterable[Any]) -> Samples:
    """Of every array between layers the least and the largest value of each picture, and some others."""
    import onnxruntime

    model = onnx.load_from_string(content)
    layers = [node for node in model.graph.node if node.op_type in LAYERS]
    names = list(dict.fromkeys([layers[0].input[0], *(node.output[0] for node in layers)]))
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    run = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]).run
    kept: dict[str, list[Any]] = {name: [] for name in names}
    for picture in pictures:
        for name, values in zip(names, run(names, {"pictures": picture[None]}), strict=True):
            flat = values.ravel()
            kept[name] += [flat[:: max(1, flat.size // KEPT)].copy(), np.array([flat.min(), flat.max()])]
    return {name: np.concatenate(parts) for name, parts in kept.items()}


def groups(graph: Any) -> dict[str, set[str]]:
    """The outputs of layers by what they are in networks such as EfficientNet."""
    users: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    shapes = {tensor.name: tensor.dims for tensor in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    found: dict[str, set[str]] = {"first": {convolutions[0].output[0]}, "last": {convolutions[-1].output[0]}}
    found |= {name: set() for name in ("depthwise", "squeeze", "unit", "scale", "pool", "add")}
    for node in graph.node:
        output = node.output[0]
        if place := re.search(r"/trunk\.(\d+)/", node.name):
            found.setdefault(f"block {place[1]}", set()).add(output)
        if node.op_type == "GlobalAveragePool":
            found["pool"].add(output)
            readers = users[output]
            while readers[0].op_type != "Mul" or len(readers) > 1 or users[readers[0].output[0]][0].op_type == "Conv":
                found["squeeze"] |= {reader.output[0] for reader in readers}
                if len(readers) == 1 and readers[0].op_type == "Sigmoid":
                    found["scale"].add(users[readers[0].output[0]][0].output[0])
                    break
                readers = users[readers[-1].output[0]]
        elif node.op_type == "Conv" and shapes[node.input[1]][1] == 1 < shapes[node.input[1]][0]:
            found["depthwise"].add(output)
        elif node.op_type == "Add":
            found["add"].add(output)
    taken = set.union(*(outputs for name, outputs in found.items() if not name.startswith("block")))
    found["unit"] = {n.output[0] for n in graph.node if n.op_type in ("Sigmoid", "Mul")} - taken
    return found


def quantized(content: bytes, way: Way, samples: Samples) -> bytes:
    """The graph with pairs of QuantizeLinear and DequantizeLinear, of which ONNX Runtime makes int8 kernels."""
    model = onnx.load_from_string(content)
    graph, known = model.graph, groups(model.graph)
    stays = set[str]().union(*(known.get(name, set()) for name in way.float32))
    layers = [n for n in graph.node if n.op_type in LAYERS and n.output[0] in samples and n.output[0] not in stays]
    around = {name for node in layers for name in (*node.input, *node.output) if name in samples}
    into_units = {n.input[0] for n in graph.node if n.op_type == "Sigmoid"}
    steps = {name: step(samples[name], way.ranges, cut=name in into_units) for name in around}
    held = {tensor.name: tensor for tensor in graph.initializer}
    nodes, added = list[Any](), list[Any]()
    for name in around - {output for node in graph.node for output in node.output}:
        nodes += rounding(name, *steps[name], added)
    chosen = {node.output[0] for node in layers}
    for node in graph.node:
        if node.op_type == "Conv" and node.output[0] in chosen:
            nodes += weights_of(node, held, steps[node.input[0]][0], way.bits, added)
        node.input[:] = [f"{name}_rounded" if name in steps else name for name in node.input]
        nodes.append(node)
        for name in set(node.output) & around:
            nodes += rounding(name, *steps[name], added)
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(added)
    return bytes(model.SerializeToString())


def step(values: Any, ranges: str, *, cut: bool) -> tuple[Any, int]:
    """The step between whole numbers and the whole number that stands for 0, of 256."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    values = values[:: max(1, len(values) // SEARCHED)]
    if ranges == "percentile":
        low, high = (float(np.percentile(values, share)) for share in (0.01, 99.99))
        low, high = min(low, 0.0), max(high, 0.0)
    if cut:
        low = max(low, SMALLEST)
    shares = np.linspace(1, 0.3, 15) if ranges == "squared" else [1.0]
    best, least = (np.float32(1), 0), np.inf
    for share in shares:
        width = np.float32(max((high - low) * share / 255, 1e-8))
        zero = round(-low * share / width)
        rounded = (np.clip(np.round(values / width) + zero, 0, 255) - zero) * width
        error = float(np.square(unit(rounded) - unit(values) if cut else rounded - values).mean())
        if error < least:
            best, least = (width, zero), error
    return best


def unit(values: Any) -> Any:
    """The sigmoid linear unit."""
    return values / (1 + np.exp(-np.maximum(values, -80)))


def rounding(name: str, width: Any, zero: int, added: list[Any]) -> list[Any]:
    """The pair that rounds an array to `NAME_rounded`."""
    given = [f"{name}_width", f"{name}_zero"]
    added += [numpy_helper.from_array(np.array(width, np.float32), given[0])]
    added += [numpy_helper.from_array(np.array(zero, np.uint8), given[1])]
    return [
        helper.make_node("QuantizeLinear", [name, *given], [f"{name}_whole"]),
        helper.make_node("DequantizeLinear", [f"{name}_whole", *given], [f"{name}_rounded"]),
    ]


def weights_of(node: Any, held: Mapping[str, Any], width: Any, bits: int, added: list[Any]) -> list[Any]:
    """Gives a convolution whole numbers as weights and biases, with a scale for each output channel."""
    weight, bias = (numpy_helper.to_array(held[name]) for name in node.input[1:])
    most = 2 ** (bits - 1) - 1
    rows = weight.reshape(len(weight), -1)
    scales = np.maximum(np.abs(rows).max(1) / most, 1e-12).astype(np.float32)
    # Whole numbers of 8 bits are stored without a sign: that has kernels which do not overflow.
    kind, zero = (np.uint8, 128) if bits == 8 else (np.int8, 0)
    whole = np.clip(np.round(rows / scales[:, None]), -most, most).reshape(weight.shape) + zero
    both = (scales * width).astype(np.float32)
    parts = [
        (whole.astype(kind), scales, np.full(len(scales), zero, kind)),
        (np.round(bias / both.astype(np.float64)).astype(np.int32), both, np.zeros(len(scales), np.int32)),
    ]
    nodes = []
    for place, arrays in enumerate(parts, 1):
        names = [f"{node.output[0]}_{place}_{number}" for number in range(3)]
        added += [numpy_helper.from_array(array, name) for array, name in zip(arrays, names, strict=True)]
        nodes.append(helper.make_node("DequantizeLinear", names, [f"{node.output[0]}_{place}"], axis=0))
        node.input[place] = f"{node.output[0]}_{place}"
    return nodes


def dynamic(content: bytes) -> bytes:
    """The graph with matrices of int8, what they are multiplied with being rounded as it comes."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "graph.onnx")
        quantize_dynamic(
            onnx.load_from_string(content), file, op_types_to_quantize=["MatMul"], per_channel=True, reduce_range=True,
            weight_type=QuantType.QInt8,
        )  # fmt: skip
        return file.read_bytes()


if __name__ == "__main__":
    main()
