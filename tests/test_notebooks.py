"""The notebooks of examples run as they stand, each in a folder of its own, by the command that was installed."""

import os
import shutil
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def run(path, folder, monkeypatch):
    """Run a notebook in a folder that has the configurations beside it; gives its cells with what they printed."""
    shutil.copytree(ROOT / "configs", folder / "configs")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    return NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()


def texts(notebook):
    """All that cells printed and showed as text."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            yield output.get("text", "") or output.get("data", {}).get("text/plain", "")


def test_there_are_two_notebooks():
    assert [path.name for path in NOTEBOOKS] == ["dags.ipynb", "molecules.ipynb"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_output(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert all(cell.outputs == [] and cell.execution_count is None for cell in notebook.cells if "outputs" in cell)


@pytest.mark.timeout(400)
def test_molecules(tmp_path, monkeypatch):
    notebook = run(ROOT / "examples" / "molecules.ipynb", tmp_path, monkeypatch)
    printed = "\n".join(texts(notebook))
    assert "error:" not in printed
    predicted = (tmp_path / "predicted.csv").read_text(encoding="utf-8").splitlines()
    assert {"lower_activity", "upper_activity", "similarity", "warning"} <= set(predicted[0].split(","))
    assert len(predicted) == 2 + len((tmp_path / "messy.csv").read_text(encoding="utf-8").splitlines()) - 1
    assert (tmp_path / "explained.png").stat().st_size > 10_000


@pytest.mark.timeout(400)
def test_dags(tmp_path, monkeypatch):
    notebook = run(ROOT / "examples" / "dags.ipynb", tmp_path, monkeypatch)
    printed = "\n".join(texts(notebook))
    assert "no problems" in printed
    assert printed.count("error:") == 0
    dropped = (tmp_path / "citations_clean" / "dropped.csv").read_text(encoding="utf-8").splitlines()
    assert len(dropped) == 1 + 5 + 2  # rows that stood twice, a loop, a citation of what was not there yet
    assert "<svg" in (tmp_path / "explained.html").read_text(encoding="utf-8")
