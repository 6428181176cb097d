import pytest

from plstm_graph.train.run_folder import RunFolder


def _finish_epoch(folder):
    folder.checkpoints.mkdir()
    folder.last.write_bytes(b"x")


def test_an_earlier_run_is_left_alone(tmp_path):
    first = RunFolder.create(tmp_path / "runs", "a")
    assert RunFolder.create(tmp_path / "runs", "a") == first  # still empty
    _finish_epoch(first)
    second = RunFolder.create(tmp_path / "runs", "a")
    assert (first.path.name, second.path.name) == ("a", "a-2")
    assert first.last.read_bytes() == b"x"


def test_latest_is_the_newest_that_can_be_resumed(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no run to resume: .*last\.ckpt is not there"):
        RunFolder.latest(tmp_path, "a")
    for _ in range(2):
        _finish_epoch(RunFolder.create(tmp_path, "a"))
    (RunFolder.create(tmp_path, "a").path / "config.yaml").touch()  # stopped before its first epoch was over
    assert RunFolder.latest(tmp_path, "a").path.name == "a-2"


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "a").touch()
    assert RunFolder.create(tmp_path, "a").path.name == "a-2"


@pytest.mark.parametrize("name", ["", "..", "a/b", "/a"])
def test_a_name_that_leads_elsewhere(tmp_path, name):
    with pytest.raises(ValueError, match="plain folder name"):
        RunFolder.create(tmp_path, name)
