"""The folder of a run: where its files lie, and how old results are kept."""

from dataclasses import dataclass
from pathlib import Path


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

    @classmethod
    def create(cls, runs: Path, name: str) -> "RunFolder":
        """Make a new folder. One that holds an earlier run is left alone, and the next free number is taken.

        Args:
            runs: Folder of all runs.
            name: Name of the run.

        Raises:
            ValueError: If the name is no name of a single folder.
            OSError: If the folder cannot be written.
        """
        check_name(name)
        runs.mkdir(parents=True, exist_ok=True)
        number = 1
        while True:
            path = _numbered(runs, name, number)
            try:
                path.mkdir()
            except FileExistsError:
                if path.is_dir() and not any(path.iterdir()):
                    return cls(path)
                number += 1
            else:
                return cls(path)

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


def check_name(name: str) -> None:
    """Check that a name is that of a single folder.

    Raises:
        ValueError: If it is empty, or leads elsewhere.
    """
    if not name or name in (".", "..") or Path(name).name != name:
        raise ValueError(f"name must be a plain folder name, got {name!r}")


def _numbered(runs: Path, name: str, number: int) -> Path:
    return runs / (name if number == 1 else f"{name}-{number}")
