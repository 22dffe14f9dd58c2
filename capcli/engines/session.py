"""One graph with its weights, computed by ONNX Runtime with as many threads as a caller wants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from capcli.arrays import AnyArray, Float32Array
from capcli.engines.graphs import Graph
from capcli.engines.memory import give_back_memory
from capcli.engines.runtime import load_runtime


class Session:
    """A graph with its weights.

    It may be run by several threads at once, but for the first time with a number of threads.

    Args:
        graph: what is computed.
        weights: all that the graph names, by name.
    """

    def __init__(self, graph: Graph, weights: Mapping[str, Float32Array]) -> None:
        self._graph, self._weights = graph, weights
        self._made: dict[int, Any] = {}

    def prepare(self, threads: int) -> None:
        """Makes ready to run with a number of threads, 0 for one on each core.

        Raises:
            ValueError: if ONNX Runtime does not take the graph.
        """
        onnxruntime = load_runtime()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what is wrong comes as an exception, too
        options.intra_op_num_threads = threads
        # Threads that wait busily for the next run would take cores from other graphs and from reading processes.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        # They may go once the session is made: ONNX Runtime has packed most of them anew, and holds the rest.
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(self._weights[name]) for name in self._graph.weights]
        options.add_external_initializers(self._graph.weights, values)
        try:
            made = onnxruntime.InferenceSession(self._graph.content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # pybind's own types, which have no common one
            raise ValueError(str(error).splitlines()[0]) from None
        self._made[threads] = made

    def run(self, threads: int, **arrays: AnyArray) -> dict[str, AnyArray]:
        """The outputs by name, for inputs by name of which there may be too many."""
        if threads not in self._made:
            self.prepare(threads)
            give_back_memory()
        session = self._made[threads]
        given = {node.name: arrays[node.name] for node in session.get_inputs()}
        names = [node.name for node in session.get_outputs()]
        return dict(zip(names, session.run(names, given), strict=True))
