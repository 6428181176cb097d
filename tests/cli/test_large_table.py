"""A table that is too large to be looked at as a whole before anything slow is imported."""

from pathlib import Path

import pytest

from plstm_graph.cli import main
from plstm_graph.train import first_look
from tests.real_rows import solubility

CONFIG = str(Path(__file__).parents[2] / "configs" / "chembl.yaml")


@pytest.mark.parametrize("size", [500, 5_000_000])
def test_a_wrong_column_is_told_before_data_are_read(real_data, tmp_path, monkeypatch, capsys, size):
    monkeypatch.setattr(first_look, "_SMALL", size)
    table = solubility(real_data, tmp_path / "table.csv", 200)
    table.write_text(table.read_text().replace('"', "'"))
    given = ["fit", "--config", CONFIG, "--task.path", str(table), "--task.smiles_column", "SMILES"]
    assert main([*given, "--task.target_columns", "[Solubilty]", "--task.num_folds", "150"]) == 2
    shown = capsys.readouterr().err
    assert "Did you mean 'Solubility'?" in shown and "data of the task" not in shown
