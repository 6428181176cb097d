"""How much reachability D-mode keeps: the package's cuts beside the greedy rule, as Markdown tables.

Real molecules come from the folder that the environment variable PLSTM_DATA names; sets that are not there are
left out.

    python -m benchmarks.multitree
"""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from torch_geometric.datasets import TUDataset

from plstm_graph.graph import (
    ancestor_pairs,
    centre_rank,
    line_graph_pairs,
    longest_path_levels,
    multitree_mask,
    numbering_rank,
    orient,
)
from plstm_graph.testing import random_dag

Graph = tuple[Tensor, int]  # edge_index, num_nodes


def greedy_mask(edge_index: Tensor, num_nodes: int, pairs: Tensor, level: Tensor) -> Tensor:
    """The rule of the authors, in words: in topological order, keep a pair unless it closes a second path."""
    start, end = edge_index.tolist()
    height = level.tolist()
    order = sorted(range(len(start)), key=lambda e: (height[start[e]], start[e], end[e]))
    place = {e: i for i, e in enumerate(order)}
    keep = torch.zeros(pairs.size(1), dtype=torch.bool)
    ancestors = [1 << e for e in range(len(start))]
    columns = sorted((place[f], place[e], e, f, column) for column, (e, f) in enumerate(pairs.t().tolist()))
    for *_, e, f, column in columns:
        if not ancestors[e] & ancestors[f]:
            ancestors[f] |= ancestors[e]
            keep[column] = True
    return keep


def grid(rows: int, columns: int) -> Graph:
    node = torch.arange(rows * columns).view(rows, columns)
    down = torch.stack([node[:-1].flatten(), node[1:].flatten()])
    right = torch.stack([node[:, :-1].flatten(), node[:, 1:].flatten()])
    return torch.cat([down, right], dim=1), node.numel()


def random_graphs(count: int, num_nodes: int, num_edges: int) -> list[Graph]:
    generator = torch.Generator().manual_seed(0)
    return [(random_dag(num_nodes, num_edges, generator), num_nodes) for _ in range(count)]


def molecules(folder: Path) -> Iterator[tuple[str, list[Graph]]]:
    """Undirected graphs, both directions of each bond."""
    for name in ("MUTAG", "PTC_FM"):
        if (folder / "TU" / f"{name}.zip").exists():
            TUDataset.url = str(folder / "TU")
            with tempfile.TemporaryDirectory() as root:
                yield name, [(data.edge_index, data.num_nodes) for data in TUDataset(root, name)]
    raw = folder / "ogb" / "ogbg_molbace" / "raw"
    if raw.exists():
        bonds = torch.from_numpy(pd.read_csv(raw / "edge.csv.gz", header=None).values).t()
        nodes, edges = (pd.read_csv(raw / f"num-{what}-list.csv.gz", header=None)[0] for what in ("node", "edge"))
        split = bonds.split(edges.tolist(), dim=1)
        yield "molbace", [(torch.cat([b, b.flip(0)], dim=1), n) for b, n in zip(split, nodes.tolist(), strict=True)]


def sets() -> Iterator[tuple[str, list[Graph]]]:
    for side in (4, 6, 8, 12):
        yield f"grid {side} x {side}", [grid(side, side)]
    folder = os.environ.get("PLSTM_DATA")
    for name, graphs in molecules(Path(folder)) if folder else ():
        numbered = [(orient(edges, numbering_rank(n))[0], n) for edges, n in graphs]
        yield f"{name}, by numbering", numbered
        yield f"{name}, from the centre", [(orient(edges, centre_rank(edges, n))[0], n) for edges, n in graphs]
    for num_nodes, num_edges in ((20, 25), (20, 40), (20, 60), (40, 60), (40, 120), (100, 200)):
        yield f"random, {num_nodes} nodes, {num_edges} edges", random_graphs(100, num_nodes, num_edges)


def row(name: str, graphs: list[Graph]) -> str:
    total, greedy, ours, seconds = 0, 0, 0, 0.0
    for edge_index, num_nodes in graphs:
        pairs, level = line_graph_pairs(edge_index, num_nodes), longest_path_levels(edge_index, num_nodes)
        begin = time.perf_counter()
        keep = multitree_mask(edge_index, num_nodes, pairs, level)
        seconds += time.perf_counter() - begin
        total += ancestor_pairs(edge_index, num_nodes).size(1)
        ours += ancestor_pairs(edge_index, num_nodes, pairs[:, keep]).size(1)
        keep = greedy_mask(edge_index, num_nodes, pairs, level)
        greedy += ancestor_pairs(edge_index, num_nodes, pairs[:, keep]).size(1)
    share_greedy, share_ours = 100 * greedy / total, 100 * ours / total
    milliseconds = 1000 * seconds / len(graphs)
    return f"| {name} | {len(graphs)} | {total:,} | {share_greedy:.2f} | {share_ours:.2f} | {milliseconds:.2f} |"


def large_graphs() -> Iterator[tuple[str, Graph]]:
    yield "random, 700 nodes", random_graphs(1, 700, 2000)[0]
    yield "random, 200 nodes", random_graphs(1, 200, 2000)[0]
    yield "grid 90 x 90", grid(90, 90)
    child = torch.arange(1, 1_000_000)
    yield "ternary tree", (torch.stack([(child - 1) // 3, child]), 1_000_000)
    yield "grid 700 x 700", grid(700, 700)


def main() -> None:
    torch.set_num_threads(1)
    print("| set | graphs | ancestor pairs | greedy rule keeps, % | kept here, % | ms per graph |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, graphs in sets():
        print(row(name, graphs), flush=True)
    print("\n| one graph | edges | pairs | cut | seconds |\n| --- | ---: | ---: | ---: | ---: |")
    for name, (edge_index, num_nodes) in large_graphs():
        pairs, level = line_graph_pairs(edge_index, num_nodes), longest_path_levels(edge_index, num_nodes)
        begin = time.perf_counter()
        cut = int((~multitree_mask(edge_index, num_nodes, pairs, level)).sum())
        seconds = time.perf_counter() - begin
        print(f"| {name} | {edge_index.size(1):,} | {pairs.size(1):,} | {cut:,} | {seconds:.2f} |", flush=True)


if __name__ == "__main__":
    main()
