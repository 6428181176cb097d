"""What the two modes promise on grids: P-mode conserves mass, D-mode entries stay below 1 and have a closed form."""

import pytest
import torch

from plstm_graph.ops import plstm_grid2d, single_turn_gating
from plstm_graph.ops.shapes import GATES
from plstm_graph.testing import assert_close
from tests.ops.grid2d.test_plstm_grid2d import operands


def one_source(side, alpha, decay):
    """A unit that starts in a corner, and what every node sees of it."""
    ones = torch.ones(side, side, 1, dtype=torch.float64)
    gates = {
        **{"source_right": alpha * ones, "source_down": (1 - alpha) * ones},
        **{"right_from_left": decay * alpha * ones, "right_from_up": decay * alpha * ones},
        **{"down_from_left": decay * (1 - alpha) * ones, "down_from_up": decay * (1 - alpha) * ones},
        **{"mark_left": ones, "mark_up": ones},
    }
    key = torch.zeros(side, side, 1, 1, dtype=torch.float64)
    key[0, 0] = 1
    return gates | {"query": ones.unsqueeze(-1), "key": key, "value": ones.unsqueeze(-1), "direct": 0 * ones}


@pytest.mark.parametrize("form", ["auto", "chunkwise"])
@pytest.mark.parametrize("decay", [1.0, 0.98])
def test_p_mode_conserves_mass_along_anti_diagonals(form, decay):
    """Equation 10: at decay 1 what leaves the corner passes every anti-diagonal, to the far end of 256 x 256 nodes."""
    side = 256
    seen = plstm_grid2d(**one_source(side, 0.3, decay), form=form)[..., 0, 0]
    diagonal = torch.arange(side)[:, None] + torch.arange(side)
    mass = torch.zeros(2 * side - 1, dtype=torch.float64).index_add_(0, diagonal.flatten(), seen.flatten())
    expected = decay ** torch.arange(side - 1, dtype=torch.float64)
    assert_close(mass[1:side], expected, 1e-10, "mass on the anti-diagonals before the grid ends")
    assert (mass[side:] <= expected[-1] + 1e-10).all()


def test_p_mode_is_strongest_along_its_angle():
    side, alpha = 128, 0.25
    seen = plstm_grid2d(**one_source(side, alpha, 1.0))[..., 0, 0]
    reached = torch.stack([seen[x, side - 1 - x] for x in range(side)])
    assert abs(int(reached.argmax()) - alpha * (side - 1)) <= 2


@pytest.mark.parametrize("chirality", ["L", "R"])
@pytest.mark.parametrize("size", [(1, 1), (1, 4), (5, 1), (4, 6)], ids=str)
def test_d_mode_equals_its_closed_form(chirality, size):
    inputs = operands(*size, shape=(2,), heads=1)
    shut, turn = ("down_from_left", "right_from_up") if chirality == "L" else ("right_from_up", "down_from_left")
    inputs[shut] = torch.zeros_like(inputs[shut])
    gates = {name: inputs[name].squeeze(-1) for name in (*GATES, "direct") if name != shut}
    gates["turn"] = gates.pop(turn)
    gating = single_turn_gating(**gates, chirality=chirality)
    query, key, value = (inputs[name].squeeze(-2).flatten(1, 2) for name in ("query", "key", "value"))
    expected = (gating.flatten(3, 4).flatten(1, 2) * (query @ key.mT)) @ value
    assert_close(plstm_grid2d(**inputs).flatten(1, 3), expected, 1e-10, "outputs")


def test_d_mode_entries_stay_below_one_and_reach_all_that_lies_ahead():
    signs = {name: (2 * torch.randint(2, (1, 9, 8)) - 1).double() for name in ("source_right", "source_down")}
    signs |= {name: (2 * torch.randint(2, (1, 9, 8)) - 1).double() for name in ("right_from_left", "down_from_up")}
    signs |= {name: (2 * torch.randint(2, (1, 9, 8)) - 1).double() for name in ("turn", "mark_left", "mark_up")}
    gating = single_turn_gating(**signs, direct=torch.ones(1, 9, 8).double())[0]
    x, y = torch.arange(9), torch.arange(8)
    ahead = (x[:, None, None, None] >= x[:, None]) & (y[:, None, None] >= y)
    assert torch.equal(gating.abs(), ahead.double())  # exact: products of 1 and -1


def test_wrong_chirality_is_named():
    with pytest.raises(ValueError, match="chirality must be 'L' or 'R', got 'right'"):
        single_turn_gating(*[torch.ones(2, 2)] * 8, chirality="right")
