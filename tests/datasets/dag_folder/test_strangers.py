"""Folders of DAGs by strangers: no file outside of the folder is read, and no YAML of a few lines fills the memory."""

import os

import pytest

from plstm_graph.datasets import DAGFolder, DAGFolderError, OnDiskDAGFolder
from plstm_graph.datasets.dag_folder.check import check
from plstm_graph.datasets.dag_folder.spec import Spec
from tests.datasets.storage.test_plain_values import LAUGHS, MERGES

EDGES = "graph,source,target\n" + "".join(f"g{n},a,b\n" for n in range(10))
GRAPHS = "graph,y\n" + "".join(f"g{n},{n}\n" for n in range(10))


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "outer" / "dags"
    (folder / "tables").mkdir(parents=True)
    for place in (folder, folder / "tables", folder.parent, tmp_path):
        (place / "edges.csv").write_text(EDGES)
        (place / "graphs.csv").write_text(GRAPHS)
        (place / "graphs.jsonl").write_text("")
    (folder / "graphs.jsonl").unlink()
    return folder


def write(folder, text):
    (folder / "dag.yaml").write_text(f"targets: [y]\n{text}\n")


@pytest.mark.parametrize(
    "name", ["../edges.csv", "tables/../../edges.csv", "../dags/edges.csv", "{root}/edges.csv", "/etc/passwd"]
)
@pytest.mark.parametrize("key", ["edges", "graphs", "nodes", "json"])
@pytest.mark.parametrize("kind", [DAGFolder, OnDiskDAGFolder])
def test_files_outside_are_not_read(folder, name, key, kind):
    name = name.format(root=folder.parent)
    write(folder, f"json: {name}" if key == "json" else f"{key}: {{file: {name}}}")
    with pytest.raises(DAGFolderError, match="leads out of the folder"):
        kind(folder)
    assert not (folder / "processed").exists() or not any((folder / "processed").iterdir())


@pytest.mark.parametrize("target", ["../edges.csv", "{root}/edges.csv", "/etc/passwd"])
@pytest.mark.parametrize("named", [True, False])
def test_links_out_of_the_folder_are_not_followed(folder, target, named):
    (folder / "edges.csv").unlink()
    link = folder / ("more.csv" if named else "edges.csv")
    link.symlink_to(target.format(root=folder.parent))
    write(folder, "edges: {file: more.csv}" if named else "")
    with pytest.raises(DAGFolderError, match=r"\.csv is a link to .*, outside of the folder: copy the file"):
        DAGFolder(folder)
    with pytest.raises(DAGFolderError, match="outside of the folder"):
        Spec().find(folder, "edges") if not named else Spec.of_plain(_plain(folder)).find(folder, "edges")


def _plain(folder):
    from dataclasses import asdict

    from plstm_graph.datasets.dag_folder.spec_file import read_spec

    return asdict(read_spec(folder))


def test_a_linked_description(folder):
    (folder.parent / "dag.yaml").write_text("targets: [y]\n")
    (folder / "dag.yaml").symlink_to("../dag.yaml")
    with pytest.raises(DAGFolderError, match=r"dag\.yaml is a link"):
        DAGFolder(folder)


def test_files_and_links_within_the_folder_are(folder, tmp_path):
    write(folder, "edges: {file: tables/edges.csv}")
    assert len(DAGFolder(folder)) == 10
    (folder / "edges.csv").unlink()
    (folder / "edges.csv").symlink_to("tables/edges.csv")
    write(folder, "")
    assert len(DAGFolder(folder)) == 10
    os.symlink(folder, tmp_path / "linked", target_is_directory=True)
    assert len(DAGFolder(tmp_path / "linked")) == 10


@pytest.mark.parametrize(
    "text", [LAUGHS, MERGES, "x: " + "[" * 5000, "x: &x [*x]", "x: !!python/name:os.system", "a: [1"]
)
def test_yaml_that_is_not_what_it_seems(folder, text, capsys):
    write(folder, text)
    with pytest.raises(DAGFolderError, match=r"dag\.yaml.*no YAML: ") as raised:
        DAGFolder(folder)
    assert len(str(raised.value)) < 1000
    assert check(str(folder), None) == 1
    assert "no YAML" in capsys.readouterr().out.replace("\n", " ")
