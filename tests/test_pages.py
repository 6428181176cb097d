"""Commands that stand in README and pages are ones that the command takes."""

import re
import shlex
import shutil
from itertools import pairwise
from pathlib import Path

import pytest

from plstm_graph.train.command import parse

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def trainings():
    """Commands ``fit`` and ``tune`` of all blocks of shell, with where they stand."""
    for page in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words[:1] == ["plstm-graph"] and words[1:2] in (["fit"], ["tune"]):
                    yield pytest.param(words[1:], id=f"{page.name}: {' '.join(words[1:])}")


COMMANDS = list(trainings())


def test_there_are_commands():
    assert len(COMMANDS) > 30
    assert sum("--folder" in command.values[0] for command in COMMANDS) >= 5


def make_files(words):
    """The files of a reader, which a command names: a table with its columns, a folder of DAGs, a checkpoint."""
    given = dict(pairwise(words))
    path = Path(given.get("--task.path", ""))
    if path.suffix == ".csv":
        columns = [given.get("--task.smiles_column", "smiles"), given.get("--task.target_columns", "y")]
        rows = [",".join(columns), *(f"{'C' * number}O,{number}" for number in range(1, 41))]
        path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    elif path.name and not path.exists():
        shutil.copytree(ROOT / "datasets" / "nas_bench_graph_proteins", path)
    if "--init_from" in given:
        Path(given["--init_from"]).parent.mkdir(parents=True)
        Path(given["--init_from"]).write_bytes(b"weights")


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_is_taken(words, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("configs", "datasets"):  # paths of commands and configurations begin at the root of the repository
        (tmp_path / name).symlink_to(ROOT / name)
    make_files(words)
    elsewhere = words.index("--device") if "--device" in words else len(words)  # not every machine has it
    parse(words[1:elsewhere] + words[elsewhere + 2 :], words[0])
