"""The cache of processed graphs, by every data set that uses it: what makes graphs anew, and what does not."""

import errno
import gzip
import multiprocessing
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from plstm_graph.datasets import DAGFolder, ENASDataset, OnDiskDAGFolder, SmilesDataset, Workflows
from plstm_graph.datasets.molecules import smiles
from plstm_graph.datasets.molecules.ogb import OGBMolDataset
from plstm_graph.datasets.molecules.tu import TUGraphs
from plstm_graph.datasets.storage import content, graph_cache
from plstm_graph.datasets.storage.files import WriteError, new_folder
from plstm_graph.datasets.workflows import workflows
from tests.made_sets import made_enas, made_ogb, made_table, made_tu
from tests.made_workflows import ForksAndJoins


def made_dags(folder: Path) -> Path:
    """Twenty chains of five nodes each as a folder of tables."""
    folder.mkdir(parents=True)
    (folder / "edges.csv").write_text(
        "graph,source,target\n" + "".join(f"{graph},{node},{node + 1}\n" for graph in range(20) for node in range(4))
    )
    (folder / "nodes.csv").write_text(
        "graph,node,size\n" + "".join(f"{graph},{node},{node * graph}\n" for graph in range(20) for node in range(5))
    )
    (folder / "graphs.csv").write_text("graph,y\n" + "".join(f"{graph},{graph / 8:.3f}\n" for graph in range(20)))
    (folder / "dag.yaml").write_text("targets: y\n")
    return folder


class Kind:
    """A data set whose folder is ``home`` and whose graphs are made of the file ``source`` among others."""

    def __init__(self, name: str, base: Path) -> None:
        self.name, self.base = name, base
        base.mkdir(exist_ok=True)
        if name == "smiles":
            self.home = base / "root"
            self.source = made_table(base / "table.csv")
        elif name in ("dags", "dags on disk"):
            self.home = made_dags(base / "dags")
            self.source = self.home / "graphs.csv"
        elif name == "tu":
            made_tu(base / "zips")
            self.home = base / "root" / "MADE"
            self.source = self.home / "raw" / "MADE_graph_labels.txt"
        elif name == "ogb":
            self.home = made_ogb(base / "root") / "ogbg_molfreesolv"
            self.source = self.home / "raw" / "graph-label.csv.gz"
        else:
            made_enas(base / "source")
            self.home = base / "root" / "enas"
            self.source = self.home / "raw" / "final_structures6.txt"

    def open(self, pre_transform: Callable[[Data], Data] | None = None) -> Any:
        if self.name == "smiles":
            return SmilesDataset(self.home, self.source, target_columns=["activity"], pre_transform=pre_transform)
        if self.name == "dags":
            return DAGFolder(self.home, pre_transform=pre_transform)
        if self.name == "dags on disk":
            return OnDiskDAGFolder(self.home, pre_transform=pre_transform)
        if self.name == "tu":
            return TUGraphs(str(self.home.parent), "MADE", pre_transform, str(self.base / "zips"))
        if self.name == "ogb":
            return OGBMolDataset("ogbg-molfreesolv", self.home.parent, pre_transform=pre_transform)
        return ENASDataset(self.home.parent, "train", self.base / "source", pre_transform=pre_transform)

    def change(self) -> None:
        """Give some graph another target, in a file of the same size, and of the same time."""
        before = self.source.stat()
        text = gzip.decompress(self.source.read_bytes()) if self.name == "ogb" else self.source.read_bytes()
        lines = text.split(b"\n")
        line, place = lines[-2], (slice(0, 1) if self.name == "ogb" else slice(-1, None))  # no digit too small to count
        new = b"0" if line[place] != b"0" else b"1"
        lines[-2] = new + line[1:] if self.name == "ogb" else line[:-1] + new
        text = b"\n".join(lines)
        self.source.write_bytes(gzip.compress(text) if self.name == "ogb" else text)
        os.utime(self.source, ns=(before.st_atime_ns, before.st_mtime_ns))

    def stored(self) -> list[str]:
        return sorted(path.name for path in (self.home / "processed").iterdir())


KINDS = ("smiles", "dags", "dags on disk", "tu", "ogb", "enas")


@pytest.fixture(params=KINDS)
def kind(request, tmp_path) -> Kind:
    return Kind(request.param, tmp_path)


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("PLSTM_DATA", raising=False)


class Mark(BaseTransform):
    """Marks each graph with a number, and does something at the fifth one."""

    def __init__(self, number: int = 0, then: Callable[[], object] | None = None) -> None:
        self.number, self.then = number, then
        self._calls = 0

    def __call__(self, data: Data) -> Data:
        calls, self._calls = self._calls, self._calls + 1
        if calls == 5 and self.then is not None:
            self.then()
        return self.forward(data)

    def forward(self, data: Data) -> Data:
        data.marked = torch.tensor([self.number])
        return data


def targets(dataset: Any) -> list[float]:
    return [float(data.y.view(-1)[0]) for data in dataset]


def written(dataset: Any) -> tuple[str, int]:
    return dataset.processed_paths[0], os.stat(dataset.processed_paths[0]).st_mtime_ns


def test_what_is_no_source_makes_nothing_anew(kind):
    before = written(kind.open())
    (kind.home / "notes.txt").write_text("seen")
    (kind.source.parent / "notes.csv").write_text("a,b\n")
    (kind.home / "a folder").mkdir()
    os.utime(kind.source, (1, 1))  # copied, or touched
    assert written(kind.open()) == before
    assert len(kind.stored()) == 1


def test_a_changed_source_makes_graphs_anew_and_the_old_ones_go(kind):
    first = kind.open()
    before, stored = targets(first), kind.stored()
    del first
    kind.change()
    after = targets(kind.open())
    assert len(after) == len(before) and after != before
    assert len(kind.stored()) == 1 and kind.stored() != stored
    kind.change()  # back again, or to a third content
    assert targets(kind.open()) != after


def test_other_options_lie_side_by_side_and_each_has_its_last_version(kind):
    for number in (1, 2):
        assert kind.open(Mark(number))[0].marked.item() == number
    assert len(kind.stored()) == 2
    kind.change()
    assert kind.open(Mark(1))[0].marked.item() == 1
    assert len(kind.stored()) == 2  # the old version of the other one stays until it is asked for
    assert kind.open(Mark(2))[0].marked.item() == 2
    assert len(kind.stored()) == 2


def test_graphs_of_which_a_file_is_gone_are_made_anew(kind):
    dataset = kind.open()
    before, path = targets(dataset), Path(dataset.processed_paths[0])
    if kind.name == "dags on disk":
        dataset.close()
    path.unlink()
    assert targets(kind.open()) == before
    assert len(kind.stored()) == 1


def test_graphs_of_which_the_sources_are_gone_are_used(tmp_path, monkeypatch):
    for name in ("tu", "enas"):
        kind = Kind(name, tmp_path / name)
        before = written(kind.open())
        shutil.rmtree(kind.home / "raw")
        shutil.rmtree(tmp_path / name / ("zips" if name == "tu" else "source"))
        assert written(kind.open()) == before


def test_a_source_that_changes_meanwhile_is_noticed(kind):
    if kind.name == "smiles":  # it is read once, and its content is that of what was read
        before = targets(kind.open(Mark(1, kind.change)))
        assert targets(kind.open(Mark(1))) != before
        return
    change = kind.change
    if kind.name in ("tu", "enas"):
        kind.open()  # the raw files are where they belong
    with pytest.raises(ValueError, match=f"{kind.source.name}.* changed while graphs were made of them; run the same"):
        kind.open(Mark(1, change))
    assert not any(name.startswith(".") for name in kind.stored())
    assert kind.open(Mark(1))[0].marked.item() == 1


def test_a_raised_format_replaces_what_was_stored(tmp_path, monkeypatch):
    kind = Kind("smiles", tmp_path)
    kind.open()
    stored = kind.stored()
    monkeypatch.setattr(smiles, "_FORMAT", smiles._FORMAT + 1)
    kind.open()
    assert len(kind.stored()) == 1 and kind.stored() != stored


def test_tables_of_one_name_do_not_take_each_others_place(tmp_path):
    tables = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        tables.append(made_table(tmp_path / name / "table.csv"))
    tables[1].write_text(tables[1].read_text().replace("C#N", "CC#N"))
    times = [written(SmilesDataset(tmp_path / "root", path, target_columns=["activity"])) for path in tables]
    assert times[0] != times[1]
    assert [written(SmilesDataset(tmp_path / "root", path, target_columns=["activity"])) for path in tables] == times


def test_what_is_only_named_alike_stays(tmp_path):
    kind = Kind("enas", tmp_path)
    kind.open()
    (name,) = kind.stored()
    kept = (f"{name}.bak", name[:-1], f"x{name}", "notes.txt", "0" * 10 + name[10:])
    for other in kept:
        (kind.home / "processed" / other).mkdir()
    kind.change()
    kind.open()
    assert set(kept) < set(kind.stored()) and len(kind.stored()) == len(kept) + 1


def test_graphs_on_disk_stay_while_they_are_used(tmp_path):
    kind = Kind("dags on disk", tmp_path)
    used = kind.open()
    before = targets(used)
    copied = used[:5]
    kind.change()
    assert targets(kind.open()) != before
    assert len(kind.stored()) == 2
    used.close()
    used._db = None  # as a worker that opens the database anew
    assert targets(used) == before
    used.close()
    del used  # the part of it still holds the folder
    kind.change()
    kind.open()
    copied._db = None
    assert targets(copied) == before[:5]
    copied.close()
    del copied
    kind.change()
    kind.open()
    assert len(kind.stored()) == 1


# A process that runs a part of a test has nothing of pytest's to clean up.
_FORK = multiprocessing.get_context("fork")


def _run(action: Callable[[], object]) -> multiprocessing.process.BaseProcess:
    process = _FORK.Process(target=action)
    process.start()
    return process


@pytest.mark.parametrize("name", KINDS)
def test_a_killed_process_leaves_nothing(name, tmp_path):
    whole, kind = Kind(name, tmp_path / "whole"), Kind(name, tmp_path / "killed")
    process = _run(lambda: kind.open(Mark(1, lambda: os.kill(os.getpid(), signal.SIGKILL))))
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert all(entry.startswith(".") for entry in kind.stored())  # only what says that it is unfinished
    found, expected = kind.open(Mark(1)), whole.open(Mark(1))
    assert targets(found) == targets(expected)
    assert sorted(path.name for path in kind.home.rglob("*")) == sorted(path.name for path in whole.home.rglob("*"))


@pytest.mark.parametrize("name", KINDS)
def test_processes_that_make_the_same_graphs_at_once(name, tmp_path):
    kind = Kind(name, tmp_path)
    barrier, results = _FORK.Barrier(3), _FORK.Queue()

    def work() -> None:
        def meet() -> None:  # all are in the middle at the same time
            barrier.wait(60)

        mark = Mark(1, meet)
        mark._calls = 0
        results.put(targets(kind.open(mark)))

    processes = [_run(work) for _ in range(3)]
    found = [results.get(timeout=120) for _ in processes]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert found[0] == found[1] == found[2]
    assert len(kind.stored()) == 1 and not kind.stored()[0].startswith(".")


def _refusing(home: Path, number: int) -> Callable[[Path], Any]:
    def refuse(path: Path) -> Any:
        if home in Path(path).parents:
            error = WriteError(f"{path} cannot be written: {os.strerror(number)}")
            error.errno = number
            raise error
        return new_folder(path)

    return refuse


@pytest.mark.parametrize(
    ("name", "number"), [*((name, errno.EROFS) for name in KINDS), ("dags", errno.EACCES), ("dags", errno.EPERM)]
)
def test_a_folder_that_refuses_is_left_for_the_cache_of_the_user(name, number, monkeypatch, tmp_path):
    kind = Kind(name, tmp_path)
    expected = targets(kind.open())
    shutil.rmtree(kind.home / "processed")
    monkeypatch.setattr(graph_cache, "new_folder", _refusing(kind.home, number))
    dataset = kind.open()
    before = written(dataset)
    assert Path(before[0]).is_relative_to(tmp_path / "cache" / "plstm_graph" / "graphs")
    assert targets(dataset) == expected
    assert written(kind.open()) == before
    del dataset
    kind.change()
    assert targets(kind.open()) != expected
    (place,) = (tmp_path / "cache" / "plstm_graph" / "graphs").iterdir()
    assert len(list(place.iterdir())) == 1  # old versions go here, too
    # Who may write makes them at their place again.
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))
    assert Path(kind.open().processed_dir).parent == kind.home / "processed"


def test_other_errors_are_no_reason_to_go_elsewhere(tmp_path, monkeypatch):
    kind = Kind("enas", tmp_path)
    kind.open()
    for number in (errno.ENOSPC, errno.EIO):
        monkeypatch.setattr(graph_cache, "new_folder", _refusing(kind.home, number))
        with pytest.raises(WriteError, match=f"enas/processed.* cannot be written: {os.strerror(number)}"):
            kind.open(Mark(1))
    assert not (tmp_path / "cache").exists()


def test_a_folder_and_a_cache_that_refuse_name_the_folder(tmp_path, monkeypatch):
    kind = Kind("dags", tmp_path)
    monkeypatch.setattr(graph_cache, "new_folder", _refusing(tmp_path, errno.EROFS))
    with pytest.raises(WriteError, match=r"dags/processed/.* cannot be written: Read-only"):
        kind.open()


@pytest.fixture
def anybody() -> Iterator[Path]:
    """A folder in which this process has no more rights than any user."""
    base = Path(tempfile.mkdtemp())
    base.chmod(0o755)
    own = os.geteuid()
    yield base
    os.seteuid(own)
    for path in base.rglob("*"):
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(base)


@pytest.mark.parametrize("name", ["dags", "dags on disk", "smiles"])
@pytest.mark.parametrize("is_stored", [False, True], ids=["nothing stored", "stored by the owner"])
def test_a_folder_without_the_right_to_write(name, is_stored, anybody, monkeypatch, tmp_path):
    Kind(name, tmp_path).open()  # what is imported on the way is read with the rights of this process
    kind = Kind(name, anybody)
    kind.home.mkdir(exist_ok=True)
    expected = targets(kind.open()) if is_stored else None
    cache = anybody / "cache"
    cache.mkdir()
    cache.chmod(0o777)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    for path in (kind.home, *kind.home.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    if os.geteuid() == 0:
        os.seteuid(65534)  # the rights of files do not bind root
    dataset = kind.open()
    assert len(targets(dataset)) > 0 and (not is_stored or targets(dataset) == expected)
    assert Path(dataset.processed_dir).is_relative_to(kind.home if is_stored else cache)


def test_workflows_of_another_format_go(tmp_path, monkeypatch):
    monkeypatch.setattr(workflows, "Recipe", ForksAndJoins)
    for seed in (0, 1):
        Workflows("blast", 2, 5, 60, seed, tmp_path)
    monkeypatch.setattr(workflows, "_FORMAT", 99)
    Workflows("blast", 2, 5, 60, 0, tmp_path)
    assert len(list((tmp_path / "workflows" / "processed").iterdir())) == 2


def test_sums_of_large_files_are_remembered_until_they_change(tmp_path, monkeypatch):
    monkeypatch.setattr(content, "REMEMBERED", 0)
    read: list[Path] = []
    inner = content.file_sha256
    monkeypatch.setattr(content, "file_sha256", lambda path: read.append(path) or inner(path))
    path, memory = tmp_path / "table.csv", tmp_path / "memory"
    path.write_text("a")
    key = content.content_key([path], [memory])
    assert content.content_key([path], [memory]) == key
    assert len(read) == 2  # it was written just now: its time does not tell whether it is written once more
    os.utime(path, (1, 1))
    for _ in range(3):
        assert content.content_key([path], [memory]) == key
    assert len(read) == 3
    path.write_text("b")
    os.utime(path, (1, 1))  # of the same size and the same time
    assert content.content_key([path], [memory]) != key
    for damaged in (b"", b"[]", b'{"x": 1}', b"\xff", b"[" * 100_000, None):
        (memory / ".contents.json").unlink()
        if damaged is not None:
            (memory / ".contents.json").write_bytes(damaged)
        path.write_text("a")
        assert content.content_key([path], [memory]) == key


def test_the_name_of_a_content_follows_names_and_bytes(tmp_path):
    for name, text in {"a": "1", "b": "2", "c": "1"}.items():
        (tmp_path / name).write_text(text)
    a, b, c = (tmp_path / name for name in "abc")
    keys = [content.content_key(files) for files in ([a], [b], [c], [a, b], [b, c], [])]
    assert len(set(keys)) == len(keys)
    assert content.content_key([b, a]) == content.content_key([a, b])
