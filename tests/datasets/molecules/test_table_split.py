"""Every kind of split divides all molecules, keeps together what it says, and is the same for the same seed."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plstm_graph.datasets.molecules.duplicates import molecule_numbers
from plstm_graph.datasets.molecules.likeness import butina_clusters, fingerprints, kennard_stone_order
from plstm_graph.datasets.molecules.split_kinds import KINDS, ORDERED, SEEDED
from plstm_graph.datasets.molecules.splits import PARTS, bemis_murcko_scaffold
from plstm_graph.datasets.molecules.stratified import labelled_parts
from plstm_graph.datasets.molecules.table_split import Split
from plstm_graph.datasets.molecules.times import times_of
from plstm_graph.datasets.table import TableError
from tests.datasets.molecules.made_tables import POOL, Molecules

HALF = (0.5, 0.25, 0.25)


def parts_of(split: Split, dataset: Molecules, files: np.ndarray | None = None) -> list[str | None]:
    """The part of each molecule, each of which is in one at most."""
    found: list[str | None] = [None] * len(dataset)
    for part, rows in split.divide(dataset, files).items():  # type: ignore[arg-type]
        for row in rows.tolist():
            assert found[row] is None
            found[row] = part
    return found


def split_of(kind: str, **options) -> Split:
    if kind == "group":
        options["group_column"] = "g"
    if kind == "time":
        options["time_column"] = "t"
    return Split(kind, **{"fractions": HALF, **options})


def stays_together(kind: str, dataset: Molecules) -> list:
    """What must not be in two parts, of each molecule."""
    if kind.startswith("scaffold"):
        return [bemis_murcko_scaffold(text) for text in dataset.smiles]
    if kind == "butina":
        return butina_clusters(dataset.smiles, 0.65).tolist()
    if kind in ("group", "time"):
        return dataset.table.column("g" if kind == "group" else "t")
    return list(range(len(dataset)))


molecules = st.lists(st.sampled_from(POOL), min_size=24, max_size=60).flatmap(
    lambda smiles: st.builds(
        lambda g, t, y: Molecules.of(smiles, g=[f"g{n}" for n in g], t=[str(n) for n in t], y=[str(n % 2) for n in y]),
        *(st.lists(st.integers(0, most), min_size=len(smiles), max_size=len(smiles)) for most in (12, 30, 9)),
    )
)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25)
@given(dataset=molecules, seed=st.integers(0, 3), folds=st.sampled_from([0, 4]), together=st.booleans())
def test_each_split_is_a_partition_that_keeps_its_groups(
    kind: str, dataset: Molecules, seed: int, folds: int, together: bool
) -> None:
    folds = 0 if kind in ORDERED else folds
    split = split_of(kind, seed=seed, num_folds=folds, together=together)
    try:
        parts = parts_of(split, dataset)
    except ValueError as error:
        assert any(word in str(error) for word in ("would be empty", "as many groups", "as many rows", "three parts"))
        return
    assert None not in parts
    kept = stays_together(kind, dataset)
    if not (together and kind == "time"):  # where a molecule of two times goes with its first row
        assert all(
            len({part for part, each in zip(parts, kept, strict=True) if each == name}) == 1 for name in set(kept)
        )
    if together:
        numbers = molecule_numbers(dataset.canonical_smiles).tolist()
        assert all(len({part for part, each in zip(parts, numbers, strict=True) if each == n}) == 1 for n in numbers)
    assert parts_of(split_of(kind, seed=seed, num_folds=folds, together=together), dataset) == parts
    if folds:
        tested = [
            parts_of(split_of(kind, seed=seed, num_folds=folds, fold=fold, together=together), dataset)
            for fold in range(folds)
        ]
        assert all(sum(parts[row] == "test" for parts in tested) == 1 for row in range(len(dataset)))


@pytest.mark.parametrize("kind", SEEDED)
def test_repeats_are_splits_of_seeds_that_follow_each_other(kind: str) -> None:
    dataset = Molecules.of(POOL * 3, y=[str(n % 2) for n in range(len(POOL) * 3)])
    repeats = [parts_of(split_of(kind, seed=5, num_folds=3, fold=fold, repeats=True), dataset) for fold in range(3)]
    assert repeats == [parts_of(split_of(kind, seed=5 + fold), dataset) for fold in range(3)]
    assert repeats[0] != repeats[1] != repeats[2]


def test_a_balanced_scaffold_split_trains_on_large_scaffolds_and_tests_on_large_and_small_ones() -> None:
    large = [f"{'C' * n}c1ccccc1" for n in range(40)]
    small = [ring + "C" * n for ring in ("C1CC1", "C1CCC1", "c1ccncc1", "c1ccoc1", "c1ccsc1") for n in range(1, 9)]
    singles = [f"C1{'C' * n}1" for n in range(4, 14)]
    dataset = Molecules.of(large + small + singles)
    for seed in range(5):
        parts = parts_of(Split("scaffold_balanced", fractions=(0.6, 0.2, 0.2), seed=seed), dataset)
        assert set(parts[:40]) == {"train"}
        sizes = [parts.count(part) / len(dataset) for part in PARTS]
        assert sizes == pytest.approx([0.6, 0.2, 0.2], abs=0.07)


def test_the_oldest_train_and_the_newest_are_tested() -> None:
    times = [
        "2019-05-01",
        "2021-01-01",
        "2018-01-01",
        "2020-07-01",
        "2022-01-01",
        "2017-01-01",
        "2020-07-01",
        "2016-01-01",
    ]
    dataset = Molecules.of(POOL[:8], t=times)
    parts = parts_of(split_of("time"), dataset)
    assert parts == ["train", "test", "train", "valid", "test", "train", "valid", "train"]


@pytest.mark.parametrize(
    ("times", "order"),
    [
        (["2020", "1999", "2001.5"], [2, 0, 1]),
        (["2020-01-02", "2020-01-01T12:00", "2020-01-01T11:00:00Z"], [2, 1, 0]),
        (["31.12.2019", "01.02.2020", "01.01.2021"], [0, 1, 2]),
        (["12/31/2019", "2/1/2020", "1/1/2021"], [0, 1, 2]),
        (["31-Dec-2019", "01-Feb-2020", "01-Jan-2021"], [0, 1, 2]),
        (["2019-12", "2020-02", "2021-01"], [0, 1, 2]),
    ],
)
def test_times(times: list[str], order: list[int]) -> None:
    found = times_of(Molecules.of(POOL[:3], t=times).table, "t")
    assert np.argsort(np.argsort(found)).tolist() == order


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (["2020-01-01", "soon", "2020-02-01"], r"t\.csv, line 3: column 't' is 'soon', neither a number nor a date"),
        (["2020", "", "2021"], r"line 3: column 't' is '', neither a number nor a date"),
        (
            ["1/2/2020", "2/1/2020", "3/3/2020"],
            r"such as '1/2/2020', can be read as .* and as .*; write them as 2021-03",
        ),
        (["12/31/2020", "13/12/2020", "1/1/2020"], r"line [23]: column 't' is '1\d/"),
    ],
)
def test_times_that_cannot_be_read(times: list[str], message: str) -> None:
    with pytest.raises(TableError, match=message):
        times_of(Molecules.of(POOL[:3], t=times).table, "t")


def test_clusters_are_those_of_rdkit() -> None:
    from rdkit import DataStructs
    from rdkit.ML.Cluster import Butina

    prints = fingerprints(POOL)
    for cutoff in (0.3, 0.65, 0.8):
        distances = [
            1 - similarity
            for number in range(1, len(prints))
            for similarity in DataStructs.BulkTanimotoSimilarity(prints[number], prints[:number])
        ]
        theirs = Butina.ClusterData(distances, len(prints), cutoff, isDistData=True)
        ours = butina_clusters(POOL, cutoff)
        assert {frozenset(members) for members in theirs} == {
            frozenset(np.flatnonzero(ours == number).tolist()) for number in range(ours.max() + 1)
        }


def test_kennard_stone_takes_the_farthest_next() -> None:
    from rdkit import DataStructs

    smiles = [text for text in POOL if text not in ("OCC", "c1ccc(O)cc1")]
    prints = fingerprints(smiles)
    distance = 1 - np.array([DataStructs.BulkTanimotoSimilarity(each, prints) for each in prints])
    order = kennard_stone_order(smiles, 15)
    assert sorted(order.tolist()) == list(range(len(smiles)))
    assert distance[order[0], order[1]] == distance.max()
    for count in range(2, 15):
        nearest = distance[:, order[:count]].min(axis=1)
        assert nearest[order[count]] == pytest.approx(nearest.max())


def test_files_of_their_own_leave_the_rest_to_the_split() -> None:
    dataset = Molecules.of(POOL)
    files = np.full(len(POOL), -1)
    files[20:] = 2
    parts = parts_of(Split("random", fractions=(0.6, 0.2, 0.2)), dataset, files)
    assert parts[20:] == ["test"] * 7
    assert (parts.count("train"), parts.count("valid"), parts.count("test")) == (15, 5, 7)
    files[10:20] = 1
    assert parts_of(Split("scaffold"), dataset, files) == ["train"] * 10 + ["valid"] * 10 + ["test"] * 7
    with pytest.raises(ValueError, match="folds are of one table"):
        parts_of(Split("random", num_folds=3), dataset, files)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "time"}, "split: time and time_column"),
        ({"by": "random", "time_column": "t"}, "split: time and time_column"),
        ({"by": "butina", "cutoff": 1.5}, "cutoff is a Tanimoto distance between 0 and 1, got 1.5"),
        ({"by": "scaffold", "repeats": True, "num_folds": 3}, "repeats need .* a split that differs by its seed"),
        ({"by": "random", "repeats": True}, "repeats need their number, num_folds"),
        ({"by": "kennard_stone", "num_folds": 3}, "split 'kennard_stone' has no folds"),
        ({"by": "part", "together": True}, "duplicates: group does not go with it"),
        ({"by": "random", "file": "s.csv", "repeats": True, "num_folds": 3}, "split_file says the parts itself"),
    ],
)
def test_options_that_do_not_go_together(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Split(**options)


def written(path: Path, header: str, rows: list[tuple]) -> str:
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return str(path)


WORDS = ["train", "valid", "test", "", "train", "Val"]
EXPECTED = ["train", "valid", "test", None, "train", "valid"]
SIX = ["CCO", "CCN", "c1ccccc1", "CCCl", "CC", "CCC"]


@pytest.mark.parametrize("by", ["line", "smiles", "other smiles", "id", "order"])
def test_a_file_of_a_split(tmp_path: Path, by: str) -> None:
    dataset = Molecules.of(SIX, id=list("abcdef"))
    other = ["OCC", "NCC", "C1=CC=CC=C1", "ClCC", "CC", "CCC"]
    keys = {"line": range(2, 8), "smiles": SIX, "other smiles": other, "id": list("abcdef")}
    rows = list(zip(keys.get(by, [""] * 6), WORDS, strict=True))
    if by == "order":
        path = written(tmp_path / "s.csv", "part", [(word or '""',) for _, word in rows])
    else:
        path = written(tmp_path / "s.csv", f"{by.rpartition(' ')[2]},part", rows[::-1])
    assert parts_of(Split(file=path), dataset) == EXPECTED


def test_a_file_of_several_splits(tmp_path: Path) -> None:
    dataset = Molecules.of(SIX)
    path = tmp_path / "s.json"
    splits = [{"train": [0, 1], "val": "2-3", "test": [4, 5]}, {"train": "0,5", "valid": [1], "test": [2]}]
    path.write_text(json.dumps(splits))
    first = ["train", "train", "valid", "valid", "test", "test"]
    second = ["train", "valid", "test", None, None, "train"]
    assert [parts_of(Split(file=str(path), num_folds=2, fold=n), dataset) for n in range(2)] == [first, second]
    path.write_text(json.dumps(splits[0]))
    assert parts_of(Split(file=str(path)), dataset) == first


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("s.csv", "line,part\n2,train\n9,test\n", r"s\.csv, line 3: t\.csv has no line 9"),
        ("s.csv", "smiles,part\nCCO,train\nCCCCO,test\n", r"s\.csv, line 3: t\.csv has no molecule 'CCCCO'"),
        (
            "s.csv",
            "line,smiles,part\n2,OCC,train\n3,CCO,test\n",
            r"s\.csv, line 3: line 3 of t\.csv has 'CCN', not 'CCO': the split is of another table",
        ),
        (
            "s.csv",
            "smiles,part\nCCO,train\nOCC,test\n",
            r"line 3: 'OCC' is in the test part here and in the train part",
        ),
        ("s.csv", "smiles,part\nCCO,train\nCCN,valid\nCC,tset\n", r"line 4: column 'part' is 'tset', expected one of"),
        ("s.csv", "smiles,fold\nCCO,1\n", "no column that says train, valid or test; its columns are smiles, fold"),
        ("s.csv", "part\ntrain\nvalid\n", r"has 2 rows for the 6 of t\.csv"),
        ("s.csv", "name,part\nx,train\n", r"no column by which rows of t\.csv are found: line, smiles"),
        ("s.csv", "line,part\n2,train\n3,valid\n", r"the test part of the molecules would be empty"),
        ("s.json", '{"train": [0', "is no JSON"),
        ("s.json", '{"train": [0, 6]}', r"s\.json, train: t\.csv has rows 0 to 5, got 6"),
        ("s.json", '{"train": [0], "test": [0]}', "row 0 is in the parts train and test"),
        ("s.json", '{"train": [0], "tst": [1]}', "'tst' is no part"),
        ("s.json", '{"train": [0.5]}', "expected a list of numbers of rows"),
        ("s.json", "[{}, {}]", "has 2 splits: --folds 2 takes all of them"),
        ("s.json", "3", "expected {"),
    ],
)
def test_files_that_are_no_split_of_the_table(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(TableError, match=message):
        Split(file=str(tmp_path / name)).divide(Molecules.of(SIX))  # type: ignore[arg-type]


@settings(max_examples=50)
@given(
    rates=st.lists(st.floats(0.02, 0.7), min_size=2, max_size=6),
    fractions=st.sampled_from([(0.8, 0.1, 0.1), (0.5, 0.5, 0), (0.2,) * 5]),
    seed=st.integers(0, 9),
)
def test_each_part_has_its_share_of_every_label(rates: list[float], fractions: tuple[float, ...], seed: int) -> None:
    labels = np.random.default_rng(seed).random((400, len(rates))) < rates
    wanted = np.array(fractions) * 400
    parts = labelled_parts(labels, wanted, seed)
    assert np.array_equal(parts, labelled_parts(labels, wanted, seed))
    for part, fraction in enumerate(fractions):
        assert abs((parts == part).sum() - fraction * 400) <= 16  # 4% of the rows
        assert (abs(labels[parts == part].sum(axis=0) - fraction * labels.sum(axis=0)) <= 16).all()
