"""`clean` on real rows, from a messy copy to `check`."""

import csv
import shutil
from pathlib import Path

import pandas as pd
import pytest

from plstm_graph.cli import main

_REAL = Path(__file__).parents[2] / "datasets" / "nas_bench_graph_proteins"


@pytest.fixture
def messy(tmp_path, monkeypatch):
    """Architectures with what exports have: rows twice, edges turned round, ends that are not there; and times."""
    monkeypatch.chdir(tmp_path)
    folder = Path("messy")
    folder.mkdir()
    shutil.copy(_REAL / "dag.yaml", folder)
    tables = {name: pd.read_csv(_REAL / f"{name}.csv", dtype=str) for name in ("graphs", "nodes", "edges")}
    graphs = pd.concat([part.head(12) for _, part in tables["graphs"].groupby("part")])
    nodes, edges = (tables[name][tables[name].graph.isin(graphs.graph)] for name in ("nodes", "edges"))
    turned = edges.iloc[::40].rename(columns={"source": "target", "target": "source"})
    lost = edges.head(3).assign(target="nowhere")
    edges = pd.concat([edges, turned, edges.head(5), lost])
    nodes = pd.concat([nodes, nodes.head(4)])
    nodes["time"] = nodes.node.map({word: number for number, word in enumerate(nodes.node.unique())})
    for name, table in (("graphs", graphs), ("nodes", nodes), ("edges", edges)):
        table.to_csv(folder / f"{name}.csv", index=False)
    return folder, len(turned)


@pytest.mark.parametrize("options", [[], ["--time_column", "time"], ["--time_column", "time", "--same_time", "drop"]])
def test_a_messy_copy_becomes_a_sound_one(options, messy, capsys):
    folder, turned = messy
    assert main(["check", "messy"]) == 1
    assert main(["clean", "messy", "new", *options]) == 0
    shown = capsys.readouterr().out
    reason = "the edge runs against time" if options else "the edge closes a cycle"
    assert f"{turned}  {reason}" in shown and "5  the same row stands there before" in shown
    assert "3  an end of the edge is no node of its graph" in shown and "new: 36 graphs" in shown
    with open("new/dropped.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == turned + 5 + 4 + 3
    lines = (folder / "edges.csv").read_text().splitlines()
    for row in rows:
        if row["file"] == "edges.csv":
            assert [row["graph"], *row["item"].split(" -> ")] == lines[int(row["line"]) - 1].split(",")[:3]
    if not options:
        assert len(pd.read_csv("new/edges.csv")) + len(rows) - 4 == len(lines) - 1
    assert main(["check", "new"]) == 0
    assert main(["clean", "messy", "new", *options]) == 2
    assert "new is there already, and not empty" in capsys.readouterr().err


def test_what_cannot_be_cleaned(messy, capsys):
    folder, _ = messy
    graphs = folder / "graphs.csv"
    header, first, rest = graphs.read_text().split("\n", 2)
    graphs.write_text("\n".join([header, first.replace(",0", ",zero", 1), rest]))
    assert main(["clean", "messy", "new"]) == 1
    shown = capsys.readouterr().out
    assert "graphs.csv, line 2" in shown and "expected a finite number" in shown
    assert "new is not written: dropping rows does not mend this" in shown
    assert not Path("new").exists()
    assert main(["clean", "messy", "messy/new"]) == 2
    assert main(["clean", "messy", "new", "--same_time", "drop"]) == 2
    assert "--time_column names it" in capsys.readouterr().err
