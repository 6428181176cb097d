"""Run folders: who may use which, and what of an earlier run stays."""

import pytest

from plstm_graph.datasets.storage.unfinished import owner
from plstm_graph.train.run_folder import RunFolder

_DEAD = f"{owner().split('-')[0]}-{2**31 - 2}-1"
_ELSEWHERE = "0" * 12 + "-1-1"


def _begin(folder, text="a: 1"):
    folder.configuration.write_text(text)
    (folder.path / "tensorboard").mkdir(exist_ok=True)


def _finish_epoch(folder):
    folder.checkpoints.mkdir()
    folder.best.write_bytes(b"best")
    folder.last.write_bytes(b"last")


def _names(folder):
    return {path.name for path in folder.path.iterdir()}


def test_an_earlier_run_is_left_alone(tmp_path):
    first = RunFolder.open(tmp_path / "runs", "a")
    first.release()
    assert RunFolder.open(tmp_path / "runs", "a") == first  # still empty
    _finish_epoch(first)
    first.release()
    second = RunFolder.open(tmp_path / "runs", "a")
    assert (first.path.name, second.path.name) == ("a", "a-2")
    assert first.last.read_bytes() == b"last"


def test_an_interrupted_run_of_the_same_configuration_goes_on(tmp_path):
    first = RunFolder.open(tmp_path, "a", "a: 1")
    _begin(first)
    _finish_epoch(first)
    first.release()
    assert RunFolder.open(tmp_path, "a", "a: 2").path.name == "a-2"
    assert RunFolder.open(tmp_path, "a", None).path.name == "a-3"
    assert RunFolder.open(tmp_path, "a", "a: 1") == first
    assert first.last.read_bytes() == b"last"
    first.results.touch()
    first.release()
    assert RunFolder.open(tmp_path, "a", "a: 1").path.name == "a-4"


def test_a_run_that_finished_no_epoch_begins_anew(tmp_path):
    first = RunFolder.open(tmp_path, "a", "a: 1")
    _begin(first)
    first.checkpoints.mkdir()
    first.best.touch()
    first.release()
    assert RunFolder.open(tmp_path, "a", "a: 1") == first
    assert _names(first) == {".running"}


@pytest.mark.parametrize("written", [None, "a: 1", "a: 2"])
def test_a_killed_run_is_taken_over_if_it_is_the_same(tmp_path, written):
    folder = RunFolder(tmp_path / "a")
    folder.path.mkdir()
    (folder.path / ".running").write_text(_DEAD)
    (folder.path / f".config.yaml.{_DEAD}-{'0' * 12}.part").touch()
    if written is not None:
        _begin(folder, written)
    found = RunFolder.open(tmp_path, "a", "a: 1")
    assert (found == folder) == (written != "a: 2")
    if found == folder:
        assert _names(folder) == {".running"}
        assert (folder.path / ".running").read_text() == owner()
    else:
        assert (folder.path / ".running").read_text() == _DEAD


def test_a_run_that_was_killed_at_its_very_end_goes_on(tmp_path):
    folder = RunFolder(tmp_path / "a")
    folder.path.mkdir()
    _begin(folder)
    _finish_epoch(folder)
    folder.results.touch()
    (folder.path / ".running").write_text(_DEAD)
    assert RunFolder.open(tmp_path, "a", "a: 1") == folder


@pytest.mark.parametrize("other", [owner(), _ELSEWHERE], ids=["this process", "another machine"])
def test_a_run_that_is_at_work_is_left_alone(tmp_path, other):
    folder = RunFolder(tmp_path / "a")
    folder.path.mkdir()
    _begin(folder)
    _finish_epoch(folder)
    (folder.path / ".running").write_text(other)
    before = _names(folder)
    assert RunFolder.open(tmp_path, "a", "a: 1").path.name == "a-2"
    with pytest.raises(ValueError, match=r"another process is training in .*a\. If it .* remove .*\.running"):
        folder.claim_or_raise()
    assert _names(folder) == before
    assert folder.last.read_bytes() == b"last"


def test_latest_is_the_newest_that_can_be_resumed(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no run to resume: .*last\.ckpt is not there"):
        RunFolder.latest(tmp_path, "a")
    for _ in range(2):
        _finish_epoch(RunFolder.open(tmp_path, "a"))
    _begin(RunFolder.open(tmp_path, "a"))  # stopped before its first epoch was over
    assert RunFolder.latest(tmp_path, "a").path.name == "a-2"


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "a").touch()
    assert RunFolder.open(tmp_path, "a").path.name == "a-2"


@pytest.mark.parametrize("name", ["", "..", "a/b", "/a"])
def test_a_name_that_leads_elsewhere(tmp_path, name):
    with pytest.raises(ValueError, match="plain folder name"):
        RunFolder.open(tmp_path, name)
