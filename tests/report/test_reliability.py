"""The picture of how sure predictions are, of every kind of targets, and of odd ones."""

import math

import pytest
import torch

from plstm_graph.report.reliability import PICTURE, Reliability, draw_reliability
from plstm_graph.tasks.calibration import Calibration
from plstm_graph.tasks.domain import Domain
from plstm_graph.tasks.scale import TargetScale
from plstm_graph.viz.reliability import errors_by_similarity

_SCALE = TargetScale("log", torch.tensor([0.5]), torch.tensor([2.0]))


def _made(kind, members=2, rows=60, columns=2):
    draw = torch.Generator().manual_seed(0)
    outputs = torch.randn(members, rows, columns, generator=draw)
    if kind == "regression":
        targets = _SCALE.restore(outputs[0] + torch.randn(rows, columns, generator=draw))
    else:
        targets = torch.randint(0, 2, (rows, 1 if kind == "multiclass" else columns), generator=draw).double()
    targets[0] = math.nan
    names = [f"t{number} $x_" for number in range(targets.size(1))]
    scale = _SCALE if kind == "regression" else None
    return Reliability(outputs, targets, kind, scale, Calibration.fit(outputs, targets, kind, scale), names)


@pytest.mark.parametrize("molecules", [False, True])
@pytest.mark.parametrize(
    ("kind", "columns", "members"),
    [
        *[("regression", 1, 1), ("regression", 1, 3), ("regression", 2, 2), ("regression", 9, 1)],
        *[("binary", 1, 1), ("multilabel", 3, 2), ("multiclass", 4, 2)],
    ],
)
def test_every_kind_has_a_picture(kind, columns, members, molecules, tmp_path):
    made = _made(kind, members, columns=columns)
    if molecules:
        extra = {"similarity": torch.linspace(0, 1, 60), "domain": Domain(0.3)}
        made = Reliability(**vars(made) | extra)
    draw_reliability(tmp_path, made)
    assert (tmp_path / PICTURE).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("what", ["nothing measured", "one member, no interval"])
def test_without_anything_to_see_there_is_none(what, tmp_path):
    made = _made("regression", members=1)
    nothing = made.targets * math.nan
    if what == "nothing measured":
        made = Reliability(**vars(made) | {"targets": nothing})
    else:
        none = Calibration.fit(made.outputs, nothing, "regression", _SCALE)
        made = Reliability(**vars(made) | {"calibration": none})
    draw_reliability(tmp_path, made)
    assert not (tmp_path / PICTURE).exists()


def test_one_value_alone_is_drawn(tmp_path):
    made = _made("regression")
    few = made.targets.clone()
    few[1:] = math.nan
    few[0, 0] = 3.0
    draw_reliability(tmp_path, Reliability(**vars(made) | {"targets": few, "similarity": torch.ones(60)}))
    assert (tmp_path / PICTURE).exists()


def test_errors_by_similarity():
    similarity = torch.tensor([0.0, 0.1, 0.25, 1.0, 0.95, 0.5]).numpy()
    error = torch.tensor([1.0, 3.0, math.nan, 5.0, 7.0, 2.0]).numpy()
    assert errors_by_similarity(similarity, error) == [(0.0, 0.2, 2.0, 2), (0.5, 0.6, 2.0, 1), (0.9, 1.0, 6.0, 2)]
