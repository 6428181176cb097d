"""Names that the data sets and models are imported by, and what their import costs."""

import subprocess
import sys

import pytest

import plstm_graph.datasets
import plstm_graph.nn.baselines


def test_importing_the_package_waits_for_nothing_heavy():
    code = "import sys, plstm_graph.datasets; print(*{'torch', 'torch_geometric', 'ogb', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_every_name_leads_to_its_class():
    for name in plstm_graph.datasets.__all__:
        assert getattr(plstm_graph.datasets, name).__name__ == name
    assert set(plstm_graph.datasets.__all__) <= set(dir(plstm_graph.datasets))
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = plstm_graph.datasets.Nothing


def test_peers_are_models_of_the_package():
    for name in ("BagOfNodes", "ChildSumTreeLSTM", "DAGTransformer", "DirectedGATv2", "DirectedGIN", "LevelGRU"):
        assert issubclass(getattr(plstm_graph.nn.baselines, name), plstm_graph.nn.baselines.DAGBaseline)
