"""Names of classes."""

import math

import numpy as np
import pytest

from plstm_graph.datasets.classes import PLAIN_LABELS, ClassError, class_name, encode_classes, find_classes, find_labels


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["b", "a", "b"], ["a", "b"]),
        (["10", "9", "1"], ["1", "9", "10"]),
        (["2.0", "1.0", "3.0"], ["1", "2", "3"]),
        (["-1", "1", "0"], ["-1", "0", "1"]),
        (["0", "2"], ["0", "2"]),
        ([" yes", "no "], ["no", "yes"]),
        (["1", "b", "2"], ["1", "2", "b"]),
        (["Ünï", "[b]", "a,b"], ["[b]", "a,b", "Ünï"]),
        (["007", "1"], ["1", "007"]),
    ],
)
def test_classes_are_sorted_and_numbered(words, names):
    found = find_classes(words, len(words))
    assert found == names
    assert find_classes(words[::-1], len(words)) == names
    codes = encode_classes(words, found).astype(int)
    assert [found[code] for code in codes] == [class_name(word) for word in words]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["0.5", "1.5"], "'0.5', a number and not the name of a class; kind: regression fits"),
        (["1", "2", "2.7"], "'2.7', a number and not the name"),
        (["1e-3", "2"], "'1e-3', a number and not the name"),
        (["a", "a"], "'a', in every row; at least two classes are needed"),
        ([str(number) for number in range(40)], "one of 40 classes in 40 rows, which are too many; kind: regression"),
        ([f"id{number}" for number in range(12)], "'id0', one of 12 classes in 12 rows, which are too many"),
    ],
)
def test_what_is_no_class(words, message):
    with pytest.raises(ClassError) as error:
        find_classes(words, len(words))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["0", "1"], PLAIN_LABELS),
        (["1.0", "0.0"], PLAIN_LABELS),
        (["0", "0"], PLAIN_LABELS),
        (["True", "FALSE"], PLAIN_LABELS),
        (["2", "1"], ["1", "2"]),
        (["1", "-1"], ["-1", "1"]),
        (["yes", "no"], ["no", "yes"]),
        (["inactive", "active"], ["inactive", "active"]),
        (["ACTIVE", "Inactive"], ["Inactive", "ACTIVE"]),
        (["+", "-"], ["-", "+"]),
        (["Toxic", "non-toxic"], ["non-toxic", "Toxic"]),
        (["blue", "azure"], ["azure", "blue"]),
    ],
)
def test_labels_have_two_names(words, names):
    assert find_labels(words, len(words)) == names
    assert sorted(set(encode_classes([*words, "", None, math.nan], names)[: len(words)])) in ([0.0, 1.0], [0.0])
    assert np.isnan(encode_classes(["", None, math.nan], names)).all()
    assert encode_classes(["maybe"], names).tolist() == [-1.0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["0", "1", "2"], "'2', a third value beside 0, 1, where labels have two; kind: multiclass fits 3 classes"),
        (["no", "yes", "maybe"], "'maybe', a third value beside no, yes"),
        (["0.1", "0.7", "0.3"], "'0.1', a number, and the column has 3 different ones; kind: regression fits"),
        (["0.5", "1.5"], "'0.5', a number and not the name of a class; kind: regression fits"),
        (["yes", "yes"], "'yes', in every row"),
    ],
)
def test_what_is_no_label(words, message):
    with pytest.raises(ClassError) as error:
        find_labels(words, len(words))
    assert message in str(error.value)
