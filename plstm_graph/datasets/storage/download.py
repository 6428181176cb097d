"""Files from other machines: by https alone, whole, checked, within limits, and without a question."""

import hashlib
import os
import tempfile
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO

from plstm_graph.datasets.storage.archives import unpack_zip
from plstm_graph.datasets.storage.checksums import is_known

#: No larger file is taken; the largest of the sets has a hundredth of it.
MAX_BYTES = 16 * 2**30
_TIMEOUT = 60.0  # seconds without an answer
_CHUNK = 1 << 20
_OFFLINE = "Without a network, name a folder with an offline copy (source, or the environment variable PLSTM_DATA)"


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    """Follows no redirection that leaves https."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """The request that follows, after a check of its address."""
        if not newurl.startswith("https://"):
            raise urllib.error.URLError(f"it leads to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def download(url: str, path: str | os.PathLike[str], root: str | os.PathLike[str] | None) -> str | None:
    """Fetch a file and check what it is, see :func:`~plstm_graph.datasets.storage.checksums.is_known`.

    Args:
        url: Its address, https; ``http://`` is asked for as ``https://``.
        path: Where it goes; what lies there is overwritten. The caller moves it to its place.
        root: Folder of all data sets, where sums are recorded; None if the caller knows what the file has to be.

    Returns:
        Its SHA-256 if it is to be recorded once it has proved sound, else None.

    Raises:
        ValueError: If the address is of another kind.
        FileNotFoundError: If there is no such file at the address.
        ConnectionError: If it cannot be fetched, or ends early.
        ChecksumError: If it is another file than it should be.
    """
    url = secure(url)
    digest, size = hashlib.sha256(), 0
    try:
        opener = urllib.request.build_opener(_HttpsOnly)
        with opener.open(url, timeout=_TIMEOUT) as answer, Path(path).open("wb") as file:
            stated = answer.headers.get("Content-Length")
            while chunk := answer.read(_CHUNK):
                size += len(chunk)
                if size > MAX_BYTES:
                    raise ConnectionError(f"{url} has more than {MAX_BYTES:,} bytes; it was not taken")
                digest.update(chunk)
                file.write(chunk)
    except urllib.error.HTTPError as error:
        if error.code in (404, 410):
            raise FileNotFoundError(f"{url} is not there ({error.code} {error.reason})") from error
        raise ConnectionError(f"cannot download {url}: {error.code} {error.reason}. {_OFFLINE}") from error
    except urllib.error.URLError as error:
        raise ConnectionError(f"cannot download {url}: {error.reason}. {_OFFLINE}") from error
    except (TimeoutError, ConnectionError, HTTPException) as error:
        if size > MAX_BYTES:
            raise
        raise ConnectionError(f"cannot download {url}: {error or type(error).__name__}. {_OFFLINE}") from error
    if stated is not None and stated.isdecimal() and int(stated) != size:
        raise ConnectionError(f"{url} was cut short: {size:,} of {int(stated):,} bytes came; try again")
    return None if root is None or is_known(url, digest.hexdigest(), root) else digest.hexdigest()


def secure(url: str) -> str:
    """The https address of a file.

    Args:
        url: An address; old ones of public sets still begin with ``http://``.

    Raises:
        ValueError: If it is neither http nor https.
    """
    kind, _, rest = url.partition("://")
    if kind not in ("http", "https") or not rest:
        raise ValueError(f"files are downloaded by https only, not from {url}")
    return f"https://{rest}"


def download_zip(
    url: str, folder: str | os.PathLike[str], inner: str, root: str | os.PathLike[str] | None
) -> str | None:
    """Fetch a zip archive and unpack one folder of it.

    Args:
        url: The archive.
        folder: An existing folder, into which the content of ``inner`` goes.
        inner: Name of the folder in the archive.
        root: As of :func:`download`.

    Returns:
        As :func:`download`.

    Raises:
        ArchiveError: If it is damaged, or not of the kind that is unpacked.
        FileNotFoundError: If it has no such folder.
        OSError: If the archive cannot be fetched, or is another one than it should be.
    """
    folder = Path(folder)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        archive, unpacked = Path(temporary) / "download.zip", Path(temporary) / "unpacked"
        unknown = download(url, archive, root)
        unpacked.mkdir()
        unpack_zip(archive, unpacked, secure(url))
        if not (unpacked / inner).is_dir():
            raise FileNotFoundError(f"{secure(url)} has no folder {inner!r}")
        for path in list((unpacked / inner).iterdir()):
            path.rename(folder / path.name)
    return unknown
