"""Processed graphs: made once for each content of their sources and each choice of options, whole or not at all.

They lie in ``HOME/processed``, in folders ``[LABEL-]OPTIONS-FORMAT-CONTENT``. Sets with other options lie side by side;
of those that differ in format or content only the last one stays. Where nobody may write to ``HOME``, the same is in
the cache of the user, in ``graphs``.
"""

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from plstm_graph.datasets.storage.cache import cache_key
from plstm_graph.datasets.storage.content import content_key
from plstm_graph.datasets.storage.files import WriteError, new_folder
from plstm_graph.datasets.storage.unfinished import unfinished_path
from plstm_graph.user_cache import user_cache

try:
    import fcntl
except ImportError:  # Windows, which removes no file that is open
    fcntl = None  # type: ignore[assignment]

_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)
_SOURCE = "source.json"
#: Of the name of a content.
DIGITS = 12


class GraphCache:
    """Where the processed graphs of a set lie.

    Args:
        home: Folder of the set.
        options: Everything beside sources that a user chooses, such as the pre-transform; see
            :func:`~plstm_graph.datasets.storage.cache.cache_key`.
        formats: What else decides the graphs: the number of the format in which the package stores them, versions of
            packages that make them. Graphs of another format are of no use to anybody.
        label: What the names of folders begin with.
        source: The file that graphs are made of, if ``home`` may have graphs of several such files. Graphs of another
            file are no old version.
    """

    def __init__(
        self,
        home: str | os.PathLike[str],
        options: Sequence[Any],
        formats: Sequence[Any],
        label: str = "",
        source: Path | None = None,
    ) -> None:
        home = Path(home)
        self._places = [home / "processed"]
        with suppress(RuntimeError):  # of a user without a home
            elsewhere = hashlib.sha256(os.path.realpath(home).encode("utf-8", "surrogateescape")).hexdigest()[:12]
            self._places.append(user_cache() / "graphs" / f"{home.name}-{elsewhere}")
        self._prefix = (f"{label}-" if label else "") + cache_key(*options)[:10]
        self._format = cache_key(*formats)[:6]
        self._source = None if source is None else os.path.realpath(source)
        #: The folder: the finished one, or while graphs are made, that which they are written to.
        self.folder = self._places[0] / f"{self._prefix}-{self._format}"

    def content(self, files: Sequence[Path]) -> str:
        """A short name of the content of files."""
        return content_key(files, self._places)[:DIGITS]

    def find(self, content: str | None, names: Sequence[str]) -> bool:
        """Look for graphs, and point to them; whether there are any.

        Args:
            content: By :meth:`content`. (default: any, the last ones that were made, as the sources are gone)
            names: Files that such a folder has.
        """
        if content is None:
            found = [path for place in self._places for path in self._versions(place, self._format)]
            found.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        else:
            found = [place / self._name(content) for place in self._places]
            self.folder = found[0]
        for path in found:
            if _is_whole(path, names):
                self.folder = path
                return True
        return False

    @contextmanager
    def made(self, content: str, names: Sequence[str], anew: bool = False) -> Iterator[None]:
        """Make graphs: what is written to :attr:`folder` within the block is there as a whole after it, or not at all.

        If another process has made them meanwhile, those stay. Old versions are removed.

        Args:
            content: By :meth:`content`.
            names: Files that the folder gets.
            anew: Whether graphs that are there are replaced.

        Raises:
            WriteError: If they cannot be stored, neither at their place nor in the cache of the user.
        """
        name = self._name(content)
        with ExitStack() as stack:
            final, self.folder = self._begin(stack, name)
            try:
                if self._source is not None:
                    (self.folder / _SOURCE).write_text(json.dumps(self._source), encoding="utf-8")
                yield
                if final.is_dir() and (anew or not _is_whole(final, names)):
                    _discard(final)
            finally:
                self.folder = final
        for place in self._places:
            for path in self._versions(place, "[0-9a-f]{6}"):
                if path.name != name and not _is_held(path):
                    _discard(path)

    def _begin(self, stack: ExitStack, name: str) -> tuple[Path, Path]:
        """Where graphs will be, and where they are written to: in the first place where that is allowed."""
        refused = None
        for place in self._places:
            try:
                return place / name, stack.enter_context(new_folder(place / name))
            except WriteError as error:
                if error.errno not in _READ_ONLY:
                    raise
                refused = refused or error
        assert refused is not None
        raise refused

    def _name(self, content: str) -> str:
        return f"{self._prefix}-{self._format}-{content}"

    def _versions(self, place: Path, formats: str) -> list[Path]:
        """Folders of graphs with these options, of the same source."""
        name = re.compile(f"{re.escape(self._prefix)}-{formats}-[0-9a-f]{{{DIGITS}}}")
        try:
            entries = [Path(entry.path) for entry in os.scandir(place) if entry.is_dir(follow_symlinks=False)]
        except OSError:
            return []
        return [path for path in entries if name.fullmatch(path.name) and _source_of(path) == self._source]


class CachedGraphs:
    """Keeps the processed graphs of one of PyG's data sets in a :class:`GraphCache`. Mixed in before PyG's class.

    A subclass sets ``_cache`` before PyG's constructor, says what graphs are made of, and writes in ``process`` to
    ``processed_dir``.
    """

    _cache: GraphCache

    @property
    def processed_dir(self) -> str:
        """Folder of the graphs as their sources and these options make them."""
        return str(self._cache.folder)

    def _sources(self) -> list[Path]:
        """The files that graphs are made of; some may be missing."""
        return []

    def _raw_files(self) -> AbstractContextManager[None]:
        """Gets sources that are missing, or checks them, around :meth:`process`."""
        return nullcontext()

    def _process(self) -> None:
        # PyG's own makes graphs in place, and would keep those of other sources.
        cache, names = self._cache, self._processed_names()
        anew = bool(getattr(self, "force_reload", False))
        if cache.find(self._content(), names) and not anew:
            return
        with self._raw_files():
            content = self._content()
            if content is None:
                missing = ", ".join(str(path) for path in self._sources() if not path.is_file())
                raise FileNotFoundError(f"{missing} is missing")
            with cache.made(content, names, anew):
                self.process()  # type: ignore[attr-defined]
                if self._content() != content:
                    files = ", ".join(map(str, self._sources()))
                    raise ValueError(f"{files} changed while graphs were made of them; run the same command again")

    def _content(self) -> str | None:
        """A short name of what the sources hold; None if one of them is missing."""
        sources = self._sources()
        return self._cache.content(sources) if all(path.is_file() for path in sources) else None

    def _processed_names(self) -> list[str]:
        names = self.processed_file_names  # type: ignore[attr-defined]
        return [names] if isinstance(names, str) else list(names)


class HeldFolder:
    """Keeps a folder of graphs from being removed as an old version as long as this object, or a copy, lives.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = folder
        self._handle: int | None = None
        if fcntl is not None:
            with suppress(OSError):  # not every file system has locks
                self._handle = os.open(folder, os.O_RDONLY)
                fcntl.flock(self._handle, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def __reduce__(self) -> tuple[type["HeldFolder"], tuple[str | os.PathLike[str]]]:
        return HeldFolder, (self._folder,)

    def __del__(self) -> None:
        if self._handle is not None:
            with suppress(OSError):
                os.close(self._handle)


def _is_held(folder: Path) -> bool:
    """Whether a process, perhaps this one, has a :class:`HeldFolder` of it."""
    if fcntl is None:
        return False
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(handle)
    return False


def _is_whole(folder: Path, names: Sequence[str]) -> bool:
    return all((folder / name).is_file() for name in names)


def _source_of(folder: Path) -> str | None:
    try:
        return str(json.loads((folder / _SOURCE).read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError):
        return None


def _discard(folder: Path) -> None:
    """Remove a folder; a process that is killed meanwhile leaves nothing that could be taken for whole."""
    gone = unfinished_path(folder)
    with suppress(OSError):  # it may belong to another user, or be gone
        folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
