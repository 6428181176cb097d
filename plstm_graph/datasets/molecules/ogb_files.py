"""The raw files of OGB's molecule sets: found, copied or downloaded whole, and never asked about."""

import difflib
import os
import shutil
from pathlib import Path
from typing import Any

import ogb.graphproppred
import pandas as pd

from plstm_graph.datasets.storage.archives import check_gzip
from plstm_graph.datasets.storage.checksums import OGB_FILES, ChecksumError, file_sha256, record
from plstm_graph.datasets.storage.download import download_zip, secure
from plstm_graph.datasets.storage.files import new_folder
from plstm_graph.datasets.storage.ogb_check import check_edges, check_tables
from plstm_graph.datasets.storage.sources import find_source

_TABLES = {"edge": "edge", "node-feat": "node", "edge-feat": "edge", "graph-label": "graph"}
_RAW = (*_TABLES, "num-node-list", "num-edge-list")
_PARTS = ("train", "valid", "test")


def ogb_meta(name: str) -> dict[str, Any]:
    """What OGB says of a molecule set: tasks, metric, split, version, address.

    Args:
        name: Such as ``"ogbg-molhiv"``.

    Raises:
        ValueError: If OGB has no molecule set of that name.
    """
    table = pd.read_csv(Path(ogb.graphproppred.__file__).parent / "master.csv", index_col=0, keep_default_na=False)
    names = [column for column in table.columns if column.startswith("ogbg-mol")]
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f", did you mean {near[0]!r}?" if near else "."
        raise ValueError(f"{name!r} is no molecule set of OGB{hint} They are {', '.join(sorted(names))}")
    return dict(table[name])


def ensure_ogb_files(name: str, root: str | os.PathLike[str], source: str | os.PathLike[str] | None = None) -> Path:
    """The folder of a set's raw files, filled from ``source`` or by a download if it is not there.

    Args:
        name: Such as ``"ogbg-molhiv"``.
        root: Folder of all data sets.
        source: Folder with an offline copy: ``ogbg_molhiv`` (as OGB's archive unpacks), or a folder that holds it, also
            as ``ogb/ogbg_molhiv``. (default: the environment variable ``PLSTM_DATA``, else OGB's server)

    Returns:
        ``root/ogbg_molhiv``, in which every file is there. Nothing stays behind if something goes wrong.

    Raises:
        ValueError: If there is no set of that name, a file is damaged, or files do not fit together.
        FileNotFoundError: If a file is missing, or ``source`` does not hold the set.
        OSError: If the download fails, or brings other files than it should.
    """
    meta = ogb_meta(name)
    folder = _folder(name, Path(root).expanduser())
    release = f"RELEASE_v{meta['version']}.txt"
    if folder.is_dir():
        if not (folder / release).is_file():
            # OGB would ask on stdin whether to delete the folder and download it anew.
            raise FileNotFoundError(
                f"{folder} has no {release}, so it is another version of {name} or incomplete: remove or rename the "
                "folder to get the set anew"
            )
        _check_complete(folder, meta)
        return folder
    offline, unknown = _offline_copy(name, source), None
    with new_folder(folder) as unfinished:
        if offline is not None:
            shutil.copytree(offline, unfinished, dirs_exist_ok=True, ignore=shutil.ignore_patterns("processed", ".*"))
            (unfinished / release).touch()
        else:
            # OGB's own loader would ask before a large archive.
            known = OGB_FILES.get(name)
            unknown = download_zip(meta["url"], unfinished, meta["download_name"], None if known else root)
            _check_sums(name, unfinished, meta["url"])
        _check_complete(unfinished, meta, origin=offline)
        for path in _files(unfinished, meta):
            check_gzip(path, (offline or folder) / path.relative_to(unfinished))
        check_tables(unfinished, _TABLES, unfinished / "split" / meta["split"], offline or secure(meta["url"]))
        check_edges(unfinished, offline or secure(meta["url"]))
    if unknown is not None:
        record(secure(meta["url"]), unknown, root)
    return folder


def _folder(name: str, root: Path) -> Path:
    """OGB's own rule for the name of the folder."""
    plain = name.replace("-", "_")
    return root / f"{plain}_pyg" if (root / f"{plain}_pyg").exists() else root / plain


def _files(folder: Path, meta: dict[str, Any]) -> list[Path]:
    split = folder / "split" / meta["split"]
    return [folder / "raw" / f"{part}.csv.gz" for part in _RAW] + [split / f"{part}.csv.gz" for part in _PARTS]


def _check_sums(name: str, folder: Path, url: str) -> None:
    """Check downloaded files against what is known of OGB's own."""
    for file, digest in OGB_FILES.get(name, {}).items():
        found = file_sha256(folder / file) if (folder / file).is_file() else "none, as it is missing"
        if found != digest:
            raise ChecksumError(
                f"{file} of {url} has SHA-256 {found}, not {digest}: it was changed, or damaged on the way. If you "
                "trust it, unpack the archive yourself and name its folder (source)"
            )


def _check_complete(folder: Path, meta: dict[str, Any], origin: Path | None = None) -> None:
    missing = [path.relative_to(folder) for path in _files(folder, meta) if not path.is_file()]
    if missing:
        names = ", ".join(str(path) for path in missing)
        raise FileNotFoundError(f"{origin or folder} lacks {names}, which every molecule set of OGB has")


def _offline_copy(name: str, source: str | os.PathLike[str] | None) -> Path | None:
    """Where the raw files of a set lie on this machine."""
    plain = name.replace("-", "_")
    return find_source(
        source,
        ("", plain, f"ogb/{plain}"),
        lambda place: place.name == plain and (place / "raw").is_dir(),
        lambda base: f"no raw files of {name} in {base}: expected {base / plain}/raw or {base / 'ogb' / plain}/raw",
    )
