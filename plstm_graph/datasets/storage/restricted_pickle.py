"""Reading pickles of arrays from strangers: nothing but arrays of numbers and plain values is ever made.

numpy's own way back from a pickle believes what the file says of an array's memory, and a crafted dtype makes object
pointers of bytes. So neither numpy nor Python's unpickler meets the file. Its steps are read by ``pickletools``, which
runs nothing, and the few that arrays need are taken here.
"""

import math
import os
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from plstm_graph.datasets.storage.plain_values import check_plain

#: Numbers of fixed size. Objects, strings, dates, and dtypes with fields are refused.
_DTYPES = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16")


class _Damaged(Exception):
    """What is wrong with the file."""


class _Dtype:
    """A dtype as the file describes it."""

    def __init__(self, arguments: tuple[Any, ...]) -> None:
        code = _text(arguments[0]) if arguments else None
        if code not in _DTYPES:
            raise _Damaged(f"it has an array of dtype {code}; arrays of plain numbers are read")
        self.dtype = np.dtype(code)

    def build(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) not in (8, 9):
            raise _Damaged("the state of a dtype is none")
        order = _text(state[1])
        if order not in ("<", ">", "=", "|") or any(part is not None for part in state[2:5] + state[8:]):
            raise _Damaged("it has an array of a dtype with parts; arrays of plain numbers are read")
        self.dtype = self.dtype.newbyteorder(order)  # type: ignore[arg-type]

    def array(self, shape: Any, content: Any, order: Any) -> np.ndarray:
        """An array of its own memory, if the bytes that are there fill it."""
        if isinstance(content, str | bytearray):  # Python 2 wrote bytes as a string
            content = content.encode("latin1") if isinstance(content, str) else bytes(content)
        sizes = isinstance(shape, tuple) and len(shape) <= 32 and all(type(size) is int and size >= 0 for size in shape)
        if not sizes or not isinstance(content, bytes) or math.prod(shape) * self.dtype.itemsize != len(content):
            raise _Damaged("the bytes of an array do not fit its shape and dtype")
        if self.dtype.kind == "b" and content.translate(None, b"\0\1"):
            raise _Damaged("an array of truth values has others than 0 and 1")
        return np.frombuffer(content, self.dtype).reshape(shape, order=order).copy(order="K")


class _Array:
    """An array of which only the state is missing."""

    def __init__(self, _: tuple[Any, ...]) -> None:
        # The arguments say which class of array, of what placeholder; there is one class here.
        self.place: int | None = None  # in the memo

    def build(self, state: Any) -> np.ndarray:
        if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[2], _Dtype):
            raise _Damaged("the state of an array is none")
        _, shape, dtype, by_columns, content = state
        return dtype.array(shape, content, "F" if by_columns is True or by_columns == 1 else "C")


def _number(arguments: tuple[Any, ...]) -> Any:
    if len(arguments) != 2 or not isinstance(arguments[0], _Dtype):
        raise _Damaged("the state of a number is none")
    return arguments[0].array((), arguments[1], "C")[()]


def _encoded(arguments: tuple[Any, ...]) -> bytes:
    if len(arguments) != 2 or not isinstance(arguments[0], str) or _text(arguments[1]) != "latin1":
        raise _Damaged("it encodes something else than bytes")
    return arguments[0].encode("latin1")


def _from_buffer(arguments: tuple[Any, ...]) -> np.ndarray:
    if len(arguments) != 4 or not isinstance(arguments[1], _Dtype) or arguments[3] not in ("C", "F"):
        raise _Damaged("the parts of an array are none")
    content, dtype, shape, order = arguments
    return dtype.array(shape, content, order)


def _no_bytes(arguments: tuple[Any, ...]) -> bytes:
    if arguments:
        raise _Damaged("it makes bytes of something")
    return b""


def _not_called(arguments: tuple[Any, ...]) -> Any:
    raise _Damaged("it makes an array without numpy's function for that")


class _Name:
    """What a file gets for a name."""

    def __init__(self, call: Callable[[tuple[Any, ...]], Any]) -> None:
        self.call = call


# What a pickled array names, by the module paths of numpy 1 and numpy 2. Protocols 0 to 2 have no bytes, protocol 5 has
# buffers.
_ALLOWED = {
    "numpy ndarray": _Name(_not_called),
    "numpy dtype": _Name(_Dtype),
    "numpy.core.multiarray _reconstruct": _Name(_Array),
    "numpy._core.multiarray _reconstruct": _Name(_Array),
    "numpy.core.multiarray scalar": _Name(_number),
    "numpy._core.multiarray scalar": _Name(_number),
    "numpy.core.numeric _frombuffer": _Name(_from_buffer),
    "numpy._core.numeric _frombuffer": _Name(_from_buffer),
    "_codecs encode": _Name(_encoded),
    "__builtin__ bytes": _Name(_no_bytes),
}
_MARK = _Name(_not_called)

_VALUES = {
    *("INT", "LONG", "LONG1", "LONG4", "BININT", "BININT1", "BININT2", "FLOAT", "BINFLOAT"),
    *(
        "UNICODE",
        "BINUNICODE",
        "SHORT_BINUNICODE",
        "BINUNICODE8",
        "BINBYTES",
        "SHORT_BINBYTES",
        "BINBYTES8",
        "BYTEARRAY8",
    ),
}
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple,
    "MARK": lambda: _MARK,
}


class _Machine:
    """The stack and the memo of a pickle, and the steps that arrays need."""

    def __init__(self, encoding: str) -> None:
        self.encoding = encoding
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def step(self, name: str, value: Any) -> None:
        stack = self.stack
        if name in _VALUES:
            stack.append(value)  # A byte array is one until it is content; by itself it is refused at the end.
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name]())
        elif name in ("STRING", "BINSTRING", "SHORT_BINSTRING"):
            content = value.encode("latin1")
            stack.append(content if self.encoding == "bytes" else content.decode(self.encoding))
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.put(value)
        elif name == "MEMOIZE":
            self.put(len(self.memo))
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self.memo[value])
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            stack.append(tuple(self.pop(int(name[-1]))))
        elif name in ("TUPLE", "LIST"):
            stack.append(tuple(self.pop_to_mark()) if name == "TUPLE" else self.pop_to_mark())
        elif name == "DICT":
            items = self.pop_to_mark()
            stack.append({})
            self.set_items(items)
        elif name in ("APPEND", "APPENDS"):
            items = self.pop(1) if name == "APPEND" else self.pop_to_mark()
            self.top(list).extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            self.set_items(self.pop(2) if name == "SETITEM" else self.pop_to_mark())
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            stack.append(_named(value if name == "GLOBAL" else " ".join(_text(part) or "" for part in self.pop(2))))
        elif name == "REDUCE":
            called, arguments = self.pop(2)
            if not isinstance(called, _Name) or not isinstance(arguments, tuple):
                raise _Damaged("it calls what is no function")
            stack.append(called.call(arguments))
        elif name == "BUILD":
            self.build()
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise _Damaged(f"it has the step {name}, which arrays do not need")

    def put(self, place: int) -> None:
        self.memo[place] = self.stack[-1]
        if isinstance(self.stack[-1], _Array):
            self.stack[-1].place = place

    def build(self) -> None:
        record, state = self.pop(2)
        if isinstance(record, _Dtype):
            record.build(state)
            self.stack.append(record)
        elif isinstance(record, _Array):
            array = record.build(state)
            self.stack.append(array)
            if record.place is not None:
                self.memo[record.place] = array  # for whoever refers to it from here on
        else:
            raise _Damaged("it changes what is neither array nor dtype")

    def set_items(self, items: list[Any]) -> None:
        if len(items) % 2:
            raise _Damaged("a mapping has a key without a value")
        target = self.top(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not (key is None or isinstance(key, str | bytes | int | float | np.generic)):
                raise _Damaged(f"it has a {type(key).__name__} as a key")
            target[key] = value

    def top(self, kind: type) -> Any:
        if not self.stack or type(self.stack[-1]) is not kind:
            raise _Damaged(f"it puts something into what is no {kind.__name__}")
        return self.stack[-1]

    def pop(self, count: int) -> list[Any]:
        items = self.stack[-count:]
        if len(items) < count or any(item is _MARK for item in items):
            raise _Damaged("a step takes more than there is")
        del self.stack[-count:]
        return items

    def pop_to_mark(self) -> list[Any]:
        place = len(self.stack) - 1
        while self.stack[place] is not _MARK:  # an IndexError if there is none
            place -= 1
        items = self.stack[place + 1 :]
        del self.stack[place:]
        return items


def _text(value: Any) -> str | None:
    """A string of the file; Python 2's may be bytes."""
    if isinstance(value, bytes):
        return value.decode("latin1")
    return value if isinstance(value, str) else None


def _named(name: str) -> _Name:
    if name not in _ALLOWED:
        raise _Damaged(f"it names {name.replace(' ', '.')}, which could run code")
    return _ALLOWED[name]


def load_arrays(path: str | os.PathLike[str], encoding: str = "ASCII") -> Any:
    """Read a pickle of numpy arrays, lists, dicts, numbers and strings.

    Arrays are of truth values, integers, floating-point or complex numbers. A shape has to fit the bytes that are
    there, and nothing may contain itself, so a small file never asks for much memory.

    Args:
        path: The file.
        encoding: Of strings in files that Python 2 wrote; ``"bytes"`` leaves them as they are.

    Raises:
        OSError: If it cannot be opened.
        ValueError: If it holds anything else, or is damaged; nothing of it was run.
    """
    content = Path(path).read_bytes()
    machine = _Machine(encoding)
    try:
        for opcode, value, _ in pickletools.genops(content):
            machine.step(opcode.name, value)
        (result,) = machine.stack
        check_plain(result, (np.ndarray, np.generic))
    # A damaged file raises whatever the step at which it is damaged raises. The file is the cause of all of it.
    except Exception as error:
        raise ValueError(f"{path} is no whole pickle of arrays: {error or type(error).__name__}") from error
    return result
