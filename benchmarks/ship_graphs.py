"""Makes the graphs of the shipped models, which come with capcli beside their weights.

usage: python benchmarks/ship_graphs.py [MODEL ...]

Each goes to weights/KEY.graphs, KEY being the hash of the architecture; models of the same architecture share one.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def main() -> None:
    from capcli.engines.export import export_graphs
    from capcli.engines.graphs import SUFFIX, architecture
    from capcli.modelfile.checkpoint import Checkpoint
    from capcli.modelfile.header import read_header
    from capcli.modelfile.shipped import shipped_models

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("models", nargs="*", default=["base"])
    options = parser.parse_args()
    for name in options.models:
        file = shipped_models()[name]
        target = Path(file.parent, architecture(read_header(file).described) + SUFFIX)
        target.write_bytes(export_graphs(Checkpoint.load(file).model).to_bytes())
        print(f"{name}: {target} ({target.stat().st_size:,} bytes)")


if __name__ == "__main__":
    main()
