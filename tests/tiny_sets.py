"""Small copies of real sets, in the layout in which their loaders expect them."""

import csv
import gzip
import pickle
import shutil
from itertools import accumulate
from pathlib import Path

import numpy as np

OGB_PARTS = {"train": range(0, 60), "valid": range(60, 80), "test": range(80, 100)}


def tiny_ogb(real_data: Path, target: Path, name: str = "ogbg_molbace") -> Path:
    """A hundred molecules from all over an OGB set, with a split of their own; returns the folder above it."""
    source, folder = real_data / "ogb" / name, target / name
    total = len(_read(source / "raw" / "graph-label.csv.gz"))
    # One row of these files belongs to each atom or bond; the others have one row per molecule.
    rows_of = {"node-feat": "num-node-list", "edge": "num-edge-list", "edge-feat": "num-edge-list"}
    graphs = [number * total // 100 for number in range(100)]
    for part in (*rows_of, "graph-label", "num-node-list", "num-edge-list"):
        lines = _read(source / "raw" / f"{part}.csv.gz")
        counts = [int(row) for row in _read(source / "raw" / f"{rows_of[part]}.csv.gz")] if part in rows_of else None
        starts = [0, *accumulate(counts or [1] * total)]
        kept = [line for graph in graphs for line in lines[starts[graph] : starts[graph + 1]]]
        _write(folder / "raw" / f"{part}.csv.gz", kept)
    header, *molecules = _read(source / "mapping" / "mol.csv.gz")
    _write(folder / "mapping" / "mol.csv.gz", [header, *(molecules[graph] for graph in graphs)])
    for part, indices in OGB_PARTS.items():
        # A step of 37 through the hundred, so that each part has molecules from everywhere.
        lines = [str(37 * index % 100) for index in indices]
        _write(folder / "split" / "scaffold" / f"{part}.csv.gz", lines)
    shutil.copyfile(source / "RELEASE_v1.txt", folder / "RELEASE_v1.txt")
    return target


def tiny_peptides(real_data: Path, target: Path, count: int = 24) -> Path:
    """The first peptides of Peptides-func, with a split of their own."""
    name = "peptide_multi_class_dataset.csv.gz"
    with gzip.open(real_data / "peptides_func" / name, "rt", newline="") as file:
        rows = [row for row, _ in zip(csv.reader(file), range(count + 1), strict=False)]
    target.mkdir(parents=True, exist_ok=True)
    with gzip.open(target / name, "wt", newline="") as file:
        csv.writer(file).writerows(rows)
    third = count // 3
    split = {part: np.arange(i * third, (i + 1) * third) for i, part in enumerate(("train", "val", "test"))}
    with (target / "splits_random_stratified_peptide.pickle").open("wb") as file:
        pickle.dump(split, file)
    return target


def _read(path: Path) -> list[str]:
    with gzip.open(path, "rt") as file:
        return file.read().splitlines()


def _write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt") as file:
        file.write("\n".join(lines) + "\n")
