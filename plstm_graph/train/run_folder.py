"""The folder of a run: where its files lie, who is at work in it, and how old results are kept."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from plstm_graph.datasets.storage.files import write_errors
from plstm_graph.datasets.storage.unfinished import is_living, owner, remove_leftovers, unfinished_path

_RUNNING = ".running"
# What a run writes before its first epoch is over.
# The configuration goes last: without it nobody would know whose the rest is.
_BEGINNINGS = ("checkpoints", "tensorboard", "metrics.csv", "config_resumed.yaml", "config.yaml")


@dataclass(frozen=True)
class RunFolder:
    """Files of one training run.

    Args:
        path: The folder, ``runs/<name>``, or ``runs/<name>-2`` and so on if that was taken.
    """

    path: Path

    @property
    def checkpoints(self) -> Path:
        """Folder of ``best.ckpt`` and ``last.ckpt``."""
        return self.path / "checkpoints"

    @property
    def last(self) -> Path:
        """State after the latest epoch, from which training resumes."""
        return self.checkpoints / "last.ckpt"

    @property
    def best(self) -> Path:
        """State after the epoch with the best validation metric."""
        return self.checkpoints / "best.ckpt"

    @property
    def results(self) -> Path:
        """What a run writes last."""
        return self.path / "results.json"

    @property
    def configuration(self) -> Path:
        """What the run was started with."""
        return self.path / "config.yaml"

    @classmethod
    def open(cls, runs: Path, name: str, configuration: str | None = None) -> "RunFolder":
        """The folder of a run that was interrupted, or a new one; claimed by this process until :meth:`release`.

        A folder that holds a finished run, one of another configuration, or one that another process is at work in, is
        left alone, and the next free number is taken.

        Args:
            runs: Folder of all runs.
            name: Name of the run.
            configuration: Text of the configuration; an interrupted run that began with the same one goes on from
                :attr:`last`, or anew if it has finished no epoch. (default: only a new folder will do)

        Raises:
            ValueError: If the name is no name of a single folder.
            OSError: If the folder cannot be written.
        """
        check_name(name)
        with write_errors(runs / name):
            runs.mkdir(parents=True, exist_ok=True)
            number = 1
            while True:
                folder = cls(_numbered(runs, name, number))
                if folder._take(configuration):
                    return folder
                number += 1

    @classmethod
    def latest(cls, runs: Path, name: str) -> "RunFolder":
        """The folder of the newest run of a name that can be resumed.

        Args:
            runs: Folder of all runs.
            name: Name of the run.

        Raises:
            FileNotFoundError: If no run of that name has finished an epoch.
        """
        check_name(name)
        found, number = None, 1
        while (path := _numbered(runs, name, number)).exists():
            if cls(path).last.is_file():
                found = cls(path)
            number += 1
        if found is None:
            raise FileNotFoundError(
                f"no run to resume: {_numbered(runs, name, 1) / 'checkpoints' / 'last.ckpt'} is not there"
            )
        return found

    def claim(self) -> bool:
        """Say that this process is at work here; False if another one is, or may be on another machine."""
        marker = self.path / _RUNNING
        if marker.exists():
            if is_living(marker.read_text(encoding="utf-8"), self.path):
                return False
            try:
                # Of several processes that find a dead one's marker, one can take it away.
                taken = marker.rename(unfinished_path(marker))
            except FileNotFoundError:
                return False
            taken.unlink()
        try:
            with marker.open("x", encoding="utf-8") as file:
                file.write(owner())
        except FileExistsError:
            return False
        remove_leftovers(self.path, deep=True)
        return True

    def claim_or_raise(self) -> None:
        """As :meth:`claim`.

        Raises:
            ValueError: If another process is at work here; it says what to do if that is no more.
        """
        if not self.claim():
            marker = self.path / _RUNNING
            raise ValueError(
                f"another process is training in {self.path}. If it ran on another machine and is no more, remove "
                f"{marker}"
            )

    def release(self) -> None:
        """Say that this process is at work here no more."""
        (self.path / _RUNNING).unlink(missing_ok=True)

    def _take(self, configuration: str | None) -> bool:
        """Claim the folder if it is new, or holds an interrupted run of this configuration."""
        try:
            self.path.mkdir()
        except FileExistsError:
            if not self.path.is_dir():
                return False
        if self.results.exists() and not (self.path / _RUNNING).exists():
            return False  # finished; with the marker, it was killed at its very end
        is_used = any(not path.name.startswith(".") for path in self.path.iterdir())
        if (is_used and not self._began_with(configuration)) or not self.claim():
            return False
        if is_used and not self.last.is_file():
            self._empty()
        return True

    def _began_with(self, configuration: str | None) -> bool:
        if configuration is None or not self.configuration.is_file():
            return False
        return self.configuration.read_text(encoding="utf-8") == configuration

    def _empty(self) -> None:
        """Remove what a run wrote that finished no epoch."""
        for name in _BEGINNINGS:
            path = self.path / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def check_name(name: str) -> None:
    """Check that a name is that of a single folder.

    Raises:
        ValueError: If it is empty, or leads elsewhere.
    """
    if not name or name in (".", "..") or Path(name).name != name:
        raise ValueError(f"name must be a plain folder name, got {name!r}")


def _numbered(runs: Path, name: str, number: int) -> Path:
    return runs / (name if number == 1 else f"{name}-{number}")
