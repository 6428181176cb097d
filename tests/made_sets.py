"""Data sets made by the tests themselves, in the layout in which their loaders expect them: no real data is needed."""

import gzip
import random
import zipfile
from pathlib import Path

import pandas as pd
from ogb.utils import smiles2graph

_SMILES = ["C" * n + end for n in range(1, 11) for end in ("O", "N", "c1ccccc1", "C(=O)O", "Cl", "C#N")]


def made_table(path: Path) -> Path:
    """A table of sixty molecules with a target, for ``SmilesDataset``."""
    rows = [f"m{number},{smiles},{len(smiles) / 3:.2f}" for number, smiles in enumerate(_SMILES)]
    path.write_text("\n".join(["name,smiles,activity", *rows]) + "\n")
    return path


def made_ogb(folder: Path, name: str = "ogbg_molfreesolv") -> Path:
    """Sixty molecules as OGB's archive of a regression set with one target unpacks; returns the folder above."""
    graphs = [smiles2graph(smiles) for smiles in _SMILES]
    raw = {
        "num-node-list": [[graph["num_nodes"]] for graph in graphs],
        "num-edge-list": [[graph["edge_index"].shape[1] // 2] for graph in graphs],
        "node-feat": [row for graph in graphs for row in graph["node_feat"].tolist()],
        # OGB stores each bond once.
        "edge": [row for graph in graphs for row in graph["edge_index"].T[::2].tolist()],
        "edge-feat": [row for graph in graphs for row in graph["edge_feat"][::2].tolist()],
        "graph-label": [[len(smiles) / 3] for smiles in _SMILES],
    }
    for part, rows in raw.items():
        _write(folder / name / "raw" / f"{part}.csv.gz", [",".join(map(str, row)) for row in rows])
    rows = [f"{len(smiles) / 3},{smiles},m{number}" for number, smiles in enumerate(_SMILES)]
    _write(folder / name / "mapping" / "mol.csv.gz", ["value,smiles,mol_id", *rows])
    for part, numbers in {"train": range(40), "valid": range(40, 50), "test": range(50, 60)}.items():
        _write(folder / name / "split" / "scaffold" / f"{part}.csv.gz", [str(number) for number in numbers])
    (folder / name / "RELEASE_v1.txt").touch()
    return folder


def made_tu(folder: Path, name: str = "MADE", graphs: int = 60) -> Path:
    """A zip of a set of the TU collection: rings and paths are the two classes; returns its path."""
    draw = random.Random(0)
    files: dict[str, list[str]] = {part: [] for part in ("A", "graph_indicator", "graph_labels", "node_labels")}
    first = 1
    for graph in range(graphs):
        size, is_ring = draw.randint(5, 9), graph % 2
        ends = [(node, node + 1) for node in range(size - 1)] + ([(size - 1, 0)] if is_ring else [])
        files["A"] += [f"{first + a}, {first + b}" for end in ends for a, b in (end, end[::-1])]
        files["graph_indicator"] += [str(graph + 1)] * size
        files["graph_labels"].append(str(is_ring))
        files["node_labels"] += [str(draw.randint(0, 2)) for _ in range(size)]
        first += size
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for part, lines in files.items():
            archive.writestr(f"{name}/{name}_{part}.txt", "\n".join(lines) + "\n")
    return folder / f"{name}.zip"


def made_enas(folder: Path, count: int = 120) -> Path:
    """A file of architectures as that of ENAS, whose first thousand lines do not count."""
    draw = random.Random(0)
    lines = []
    for _ in range(1000 + count):
        layers = [[draw.randrange(6), *(draw.randrange(2) for _ in range(layer))] for layer in range(6)]
        lines.append(f"{layers}, {0.7 + 0.05 * sum(layer[0] for layer in layers) / 30:.4f}\n")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "final_structures6.txt"
    path.write_text("".join(lines))
    return path


def make_folder(folder: Path, level: str = "graph", task: str = "classification", graphs: int = 24) -> Path:
    """A folder of chains with branches; what is asked can be read off the nodes' words."""
    rows: dict[str, list[dict]] = {"graphs": [], "nodes": [], "edges": []}
    for number in range(graphs):
        name, length = f"g{number}", 4 + number % 3
        part = ("train", "train", "valid", "test")[number % 4]
        words = [("add", "mul", "neg")[(number + node * node) % 3] for node in range(length)]
        rows["graphs"].append({"graph": name, "part": part})
        rows["nodes"] += [{"graph": name, "node": node, "op": word, "size": node} for node, word in enumerate(words)]
        rows["edges"] += [{"graph": name, "source": node, "target": node + 1} for node in range(length - 1)]
        rows["edges"].append({"graph": name, "source": 0, "target": length - 1})
    for row, target in zip(rows[f"{level}s"], range(10**6), strict=False):
        unknown = target % 7 == 3
        row |= {"a": None if unknown else target // 4 % (3 if task == "classification" else 2), "b": target // 4 % 2}
    folder.mkdir()
    for name, records in rows.items():
        pd.DataFrame(records).to_csv(folder / f"{name}.csv", index=False)
    targets = "[a, b]" if task == "multilabel" else "[a]"
    features = "{features: {op: category, size: number}}"
    spec = (
        f"task: {task}\nlevel: {level}\ntargets: {targets}\nsplit: part\nnodes: {features}\nedges: {{features: []}}\n"
    )
    (folder / "dag.yaml").write_text(spec)
    return folder


def with_edge_features(folder: Path) -> str:
    """The same folder, with a category and a number on each edge."""
    edges = pd.read_csv(folder / "edges.csv")
    edges.assign(kind=["near", "far"] * (len(edges) // 2), w=range(len(edges))).to_csv(
        folder / "edges.csv", index=False
    )
    spec = folder / "dag.yaml"
    spec.write_text(spec.read_text().replace("edges: {features: []}", "edges: {features: {kind: category, w: number}}"))
    return str(folder)


def _write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without the time, so that the same rows are the same bytes.
    path.write_bytes(gzip.compress("\n".join([*lines, ""]).encode(), mtime=0))
