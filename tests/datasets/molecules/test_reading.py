"""Molecules that are read together: in one process or in several, they are those that are read one by one."""

import csv
import gzip
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from ogb.utils import smiles2graph
from rdkit import Chem, rdBase

from plstm_graph.datasets import InvalidSmilesError, SmilesDataset, smiles_to_data
from plstm_graph.datasets.molecules import reading
from plstm_graph.datasets.molecules.features import MoleculeRows
from plstm_graph.transforms import ToDAG

DATA = Path(os.environ.get("PLSTM_DATA", "datasets"))
TABLE = DATA / "aqsoldb" / "curated-solubility-dataset.csv.gz"
ODD = [
    "C",
    "[H][H]",
    "*C",
    "C1CC",
    "[Na+].[Cl-]",
    "",
    "C/C=C/C",
    r"F/C=C\F",
    "[U+9]",
    "c1cccc1",
    "[C@](F)(Cl)(Br)I",
    "é",
]
ODD += ["F[S](F)(F)(F)(F)F", "[O][O]", "[Cl-].[NH4+]", "C->[Fe]", "CC(=O)Oc1ccccc1C(=O)O"]


def real_smiles(count: int) -> list[str]:
    if not TABLE.is_file():
        pytest.skip("needs PLSTM_DATA")
    with gzip.open(TABLE, "rt", encoding="utf-8") as file:
        return [row["SMILES"] for row, _ in zip(csv.DictReader(file), range(count), strict=False)]


@pytest.fixture
def several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MANY", 1)
    monkeypatch.setattr(reading, "CHUNK", 16)
    monkeypatch.setattr(reading, "usable_cores", lambda: 2)


def test_features_of_real_molecules_are_those_of_ogb() -> None:
    smiles = [text for text in (*ODD, *real_smiles(300)) if text.isascii() and Chem.MolFromSmiles(text)]
    for text in filter(None, smiles):
        with rdBase.BlockLogs():
            expected = smiles2graph(text)
        data = smiles_to_data(text)
        assert torch.equal(data.x, torch.from_numpy(expected["node_feat"])), text
        assert torch.equal(data.edge_index, torch.from_numpy(expected["edge_index"])), text
        assert torch.equal(data.edge_attr, torch.from_numpy(expected["edge_feat"])), text


def test_a_bond_that_the_scheme_does_not_have_is_an_error_of_its_molecule() -> None:
    molecule = Chem.MolFromSmiles("CC")
    molecule.GetBondWithIdx(0).SetStereo(Chem.BondStereo.STEREOATROPCW)
    rows = MoleculeRows()
    with pytest.raises(InvalidSmilesError, match="no number for a bond with STEREOATROPCW"):
        rows.add(["CC"], [molecule])
    assert rows.arrays().num_nodes == []


def test_processes_read_what_this_one_reads(several: None, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [*ODD, *real_smiles(60)]
    elsewhere = list(reading.read_rows([[text] for text in texts], "table", False))
    monkeypatch.setattr(reading, "MANY", 1000)
    here = list(reading.read_rows([[text] for text in texts], "table", False))
    assert len(here) == len(elsewhere) == 5
    for one, other in zip(here, elsewhere, strict=True):
        assert (one.rows, one.canonical, one.errors) == (other.rows, other.canonical, other.errors)
        assert (one.descriptors == other.descriptors).all() and one.descriptors.shape == (len(one.rows), 0)
        for name, values in vars(one.arrays).items():
            found = getattr(other.arrays, name)
            assert values == found if isinstance(values, list) else (values == found).all(), name
    assert [row for part in here for row in part.errors] == [3, 5, 9, 11]
    assert "cannot be parsed" in here[0].errors[3]


def test_what_killed_processes_did_not_read_is_read_here(several: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_work", lambda *given: os.kill(os.getpid(), signal.SIGKILL))
    found = list(reading.read_rows([["CCO"]] * 40, "table", False))
    assert [row for part in found for row in part.rows] == list(range(40))


def test_a_data_set_is_the_same_however_it_was_read(
    several: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "table.csv"
    texts = [text for text in (*ODD, *real_smiles(80)) if "," not in text and text]
    path.write_text("smiles,y\n" + "".join(f"{text},{number}\n" for number, text in enumerate(texts)), encoding="utf-8")
    with pytest.warns(UserWarning, match="left out 3 bad rows"):
        together = SmilesDataset(tmp_path / "together", path, pre_transform=ToDAG(), log=False)
    monkeypatch.setattr(reading, "MANY", 1000)
    with pytest.warns(UserWarning, match="left out 3 bad rows"):
        alone = SmilesDataset(tmp_path / "alone", path, pre_transform=OneByOne(), log=False)
    assert together.bad_rows == alone.bad_rows
    assert together.canonical_smiles == alone.canonical_smiles
    assert together[3:5].canonical_smiles == together.canonical_smiles[3:5]
    for data, other in zip(together, alone, strict=True):
        assert data.keys() == other.keys()
        for key in data.keys():
            value = data[key]
            assert torch.equal(value, other[key]) if isinstance(value, torch.Tensor) else value == other[key]


class OneByOne(ToDAG):
    """Not known as what may be applied to many at once."""


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
def test_ctrl_c_ends_all_processes(tmp_path: Path) -> None:
    script = tmp_path / "read.py"
    script.write_text(
        "import signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # ignored in the background of a shell
        "from plstm_graph.datasets.molecules import reading\n"
        "reading.MANY, reading.CHUNK, reading.usable_cores = 1, 50, lambda: 2\n"
        "for part in reading.read_rows([['CC(=O)Oc1ccccc1C(=O)O']] * 1_000_000, 'table', False):\n"
        "    print('read', flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "read\n"
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: all processes get it
        _, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert err.rstrip().endswith("KeyboardInterrupt")  # a worker that is just starting may tell of it as well
    for _ in range(100):
        if not _group_lives(process.pid):
            return
        time.sleep(0.1)
    raise AssertionError("processes are left")


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_workers_import_no_torch() -> None:
    code = (
        "import sys; import plstm_graph.datasets.molecules.reading; print('torch' in sys.modules, 'ogb' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "False"]
