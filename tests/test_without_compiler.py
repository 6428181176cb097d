"""``pip install .`` where there is no compiler: the main job trains, and ``info`` says that torch is used."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.processes import ROOT

pytestmark = pytest.mark.skipif(os.name == "nt", reason="native code is not built there at all")

_WHAT_IS_INSTALLED = ("plstm_graph", "pyproject.toml", "setup.cfg", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """Runs a program of a new environment that has the wheel of this checkout, what it needs, and no compiler."""
    folder = tmp_path_factory.mktemp("bare")
    source, home = folder / "source", folder / "home"
    for place in (source, home):
        place.mkdir()
    for name in _WHAT_IS_INSTALLED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, source / name)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    programs = folder / "venv" / "bin"
    asked = [programs / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    installed = Path(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip())
    # Dependencies are those of this environment. Its own copy of the package comes after the new one, or is a link that
    # is not followed from here.
    places = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (installed / "dependencies.pth").write_text("\n".join(places) + "\n")
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "TMPDIR") if name in os.environ}
    variables = kept | {"PATH": str(programs), "HOME": str(home), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}

    def run(*command):
        program = shutil.which(command[0], path=str(programs))
        called = [program, *command[1:]]
        done = subprocess.run(called, cwd=home, env=variables, capture_output=True, text=True, timeout=280)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("python", "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-build-isolation", str(source))
    assert "venv" in run("python", "-c", "import plstm_graph; print(plstm_graph.__file__)")
    return run


@pytest.mark.slow
def test_info_says_in_one_line_that_torch_is_used(bare):
    (line,) = [line for line in bare("plstm-graph", "info").splitlines() if line.startswith("native code")]
    assert "no C compiler" in line and "torch is used" in line


@pytest.mark.slow
def test_the_main_job_trains(bare, tmp_path):
    words = (
        "--training.epochs",
        "1",
        "--training.members",
        "1",
        "--baselines",
        "false",
        "--output",
        str(tmp_path / "run"),
    )
    shown = bare("plstm-graph", "fit", "--config", str(ROOT / "configs" / "chembl.yaml"), *words)
    assert "test/rmse" in shown
    assert list((tmp_path / "run").rglob("*.ckpt"))
