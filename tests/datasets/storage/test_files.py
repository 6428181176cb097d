"""Files and folders appear whole or not at all; what killed processes left goes, what others write stays."""

import errno
import json
import math
import os
import resource
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from plstm_graph.datasets.storage import unfinished
from plstm_graph.datasets.storage.files import WriteError, new_folder, replace_file, replace_json, replace_text
from plstm_graph.datasets.storage.unfinished import ABANDONED, is_living, owner, remove_leftovers, unfinished_path


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_json_has_null_where_a_number_is_none(tmp_path: Path, value: float) -> None:
    replace_json(tmp_path / "a.json", {"a": value, "b": [1.5, (value, {"c": value})], "d": "NaN"})
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == {"a": None, "b": [1.5, [None, {"c": None}]], "d": "NaN"}


def test_makes_missing_folders(tmp_path: Path) -> None:
    replace_file(tmp_path / "a" / "b.txt", lambda path: Path(path).write_text("new"))
    assert (tmp_path / "a" / "b.txt").read_text() == "new"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.txt"]


def test_a_crash_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "b.txt"
    path.write_text("old")

    def write(unfinished: str) -> None:
        Path(unfinished).write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        replace_file(path, write)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_one_and_its_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    replace_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


def test_a_device_is_written_to_and_not_replaced() -> None:
    replace_text(os.devnull, "anything")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = subprocess.Popen(["cat", str(tmp_path / "pipe")], stdout=subprocess.PIPE, text=True)
    replace_text(tmp_path / "pipe", "anything")
    assert reader.communicate(timeout=60)[0] == "anything"
    assert stat.S_ISFIFO(os.stat(tmp_path / "pipe").st_mode)


def test_a_long_name(tmp_path: Path) -> None:
    name = "x" * 250
    replace_text(tmp_path / name, "whole")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_unwritable_places_are_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for path, reason in [
        (tmp_path / "file" / "a.json", "Not a directory|File exists"),
        (tmp_path / "folder", "Is a directory"),
        (tmp_path / ("y" * 300), "File name too long"),
    ]:
        with pytest.raises(WriteError, match=rf"{path.name} cannot be written: ({reason})"):
            replace_json(path, {})
    with pytest.raises(WriteError, match="file/set cannot be written"), new_folder(tmp_path / "file" / "set"):
        pass


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES])
def test_reasons_of_the_system(tmp_path: Path, number: int) -> None:
    def write(path: str) -> None:
        Path(path).write_text("half")
        raise OSError(number, os.strerror(number), path)

    with pytest.raises(WriteError, match=rf"a\.txt cannot be written: {os.strerror(number)}") as caught:
        replace_file(tmp_path / "a.txt", write)
    assert caught.value.errno == number
    assert ".part" not in str(caught.value)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "write",
    [
        lambda path: Path(path).write_bytes(bytes(1 << 20)),
        lambda path: torch.save(torch.zeros(1 << 18), path),
        lambda path: [torch.save({"weights": torch.zeros(100)}, path), Path(path).open("ab").write(bytes(1 << 20))],
    ],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_full_disk(tmp_path: Path, write) -> None:
    (tmp_path / "a.bin").write_text("old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(WriteError, match=r"a\.bin (cannot|could not) be written"):
            replace_file(tmp_path / "a.bin", write)
        with pytest.raises(WriteError, match=r"set(/a\.bin)? (cannot|could not) be written") as caught:
            with new_folder(tmp_path / "set") as folder:
                write(str(folder / "a.bin"))
        assert ".part" not in str(caught.value)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (tmp_path / "a.bin").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_folder_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(OSError, match="no room"), new_folder(tmp_path / "a" / "set") as folder:
        (folder / "half").touch()
        raise OSError("no room")
    assert not any((tmp_path / "a").iterdir())
    with new_folder(tmp_path / "a" / "set") as folder:
        (folder / "whole").touch()
        assert not (tmp_path / "a" / "set").exists()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["set"]


def test_folder_of_another_process_stays(tmp_path):
    with new_folder(tmp_path / "set") as folder:
        (folder / "late").touch()
        (tmp_path / "set").mkdir()
        (tmp_path / "set" / "early").touch()
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["early"]


def killed_owner() -> str:
    """A process that was killed; its parent may not have asked for it yet."""
    code = (
        "import time; from plstm_graph.datasets.storage.unfinished import owner; "
        "print(owner(), flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        assert is_living(name, Path())
        process.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + 60
        while is_living(name, Path()) and time.monotonic() < deadline:
            time.sleep(0.01)  # a killed process takes a moment; that nobody has waited for it yet must not matter
        assert not is_living(name, Path())
    return name


def renamed(path: Path, name: str) -> Path:
    """An unfinished path as another process names it."""
    return path.with_name(path.name.replace(owner(), name))


def test_what_a_killed_process_left_is_removed_by_the_next_writer(tmp_path: Path) -> None:
    dead = killed_owner()
    (tmp_path / "below").mkdir()
    for path in (tmp_path / "a.txt", tmp_path / "another.pt", tmp_path / "below" / "c"):
        renamed(unfinished_path(path), dead).touch()
    folder = renamed(unfinished_path(tmp_path / "set"), dead)
    folder.mkdir()
    (folder / "half").touch()
    replace_text(tmp_path / "b.txt", "new")
    assert {path.name for path in tmp_path.iterdir()} == {"b.txt", "below"}
    with new_folder(tmp_path / "below" / "set"):
        pass
    assert {path.name for path in (tmp_path / "below").iterdir()} == {"set"}


def test_leftovers_in_folders_below(tmp_path: Path) -> None:
    dead = killed_owner()
    (tmp_path / "a" / "b").mkdir(parents=True)
    renamed(unfinished_path(tmp_path / "a" / "b" / "c"), dead).touch()
    remove_leftovers(tmp_path)
    assert any((tmp_path / "a" / "b").iterdir())
    remove_leftovers(tmp_path, deep=True)
    assert not any((tmp_path / "a" / "b").iterdir())
    remove_leftovers(tmp_path / "none", deep=True)


def test_what_others_write_stays(tmp_path: Path) -> None:
    machine, number, start = owner().split("-")
    living = {
        "this process": owner(),
        "its parent": f"{machine}-{os.getppid()}-{unfinished._start(os.getppid())}",
        "one of the same number on another machine": f"{'0' * 12}-{number}-{start}",
    }
    paths = {renamed(unfinished_path(tmp_path / "set"), name) for name in living.values()}
    others = {tmp_path / ".set.12345", tmp_path / ".hidden", tmp_path / "x.part", tmp_path / ".x.part"}
    for path in paths | others:
        path.touch()
    with new_folder(tmp_path / "set") as folder:
        assert folder not in paths
    assert set(tmp_path.iterdir()) == paths | others | {tmp_path / "set"}


def test_a_number_that_another_process_has_since(tmp_path: Path) -> None:
    machine, number, start = owner().split("-")
    if start != "0":  # systems that tell when a process started
        assert not is_living(f"{machine}-{number}-{int(start) + 1}", tmp_path)
    for nobody in ("", "anything", f"{machine}-{2**80}-1"):
        assert not is_living(nobody, tmp_path)


def test_another_machine_is_given_a_week(tmp_path: Path) -> None:
    stranger = "0" * 12 + "-1-1"
    folder = renamed(unfinished_path(tmp_path / "set"), stranger)
    folder.mkdir()
    (folder / "graphs").touch()
    old = time.time() - ABANDONED - 60
    os.utime(folder, (old, old))
    remove_leftovers(tmp_path)
    assert folder.is_dir()  # a file in it is new
    os.utime(folder / "graphs", (old, old))
    os.utime(folder, (old, old))
    remove_leftovers(tmp_path)
    assert not folder.exists()


def test_names_of_one_place_differ_and_say_who_writes(tmp_path: Path) -> None:
    names = {unfinished_path(tmp_path / "a").name for _ in range(100)}
    assert len(names) == 100
    assert all(owner() in name for name in names)
