"""Run folders: which process is at work in one, what dead ones left, and names."""

import os
import threading

import pytest

from plstm_graph.datasets.storage.unfinished import owner
from plstm_graph.train.run_folder import RUNNING, at_work, check_name

_MACHINE, _NUMBER, _START = owner().split("-")
_PARENT = f"{_MACHINE}-{os.getppid()}-0"  # 0 stands for a start that could not be seen
_DEAD = {
    "no such process": f"{_MACHINE}-{2**31 - 2}-1",
    "another process of that number": f"{_MACHINE}-{_NUMBER}-{int(_START) + 1}",
    "nonsense": "what is this",
    "nothing": "",
}
_LIVING = {"this process": owner(), "its parent": _PARENT, "another machine": "0" * 12 + "-1-1"}


@pytest.mark.parametrize("other", _LIVING.values(), ids=_LIVING)
def test_a_run_that_is_at_work_is_left_alone(tmp_path, other):
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / RUNNING).write_text(other)
    part = folder / f".last.ckpt.{other}-{'0' * 12}.part"
    part.touch()
    with (
        pytest.raises(ValueError, match=r"another process is training in .*a\. If it .* remove .*\.running"),
        at_work(folder),
    ):
        raise AssertionError
    assert (folder / RUNNING).read_text() == other and part.exists()


@pytest.mark.parametrize("other", _DEAD.values(), ids=_DEAD)
def test_a_killed_run_is_taken_over(tmp_path, other):
    """What it was writing is removed, also deep below; what was written stays."""
    folder = tmp_path / "a"
    deep = folder / "plstm" / "seed_0"
    deep.mkdir(parents=True)
    (folder / RUNNING).write_text(other)
    dead = _DEAD["no such process"]
    for path in (folder / f".config.yaml.{dead}-{'0' * 12}.part", deep / f".last.ckpt.{dead}-{'1' * 12}.part"):
        path.touch()
    (deep / "last.ckpt").write_bytes(b"last")
    with at_work(folder):
        assert (folder / RUNNING).read_text() == owner()
        assert not list(folder.rglob("*.part"))
    assert not (folder / RUNNING).exists()
    assert (deep / "last.ckpt").read_bytes() == b"last"


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_the_folder_is_free_again_at_the_end(tmp_path, error):
    folder = tmp_path / "runs" / "a"
    for _ in range(2):
        try:
            with at_work(folder):
                assert [path.name for path in folder.iterdir()] == [RUNNING]
                if error is not None:
                    raise error
        except (ValueError, KeyboardInterrupt) as found:
            assert type(found) is error
        assert not list(folder.iterdir())


def test_of_many_that_find_a_dead_one_a_single_one_takes_its_place(tmp_path):
    (tmp_path / RUNNING).write_text(_DEAD["no such process"])
    begin, end, found = threading.Barrier(8), threading.Barrier(8), []

    def enter():
        begin.wait()
        try:
            with at_work(tmp_path):
                found.append("in")
                end.wait()
        except ValueError:
            found.append("out")
            end.wait()

    threads = [threading.Thread(target=enter) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == ["in"] + ["out"] * 7


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(OSError, match="a"), at_work(tmp_path / "a"):
        raise AssertionError


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "a/"])
def test_a_name_that_leads_elsewhere(name):
    with pytest.raises(ValueError, match="plain folder name"):
        check_name(name)


@pytest.mark.parametrize("name", ["a", "a b", ".a", "a-2"])
def test_a_plain_name(name):
    check_name(name)
