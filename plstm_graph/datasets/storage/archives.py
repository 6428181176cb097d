"""Archives and compressed files from strangers: looked at before anything is unpacked, and unpacked within limits."""

import errno
import gzip
import io
import lzma
import os
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

#: A file may unpack to so many bytes, and to so many times its own size on top.
FREE_BYTES = 64 * 2**20
RATIO = 100
#: Most files and folders of an archive.
MEMBERS = 100_000
_CHUNK = 1 << 20
_DAMAGE = (zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)


class ArchiveError(ValueError):
    """An archive or compressed file that is damaged, or that this package does not unpack; says which and why."""


def unpack_limit(packed: int) -> int:
    """Bytes that a file may unpack to. Tables of real sets have 5 to 50 times their packed size, bombs a thousand.

    Args:
        packed: Its size.
    """
    return FREE_BYTES + RATIO * packed


def unpack_zip(path: Path, folder: Path, shown: str | os.PathLike[str] | None = None) -> None:
    """Unpack a zip archive whose members are plain files and folders inside of it, with their checksums.

    Args:
        path: The archive.
        folder: An existing folder.
        shown: What to call the archive in messages. (default: ``path``)

    Raises:
        ArchiveError: If it is damaged; if a member is a link, a device or encrypted, lies outside, or stands twice; or
            if it unpacks to more than :func:`unpack_limit`. What was written till then stays in ``folder``.
        OSError: If the archive cannot be read or a file not be written.
    """
    shown = path if shown is None else shown
    with open_zip(path, shown) as archive:
        for info, name in _members(archive, path.stat().st_size, shown):
            target = folder.joinpath(*name)
            if info.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(info) as packed, target.open("xb") as file:
                shutil.copyfileobj(packed, file, _CHUNK)


def read_zip(path: Path, names: list[str]) -> list[bytes]:
    """Some files of a zip archive, under the same rules as :func:`unpack_zip`.

    Args:
        path: The archive.
        names: Of the files.

    Raises:
        ArchiveError: As of :func:`unpack_zip`, or if there is no such file.
    """
    with open_zip(path, path) as archive:
        found = {"/".join(name): info for info, name in _members(archive, path.stat().st_size, path)}
        missing = [name for name in names if name not in found]
        if missing:
            raise ArchiveError(f"{path} has no {', '.join(missing)}")
        return [archive.read(found[name]) for name in names]


@contextmanager
def open_zip(path: Path, shown: str | os.PathLike[str]) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive; whatever shows in the block that it is damaged becomes an :class:`ArchiveError`.

    Args:
        path: The archive.
        shown: What to call it in messages.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except _DAMAGE as error:
        size = path.stat().st_size
        raise ArchiveError(f"{shown} is no zip file, or damaged or cut short ({size} bytes): {error}") from error
    except (NotImplementedError, RuntimeError) as error:
        raise ArchiveError(f"{shown} cannot be unpacked: {error}") from error
    except ArchiveError:
        raise
    except (ValueError, OverflowError, struct.error, OSError) as error:
        # What zipfile does not check: names that are no text, places beyond the file. Other errors of the disk name it.
        if isinstance(error, OSError) and (error.errno != errno.EINVAL or error.filename is not None):
            raise
        raise ArchiveError(f"{shown} is damaged: {error}") from error


def check_gzip(path: Path, shown: str | os.PathLike[str] | None = None) -> None:
    """Check that a gzip file can be read to its end, which lies within :func:`unpack_limit`.

    Args:
        path: The file.
        shown: What to call it in the message. (default: ``path``)

    Raises:
        ArchiveError: If not.
        OSError: If it cannot be read.
    """
    with path.open("rb") as file:
        for _ in _unpacked(file, path.stat().st_size, path if shown is None else shown):
            pass


def gunzip(content: bytes, shown: str | os.PathLike[str]) -> bytes:
    """Unpack a gzip file that was read.

    Args:
        content: Its bytes.
        shown: What to call it in messages.

    Raises:
        ArchiveError: As of :func:`check_gzip`.
    """
    return b"".join(_unpacked(io.BytesIO(content), len(content), shown))


def _unpacked(file: IO[bytes], packed: int, shown: str | os.PathLike[str]) -> Iterator[bytes]:
    limit, total = unpack_limit(packed), 0
    try:
        with gzip.GzipFile(fileobj=file) as opened:
            while chunk := opened.read(_CHUNK):
                total += len(chunk)
                if total > limit:
                    raise _too_large(shown, packed, f"more than {limit:,} bytes")
                yield chunk
    except _DAMAGE as error:
        raise ArchiveError(
            f"{shown} is damaged or cut short, not a complete gzip file ({packed} bytes): {error}"
        ) from error


def _members(
    archive: zipfile.ZipFile, packed: int, shown: str | os.PathLike[str]
) -> list[tuple[zipfile.ZipInfo, tuple[str, ...]]]:
    """Members of an archive with the parts of their names, checked before anything is unpacked."""
    infos = archive.infolist()
    if len(infos) > MEMBERS:
        raise ArchiveError(f"{shown} has {len(infos):,} members, more than the {MEMBERS:,} that are unpacked")
    # Python gives no member more bytes than it states, so the sum holds while unpacking too.
    total = sum(info.file_size for info in infos)
    if total > unpack_limit(packed):
        raise _too_large(shown, packed, f"{total:,} bytes")
    found: dict[tuple[str, ...], zipfile.ZipInfo] = {}
    for info in infos:
        parts = _parts(info, shown)
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            what = "a link" if kind == stat.S_IFLNK else "a device or pipe"
            raise ArchiveError(f"{shown} holds {what}, {info.filename!r}; only plain files and folders are unpacked")
        if info.flag_bits & 0x1:
            raise ArchiveError(f"{shown} is encrypted ({info.filename!r}): unpack it yourself")
        if parts in found and not (info.is_dir() and found[parts].is_dir()):
            raise ArchiveError(f"{shown} holds {info.filename!r} twice")
        found[parts] = info
    for parts in found:
        for length in range(1, len(parts)):
            above = found.get(parts[:length])
            if above is not None and not above.is_dir():
                raise ArchiveError(f"{shown} holds {above.filename!r} both as a file and as a folder")
    return [(info, parts) for parts, info in found.items() if parts]


def _parts(info: zipfile.ZipInfo, shown: str | os.PathLike[str]) -> tuple[str, ...]:
    # Python cuts names at a zero byte; what stood behind it is in the original one.
    name = info.orig_filename
    if "\0" in name or "\\" in name or name.startswith("/") or (len(name) > 1 and name[1] == ":"):
        raise ArchiveError(f"{shown} holds {name!r}, which does not name a place inside of it")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise ArchiveError(f"{shown} holds {name!r}, which leads out of it")
    return parts


def _too_large(shown: str | os.PathLike[str], packed: int, size: str) -> ArchiveError:
    return ArchiveError(
        f"{shown} ({packed:,} bytes) unpacks to {size}; no more than {unpack_limit(packed):,} are unpacked. If you "
        "trust it, unpack it yourself and give what comes out"
    )
