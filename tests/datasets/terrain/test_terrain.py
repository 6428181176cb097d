"""Water over terrain: depressions are filled, all water is accounted for, and discharge solves its equation."""

import numpy as np
import pytest
import torch
from scipy.sparse import coo_array, identity
from scipy.sparse.linalg import spsolve

from plstm_graph.datasets import Terrain
from plstm_graph.datasets.terrain.elevation import NEIGHBOURS, Elevation, fill_depressions, load_elevation
from plstm_graph.datasets.terrain.fields import smooth_field
from plstm_graph.datasets.terrain.flow import flow_of, steepest
from plstm_graph.datasets.terrain.hydrology import (
    Ground,
    accumulate,
    curve_number,
    runoff_of,
    seepage_of,
    shares_of,
)
from plstm_graph.graph import longest_path_levels, random_dag
from tests.rounding import rounding

WINDOWS = [(0, 0, 12, 17), (100, 150, 40, 40), (300, 330, 44, 73)]


@pytest.fixture(scope="module")
def land():
    return Terrain(seed=0)


def filled_slowly(height, rise):
    """By lowering a flood, cell by cell, until nothing changes (Planchon and Darboux)."""
    water = np.full_like(height, np.inf)
    border = np.ones(height.shape, dtype=bool)
    border[1:-1, 1:-1] = False
    water[border] = height[border]
    before = None
    while before is None or (before != water).any():
        before = water.copy()
        for row, column in zip(*np.nonzero(~border), strict=True):
            lowest = min(water[row + down, column + right] for down, right in NEIGHBOURS)
            water[row, column] = min(water[row, column], max(height[row, column], lowest + rise))
    return water


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shape", [(3, 3), (5, 9), (12, 12)])
def test_depressions_are_filled_and_nothing_more(shape, seed):
    height = np.random.default_rng(seed).integers(0, 6, shape).astype(float)  # with flats and pits
    filled = fill_depressions(height, rise=0.125)
    # Sums of integers and eighths are exact, and both ways add them up in the same order.
    assert (filled == filled_slowly(height, 0.125)).all()
    assert (filled >= height).all()
    edges = flow_of(Elevation(filled, 1.0, 1.0)).edges
    inside = np.arange(height.size).reshape(shape)[1:-1, 1:-1].ravel()
    assert set(inside) == set(edges[0])  # all of the inside drains, and the border nowhere
    assert (filled.flat[edges[0]] > filled.flat[edges[1]]).all()


@pytest.mark.parametrize(
    ("height", "rise", "message"),
    [
        (np.zeros(4), 0.1, r"got shape \[4\]"),
        (np.array([[0.0, np.nan], [1.0, 2.0]]), 0.1, "finite numbers"),
        (np.array([[0.0, np.inf], [1.0, 2.0]]), 0.1, "finite numbers"),
        (np.zeros((3, 3)), 0.0, "rise must be positive"),
        (np.zeros((3, 3)), float("nan"), "rise must be positive"),
    ],
)
def test_heights_are_checked(height, rise, message):
    with pytest.raises(ValueError, match=message):
        fill_depressions(height, rise)


def test_the_elevation_model(land):
    raw = load_elevation()
    assert raw.height.shape == (344, 403) == land.shape
    assert (raw.height.min(), raw.height.max()) == (236, 1076)
    assert 74 < raw.width < 75 and 92 < raw.depth < 93
    assert (land.elevation.height >= raw.height).all()


def test_a_missing_elevation_model_is_said_clearly(monkeypatch, tmp_path):
    monkeypatch.setattr("matplotlib.cbook.get_sample_data", lambda name, asfileobj: tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"jacksboro_fault_dem.npz cannot be read.*reinstall matplotlib"):
        load_elevation()


def test_edges_lead_down_and_know_their_lengths():
    height = np.array([[9.0, 9, 9, 9], [9, 5, 4, 9], [9, 4, 1, 0]])
    flow = flow_of(Elevation(height, 3.0, 4.0))
    found = {
        (int(start), int(end)): each
        for start, end, *each in zip(*flow.edges, flow.drop, flow.distance, flow.diagonal, strict=True)
    }
    assert found == {
        (5, 6): [1, 3, False],
        (5, 9): [1, 4, False],
        (5, 10): [4, 5, True],
        (6, 10): [3, 4, False],
        (6, 11): [4, 5, True],
    }
    np.testing.assert_allclose(steepest(flow, 12)[[5, 6, 0]], [0.8, 0.8, 0], rtol=rounding(torch.double, 2))


@pytest.mark.parametrize("scale", [2, 5, 12])
def test_fields_are_even_and_smooth(scale):
    field = smooth_field((60, 70), scale, (3, scale))
    np.testing.assert_allclose(np.sort(field, axis=None), (np.arange(4200) + 0.5) / 4200, rtol=1e-12)
    assert (field == smooth_field((60, 70), scale, (3, scale))).all() and (
        field != smooth_field((60, 70), scale, (4,))
    ).any()
    step = np.abs(np.diff(field, axis=0)).mean()
    assert step < 1 / scale / 2 and np.abs(field[30:] - field[:30]).mean() > 2 * step


def test_runoff_by_hand():
    ground = Ground(np.array([0.0, 1, 0, 1]), np.array([0.0, 0, 1, 1]), np.full(4, np.log(2) / 13.86))
    np.testing.assert_allclose(curve_number(ground), [94, 77, 79, 36], rtol=1e-12)  # the slope for which tables are
    storage = 25400 / 79 - 254
    rain = np.full(4, 80.0)
    assert runoff_of(rain, ground)[2] == pytest.approx((80 - 0.2 * storage) ** 2 / (80 + 0.8 * storage), rel=1e-12)
    assert runoff_of(rain, ground)[3] == 0  # forest on sand takes in all of it
    assert (
        np.diff(runoff_of(np.array([40.0, 80, 160, 320]), Ground(*(np.full(4, each) for each in (0.5, 0.5, 0.1))))) > 0
    ).all()
    assert (runoff_of(rain, ground) < rain).all()


@pytest.mark.parametrize("window", WINDOWS)
def test_shares_add_up_and_seepage_is_a_part(land, window):
    flow, ground, _, _ = land.water(window, 0)
    cells = window[2] * window[3]
    share, lost = shares_of(flow, ground.slope), seepage_of(ground)
    total = np.bincount(flow.edges[0], share, cells)
    np.testing.assert_allclose(total[np.unique(flow.edges[0])], 1, rtol=rounding(torch.double, 8))
    assert share.min() > 0 and 0 < lost.min() and lost.max() < 0.05


@pytest.mark.parametrize("window", [*WINDOWS, (0, 201, 344, 202), (0, 0, 344, 403)])
@pytest.mark.parametrize("event", [0, 7])
def test_all_rain_is_accounted_for(land, window, event):
    flow, _, rain, water = land.water(window, event)
    outlet = np.ones(len(rain), dtype=bool)
    outlet[flow.edges[0]] = False
    left = water.total[outlet].sum()
    infiltrated = (rain - water.runoff).sum() + water.seepage.sum()
    assert left > 0 and infiltrated > 0
    # Every cell adds rounding of its own, which does not all have one sign.
    assert left + infiltrated == pytest.approx(rain.sum(), rel=1e-12)


def solved(edges, share, kept, runoff):
    """The same by a sparse solve of ``(I - A^T) q = runoff``."""
    count = len(runoff)
    through = coo_array((share * kept[edges[1]], (edges[1], edges[0])), shape=(count, count))
    return spsolve((identity(count) - through).tocsc(), runoff)


@pytest.mark.parametrize("window", WINDOWS)
def test_discharge_solves_its_equation(land, window):
    flow, ground, rain, water = land.water(window, 1)
    expected = solved(flow.edges, shares_of(flow, ground.slope), 1 - seepage_of(ground), runoff_of(rain, ground))
    np.testing.assert_allclose(water.total, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("nodes", [1, 2, 30, 200])
def test_accumulation_on_random_dags(nodes):
    generator = torch.Generator().manual_seed(nodes)
    edges = random_dag(nodes, min(2 * nodes, nodes * (nodes - 1) // 2), generator=generator).numpy()
    random = np.random.default_rng(nodes)
    share, kept, runoff = random.random(edges.shape[1]) / 3, random.random(nodes), random.random(nodes)
    onto, total = accumulate(edges, share, kept, runoff)
    np.testing.assert_allclose(total, solved(edges, share, kept, runoff), rtol=1e-12)
    np.testing.assert_allclose(total, runoff + kept * onto, rtol=1e-12)


@pytest.mark.parametrize("window", WINDOWS)
def test_graphs(land, window):
    graph, again, other = land.graph(window, 5), Terrain(0).graph(window, 5), land.graph(window, 6)
    cells = window[2] * window[3]
    assert graph.x.shape == (cells, 6) and graph.y.shape == (cells, 1) and graph.edge_attr.shape == (graph.num_edges, 3)
    assert torch.equal(graph.x, again.x) and torch.equal(graph.y, again.y) and not torch.equal(graph.y, other.y)
    assert torch.equal(graph.x[:, :5], other.x[:, :5]) and torch.equal(graph.edge_attr, other.edge_attr)
    for each in (graph.x, graph.y, graph.edge_attr):
        assert each.isfinite().all()
    border = torch.ones(window[2:], dtype=torch.bool)
    border[1:-1, 1:-1] = False
    assert torch.equal(graph.outlet, border.view(-1))
    assert longest_path_levels(graph.edge_index, cells).max() >= 3
    assert torch.equal(Terrain(1).graph(window, 5).edge_attr, graph.edge_attr)  # heights are real
    assert not torch.equal(Terrain(1).graph(window, 5).x, graph.x)


def test_what_a_cell_is_like_does_not_depend_on_the_window(land):
    small, large = land.graph((101, 151, 20, 30), 5), land.graph((100, 150, 40, 40), 5)
    assert torch.equal(large.x.view(40, 40, -1)[1:21, 1:31], small.x.view(20, 30, -1))


@pytest.mark.parametrize("window", [(-1, 0, 10, 10), (0, 400, 10, 10), (340, 0, 5, 5), (0, 0, 2, 10), (0, 0, 345, 10)])
def test_windows_lie_on_the_map(land, window):
    with pytest.raises(ValueError, match=r"must lie on the map of 344 x 403, got \("):
        land.graph(window, 0)
