"""The order in which raw files are looked for: the folder that is named, that of PLSTM_DATA, then a download."""

from pathlib import Path

import pytest

from plstm_graph.datasets.molecules.tu import TUGraphs
from plstm_graph.datasets.storage.sources import find_source, named_source


def _holds(place: Path) -> bool:
    return (place / "raw").is_file()


def _missing(base: Path) -> str:
    return f"nothing in {base}"


@pytest.fixture
def folders(tmp_path, monkeypatch) -> dict[str, Path]:
    made = {name: tmp_path / name for name in ("given", "shared", "empty")}
    for folder in made.values():
        (folder / "below").mkdir(parents=True)
    for name in ("given", "shared"):
        (made[name] / "below" / "raw").touch()
    monkeypatch.setenv("PLSTM_DATA", str(made["shared"]))
    return made


@pytest.mark.parametrize("as_text", [False, True])
def test_what_is_named_goes_before_the_environment(folders, as_text):
    given = str(folders["given"]) if as_text else folders["given"]
    assert find_source(given, ("", "below"), _holds, _missing) == folders["given"] / "below"
    assert find_source(None, ("", "below"), _holds, _missing) == folders["shared"] / "below"
    assert find_source("", ("", "below"), _holds, _missing) == folders["shared"] / "below"
    (folders["given"] / "raw").touch()
    assert find_source(given, ("", "below"), _holds, _missing) == folders["given"]


def test_a_named_folder_must_hold_it_and_the_environment_need_not(folders, monkeypatch):
    with pytest.raises(FileNotFoundError, match=f"nothing in {folders['empty']}"):
        find_source(folders["empty"], ("", "below"), _holds, _missing)
    for value in (str(folders["empty"]), "/nowhere", ""):
        monkeypatch.setenv("PLSTM_DATA", value)
        assert find_source(None, ("", "below"), _holds, _missing) is None
    monkeypatch.delenv("PLSTM_DATA")
    assert find_source(None, ("", "below"), _holds, _missing) is None and named_source(None) is None


def test_a_tilde_is_the_home(folders, monkeypatch):
    monkeypatch.setenv("HOME", str(folders["given"].parent))
    assert find_source("~/given", ("below",), _holds, _missing) == folders["given"] / "below"
    monkeypatch.setenv("PLSTM_DATA", "~/shared")
    assert find_source(None, ("below",), _holds, _missing) == folders["shared"] / "below"


def test_a_tu_set_that_the_environment_lacks_is_downloaded(folders, monkeypatch, tmp_path):
    (folders["empty"] / "OTHER.zip").touch()
    monkeypatch.setenv("PLSTM_DATA", str(folders["empty"]))
    monkeypatch.setattr(TUGraphs, "url", "https://127.0.0.1:9")
    with pytest.raises(ConnectionError, match=r"cannot download .*PLSTM_DATA names, does not have it \(it has OTHER\)"):
        TUGraphs(str(tmp_path / "root"), "MUTAG")
