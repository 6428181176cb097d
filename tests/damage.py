"""Damaged copies of files, the same in every run."""

import random
from collections.abc import Iterator


def damaged(content: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Copies of a file with bytes changed, left out, doubled or moved; some of them cut short as well.

    Args:
        content: The whole file.
        count: Number of copies.
        seed: Of what happens to them.
    """
    chance = random.Random(seed)
    for _ in range(count):
        copy = bytearray(content)
        for _ in range(chance.choice((1, 1, 1, 2, 4, 16))):
            place = chance.randrange(max(len(copy), 1))
            other = chance.randrange(max(len(copy), 1))
            length = chance.choice((1, 1, 2, 4, 8, 32))
            kind = chance.randrange(5)
            if kind == 0:
                copy[place : place + 1] = bytes([chance.randrange(256)])
            elif kind == 1:
                copy[place : place + length] = chance.choice((b"\0", b"\xff", b"\x7f")) * length
            elif kind == 2:
                del copy[place : place + length]
            elif kind == 3:
                copy[place:place] = copy[other : other + length]
            else:
                copy[place : place + length] = copy[other : other + length]
        yield bytes(copy[: chance.randrange(len(copy) + 1)] if chance.random() < 0.1 else copy)
