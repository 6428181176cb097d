"""Downloads: https alone, whole, and what they are known or recorded to be."""

import hashlib
import io
import ssl
import urllib.request
import zipfile
from pathlib import Path

import pytest

from plstm_graph.datasets.architectures import ENASDataset
from plstm_graph.datasets.circuits.epfl import EPFLCircuits
from plstm_graph.datasets.molecules.ogb_files import ensure_ogb_files, ogb_meta
from plstm_graph.datasets.molecules.peptides import _ADDRESSES, PeptidesDataset
from plstm_graph.datasets.molecules.tu import TUGraphs
from plstm_graph.datasets.ogb_code2 import _URL
from plstm_graph.datasets.sentiment import SentimentTreebank
from plstm_graph.datasets.storage import checksums
from plstm_graph.datasets.storage.archives import ArchiveError
from plstm_graph.datasets.storage.checksums import OGB_FILES, SHA256, ChecksumError, file_sha256, is_known, record
from plstm_graph.datasets.storage.download import download, download_zip, secure
from tests.made_sets import made_enas, made_ogb, made_tu


def zipped(folder: Path, prefix: str = "") -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, f"{prefix}{path.relative_to(folder)}")
    return content.getvalue()


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("address", ["https://a.b/c", "http://a.b/c"])
def test_every_address_becomes_https(address):
    assert secure(address) == "https://a.b/c"


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://a.b/c", "data:,x", "/etc/passwd", "https://", ""])
def test_no_other_kind_of_address(tmp_path, address):
    with pytest.raises(ValueError, match="by https only"):
        download(address, tmp_path / "a", tmp_path)
    assert not any(tmp_path.iterdir())


def test_certificates_are_checked():
    """PyG's own downloads do not check them. The default context of the standard library is what is used here."""
    context = urllib.request.HTTPSHandler()._context
    context = ssl._create_default_https_context() if context is None else context
    assert context.verify_mode == ssl.CERT_REQUIRED and context.check_hostname


def test_every_address_of_a_set_is_https():
    addresses = [_URL, TUGraphs.url, *_ADDRESSES.values(), *PeptidesDataset.urls.values(), *SHA256]
    for data in (ENASDataset, EPFLCircuits, SentimentTreebank):
        addresses += data.files.values()
    assert all(address.startswith("https://") for address in addresses)
    assert secure(ogb_meta("ogbg-molhiv")["url"]).startswith("https://")


def test_what_is_known_beforehand():
    for data in (ENASDataset, EPFLCircuits, SentimentTreebank):
        assert set(data.files.values()) <= set(SHA256)
    assert set(_ADDRESSES.values()) <= set(SHA256)
    assert set(OGB_FILES) == {"ogbg-molbace", "ogbg-molesol", "ogbg-molfreesolv", "ogbg-molhiv"}
    assert {len(files) for files in OGB_FILES.values()} == {10}
    digests = [*SHA256.values(), *(digest for files in OGB_FILES.values() for digest in files.values())]
    assert all(len(digest) == 64 and int(digest, 16) >= 0 for digest in digests)


def test_known_sums_are_those_of_real_files(real_data):
    for url, digest in SHA256.items():
        (path,) = real_data.rglob(url.rpartition("/")[2].partition("?")[0])
        assert file_sha256(path) == digest
    for name, files in OGB_FILES.items():
        # The features of molhiv there were made anew; the sums are those of OGB's own.
        anew = ("raw/node-feat.csv.gz", "raw/edge-feat.csv.gz") if name == "ogbg-molhiv" else ()
        for file, digest in files.items():
            found = file_sha256(real_data / "ogb" / name.replace("-", "_") / file)
            assert (found == digest) == (file not in anew)


def test_a_file_comes_whole_and_is_recorded_once_it_has_proved_sound(web, tmp_path, capsys):
    web.files["a.bin"] = bytes(range(256)) * 9000
    url, digest = f"{web.address}/a.bin", hashlib.sha256(web.files["a.bin"]).hexdigest()
    assert download(url.replace("https", "http"), tmp_path / "a", tmp_path) == digest
    assert (tmp_path / "a").read_bytes() == web.files["a.bin"]
    assert not (tmp_path / "SHA256SUMS").exists()
    record(url, digest, tmp_path)
    assert (tmp_path / "SHA256SUMS").read_text() == f"{digest}  {url}\n"
    assert digest in capsys.readouterr().err
    assert download(url, tmp_path / "a", tmp_path) is None
    web.files["a.bin"] += b"more"
    with pytest.raises(ChecksumError, match=rf"SHA256SUMS has {digest} .*changed since, .* remove that line"):
        download(url, tmp_path / "b", tmp_path)
    (tmp_path / "SHA256SUMS").write_text("")
    assert download(url, tmp_path / "b", tmp_path) is not None
    assert download(url, tmp_path / "b", None) is None


def test_a_sum_written_down_beforehand_decides(tmp_path):
    (tmp_path / "SHA256SUMS").write_text(f"# mine\n{'a' * 64}  https://a.b/c\nno sum\n")
    assert is_known("https://a.b/c", "a" * 64, tmp_path)
    with pytest.raises(ChecksumError):
        is_known("https://a.b/c", "b" * 64, tmp_path)
    assert not is_known("https://a.b/d", "b" * 64, tmp_path)


def test_a_known_file_that_is_another_is_refused(web, tmp_path, monkeypatch):
    web.files["a.bin"] = b"other"
    monkeypatch.setitem(checksums.SHA256, f"{web.address}/a.bin", "0" * 64)
    with pytest.raises(ChecksumError, match=r"changed, or damaged on the way\. If you trust it, download it yourself"):
        download(f"{web.address}/a.bin", tmp_path / "a", tmp_path)


@pytest.mark.parametrize("target", ["http://127.0.0.1/a", "ftp://127.0.0.1/a", "file:///etc/passwd"])
def test_a_way_that_leaves_https_is_not_followed(web, tmp_path, target):
    web.moved["a.bin"] = target
    with pytest.raises(ConnectionError, match=r"leads to .*, which is not https|is not allowed"):
        download(f"{web.address}/a.bin", tmp_path / "a", tmp_path)
    assert web.asked == ["a.bin"]


def test_a_way_that_stays_is_followed(web, tmp_path):
    web.moved["a.bin"], web.files["b.bin"] = f"{web.address}/b.bin", b"content"
    download(f"{web.address}/a.bin", tmp_path / "a", tmp_path)
    assert (tmp_path / "a").read_bytes() == b"content"


def test_what_is_missing_cut_short_or_too_large(web, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="none is not there"):
        download(f"{web.address}/none", tmp_path / "a", tmp_path)
    web.files["a.bin"], web.headers["a.bin"] = b"half", {"Content-Length": "8"}
    with pytest.raises(ConnectionError, match="cut short: 4 of 8 bytes"):
        download(f"{web.address}/a.bin", tmp_path / "a", tmp_path)
    monkeypatch.setattr("plstm_graph.datasets.storage.download.MAX_BYTES", 3)
    with pytest.raises(ConnectionError, match="more than 3 bytes"):
        download(f"{web.address}/a.bin", tmp_path / "a", tmp_path)
    with pytest.raises(ConnectionError, match=r"cannot download https://127\.0\.0\.1:9/a: .*an offline copy"):
        download("https://127.0.0.1:9/a", tmp_path / "a", tmp_path)


def test_content_of_the_inner_folder(web, tmp_path):
    made_ogb(tmp_path / "source")
    web.files["set.zip"] = zipped(tmp_path / "source")
    (tmp_path / "to").mkdir()
    download_zip(f"{web.address}/set.zip", tmp_path / "to", "ogbg_molfreesolv", tmp_path)
    assert names(tmp_path / "to") == names(tmp_path / "source" / "ogbg_molfreesolv")
    with pytest.raises(FileNotFoundError, match=r"set\.zip has no folder 'hiv'"):
        download_zip(f"{web.address}/set.zip", tmp_path / "to", "hiv", tmp_path)
    web.files["set.zip"] = web.files["set.zip"][:100]
    with pytest.raises(ArchiveError, match=r"set\.zip is no zip file, or damaged or cut short \(100 bytes\)"):
        download_zip(f"{web.address}/set.zip", tmp_path / "to", "hiv", tmp_path)


def test_tu(web, tmp_path, monkeypatch):
    monkeypatch.delenv("PLSTM_DATA", raising=False)
    monkeypatch.setattr(TUGraphs, "url", web.address.replace("https", "http"))
    with pytest.raises(FileNotFoundError, match="the TU collection has no set 'MADE'"):
        TUGraphs(str(tmp_path / "root"), "MADE")
    web.files["MADE.zip"] = b"PK damaged"
    with pytest.raises(ArchiveError):
        TUGraphs(str(tmp_path / "root"), "MADE")
    assert not any((tmp_path / "root").rglob("*"))
    web.files["MADE.zip"] = made_tu(tmp_path / "zips").read_bytes()
    assert len(TUGraphs(str(tmp_path / "root"), "MADE")) == 60
    digest = hashlib.sha256(web.files["MADE.zip"]).hexdigest()
    assert (tmp_path / "root" / "SHA256SUMS").read_text() == f"{digest}  {web.address}/MADE.zip\n"


def test_ogb(web, tmp_path, monkeypatch):
    monkeypatch.delenv("PLSTM_DATA", raising=False)
    made_ogb(tmp_path / "source", "ogbg_mollipo")
    meta = ogb_meta("ogbg-mollipo")
    meta |= {"url": f"{web.address.replace('https', 'http')}/set.zip", "download_name": "lipo"}
    monkeypatch.setattr("plstm_graph.datasets.molecules.ogb_files.ogb_meta", lambda name: meta)
    web.files["set.zip"] = zipped(tmp_path / "source" / "ogbg_mollipo", "lipo/")
    folder = ensure_ogb_files("ogbg-mollipo", tmp_path / "root")
    assert names(folder) == names(tmp_path / "source" / "ogbg_mollipo")
    assert f"{web.address}/set.zip" in (tmp_path / "root" / "SHA256SUMS").read_text()
    # Of this set the files are known, and those are not it; its archive is not recorded.
    with pytest.raises(ChecksumError, match=r"mapping/mol\.csv\.gz of .*set\.zip has SHA-256"):
        ensure_ogb_files("ogbg-molesol", tmp_path / "other")
    assert not any((tmp_path / "other").iterdir())


def test_raw_files_of_dags(web, tmp_path, monkeypatch):
    monkeypatch.delenv("PLSTM_DATA", raising=False)
    url = f"{web.address}/final_structures6.txt"
    monkeypatch.setattr(ENASDataset, "files", {"final_structures6.txt": url})
    web.files["final_structures6.txt"] = made_enas(tmp_path / "made").read_bytes()
    monkeypatch.setitem(checksums.SHA256, url, "0" * 64)
    with pytest.raises(ChecksumError):
        ENASDataset(tmp_path / "root")
    assert not any((tmp_path / "root").rglob("*"))
    monkeypatch.delitem(checksums.SHA256, url)
    assert len(ENASDataset(tmp_path / "root")) == 108
    assert url in (tmp_path / "root" / "SHA256SUMS").read_text()
