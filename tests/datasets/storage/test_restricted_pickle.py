import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from plstm_graph.datasets.storage.restricted_pickle import load_arrays
from tests.fuzz.kinds import PROTOCOLS, TREE

ROOT = Path(__file__).parents[3]
GLOBALS = {
    "reconstruct": b"cnumpy.core.multiarray\n_reconstruct\n",
    "array": b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR",
}


def write(tmp_path, content):
    path = tmp_path / "file.pickle"
    path.write_bytes(content)
    return path


def assert_same(found, expected):
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for left, right in zip(found, expected, strict=True):
            assert_same(left, right)
    elif isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype and found.flags.writeable
        np.testing.assert_array_equal(found, expected)
    else:
        assert found == expected  # read, not computed


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrays_and_plain_values_come_back(tmp_path, protocol):
    assert_same(load_arrays(write(tmp_path, pickle.dumps(TREE, protocol))), TREE)


@pytest.mark.parametrize("kind", ["?", "i1", "u2", ">i4", "<i8", "f2", "f4", ">f8", "c8", "c16"])
def test_arrays_of_every_number(tmp_path, kind):
    array = np.array([[0, 1, 0], [1, 1, 0]]).astype(kind)
    for each in (array, np.asfortranarray(array), array[:, 1], array[:0], np.array(array[0, 1])):
        assert_same(load_arrays(write(tmp_path, pickle.dumps(each))), each)


def test_arrays_that_are_referred_to_twice(tmp_path):
    array, many = np.arange(3), [np.array([number]) for number in range(300)]
    found = load_arrays(write(tmp_path, pickle.dumps([array, {"again": array}, many])))
    np.testing.assert_array_equal(found[1]["again"], array)
    assert [int(each[0]) for each in found[2]] == list(range(300))


def test_strings_of_python_2(tmp_path):
    dtype = b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    array = GLOBALS["array"] + b"(K\x01K\x02\x85" + dtype + b"\x89U\x02\x00\xfftb"
    content = b"}U\x04data" + array + b"sU\x06labels]K\x07as."
    found = load_arrays(write(tmp_path, content), encoding="bytes")
    assert list(found) == [b"data", b"labels"] and found[b"labels"] == [7]
    np.testing.assert_array_equal(found[b"data"], np.array([0, 255], dtype=np.uint8))


class Command:
    """Unpickled, it would make a file."""

    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


def test_commands_are_not_run(tmp_path):
    made = tmp_path / "made"
    commands = [
        Command(os.system, f"touch {made}"),
        Command(eval, f"open({str(made)!r}, 'w')"),
        Command(Path.touch, made),
        Command(np.save, str(made), np.zeros(1)),
        Command(np.memmap, str(made), "u1", "w+", 0, (1,)),
        Command(np.lib.format.open_memmap, str(made), "w+", "u1", (1,)),
    ]
    for command in commands:
        for protocol in PROTOCOLS:
            for value in (command, [command], {"train": (1, command)}):
                with pytest.raises(ValueError, match=r"names .*, which could run code"):
                    load_arrays(write(tmp_path, pickle.dumps(value, protocol)))
    assert not list(tmp_path.glob("made*"))


def array_pickle(code, state, shape=(1,), content=b"\1" * 8):
    """A pickle of an array whose parts are whatever they are said to be."""

    def dumped(value):
        return pickle.dumps(value, 2)[2:-1]  # without header and end

    dtype = b"cnumpy\ndtype\n" + dumped((code, False, True)) + b"R" + dumped(state) + b"b"
    parts = b"(" + dumped(1) + dumped(shape) + dtype + dumped(False) + dumped(content) + b"t"
    return b"\x80\x04" + GLOBALS["array"] + parts + b"b."


PLAIN = (3, "<", None, None, None, -1, -1, 0)


def test_array_of_parts(tmp_path):
    found = load_arrays(write(tmp_path, array_pickle("i8", PLAIN)))
    assert found.tolist() == [0x0101010101010101]


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("O8", (3, "|", None, None, None, -1, -1, 63)),  # object pointers of the bytes
        ("V8", (3, "|", None, ("a",), {"a": ("O", 0)}, 8, 1, 27)),  # likewise, in a field
        ("V8", (3, "|", ("O", (1,)), None, None, 8, 8, 63)),  # likewise, in a subarray
        ("i8", (3, "<", None, ("a",), {"a": ("O", 0)}, 8, 8, 63)),
        ("i8", (3, "<", ("O", (1,)), None, None, 8, 8, 63)),
        ("S8", (3, "|", None, None, None, 8, 1, 0)),
        ("U2", (3, "<", None, None, None, 8, 4, 8)),
        ("M8", (4, "<", None, None, None, -1, -1, 0, ({}, ("D", 1, 1, 1)))),
        ("f16", PLAIN),
        ("i8, O", PLAIN),
        ("os.system", PLAIN),
        (8, PLAIN),
        (None, PLAIN),
        (("i8",), PLAIN),
        ("i8", (3, "x", None, None, None, -1, -1, 0)),
        ("i8", (3, "<")),
        ("i8", "state"),
        ("i8", None),
    ],
)
def test_only_dtypes_of_plain_numbers(tmp_path, code, state):
    with pytest.raises(ValueError, match=r"no whole pickle of arrays: .*dtype"):
        load_arrays(write(tmp_path, array_pickle(code, state)))


@pytest.mark.parametrize(
    ("shape", "content"),
    [
        ((2,), b"\1" * 8),
        ((1 << 40,), b"\1" * 8),
        ((1 << 62, 4), b""),
        ((1 << 80, 0, 3), b"\1" * 8),
        ((-1,), b"\1" * 8),
        ((-1, -1), b"\1" * 8),
        (("1",), b"\1" * 8),
        ((True,), b"\1" * 8),
        ([1], b"\1" * 8),
        (1, b"\1" * 8),
        ((1,), [b"\1"] * 8),
        ((1,), None),
        ((1,) * 65, b"\1" * 8),
    ],
)
def test_bytes_have_to_fit_the_shape(tmp_path, shape, content):
    with pytest.raises(ValueError, match="do not fit its shape"):
        load_arrays(write(tmp_path, array_pickle("i8", PLAIN, shape, content)))


def test_truth_values_are_0_and_1(tmp_path):
    with pytest.raises(ValueError, match="truth values"):
        load_arrays(write(tmp_path, array_pickle("b1", (3, "|", None, None, None, -1, -1, 0), (2,), b"\1\2")))


MANY = [[0]]
for _ in range(60):
    MANY = [MANY, MANY]  # 2^60 lists, by reference
ENDLESS = [1]
ENDLESS.append(ENDLESS)
DEEP = 1
for _ in range(100):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (pickle.dumps(MANY), "refer to each other so often"),
        (pickle.dumps(ENDLESS), "contain themselves"),
        (pickle.dumps(DEEP), "nested deeper"),
        (b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b".", "nested deeper"),
        (b"\x80\x04K\x01r\xff\xff\xff\x7f0.", ""),  # a place of the memo for which room would have to be made
        (b"\x80\x04B" + struct.pack("<I", 0xFFFFFFF0) + b"x.", ""),  # bytes that are not there
        (b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b"x.", ""),
        (b"\x80\x04\x8d" + struct.pack("<Q", 1 << 60) + b"x.", ""),
        (b"\x80\x04\x95" + struct.pack("<Q", 1 << 60) + b"N.", None),  # a frame says nothing about memory
        (b"\x80\x04\x8b" + struct.pack("<i", -5) + b"xxxxx.", ""),
        (b"\x80\x04}K\x01\x85" + b"2\x86" * 60 + b"K\x01s.", "step DUP"),
        (b"\x80\x04}K\x01\x85" + b"\x94h\x00\x86" + b"K\x01s.", "as a key"),
        (b"\x80\x04" + GLOBALS["reconstruct"] + b"}X\x04\x00\x00\x00callK\x01sb.", "changes what"),
        (b"\x80\x04" + GLOBALS["reconstruct"] + b".", "_Name"),
        (b"\x80\x04" + GLOBALS["array"] + b".", "_Array"),
        (b"\x80\x04cnumpy\nndarray\n(K\x05tR.", "without numpy's function"),
        (b"\x80\x04c__builtin__\nbytes\n(J\xff\xff\xff\x7ftR.", "makes bytes"),
        (b"\x80\x04(cos\nsystem\nX\x01\x00\x00\x00xo.", "names os.system"),
        (b"(S'x'\nios\nsystem\n.", "step INST"),
        (b"\x80\x04K\x01\x82\x01.", ""),
        (b"\x80\x04X\x01\x00\x00\x00xQ.", "step BINPERSID"),
        (b"\x80\x04\x96" + struct.pack("<Q", 1) + b"x.", "bytearray"),
        (b"\x80\x04\x8fK\x01.", "step EMPTY_SET"),
        (b"\x80\x04\x85.", "more than there is"),
        (b"\x80\x04a.", ""),
        (b"\x80\x04.", ""),
        (b"\x80\x04NN.", ""),
        (b"N", ""),
        (b"", ""),
        (b"no pickle", ""),
    ],
)
def test_crafted_files(tmp_path, content, reason):
    path = write(tmp_path, content)
    if reason is None:
        assert load_arrays(path) is None
        return
    with pytest.raises(ValueError, match=f"no whole pickle of arrays: .*{reason}"):
        load_arrays(path)
