import os
from pathlib import Path

import pandas as pd
import pytest
import torch

from plstm_graph.datasets import (
    InvalidSmilesError,
    Table,
    TableError,
    column_split,
    random_split,
    scaffold_split,
)
from plstm_graph.datasets.molecules.splits import bemis_murcko_scaffold

RINGS = ["C1CC1", "C1CCC1", "C1CCCC1", "C1CCCCC1", "c1ccccc1"]


def lists(split: dict[str, torch.Tensor]) -> dict[str, list[int]]:
    assert all(indices.dtype == torch.long for indices in split.values())
    return {part: indices.tolist() for part, indices in split.items()}


def test_scaffold_split_fills_the_parts_from_the_largest_set() -> None:
    # Sets by size: benzene (0 2 4 6), then cyclohexane (1 3 5); the single ones go from the later to the earlier.
    smiles = ["Cc1ccccc1", "CC1CCCCC1", "c1ccccc1", "C1CCCCC1", "Oc1ccccc1", "OC1CCCCC1", "Nc1ccccc1"]
    smiles += ["C1CC1", "C1CCC1", "C1CCCC1"]
    assert lists(scaffold_split(smiles)) == {"train": [0, 1, 2, 3, 4, 5, 6, 9], "valid": [8], "test": [7]}


def test_a_set_too_large_for_one_part_goes_to_the_next() -> None:
    smiles = ["c1ccccc1"] * 3 + ["C1CCCC1"] * 2 + ["C1CC1"]
    split = lists(scaffold_split(smiles, (0.5, 1 / 6, 1 / 3)))
    assert split == {"train": [0, 1, 2], "valid": [5], "test": [3, 4]}


def test_scaffold_keeps_chirality_and_drops_chains() -> None:
    left, right = "C[C@H]1CN(Cc2ccccc2)C[C@@H]1O", "O=C1C[C@@H]2CC[C@H]1C2"
    assert bemis_murcko_scaffold(left) == "c1ccc(CN2CCCC2)cc1"
    assert "@" in bemis_murcko_scaffold(right)
    assert bemis_murcko_scaffold("CCO") == ""


def test_scaffold_split_names_an_invalid_smiles() -> None:
    with pytest.raises(InvalidSmilesError, match="'C1CC'"):
        scaffold_split([*RINGS, "C1CC"])


@pytest.mark.parametrize("name", ["ogbg_molbace", "ogbg_molesol", "ogbg_molfreesolv"])
def test_scaffold_split_is_the_official_one_of_ogb(name: str) -> None:
    if "PLSTM_DATA" not in os.environ:
        pytest.skip("PLSTM_DATA is not set: no OGB sets to compare with")
    folder = Path(os.environ["PLSTM_DATA"]) / "ogb" / name
    smiles = pd.read_csv(folder / "mapping" / "mol.csv.gz")["smiles"].tolist()
    for part, indices in scaffold_split(smiles).items():
        official = pd.read_csv(folder / "split" / "scaffold" / f"{part}.csv.gz", header=None)[0]
        assert indices.tolist() == official.tolist()


def test_random_split_covers_everything_once_and_depends_on_the_seed_only() -> None:
    torch.manual_seed(1)
    split = lists(random_split(25, (0.6, 0.2, 0.2), seed=3))
    assert [len(part) for part in split.values()] == [15, 5, 5]
    assert sorted(index for part in split.values() for index in part) == list(range(25))
    assert all(part == sorted(part) for part in split.values())
    torch.manual_seed(2)
    assert lists(random_split(25, (0.6, 0.2, 0.2), seed=3)) == split
    assert lists(random_split(25, (0.6, 0.2, 0.2), seed=4)) != split


def test_rounding_costs_no_molecule() -> None:
    # 0.7 + 0.1 is 0.7999999999999999 in floating point.
    assert [len(part) for part in random_split(10, (0.7, 0.1, 0.2)).values()] == [7, 1, 2]


@pytest.mark.parametrize(
    "fractions", [(0.8, 0.1), (0.8, 0.1, 0.2), (0.9, 0.1, 0.0), (1.1, -0.2, 0.1), (float("nan"),) * 3]
)
def test_bad_fractions(fractions: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"three positive numbers of sum 1 \(train, valid, test\)"):
        random_split(100, fractions)
    with pytest.raises(ValueError, match="three positive numbers"):
        scaffold_split(RINGS, fractions)


def test_empty_part() -> None:
    with pytest.raises(ValueError, match=r"valid part of 5 graphs would be empty \(train 4, valid 0, test 1\)"):
        random_split(5)
    with pytest.raises(ValueError, match="train part of 4 molecules with 1 scaffold"):
        scaffold_split(["c1ccccc1"] * 4)


def test_column_split() -> None:
    words = ["train", "Test", " valid ", "val", "TRAIN", "validation"]
    table = Table(Path("t.csv"), ("split",), [[word] for word in words], range(2, 8))
    assert lists(column_split(table, "split")) == {"train": [0, 4], "valid": [2, 3, 5], "test": [1]}


def test_column_split_names_the_line_of_an_unknown_word() -> None:
    table = Table(Path("t.csv"), ("split",), [["train"], ["tset"]], [2, 9])
    with pytest.raises(
        TableError, match=r"t\.csv, line 9: column 'split' is 'tset', expected one of train, valid, test"
    ):
        column_split(table, "split")
    with pytest.raises(TableError, match="no column 'fold'"):
        column_split(table, "fold")
    with pytest.raises(TableError, match=r"valid part of column 'split' of t\.csv would be empty"):
        column_split(table.take([0]), "split")
