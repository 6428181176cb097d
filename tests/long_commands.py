"""The commands that run for long, on sets so small that each takes seconds; for tests that stop and kill them."""

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.made_sets import made_enas, made_ogb, made_table, made_tu, make_folder
from tests.processes import environment

_WIDTH = {"hidden_channels": 8, "num_layers": 1, "heads": 2}
_PLSTM = {"class_path": "plstm_graph.nn.PLSTM", "init_args": _WIDTH}
_FREE_PLSTM = {"class_path": "plstm_graph.nn.PLSTM", "init_args": {**_WIDTH, "modes": "P"}}
_VIT = {
    "class_path": "plstm_graph.nn.vision.ViT",
    "init_args": {"patch_size": 32, "hidden_channels": 8, "num_layers": 1, "heads": 1},
}


@dataclass(frozen=True)
class LongCommand:
    """A command in a folder of its own.

    Attributes:
        command: Of ``plstm-graph``.
        config: What it is configured with, for a number of epochs.
        make: Makes the data in the folder.
    """

    command: str
    config: Callable[[int], dict[str, Any]]
    make: Callable[[Path], object]

    def prepare(self, folder: Path, epochs: int) -> list[str]:
        """Make data and configuration; returns the arguments of the process, to be started in the folder."""
        folder.mkdir(parents=True)
        self.make(folder)
        (folder / "config.yaml").write_text(yaml.safe_dump(self.config(epochs), sort_keys=False))
        return [sys.executable, "-m", "plstm_graph.cli", self.command, "--config", "config.yaml"]


def start(arguments: list[str], folder: Path, **more: Any) -> subprocess.Popen[str]:
    """Start a command as the leader of a group of processes."""
    return subprocess.Popen(
        arguments,
        cwd=folder,
        env=environment("PLSTM_DATA") | more.pop("env", {}),
        start_new_session=True,
        # A suite that a shell runs in the background ignores Ctrl-C, and so would whatever it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **more},
    )


def _fit(task: dict[str, Any], model: dict[str, Any]) -> Callable[[int], dict[str, Any]]:
    def config(epochs: int) -> dict[str, Any]:
        training = {"batch_size": 6, "lr": 3e-3, "epochs": epochs}
        plain = {"name": "run", "task": task, "models": {"plstm": model}, "training": training}
        return plain | {"seeds": 0, "baselines": False, "device": "cpu", "threads": 1}

    return config


LONG_COMMANDS = {
    "fit-molecules": LongCommand(
        "fit",
        _fit({"name": "molecules", "path": "table.csv", "target_columns": ["activity"], "split": "random"}, _PLSTM),
        lambda folder: made_table(folder / "table.csv"),
    ),
    "fit-dags": LongCommand(
        "fit", _fit({"name": "dag_folder", "path": "dags"}, _FREE_PLSTM), lambda folder: make_folder(folder / "dags")
    ),
    "fit-dags-on-disk": LongCommand(
        "fit",
        _fit({"name": "dag_folder", "path": "dags", "on_disk": True}, _FREE_PLSTM),
        lambda folder: make_folder(folder / "dags"),
    ),
    "folds": LongCommand(
        "fit",
        lambda epochs: {
            "task": {"name": "tu", "set": "MADE", "source": "zips"},
            "models": {"plstm": _FREE_PLSTM},
            "training": {"batch_size": 8, "epochs": epochs},
            "device": "cpu",
            "threads": 1,
            "workers": 2,
            "seeds": 42,
            "folds": "0-2",
        },
        lambda folder: made_tu(folder / "zips"),
    ),
    "benchmark": LongCommand(
        "fit",
        lambda epochs: {
            "task": {"name": "benchmark", "set": "ogbg-molfreesolv", "source": "source"},
            "models": {"plstm": _FREE_PLSTM},
            "training": {"batch_size": 8, "epochs": epochs},
            "device": "cpu",
            "threads": 1,
            "workers": 2,
            "seeds": "0-1",
            "name": "run",
        },
        lambda folder: made_ogb(folder / "source"),
    ),
    "dags": LongCommand(
        "fit",
        lambda epochs: {
            "name": "run",
            "task": {"name": "enas", "source": "source"},
            "models": {
                "plstm": _FREE_PLSTM,
                "bag": {
                    "class_path": "plstm_graph.nn.baselines.BagOfNodes",
                    "init_args": {"hidden_channels": 8, "ffn_ratio": 2},
                },
            },
            "training": {"batch_size": 16, "epochs": epochs, "average": 2.0, "members": 2},
            "choose": {"training.lr": [1e-3, 1e-2]},
            "seeds": "0-1",
            "device": "cpu",
            "threads": 1,
        },
        lambda folder: made_enas(folder / "source"),
    ),
    "images": LongCommand(
        "fit",
        lambda epochs: {
            "name": "run",
            "task": {
                **{"name": "arrows", "image_size": 128, "num_train": 32, "num_valid": 8, "num_test": 8},
                **{"test_sizes": [160], "num_per_size": 4},
            },
            "model": _VIT,
            "training": {"epochs": epochs, "batch_size": 8},
            "choose": {"training.lr": [1e-2, 1e-3]},
            "seeds": "5-6",
            "device": "cpu",
            "threads": 1,
        },
        lambda folder: None,
    ),
}
