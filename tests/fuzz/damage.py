"""Damaged copies of files, the same for every seed: as chance damages them, and as somebody who knows the format."""

import copy
import gzip
import io
import json
import os
import pickle
import random
import re
import stat
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import torch
import yaml

#: What a file makes if something of it is run.
CANARY = "made-by-a-file"
_WORDS = (
    *("", " ", "nan", "NaN", "inf", "-inf", "-1", "0", "-0", "1.5", "1e308", "1e400", "1e-320", "0x10", "1_000"),
    *("99999999999999999999", "9" * 5000, "2147483648", "-9223372036854775809", "True", "null", "None", "٣", "½"),
    *("\0", "\x1b[31m", "\x07", "\u202e", "\ufeff", "\ud800", '"', "'", "[x]", "[/b]", "{", "a,b", "a\nb", "\t", ";"),
    *("../../x", "/dev/zero", "=1+1", "é" * 300, "a" * 70_000, "(" * 5_000, "[" * 5_000, "graph", "node", "[nH]", "~"),
)
_VALUES = (None, True, -1, 0, 1, 2, 10**6, 2**63, 10**30, 0.5, float("nan"), float("inf"), "", "x", "\0", [], {}, [[]])
_DTYPES = (torch.float64, torch.int64, torch.uint8, torch.bool, torch.complex64, torch.float16)


class _Call:
    """Pickles as a call that makes :data:`CANARY` when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (CANARY,)


def damaged(content: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Copies of a file with bytes changed, left out, doubled or moved; some of them cut short as well.

    Args:
        content: The whole file.
        count: Number of copies.
        seed: Of what happens to them.
    """
    chance = random.Random(seed)
    for _ in range(count):
        yield damaged_bytes(content, chance)


def damaged_bytes(content: bytes, chance: random.Random) -> bytes:
    """One such copy."""
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 4, 16))):
        place = chance.randrange(max(len(changed), 1))
        other = chance.randrange(max(len(changed), 1))
        length = chance.choice((1, 1, 2, 4, 8, 32))
        kind = chance.randrange(5)
        if kind == 0:
            changed[place : place + 1] = bytes([chance.randrange(256)])
        elif kind == 1:
            changed[place : place + length] = chance.choice((b"\0", b"\xff", b"\x7f")) * length
        elif kind == 2:
            del changed[place : place + length]
        elif kind == 3:
            changed[place:place] = changed[other : other + length]
        else:
            changed[place : place + length] = changed[other : other + length]
    return bytes(changed[: chance.randrange(len(changed) + 1)] if chance.random() < 0.1 else changed)


def damaged_file(name: str, content: bytes, chance: random.Random) -> bytes:
    """A damaged copy of a file, in one of the ways that there are for its format.

    Args:
        name: Of the file; what it ends with says its format.
        content: The whole file.
        chance: What happens to it.
    """
    ways: list[Callable[[bytes, random.Random], bytes]] = [damaged_bytes]
    if name.endswith(".gz"):
        inner = name.removesuffix(".gz")
        ways += [lambda packed, draw: gzip.compress(damaged_file(inner, gzip.decompress(packed), draw), 1)] * 4
    elif name.endswith((".pt", ".ckpt")):
        ways += [_tensors] * 6 + [_zip]
    elif name.endswith(".zip"):
        ways += [_zip] * 4
    elif name.endswith((".yaml", ".json")):
        ways += [_text, _values, _values]
    elif name.endswith((".csv", ".txt", ".ndjson", ".jsonl")):
        ways += [_text] * 4
    if chance.random() < 0.02:
        return chance.choice((b"", b"\0" * 1000, pickle.dumps(_Call()), b"PK\3\4", b"\x1f\x8b\x08"))
    return chance.choice(ways)(content, chance)


def _text(content: bytes, chance: random.Random) -> bytes:
    lines = content.decode("utf-8", "surrogateescape").splitlines()
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        if not lines:
            break
        # The first lines have the names of columns, and the ones that are read most carefully.
        place = chance.choice((0, 1, chance.randrange(len(lines)), chance.randrange(len(lines)))) % len(lines)
        other = chance.randrange(len(lines))
        parts = re.split(r"([ ,()\[\]:{}]+)", lines[place])
        cell = chance.randrange(0, len(parts), 2)
        kind = chance.randrange(10)
        if kind < 4:
            parts[cell] = chance.choice(_WORDS)
            lines[place] = "".join(parts)
        elif kind == 4:
            second = chance.randrange(0, len(parts), 2)
            parts[cell], parts[second] = parts[second], parts[cell]
            lines[place] = "".join(parts)
        elif kind == 5:
            del lines[place]
        elif kind == 6:
            lines.insert(place, lines[other])
        elif kind == 7:
            lines[place], lines[other] = lines[other], lines[place]
        elif kind == 8:
            lines[place] = "".join(parts[: cell + 1]) if chance.random() < 0.5 else lines[place] + "," + lines[other]
        else:
            at = chance.randrange(len(lines[place]) + 1)
            lines[place] = lines[place][:at] + chance.choice(_WORDS) + lines[place][at:]
    text = chance.choice(("\n",) * 8 + ("\r\n", "\r", "\n\n", "\0")).join(lines) + "\n"
    coding = chance.choice(("utf-8",) * 12 + ("utf-16", "utf-8-sig", "utf-32"))
    return text.encode(coding, "surrogatepass" if "\ud800" in text else "surrogateescape")


def _values(content: bytes, chance: random.Random) -> bytes:
    """A file of nested values of which some are others, or that refers to objects of Python."""
    if chance.random() < 0.1:
        names = ("object/apply:os.mkdir [%s]", "object/new:os.mkdir [%s]", "name:os.mkdir", "module:antigravity")
        return content + b"\nmore: !!python/" + chance.choice(names).replace("%s", CANARY).encode() + b"\n"
    value = yaml.safe_load(content)
    for _ in range(chance.choice((1, 1, 2, 3))):
        value = _changed(value, chance)
    if content[:1] in b"{[":
        return json.dumps(value, default=str).encode()
    try:
        return yaml.safe_dump(value, sort_keys=False).encode()
    except yaml.YAMLError:
        return repr(value).encode()


def _changed(value: Any, chance: random.Random) -> Any:
    """Nested values with one of them changed; tensors likewise, of which some get another size or another dtype."""
    value = copy.copy(value)
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(list(value))
        kind = chance.random()
        if kind < 0.8:
            value[key] = _changed(value[key], chance)
        elif kind < 0.9:
            del value[key]
        else:
            value[chance.choice((0, "x", "class_path", "y", None, chance.choice(list(value))))] = value[key]
        return value
    if isinstance(value, list | tuple) and value and chance.random() < 0.9:
        items = list(value)
        place = chance.randrange(len(items))
        items[place : place + 1] = chance.choice(
            ([_changed(items[place], chance)], [_changed(items[place], chance)], [], items[place : place + 1] * 2)
        )
        return type(value)(items) if type(value) in (list, tuple) else items
    if isinstance(value, torch.Tensor):
        return _other_tensor(value, chance)
    if isinstance(value, str) and chance.random() < 0.5:
        names = ("os.system", "torch.nn.Linear", "plstm_graph.nn.PLSTM", "torch.nn.Module", "torch_geometric.nn.MLP")
        return chance.choice((*_WORDS, *names))
    if isinstance(value, int | float) and chance.random() < 0.5:
        return chance.choice((-value, value + 1, value * 1000, float(value), str(value), not value))
    return chance.choice(_VALUES)


def _other_tensor(tensor: torch.Tensor, chance: random.Random) -> Any:
    if tensor.layout != torch.strided:  # made so by an earlier change
        return tensor.to_dense()
    kind = chance.randrange(8)
    if kind == 0:
        return tensor[:-1] if tensor.dim() else tensor.view(1)
    if kind == 1:
        return torch.cat([tensor, tensor]) if tensor.dim() else tensor + 1
    if kind == 2:
        return tensor.to(chance.choice(_DTYPES))
    if kind == 3:
        return tensor.unsqueeze(0)
    if kind == 4:
        return chance.choice((tensor.flatten(), tensor.to_sparse() if tensor.dim() else tensor, tensor.new_zeros(0)))
    if kind == 5 and tensor.numel() and not tensor.is_complex():
        changed = tensor.clone().view(-1)
        large = (-1, 2**40, 10**6) if tensor.dtype == torch.int64 else (0, 1)
        changed[chance.randrange(len(changed))] = chance.choice(large)
        return changed.view(tensor.shape)
    if kind == 6 and tensor.is_floating_point():
        return torch.full_like(tensor, chance.choice((float("nan"), float("inf"), 0.0)))
    return chance.choice(_VALUES)


def _tensors(content: bytes, chance: random.Random) -> bytes:
    """What ``torch.save`` wrote, with other values, other steps of its pickle, or steps that call something."""
    out = io.BytesIO()
    if chance.random() < 0.15:
        torch.save({"x": _Call()}, out, _use_new_zipfile_serialization=chance.random() < 0.5)
        return out.getvalue()
    if chance.random() < 0.3:
        return _with_members(content, chance, lambda name: name.endswith("data.pkl"))
    value = torch.load(io.BytesIO(content), weights_only=False)  # it is a file of the tests
    for _ in range(chance.choice((1, 1, 2, 3))):
        value = _changed(value, chance)
    torch.save(value, out)
    return out.getvalue()


def _zip(content: bytes, chance: random.Random) -> bytes:
    if chance.random() < 0.6:
        return _with_members(content, chance, lambda name: True)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    place = chance.randrange(len(members))
    kind, (name, inside) = chance.randrange(6), members[place]
    attributes = 0
    if kind == 0:
        del members[place]
    elif kind == 1:
        members[place] = (chance.choice(("../../outside", "/tmp/outside", "a\\..\\b", "\0", "a/" * 500 + "b")), inside)
    elif kind == 2:
        members[place], attributes = (name, b"/etc/passwd"), (stat.S_IFLNK | 0o777) << 16
    elif kind == 3:
        members[place] = (name, b"0" * (200 << 20))
    elif kind == 4:
        members[place] = (name + "/", b"")
    else:
        members.append((name.upper(), inside))
    return _packed(members, attributes)


def _with_members(content: bytes, chance: random.Random, chosen: Callable[[str], bool]) -> bytes:
    """An archive with one damaged file in it, whose checksum is right."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        compression = archive.infolist()[0].compress_type
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    place = chance.choice([number for number, (name, _) in enumerate(members) if chosen(name)])
    name, inside = members[place]
    changed = pickle.dumps(_Call()) if name.endswith(".pkl") and chance.random() < 0.2 else None
    members[place] = (name, damaged_file(name, inside, chance) if changed is None else changed)
    return _packed(members, 0, compression)


def _packed(members: list[tuple[str, bytes]], attributes: int = 0, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, inside in members:
            info = zipfile.ZipInfo(name or "x")
            info.compress_type, info.external_attr = compression, attributes
            archive.writestr(info, inside)
    return out.getvalue()
