"""Archives: downloaded whole, checked, and without a question."""

import gzip
import os
import shutil
import urllib.error
import urllib.request
import zipfile
import zlib
from pathlib import Path

_TIMEOUT = 60.0  # seconds without an answer


def download_zip(url: str, folder: str | os.PathLike[str], inner: str) -> None:
    """Fetch a zip archive and unpack one folder of it.

    Args:
        url: The archive.
        folder: An existing folder, into which the content of ``inner`` goes.
        inner: Name of the folder in the archive.

    Raises:
        ConnectionError: If the archive cannot be fetched.
        OSError: If it is damaged or cut short.
        FileNotFoundError: If it has no such folder.
    """
    folder = Path(folder)
    archive = folder / "download.zip"
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer, archive.open("wb") as file:
            shutil.copyfileobj(answer, file, 1 << 20)
    except urllib.error.URLError as error:
        raise ConnectionError(
            f"cannot download {url}: {error.reason}. Without a network, name a folder with an offline copy "
            "(source, or the environment variable PLSTM_DATA)"
        ) from error
    try:
        with zipfile.ZipFile(archive) as content:
            damaged = content.testzip()
            if damaged is not None:
                raise zipfile.BadZipFile(f"its part {damaged} does not have its checksum")
            content.extractall(folder)
    except zipfile.BadZipFile as error:
        raise OSError(f"{url} is damaged or was cut short ({archive.stat().st_size} bytes): {error}") from error
    archive.unlink()
    if not (folder / inner).is_dir():
        raise FileNotFoundError(f"{url} has no folder {inner!r}")
    for path in list((folder / inner).iterdir()):
        path.rename(folder / path.name)
    (folder / inner).rmdir()


def check_gzip(path: Path, shown: Path | None = None) -> None:
    """Check that a gzip file can be read to its end.

    Args:
        path: The file.
        shown: What to call it in the message. (default: ``path``)

    Raises:
        OSError: If it is damaged or cut short.
    """
    try:
        with gzip.open(path) as file:
            while file.read(1 << 20):
                pass
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise OSError(f"{shown or path} is damaged or cut short ({path.stat().st_size} bytes): {error}") from error
