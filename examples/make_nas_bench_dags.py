"""Make datasets/nas_bench_graph_proteins from the Python package nas-bench-graph (Apache-2.0).

    pip download --no-deps nas-bench-graph==1.4.0 && unzip nas_bench_graph-1.4.0-py3-none-any.whl -d package
    python examples/make_nas_bench_dags.py package/nas_bench_graph/light/proteins.bench

A key of the package's table is a number whose digits are the wiring and four operations.
"""

import argparse
import random

import networkx as nx

from plstm_graph.datasets import from_networkx
from plstm_graph.datasets.storage.restricted_pickle import load_arrays

WIRINGS = ("0000", "0001", "0011", "0012", "0013", "0111", "0112", "0122", "0123")
OPERATIONS = ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip")


def architecture(key: int) -> nx.DiGraph:
    """The DAG of a key: an input, four computing nodes with one input each, and an output that reads all leaves."""
    wiring, *operations = (int(digit) for digit in f"{key:05d}")
    inputs = [int(digit) for digit in WIRINGS[wiring]]
    graph = nx.DiGraph(graph=key)
    graph.add_node("in", op="input")
    names = ["in"]
    for number, (operation, source) in enumerate(zip(operations, inputs, strict=True), start=1):
        graph.add_node(f"n{number}", op=OPERATIONS[operation])
        graph.add_edge(names[source], f"n{number}")
        names.append(f"n{number}")
    leaves = [name for name in names if graph.out_degree(name) == 0]
    graph.add_node("out", op="output")
    graph.add_edges_from((leaf, "out") for leaf in leaves)
    return graph


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench", help="the file proteins.bench of the package")
    parser.add_argument("--output", default="datasets/nas_bench_graph_proteins")
    options = parser.parse_args()
    table = load_arrays(options.bench)
    keys = sorted(table)
    parts = ["train"] * round(0.7 * len(keys)) + ["valid"] * round(0.1 * len(keys))
    parts += ["test"] * (len(keys) - len(parts))
    random.Random(0).shuffle(parts)
    graphs = []
    for key, part in zip(keys, parts, strict=True):
        graph = architecture(key)
        graph.graph |= {"score": round(float(table[key]["perf"]), 6), "part": part}
        graphs.append(graph)
    from_networkx(graphs, options.output, targets=["score"], split="part")
    print(f"{len(graphs)} architectures in {options.output}")


if __name__ == "__main__":
    main()
