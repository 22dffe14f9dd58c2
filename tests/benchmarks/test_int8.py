from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from int8 import Way, groups, quantized, sample
from onnx import helper, numpy_helper

PICTURES = np.random.default_rng(1).integers(0, 256, (6, 8, 8, 3), np.uint8)


@pytest.fixture(scope="module")
def graph() -> bytes:
    """An encoder of two convolutions, the second depthwise, with a sigmoid linear unit and a squeeze-and-excitation."""
    chance = np.random.default_rng(0)
    shapes = {"w1": (6, 3, 3, 3), "w2": (6, 1, 3, 3), "w3": (2, 6, 1, 1), "w4": (6, 2, 1, 1)}
    held = {name: chance.normal(0, 0.3, shape) for name, shape in shapes.items()}
    held |= {f"b{number}": chance.normal(0, 0.1, len(held[f"w{number}"])) for number in (1, 2, 3, 4)}
    held["size"] = np.array(255.0)
    make: Any = helper.make_node
    nodes = [
        make("Cast", ["pictures"], ["cast"], to=onnx.TensorProto.FLOAT),
        make("Div", ["cast", "size"], ["divided"]),
        make("Transpose", ["divided"], ["turned"], perm=[0, 3, 1, 2]),
        make("Conv", ["turned", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1]),
        make("Sigmoid", ["c1"], ["s1"]),
        make("Mul", ["c1", "s1"], ["u1"]),
        make("Conv", ["u1", "w2", "b2"], ["c2"], pads=[1, 1, 1, 1], group=6),
        make("GlobalAveragePool", ["c2"], ["pooled"]),
        make("Conv", ["pooled", "w3", "b3"], ["c3"]),
        make("Sigmoid", ["c3"], ["s3"]),
        make("Mul", ["c3", "s3"], ["u3"]),
        make("Conv", ["u3", "w4", "b4"], ["c4"]),
        make("Sigmoid", ["c4"], ["s4"]),
        make("Mul", ["c2", "s4"], ["regions"]),
    ]
    inputs = [helper.make_tensor_value_info("pictures", onnx.TensorProto.UINT8, ["n", 8, 8, 3])]
    outputs = [helper.make_tensor_value_info("regions", onnx.TensorProto.FLOAT, ["n", 6, 8, 8])]
    weights = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in held.items()]
    encoder = helper.make_graph(nodes, "encoder", inputs, outputs, weights)
    model = helper.make_model(encoder, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def regions(content: bytes) -> Any:
    import onnxruntime

    run = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]).run
    return run(["regions"], {"pictures": PICTURES})[0]


@pytest.mark.parametrize("way", [Way(), Way(ranges="whole"), Way(ranges="percentile"), Way(bits=8)], ids=str)
def test_a_quantized_graph_computes_nearly_the_same(graph: bytes, way: Way) -> None:
    changed = quantized(graph, way, sample(graph, PICTURES))
    kinds = [tensor.data_type for tensor in onnx.load_from_string(changed).graph.initializer]
    assert kinds.count(onnx.TensorProto.UINT8 if way.bits == 8 else onnx.TensorProto.INT8) >= 4
    true, approximate = regions(graph), regions(changed)
    assert 0 < np.linalg.norm(approximate - true) / np.linalg.norm(true) < 0.05


def test_groups_that_stay_float32_are_not_rounded(graph: bytes) -> None:
    found = groups(onnx.load_from_string(graph).graph)
    assert found["depthwise"] == {"c2"}
    assert found["squeeze"] == {"c3", "s3", "u3", "c4", "s4"}
    assert found["scale"] == {"regions"}
    assert found["unit"] == {"s1", "u1"}
    everything = Way(("first", "depthwise", "squeeze", "scale", "unit", "pool", "add"))
    np.testing.assert_allclose(
        regions(quantized(graph, everything, sample(graph, PICTURES))), regions(graph), rtol=1e-5
    )
