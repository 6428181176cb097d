"""Encoders of DAGs of another folder: the rows of each word and number, by their names."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor

from plstm_graph.datasets.dag_folder.columns import in_order
from plstm_graph.datasets.dag_folder.encoding import Encoding

#: Encoders of a :class:`~plstm_graph.nn.graph_model.GraphModel`, and the tables whose columns they read.
ENCODERS = {"node_encoder.": ("nodes", "graphs"), "edge_encoder.": ("edges",)}
_WORDS = ("embedding.embedding.weight", "embedding.weight")
_NUMBERS = ("lin.weight", "weight")
_BIAS = ("lin.bias", "bias")

_Key = tuple[Any, ...]


class Encoded(NamedTuple):
    """Weights of encoders in a new network.

    Attributes:
        values (dict[str, Tensor]): By their names, with rows or columns from elsewhere and others as they were.
        whole (set[str]): Names of those in which nothing is as it was.
        text (list[str]): Of each column of the tables, what was known of it.
    """

    values: dict[str, Tensor]
    whole: set[str]
    text: list[str]


def encoding_of(recipe: Mapping[str, Any]) -> Encoding | None:
    """How the folder of a checkpoint was read; None where it is of no folder, or does not say."""
    reading = recipe.get("reading")
    if recipe.get("data") != "dag_folder" or not isinstance(reading, Mapping):
        return None
    try:
        return Encoding.of_plain(reading["encoding"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def same_columns(one: Encoding | None, other: Encoding | None) -> bool:
    """Whether the columns of two encoders mean the same, but for the moments of numbers."""
    return _all_keys(one) == _all_keys(other)


def named_weights(own: Mapping[str, Tensor], source: Mapping[str, Any], old: Encoding, new: Encoding) -> Encoded:
    """Weights of the encoders of nodes and edges, as far as columns and words have the same names in both folders.

    Numbers are standardised by each folder's own moments, so their weights say the same of what is usual there.

    Args:
        own: Weights of the new network, with all names.
        source: Those of the other one.
        old: How its folder was read.
        new: How the folder at hand was read.
    """
    encoded = Encoded({}, set(), [])
    for prefix, tables in ENCODERS.items():
        (old_words, old_numbers), (words, numbers) = _keys(old, tables), _keys(new, tables)
        # Words are rows, numbers are columns.
        for names, before, now, dim in ((_WORDS, old_words, words, 0), (_NUMBERS, old_numbers, numbers, 1)):
            name, weight = _first(own, prefix, names)
            _, found = _first(source, prefix, names)
            if not (_fits(weight, len(now), dim) and _fits(found, len(before), dim)):
                continue
            assert weight is not None and found is not None
            if weight.size(1 - dim) != found.size(1 - dim):
                continue
            places = {key: place for place, key in enumerate(before)}
            value = weight.detach().clone().movedim(dim, 0)
            for place, key in enumerate(now):
                if key in places:
                    value[place] = found.movedim(dim, 0)[places[key]].to(value)
            encoded.values[name] = value.movedim(0, dim).contiguous()
            if all(key in places for key in now):
                encoded.whole.add(name)
            encoded.text.extend(_known(now, places))
        name, bias = _first(own, prefix, _BIAS)
        _, found = _first(source, prefix, _BIAS)
        if bias is not None and found is not None and found.shape == bias.shape:
            encoded.values[name] = found
            encoded.whole.add(name)
    return encoded


def _keys(encoding: Encoding, tables: tuple[str, ...]) -> tuple[list[_Key], list[_Key]]:
    """What each row of the embeddings of words is of, and each number."""
    words: list[_Key] = []
    numbers: list[_Key] = []
    for column in in_order(encoding.of(*tables)):
        name = f"{column.table}.{column.name}"
        if column.kind == "category":
            words += [(name, None), *((name, word) for word in column.words or [])]
        else:
            numbers += [(name, column.kind, part) for part in range(len(column.sizes))]
    if not words and not numbers and "nodes" in tables:
        numbers = [("ones",)]  # what nodes without features have
    return words, numbers


def _all_keys(encoding: Encoding | None) -> Any:
    return None if encoding is None else [_keys(encoding, tables) for tables in ENCODERS.values()]


def _first(weights: Mapping[str, Any], prefix: str, names: tuple[str, ...]) -> tuple[str, Tensor | None]:
    """The first of some weights that is there."""
    name = next((f"{prefix}{name}" for name in names if isinstance(weights.get(f"{prefix}{name}"), Tensor)), "")
    return name, weights.get(name)


def _fits(weight: Tensor | None, size: int, dim: int) -> bool:
    return weight is not None and weight.dim() == 2 and weight.size(dim) == size


def _known(now: list[_Key], places: Mapping[_Key, int]) -> list[str]:
    """Of each column, how many of its words are known, or that it is new."""
    texts = []
    for name in dict.fromkeys(key[0] for key in now):
        keys = [key for key in now if key[0] == name]
        words = [key for key in keys if len(key) == 2 and key[1] is not None]
        known = sum(key in places for key in words)
        if not any(key in places for key in keys):
            texts.append(f"{name} is new")
        elif known < len(words):
            texts.append(f"{known} of {len(words)} words of {name} are known")
    return texts
