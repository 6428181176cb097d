import gzip
import math
import os
import warnings
from pathlib import Path

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader

from plstm_graph.datasets import BadRow, BadRowsWarning, SmilesDataset, TableError
from plstm_graph.transforms import ToDAG
from tests.processes import fork

BAD_TABLE = "smiles,y\nCCO,1.5\nC1CC,2\nCC,\n\nCCC,inf\nCCCC,nan\nN,1_0\nO,high\n,3\nC\nS,-2e0\nP,1e39\n"
BAD_LINES = [3, 4, 6, 7, 8, 9, 10, 11, 13]


def table(folder: Path, content: str = "smiles,y\nCCO,1.5\nc1ccccc1,-2\nC,3\n", name: str = "table.csv") -> Path:
    path = folder / name
    path.write_text(content)
    return path


def processed(root: Path) -> list[Path]:
    return sorted(path.parent for path in root.glob("processed/*/data.pt"))


def test_graphs_of_a_table(tmp_path: Path) -> None:
    dataset = SmilesDataset(tmp_path, table(tmp_path))
    assert len(dataset) == 3
    assert dataset.target_columns == ["y"]
    assert dataset.bad_rows == []
    data = dataset[1]
    assert data.smiles == "c1ccccc1"
    assert data.x.shape == (6, 9)
    assert data.edge_attr.shape == (12, 3)
    assert torch.equal(data.y, torch.tensor([[-2.0]]))
    assert data.row.tolist() == [1]
    batch = next(iter(DataLoader(dataset, batch_size=3)))
    assert batch.y.tolist() == [[1.5], [-2.0], [3.0]]
    assert batch.num_nodes == 10


def test_gzipped_table_other_names_several_targets_missing_labels(tmp_path: Path) -> None:
    path = tmp_path / "tasks.csv.gz"
    path.write_bytes(gzip.compress(b"id,a,SMILES,b\nm1,0,CCO,\nm2,1,CC,0\n"))
    dataset = SmilesDataset(tmp_path, path, "SMILES", ["b", "a"], allow_missing=True)
    first, second = dataset.y.tolist()
    assert math.isnan(first[0]) and first[1] == 0
    assert second == [0, 1]


def test_no_targets(tmp_path: Path) -> None:
    dataset = SmilesDataset(tmp_path, table(tmp_path, "smiles\nCCO\nCC\n"), target_columns=[])
    assert dataset[0].y.shape == (1, 0)


def test_a_single_molecule(tmp_path: Path) -> None:
    dataset = SmilesDataset(tmp_path, table(tmp_path, "smiles,y\nCCO,1\n"))
    assert len(dataset) == 1
    assert dataset[0].smiles == "CCO"
    assert dataset.table.column("smiles") == ["CCO"]


def test_bad_rows_are_reported_by_line_with_the_reason(tmp_path: Path) -> None:
    path = table(tmp_path, BAD_TABLE)
    with pytest.warns(BadRowsWarning, match=r"table\.csv: left out 9 bad rows \(line 3: invalid SMILES 'C1CC'"):
        dataset = SmilesDataset(tmp_path, path)
    assert list(dataset.smiles) == ["CCO", "S"]
    assert [row.line for row in dataset.bad_rows] == BAD_LINES
    reasons = [row.reason for row in dataset.bad_rows]
    for reason, expected in zip(
        reasons,
        [
            "invalid SMILES 'C1CC': it cannot be parsed",
            "target 'y' is empty; allow_missing: true keeps such rows",
            "target 'y' is 'inf', not a finite float32 number",
            "target 'y' is 'nan', which says that it is missing; allow_missing: true keeps such rows",
            "target 'y' is '1_0', not a number",
            "target 'y' is 'high', not a number",
            "invalid SMILES '': it has no atoms",
            "1 field, the header has 2",
            "target 'y' is '1e39', not a finite float32 number",
        ],
        strict=True,
    ):
        assert reason == expected
    assert dataset.table.column("y") == ["1.5", "-2e0"]
    assert dataset[1:].table.lines == [12]


def test_bad_rows_are_reported_from_the_cache_too(tmp_path: Path) -> None:
    path = table(tmp_path, BAD_TABLE)
    for _ in range(2):
        with pytest.warns(BadRowsWarning):
            dataset = SmilesDataset(tmp_path, path)
        assert isinstance(dataset.bad_rows[0], BadRow)
        assert [row.line for row in dataset.bad_rows] == BAD_LINES
        with pytest.raises(TableError, match=r"table\.csv has 9 bad rows"):
            SmilesDataset(tmp_path, path, on_error="raise")
    assert len(processed(tmp_path)) == 1


def test_long_lists_of_bad_rows_are_cut_in_the_message_only(tmp_path: Path) -> None:
    path = table(tmp_path, "smiles,y\nC,1\n" + "C,x\n" * 12)
    with pytest.warns(BadRowsWarning, match=r"line 12: [^;]*; and 2 more\)"):
        dataset = SmilesDataset(tmp_path, path)
    assert len(dataset.bad_rows) == 12


def test_no_usable_row(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"no row of .*table\.csv is usable: 1 bad row \(line 2: target 'y' is 'x'"):
        SmilesDataset(tmp_path, table(tmp_path, "smiles,y\nC,x\n"))
    with pytest.raises(TableError, match=r"no row of .*table\.csv is usable: 1 bad row \(line 2: 1 field"):
        SmilesDataset(tmp_path, table(tmp_path, "smiles,y\nC\n"))
    with pytest.raises(TableError, match="pre_filter keeps none"):
        SmilesDataset(tmp_path, table(tmp_path), pre_filter=lambda data: False)
    assert processed(tmp_path) == []


def test_wrong_columns(tmp_path: Path) -> None:
    path = table(tmp_path, "SMILES,Solubility,id\nC,1,a\n")
    with pytest.raises(TableError, match=r"no column 'smiles'; .* Did you mean 'SMILES'\?"):
        SmilesDataset(tmp_path, path, "smiles")
    with pytest.raises(TableError, match="'SMILES' is the column of SMILES, and target_columns names it"):
        SmilesDataset(tmp_path, path, "SMILES", ["SMILES"])
    with pytest.raises(TableError, match=r"no column 'solubilty'; .* Did you mean 'Solubility'\?"):
        SmilesDataset(tmp_path, path, "SMILES", ["solubilty"])
    with pytest.raises(TableError, match=r"which columns .* beside 'SMILES' it has Solubility, id"):
        SmilesDataset(tmp_path, path, "SMILES")
    with pytest.raises(FileNotFoundError, match=r"none\.csv"):
        SmilesDataset(tmp_path, tmp_path / "none.csv")
    with pytest.raises(ValueError, match="on_error must be 'skip' or 'raise', got 'ignore'"):
        SmilesDataset(tmp_path, path, on_error="ignore")  # type: ignore[arg-type]


def test_cache_is_reused_and_notices_every_change(tmp_path: Path) -> None:
    path = table(tmp_path, "smiles,y,z\nCCO,1.5,2\nCC,1,4\n")
    SmilesDataset(tmp_path, path, target_columns=["y"])
    (first,) = processed(tmp_path)
    written = os.stat(first / "data.pt").st_mtime_ns
    SmilesDataset(tmp_path, path, target_columns=["y"])
    assert os.stat(first / "data.pt").st_mtime_ns == written

    assert SmilesDataset(tmp_path, path, target_columns=["z"]).y.view(-1).tolist() == [2, 4]
    assert "level" in SmilesDataset(tmp_path, path, target_columns=["y"], pre_transform=ToDAG())[0]
    numbering = SmilesDataset(tmp_path, path, target_columns=["y"], pre_transform=ToDAG("numbering"))[0]
    assert numbering.edge_index.tolist() == [[0, 1], [1, 2]]
    table(tmp_path, "smiles,y,z\nCCO,7,2\nCC,8,4\n")
    assert SmilesDataset(tmp_path, path, target_columns=["y"]).y.view(-1).tolist() == [7, 8]
    assert len(processed(tmp_path)) == 4  # of the earlier content nothing stays with these options


def drop_edges(data: Data) -> Data:
    data.edge_index, data.edge_attr = data.edge_index[:, :0], data.edge_attr[:0]
    return data


def read_without_edges(root: Path, path: Path) -> None:
    SmilesDataset(root, path, pre_transform=drop_edges)


def test_cache_of_a_function_holds_in_another_process(tmp_path: Path) -> None:
    path = table(tmp_path)
    SmilesDataset(tmp_path, path, pre_transform=drop_edges)
    other = fork(read_without_edges, tmp_path, path)
    other.join()
    assert other.exitcode == 0
    assert len(processed(tmp_path)) == 1


def test_a_crash_while_processing_leaves_nothing_behind(tmp_path: Path) -> None:
    def crash(data: Data) -> Data:
        raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError, match="out of luck"):
        SmilesDataset(tmp_path, table(tmp_path), pre_transform=crash)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["table.csv"]


def test_a_damaged_cache_says_what_to_do(tmp_path: Path) -> None:
    path = table(tmp_path)
    SmilesDataset(tmp_path, path)
    stored = processed(tmp_path)[0] / "data.pt"
    content = stored.read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"no archive"):
        stored.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"data\.pt is no file of tensors.*; remove the folder .* to make it anew"):
            SmilesDataset(tmp_path, path)
    assert len(SmilesDataset(tmp_path, path, force_reload=True)) == 3
    assert len(SmilesDataset(tmp_path, path)) == 3


def test_quiet_when_all_is_well(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SmilesDataset(tmp_path, table(tmp_path))
    out, err = capfd.readouterr()
    assert out == err == ""
