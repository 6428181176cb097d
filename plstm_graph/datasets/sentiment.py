"""Stanford Sentiment Treebank: parse trees with a sentiment at every node."""

import re
from collections import Counter
from pathlib import Path
from typing import ClassVar

import torch
from torch_geometric.data import Data

from plstm_graph.datasets.storage.archives import ArchiveError, read_zip
from plstm_graph.datasets.storage.dag_set import DAGSet

# Words may have other white space in them, such as that of "8 1/2", which does not break.
_TOKEN = re.compile(r"\(|\)|[^ \r()]+")
_FILES = {"train": "train.txt", "valid": "dev.txt", "test": "test.txt"}


class SentimentTreebank(DAGSet):
    """The trees of the `Stanford Sentiment Treebank <https://nlp.stanford.edu/sentiment/>`_ (Socher et al. 2013).

    8,544 / 1,101 / 2,210 binary trees, 37 nodes on average. Edges lead from a phrase to the phrase that it is part of,
    so the root reads the whole sentence; ``edge_attr`` ``[E, 1]`` is the place among the parts (0 left, 1 right). ``x``
    ``[N, 1]`` is the word of a leaf: 0 for phrases, 1 for words that the training part does not have, then the
    :attr:`words`. ``y`` ``[N, 1]`` float32 is the sentiment of every phrase, 0 (very negative) to 4; ``root_mask``
    ``[N]`` marks the whole sentence. Nodes stand in the order in which the text opens them.

    Args:
        root (str): Folder of all data sets.
        split (str): ``"train"``, ``"valid"`` or ``"test"``.
        source (str, optional): Folder with ``trainDevTestTrees_PTB.zip``, also below ``dag/sst``. (default: the
            environment variable ``PLSTM_DATA``, else a download)
        transform (callable, optional): Applied to each graph at every access.
        pre_transform (callable, optional): Applied to each graph once, before it is stored.
    """

    folder = "sst"
    places = ("sst", "dag/sst")
    files: ClassVar[dict[str, str | None]] = {
        "trainDevTestTrees_PTB.zip": "https://nlp.stanford.edu/sentiment/trainDevTestTrees_PTB.zip"
    }
    parts = tuple(_FILES)

    @property
    def words(self) -> list[str]:
        """Words of the training part, the most frequent first; word ``i`` has code ``i + 2``."""
        return (Path(self.processed_dir) / "words.txt").read_text(encoding="utf-8").split("\n")[:-1]

    def read(self) -> dict[str, list[Data]]:
        """Read the trees of the archive, one in each line."""
        path = self.raw_path("trainDevTestTrees_PTB.zip")
        trees = {}
        for (part, name), content in zip(
            _FILES.items(), read_zip(path, [f"trees/{name}" for name in _FILES.values()]), strict=True
        ):
            try:
                lines = content.decode("utf-8").split("\n")
            except UnicodeDecodeError as error:
                raise ArchiveError(f"{path}, trees/{name} is no UTF-8 text: {error}") from error
            places = [(line, f"{path}, trees/{name}, line {number}") for number, line in enumerate(lines, 1)]
            trees[part] = [parse_tree(line, place) for line, place in places if line.strip()]
        counts = Counter(word for _, words, _ in trees["train"] for word in words if word is not None)
        words = sorted(counts, key=lambda word: (-counts[word], word))
        (Path(self.processed_dir) / "words.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
        codes = {word: number for number, word in enumerate(words, start=2)}
        return {part: [_to_data(*tree, codes) for tree in found] for part, found in trees.items()}


def root_sentiment(data: Data, binary: bool = False) -> Data:
    """A transform: the sentiment of the whole sentence as the target of the graph, ``y`` ``[1, 1]``.

    Args:
        data: A tree of :class:`SentimentTreebank`.
        binary: 0 for negative, 1 for positive sentences, NaN for neutral ones, which the binary task leaves out.
    """
    label = data.y[data.root_mask]
    if binary:
        label = torch.where(label == 2, torch.nan, (label > 2).float())
    data.y = label
    return data


def parse_tree(line: str, place: str) -> tuple[list[int], list[str | None], list[int]]:
    """Read a tree such as ``(3 (2 It) (4 shines))``.

    Args:
        line: The text.
        place: File and line, for messages.

    Returns:
        Label, word (None for phrases) and parent (-1 for the root) of each node, in the order in which they open.

    Raises:
        ValueError: If the text is no tree; it says where.
    """
    labels: list[int] = []
    words: list[str | None] = []
    parents: list[int] = []
    stack: list[int] = []
    tokens = iter(_TOKEN.findall(line))
    for token in tokens:
        if token == "(":
            label = next(tokens, "")
            if label not in ("0", "1", "2", "3", "4") or (labels and not stack):
                raise ValueError(f"{place}: node {len(labels)} has label {label!r}, expected 0 to 4 in one tree")
            parents.append(stack[-1] if stack else -1)
            stack.append(len(labels))
            labels.append(int(label))
            words.append(None)
        elif not stack:
            raise ValueError(f"{place}: {token!r} stands outside the tree")
        elif token == ")":
            stack.pop()
        elif words[stack[-1]] is not None:
            raise ValueError(f"{place}: node {stack[-1]} has two words, {words[stack[-1]]!r} and {token!r}")
        else:
            words[stack[-1]] = token
    if stack or not labels:
        raise ValueError(f"{place}: {len(stack)} brackets are not closed" if labels else f"{place}: no tree")
    return labels, words, parents


def _to_data(labels: list[int], words: list[str | None], parents: list[int], codes: dict[str, int]) -> Data:
    child = torch.arange(1, len(labels))
    parent = torch.tensor(parents[1:], dtype=torch.long)
    place: Counter[int] = Counter()
    places = []
    for node in parents[1:]:
        places.append(place[node])
        place[node] += 1
    return Data(
        x=torch.tensor([0 if word is None else codes.get(word, 1) for word in words]).view(-1, 1),
        edge_index=torch.stack([child, parent]),
        edge_attr=torch.tensor(places, dtype=torch.long).view(-1, 1),
        y=torch.tensor(labels, dtype=torch.float).view(-1, 1),
        root_mask=torch.tensor(parents) < 0,
    )
