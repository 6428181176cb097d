import subprocess
import sys

import pytest

from benchmarks.operators.command import bench
from benchmarks.operators.verify import WrongFormError, verify_forms
from plstm_graph.ops.dag import plstm as dispatch
from tests.processes import ROOT


def wrong_value(function):
    return lambda *arguments: 1.001 * function(*arguments)


def wrong_gradient(function):
    def inexact(*arguments):
        out = function(*arguments)
        return 1.001 * out - 0.001 * out.detach()

    return inexact


def refused(function):
    return lambda *arguments: function(*arguments).view(-1, 7919)


def test_all_forms_are_right():
    checked = verify_forms()
    assert checked["passed"]
    assert {"auto", "recurrent", "parallel"} <= set(checked["forms"])
    assert "naive" not in checked["forms"]


def test_it_needs_no_other_module():
    """Scripts call it that import none of the suites."""
    code = "from benchmarks.operators import verify; print(next(verify._graphs())[0])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout == "random-60\n", done.stderr


@pytest.mark.parametrize(("fault", "message"), [(wrong_value, "off by"), (wrong_gradient, "gradient of")])
def test_a_wrong_form_is_named(monkeypatch, fault, message):
    for name in ("edge_messages_recurrent", "node_outputs_recurrent_native"):
        monkeypatch.setattr(dispatch, name, fault(getattr(dispatch, name)))
    with pytest.raises(WrongFormError, match=rf"chain-40: recurrent form.*{message}") as error:
        verify_forms()
    assert "parallel form" not in str(error.value)


@pytest.mark.parametrize("fault", [wrong_value, refused])
def test_nothing_is_measured_if_a_form_is_wrong(monkeypatch, capsys, tmp_path, fault):
    monkeypatch.setattr(dispatch, "node_outputs_parallel", fault(dispatch.node_outputs_parallel))
    assert bench("smoke", threads=1, repeat=1, budget=1.0, output=str(tmp_path), explain=False) == 1
    shown = capsys.readouterr()
    assert "Nothing was measured: a form of the operator is wrong." in shown.err
    assert "chain-40: parallel form" in shown.err
    assert shown.out == ""
    assert list(tmp_path.iterdir()) == []
