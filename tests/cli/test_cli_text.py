"""Names of files, columns, nodes and molecules that mean something to a terminal, through the real commands."""

import itertools

import pytest

from plstm_graph.cli import main
from tests.cli.conftest import BEST
from tests.cli.task_folders import CONFIG

_NODES = ("[/b]", "$x$", "_in", "[red]a", "\x1b[2J")
_ALLOW = ("--allow", "tests")  # whose model the workspace is trained with
_TARGET = "rate[mol/L]"


@pytest.fixture(autouse=True)
def _in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("plstm_graph.tasks.baselines._TREES", 5)


def _folder(path, *edges):
    """Twelve chains over nodes with such names, whose target, categories and file names have them too."""
    path.mkdir()
    graphs = range(12)
    tables = {
        "graphs": [f"graph,{_TARGET},part"]
        + [f"g[{g}],{g / 3:.2f},{('train', 'train', 'valid', 'test')[g % 4]}" for g in graphs],
        "nodes": ["graph,node,op[x]"]
        + [f"g[{g}],{node},{'[bold]' if number % 2 else '$y$'}" for g in graphs for number, node in enumerate(_NODES)],
        "edges": ["graph,source,target"]
        + [f"g[{g}],{start},{end}" for g in graphs for start, end in itertools.pairwise(_NODES)]
        + list(edges),
    }
    for name, lines in tables.items():
        (path / f"{name}.csv").write_text("\n".join(lines) + "\n")
    (path / "dag.yaml").write_text(f'targets: ["{_TARGET}"]\nsplit: part\n')
    return path.name


def test_check_shows_names_as_they_are(tmp_path, capsys):
    assert main(["check", _folder(tmp_path / "dags[x]")]) == 0
    shown = capsys.readouterr().out
    path = r"graph g[0]: [/b] -> $x$ -> _in -> [red]a -> \x1b[2J"
    for text in ("dags[x]: no problems", path, "2 categories: $y$, [bold]", "nodes.op[x]", _TARGET):
        assert text in shown
    assert "\x1b" not in shown


def test_check_shows_problems_as_they_are(tmp_path, capsys):
    folder = _folder(tmp_path / "[i]", "g[3],$x$,[/b]", "g[4],[/b],[/none]", "g[\x1b[31m],a,b")
    assert main(["check", folder]) == 1
    shown = capsys.readouterr().out
    for text in (
        "graph g[3]: a cycle of 2 nodes: [/b] -> $x$ -> [/b]",
        "graph g[4]: target [/none] is no node of this graph",
        r"graph g[\x1b[31m]: graphs.csv has no such graph",
        "[i]: 3 problems",
    ):
        assert text in shown
    assert "\x1b" not in shown


@pytest.mark.slow
def test_a_model_of_such_a_folder(tmp_path, capsys):
    small = ("--training.epochs", "1", "--device", "cpu", "--training.batch_size", "4", "--task.path")
    sizes = ("--model.hidden_channels", "8", "--model.num_layers", "1")
    name = "a [b] $c$"
    assert main(["fit", "--config", CONFIG, "--name", name, *small, _folder(tmp_path / "d[x]"), *sizes]) == 0
    shown = capsys.readouterr()
    for text in (f"runs/{name}", "d[x], 12 graphs", f"regression: {_TARGET}"):
        assert text in shown.err
    assert (tmp_path / "runs" / name / "curves.png").stat().st_size > 10_000
    assert (tmp_path / "runs" / name / "report.md").read_text().startswith("# d\\[x\\]\n")
    assert shown.out.startswith("# d\\[x\\]\n")
    checkpoint = f"runs/{name}/best.ckpt"
    assert main(["predict", "--ckpt_path", checkpoint, "d[x]"]) == 0
    assert capsys.readouterr().out.startswith(f"graph,measured_{_TARGET},predicted_{_TARGET},warning\ng[0],0.00,")
    picture = ("--output", "[p].png")
    assert main(["explain", "--ckpt_path", checkpoint, "d[x]", "--graph", "g[5]", "--target", _TARGET, *picture]) == 0
    shown = capsys.readouterr()
    for text in ("[/b] $y$", "$x$ [bold]", "[red]a [bold]", r"\x1b[2J", f"g[5]: {_TARGET} ="):
        assert text in shown.out
    assert "wrote [p].png" in shown.err
    assert (tmp_path / "[p].png").stat().st_size > 10_000
    assert main(["explain", "--ckpt_path", checkpoint, "d[x]", "--graph", "[/none]"]) == 2
    assert "there is no graph of d[x] called '[/none]'; there are g[0]," in capsys.readouterr().err


@pytest.mark.slow
def test_molecules_as_they_are(workspace, fitted, tmp_path, capsys):
    checkpoint = str(workspace / BEST)
    (tmp_path / "[x].csv").write_text("smiles,a[b]\nc1cc[nH]c1,[/i]\nc1cc[nH]c,\x1b[31m\n")
    assert main(["predict", "--ckpt_path", checkpoint, "c1cc[nH]c1", "[x].csv", "[/b]", *_ALLOW]) == 0
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert lines[0] == "source,smiles,a[b],predicted_activity,similarity,warning,error"
    assert [line.split(",")[:3] for line in lines[1:3]] == [
        ["argument 1", "c1cc[nH]c1", ""],
        ["[x].csv:2", "c1cc[nH]c1", "[/i]"],
    ]
    assert lines[3].startswith("[x].csv:3,c1cc[nH]c,\x1b[31m,,")  # a file gets what the input had
    assert "[x].csv:3: invalid SMILES 'c1cc[nH]c'" in shown.err
    assert "argument 3: invalid SMILES '[/b]'" in shown.err
    table = (workspace / "table.csv").read_text().replace("activity", _TARGET)
    (tmp_path / "t[b].csv").write_text(table + "bad,[nH]1,1.0\n")
    options = ("--config", str(workspace / "config.yaml"), "--task.path", "t[b].csv", "--training.epochs", "1")
    assert main(["fit", *options, "--task.target_columns", f"['{_TARGET}']", *_ALLOW]) == 0
    shown = capsys.readouterr().err
    for text in ("t[b].csv, 32 molecules", f"regression: {_TARGET}", "invalid SMILES '[nH]1'"):
        assert text in shown
