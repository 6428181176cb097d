"""The script of water over terrain: flow accumulation accounts for every cell and all rain; the figure can be drawn."""

import numpy as np
import pytest
import torch

from plstm_graph.datasets import Terrain
from plstm_graph.tasks.registry import load_task
from results import terrain

WINDOWS = [(0, 0, 12, 17), (100, 150, 30, 20), (300, 330, 44, 40)]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("ways", ["D8", "MFD"])
def test_every_cell_and_all_rain_reach_an_outlet(ways, window):
    graph = Terrain().graph(window, 3)
    for of, total in (("cells", graph.num_nodes), ("rain", terrain.rain_of(graph).sum())):
        upslope = np.exp(terrain.upslope(graph, ways, of))
        assert upslope[graph.outlet.numpy()].sum() == pytest.approx(total, rel=1e-9)
    counts = np.exp(terrain.upslope(graph, "D8", "cells"))
    np.testing.assert_allclose(counts, counts.round(), rtol=1e-9)  # whole cells


def test_rain_is_read_from_the_feature():
    land, window = Terrain(), WINDOWS[1]
    np.testing.assert_allclose(terrain.rain_of(land.graph(window, 3)), land.rain(window, 3), rtol=1e-5)


def test_the_classical_estimate_is_printed(capsys):
    terrain.classical(load_task("terrain", train=4, valid=3, test_tiles=1, side=12, size=60))
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        f"{ways}, {of} upslope" for ways in ("D8", "MFD") for of in ("cells", "rain")
    ]
    assert all("valid/nse" in line and "valid/balance" in line for line in lines)


def test_the_figure(tmp_path):
    sizes, depths = torch.tensor([1600, 400, 6400]), torch.tensor([80, 40, 160])
    found = {"plstm": np.array([0.01, 0.02, 0.01]), "transformer": np.array([0.3, 0.2, np.nan])}
    terrain.draw(sizes, depths, found, (1600, 80)).savefig(tmp_path / "sizes.png")
    assert (tmp_path / "sizes.png").stat().st_size > 1000
