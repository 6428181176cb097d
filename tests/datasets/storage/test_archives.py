"""Archives and gzip files from strangers: what is refused, what is not, and that damage is always named."""

import gzip
import io
import random
import stat
import zipfile
from pathlib import Path

import pytest

from plstm_graph.datasets.dag_folder.dataset import DAGFolder
from plstm_graph.datasets.images.idx import read_idx
from plstm_graph.datasets.molecules.peptides import PeptidesDataset
from plstm_graph.datasets.molecules.tu import TUGraphs
from plstm_graph.datasets.storage.archives import (
    FREE_BYTES,
    ArchiveError,
    check_gzip,
    gunzip,
    read_zip,
    unpack_limit,
    unpack_zip,
)
from plstm_graph.datasets.table import TableError, read_table
from tests.made_sets import made_tu, make_folder


def archive(path: Path, members: dict[str, bytes], **kinds: int) -> Path:
    """A zip; ``kinds`` are modes of members named ``member``."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = kinds.get("mode", stat.S_IFREG | 0o644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(info, content)
    return path


def unpacked(path: Path, folder: Path) -> dict[str, bytes]:
    folder.mkdir()
    unpack_zip(path, folder)
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_plain_files_and_folders(tmp_path):
    members = {"a/": b"", "a/b.txt": b"one", "a//c.txt": b"two", "./d": b"three", "e/f/g": b"", "ü.txt": b"four"}
    found = unpacked(archive(tmp_path / "a.zip", members), tmp_path / "to")
    assert found == {"a/b.txt": b"one", "a/c.txt": b"two", "d": b"three", "e/f/g": b"", "ü.txt": b"four"}
    assert read_zip(tmp_path / "a.zip", ["a/c.txt", "d"]) == [b"two", b"three"]
    with pytest.raises(ArchiveError, match=r"a\.zip has no none, a/x"):
        read_zip(tmp_path / "a.zip", ["none", "a/x", "d"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../out", "leads out of it"),
        ("a/../../out", "leads out of it"),
        ("a/..", "leads out of it"),
        ("/etc/out", "does not name a place inside"),
        ("//host/out", "does not name a place inside"),
        ("C:/out", "does not name a place inside"),
        ("..\\out", "does not name a place inside"),
        ("a\0../out", "does not name a place inside"),
    ],
)
def test_names_that_lead_elsewhere(tmp_path, name, message):
    path = archive(tmp_path / "a.zip", {"good": b"", name.replace("\0", "#"): b"x"})
    path.write_bytes(path.read_bytes().replace(b"a#../out", b"a\0../out"))
    (tmp_path / "deep" / "er").mkdir(parents=True)
    with pytest.raises(ArchiveError, match=rf"a\.zip holds .*{message}"):
        unpack_zip(path, tmp_path / "deep" / "er")
    with pytest.raises(ArchiveError, match=message):
        read_zip(path, ["good"])
    assert not any((tmp_path / "deep" / "er").iterdir())


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (stat.S_IFLNK | 0o777, "holds a link, 'm'"),
        (stat.S_IFCHR | 0o666, "holds a device or pipe"),
        (stat.S_IFBLK | 0o666, "holds a device or pipe"),
        (stat.S_IFIFO | 0o666, "holds a device or pipe"),
        (stat.S_IFSOCK | 0o666, "holds a device or pipe"),
    ],
)
def test_links_and_devices(tmp_path, kind, message):
    path = archive(tmp_path / "a.zip", {"m": b"/etc/passwd"}, mode=kind)
    with pytest.raises(ArchiveError, match=message):
        unpack_zip(path, tmp_path)


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize("names", [("a", "a"), ("a/b", "a//b"), ("a", "./a"), ("a", "a/b"), ("a/b/c", "a/b")])
def test_names_that_stand_twice(tmp_path, names):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for name in names:
            file.writestr(name, name)
    with pytest.raises(ArchiveError, match=r"twice|both as a file and as a folder"):
        unpack_zip(tmp_path / "a.zip", tmp_path)


def test_encrypted_members(tmp_path):
    path = archive(tmp_path / "a.zip", {"secret.txt": b"x"})
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        content[content.index(signature) + offset] |= 1
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match=r"a\.zip is encrypted \('secret\.txt'\): unpack it yourself"):
        unpack_zip(path, tmp_path)


def test_a_small_archive_of_much(tmp_path):
    """As an archive of 0.4 MB that became 400 MB: by one member, by many, and by members that share their bytes."""
    zeros = bytes(FREE_BYTES // 2)
    one = archive(tmp_path / "one.zip", {"a": zeros * 3})
    many = archive(tmp_path / "many.zip", {str(number): zeros for number in range(4)})
    for path in (one, many):
        assert path.stat().st_size < 500_000
        (tmp_path / f"to-{path.stem}").mkdir()
        with pytest.raises(ArchiveError, match=rf"{path.name} \([\d,]+ bytes\) unpacks to .* trust it, unpack it"):
            unpack_zip(path, tmp_path / f"to-{path.stem}")
        assert not any((tmp_path / f"to-{path.stem}").iterdir())


def test_an_archive_of_many_members(tmp_path, monkeypatch):
    path = archive(tmp_path / "a.zip", {str(number): b"" for number in range(11)})
    monkeypatch.setattr("plstm_graph.datasets.storage.archives.MEMBERS", 10)
    with pytest.raises(ArchiveError, match="has 11 members, more than the 10"):
        unpack_zip(path, tmp_path)


def test_a_size_that_is_a_lie(tmp_path):
    """A member that states fewer bytes than it has is not unpacked beyond them."""
    path = archive(tmp_path / "a.zip", {"a": bytes(1_000_000)})
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\1\2", 24), (b"PK\3\4", 22)):
        place = content.index(signature) + offset
        content[place : place + 4] = (10).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match="damaged"):
        unpack_zip(path, tmp_path)
    assert (tmp_path / "a").stat().st_size <= 10


def test_what_is_not_packed_tightly_is_not_limited(tmp_path):
    content = random.Random(0).randbytes(1_000_000)
    assert unpacked(archive(tmp_path / "a.zip", {"a": content}), tmp_path / "to") == {"a": content}
    assert unpack_limit(1_000_000) > 100_000_000
    assert gunzip(gzip.compress(content), "a") == content


def test_random_damage_is_named_or_harmless(tmp_path):
    """Whatever bytes change, an archive is unpacked as it was, or refused by an ArchiveError."""
    draw = random.Random(0)
    members = {"a/b.txt": b"1, 2\n" * 200, "a/c.txt": draw.randbytes(300), "d/": b""}
    path = archive(tmp_path / "a.zip", members)
    whole = path.read_bytes()
    refused = 0
    for trial in range(600):
        content = bytearray(whole)
        for _ in range(draw.randint(1, 4)):
            content[draw.randrange(len(content))] = draw.randrange(256)
        if trial % 3 == 0:
            content = content[: draw.randrange(len(content))]
        path.write_bytes(content)
        folder = tmp_path / str(trial)
        folder.mkdir()
        try:
            unpack_zip(path, folder)
        except ArchiveError as error:
            refused += 1
            assert str(path) in str(error)
        else:
            found = {file.read_bytes() for file in folder.rglob("*") if file.is_file()}
            assert found <= set(members.values()), "checksums hold"
        assert {file.name for file in tmp_path.iterdir()} <= {"a.zip", *map(str, range(trial + 1))}
    assert refused > 400


def test_random_damage_of_gzip_files():
    draw = random.Random(0)
    content = b"smiles,y\nC,1\n" * 50
    whole = gzip.compress(content)
    refused = 0
    for _ in range(1000):
        damaged = bytearray(whole)
        damaged[draw.randrange(len(whole))] = draw.randrange(256)
        damaged = damaged[: draw.randrange(1, len(whole))] if draw.random() < 0.3 else damaged
        try:
            assert gunzip(bytes(damaged), "table") == content
        except ArchiveError as error:
            refused += 1
            assert "table is damaged or cut short, not a complete gzip file" in str(error)
    assert refused > 700


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """A gzip file of 0.1 MB that becomes 128 MB of lines."""
    file = io.BytesIO()
    with gzip.GzipFile(fileobj=file, mode="wb") as packed:
        packed.write(b"smiles,y\n")
        for _ in range(32):
            packed.write(b"C,1\n" * (1 << 20))
    return file.getvalue()


def test_gzip_files_of_much_are_refused_wherever_they_are_read(tmp_path, bomb):
    limit = rf"unpacks to more than {unpack_limit(len(bomb)):,} bytes.*trust it, unpack it yourself"
    path = tmp_path / "bomb.csv.gz"
    path.write_bytes(bomb)
    for call, kind in (
        (lambda: check_gzip(path), ArchiveError),
        (lambda: gunzip(bomb, path), ArchiveError),
        (lambda: read_table(path), TableError),
        (lambda: read_idx(path), ArchiveError),
    ):
        with pytest.raises(kind, match=limit):
            call()
    folder = make_folder(tmp_path / "dags")
    for name in ("nodes.csv", "graphs.csv"):
        if (folder / name).is_file():
            (folder / name).unlink()
            (folder / f"{name}.gz").write_bytes(bomb)
            break
    with pytest.raises(ValueError, match=limit):
        DAGFolder(folder)
    (tmp_path / "dags.jsonl").mkdir()
    (tmp_path / "peptides").mkdir()
    (tmp_path / "peptides" / "peptide_multi_class_dataset.csv.gz").write_bytes(bomb)
    with pytest.raises(ValueError, match=limit):
        PeptidesDataset(tmp_path / "root", "Peptides-func", source=tmp_path / "peptides")


def _with(path: Path, part: str, change) -> None:
    """Change the lines of a file in a zip of a TU set."""
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    name = next(name for name in members if name.endswith(f"_{part}.txt"))
    lines = members[name].decode().splitlines()
    members[name] = ("\n".join(change(lines)) + "\n").encode()
    archive(path, members)


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("A", lambda lines: [*lines[:-1], "1, 99999"], r"MADE_A\.txt, line \d+: 99999 is not a node from 1 to"),
        ("A", lambda lines: ["0, 1", *lines[1:]], r"MADE_A\.txt, line 1: 0 is not a node"),
        ("A", lambda lines: ["1, 400", *lines[1:]], r"line 1: nodes 1 and 400 are in different graphs, 1 and"),
        ("A", lambda lines: [lines[0], "x, 2", *lines[2:]], r"MADE_A\.txt, line 2: 'x' is no number"),
        ("A", lambda lines: [lines[0], "", *lines[2:]], r"MADE_A\.txt, line 2: .* is no number"),
        ("A", lambda lines: [line + ", 1" for line in lines], "has 3 columns, expected 2"),
        ("A", lambda lines: [], r"MADE_A\.txt is empty|is no number|columns"),
        ("graph_indicator", lambda lines: lines[:-3], r"is not a node from 1 to|lines for"),
        ("graph_indicator", lambda lines: ["2", *lines[1:]], r"line 1: graph 2 does not follow graph 0"),
        ("graph_indicator", lambda lines: [*lines[:50], "1", *lines[51:]], "line 51: graph 1 does not follow"),
        ("graph_labels", lambda lines: lines[:-1], r"MADE_graph_labels\.txt has 59 lines for 60 graphs"),
        ("node_labels", lambda lines: [*lines, "1"], r"MADE_node_labels\.txt has \d+ lines for \d+ nodes"),
        ("node_labels", lambda lines: ["nan", *lines[1:]], r"node_labels\.txt, line 1: 'nan' is no number"),
    ],
)
def test_a_damaged_tu_set_leaves_nothing_and_a_good_one_takes_its_place(tmp_path, part, change, message):
    path = made_tu(tmp_path / "zips")
    good = path.read_bytes()
    _with(path, part, change)
    with pytest.raises(ValueError, match=message):
        TUGraphs(str(tmp_path / "root"), "MADE", source=str(tmp_path / "zips"))
    assert not any((tmp_path / "root").iterdir())
    path.write_bytes(good)
    assert len(TUGraphs(str(tmp_path / "root"), "MADE", source=str(tmp_path / "zips"))) == 60


def test_raw_files_of_tu_that_were_damaged_later_are_named_with_what_to_do(tmp_path):
    made_tu(tmp_path / "zips")
    root = tmp_path / "root"
    TUGraphs(str(root), "MADE", source=str(tmp_path / "zips"))
    assert sorted(path.name for path in (root / "MADE" / "raw").iterdir()) == [
        f"MADE_{part}.txt" for part in ("A", "graph_indicator", "graph_labels", "node_labels")
    ]
    with (root / "MADE" / "raw" / "MADE_A.txt").open("a") as file:
        file.write("1, 77777\n")
    from plstm_graph.transforms import ToDAG

    with pytest.raises(ValueError, match=rf"77777 is not a node .*Remove {root}/MADE/raw to unpack the set anew"):
        TUGraphs(str(root), "MADE", ToDAG(), source=str(tmp_path / "zips"))


def test_a_bomb_in_place_of_a_tu_set(tmp_path):
    (tmp_path / "zips").mkdir()
    archive(tmp_path / "zips" / "MADE.zip", {"MADE/MADE_A.txt": b"1, 2\n" * (20 << 20)})
    with pytest.raises(ArchiveError, match="unpacks to"):
        TUGraphs(str(tmp_path / "root"), "MADE", source=str(tmp_path / "zips"))
    assert not any((tmp_path / "root").iterdir())
