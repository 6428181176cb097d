"""Commands that stand in README and pages are ones that the command takes."""

import re
import shlex
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


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_is_taken(words, monkeypatch):
    monkeypatch.chdir(ROOT)  # paths of configurations begin there
    elsewhere = words.index("--device") if "--device" in words else len(words)  # not every machine has it
    parse(words[1:elsewhere] + words[elsewhere + 2 :], words[0])
