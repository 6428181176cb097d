"""``plstm-graph explain``: a picture of what a prediction comes from, and the same as a table."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from matplotlib.figure import Figure
from rdkit import Chem
from torch import Tensor
from torch_geometric.data import Data

from plstm_graph.console import Console, print_table
from plstm_graph.datasets.dag_folder.encoding import Encoding
from plstm_graph.datasets.storage.files import replace_file, replace_text
from plstm_graph.machine import pick_device
from plstm_graph.nn.critical_path import predicted_path
from plstm_graph.nn.makespan import MakespanPLSTM
from plstm_graph.predict.command import read_for
from plstm_graph.predict.inputs import MoleculeInputs
from plstm_graph.predict.molecules import no_path
from plstm_graph.predict.predictor import Predictor, load_predictor, load_transform
from plstm_graph.report.predictions import output_names
from plstm_graph.tasks.scale import as_double
from plstm_graph.text import meant
from plstm_graph.transforms import ToDAG
from plstm_graph.viz import attribution, draw_dag_attribution, draw_molecule_attribution
from plstm_graph.viz.page import Node, attribution_page

_LISTED = 10
_TRIED = 256  # nodes of a large graph whose features are taken away, one by one
_COMPARED = 20_000  # names that a misspelt one is compared with
_PAGES = ("html", "htm")
_WALKED = 12  # nodes of a path that are named


# Of numbers beside nodes.
_DIGITS = 4


@dataclass
class Question:
    """Which prediction is explained.

    Args:
        graph: Identifier of a graph of a folder. (default: the first)
        item: Identifier of a node, or of start and end of an edge, where those are predicted. (default: the first)
        target: Name of a target or of a class. (default: the first target, or the most probable class)
    """

    graph: str | None = None
    item: list[str] | None = None
    target: str | None = None


@dataclass
class _Subject:
    """A graph and the row of its targets that is explained."""

    name: str
    data: Data
    labels: list[str]
    row: int
    marked: list[int]
    target_names: list[str]
    classes: list[list[str]]
    smiles: str | None = None
    cells: list[list[tuple[str, str]]] = field(default_factory=list)

    @property
    def asked(self) -> list[int]:
        """Nodes that are tried whatever else is: those of the question, and where their in-edges come from."""
        assert self.data.edge_index is not None
        into = torch.isin(self.data.edge_index[1], torch.tensor(self.marked, dtype=torch.long))
        return [*self.marked, *self.data.edge_index[0, into].unique().tolist()][:_TRIED]

    def page(self, values: Tensor, title: str, path: Tensor | None, unit: str, notes: list[str]) -> str:
        """A page to hover over."""
        assert self.data.edge_index is not None
        names = [label.partition("\n")[0] for label in self.labels]
        none: list[tuple[str, str]] = []  # as of edges that were made nodes
        told = [*self.cells, *[none] * (len(names) - len(self.cells))]
        nodes = [Node(*each) for each in zip(names, told, self.labels, strict=True)]
        return attribution_page(
            self.data.edge_index, values, nodes, title, unit=unit, notes=notes, marked=self.marked, path=path
        )

    def draw(self, values: Tensor, title: str, path: Tensor | None) -> Figure:
        if self.smiles is not None:
            atoms = values[~self.data.is_edge] if "is_edge" in self.data else values
            return draw_molecule_attribution(self.smiles, atoms, title)
        assert self.data.edge_index is not None
        return draw_dag_attribution(self.data.edge_index, values, self.labels, title, self.marked, path)

    def walk(self, path: Tensor) -> str:
        """The nodes of a path, by name."""
        assert self.data.edge_index is not None
        start, end = self.data.edge_index[:, path].tolist()
        # Along the edges, also where a layer ran against them, from their ends on.
        against = len(start) > 1 and start[0] == end[1]
        nodes = [*reversed(start), end[0]] if against else [start[0], *end]
        names = [self.labels[node].partition("\n")[0] for node in nodes]
        some = names if len(names) <= _WALKED else [*names[:2], "...", *names[2 - _WALKED :]]
        return " -> ".join(some) + (", by a layer that ran against the edges" if against else "")


def explain(ckpt_path: str, source: str, question: Question, output: str, device: str) -> None:
    """Draw what the nodes of a graph add to a prediction, and list those that add or take the most.

    Through a DAG the path is drawn, too, along which layers of M-mode take the maximum that the prediction rests on
    most: the critical path.

    Args:
        ckpt_path: A checkpoint that ``plstm-graph fit`` wrote.
        source: A SMILES, or a folder of DAGs, by what the model was trained on.
        question: Which prediction.
        output: Picture to write, in a format of matplotlib by its ending; or, of a DAG, a page ``.html`` for a browser,
            on which nodes tell what they are.
        device: ``"auto"`` or a device of torch.

    Raises:
        FileNotFoundError: If there is no such folder or checkpoint.
        ValueError: If there is no such graph, node, edge or target, the model is not one of this package, or a page of
            a molecule is asked for.
    """
    ending = Path(output).suffix.lstrip(".").lower() or "png"
    predictor = load_predictor(ckpt_path).to(pick_device(device))
    data = predictor.recipe["data"]
    if data == "molecules":
        if ending in _PAGES:
            raise ValueError(f"{output}: pages are of DAGs; of a molecule there is a picture, such as explain.svg")
        subject = _molecule(predictor, source, question)
    elif data == "dag_folder":
        subject = _dag(predictor, source, question)
        if question.item is None and subject.marked:
            level = "node" if len(subject.marked) == 1 else "edge"
            Console(stderr=True).say(f"takes the first {level} of the graph; --item names another one")
    else:
        raise ValueError(f"{ckpt_path} was trained on {data!r:.200}, for which there is no `explain`")
    predicted = predictor.predict([subject.data])
    targets = output_names(predicted, predictor.kind, subject.target_names, subject.classes)
    rows, predicted = len(predicted), predicted[subject.row]
    column = _column(targets, question.target, predicted if predictor.kind == "multiclass" else None)

    def number(graphs: list[Data]) -> Tensor:
        output = _numbers(predictor(predictor.collate(graphs)), predictor)
        return output.view(len(graphs), rows, -1)[:, subject.row, column]

    values = attribution(predictor, number, subject.data, _TRIED, always=subject.asked).to("cpu")
    title = f"{subject.name}: {targets[column]} = {float(predicted[column]):.4g}"
    path = _path(predictor, number, subject)
    notes = _notes(values, predictor)
    walk = [] if path is None else [f"critical path, {len(path)} edges: {subject.walk(path)}"]
    if ending in _PAGES:
        replace_text(output, subject.page(values, title, path, _unit(predictor, column), [*walk, *notes]))
    else:
        figure = subject.draw(values, title, path)
        replace_file(output, lambda path: figure.savefig(path, dpi=130, format=ending))
    _print(values, subject.labels, title, _unit(predictor, column), notes)
    for line in walk:
        Console().say(line)
    Console(stderr=True).say(f"wrote {output}")


def _path(predictor: Predictor, number: Callable[[list[Data]], Tensor], subject: _Subject) -> Tensor | None:
    """The critical path through a DAG; None for molecules, without layers of M-mode, and where it is empty."""
    if subject.smiles is not None:
        return None
    found = predicted_path(predictor.eval(), lambda: number([subject.data]), subject.marked or None)
    return None if found is None or not len(found.columns) else found.columns


def _molecule(predictor: Predictor, smiles: str, question: Question) -> _Subject:
    if question.graph is not None or question.item is not None:
        raise ValueError("a molecule is one graph and has one prediction for each target: leave out --graph and --item")
    taken = MoleculeInputs.of_recipe(predictor.recipe)
    texts = taken.of_argument(smiles)
    (data,) = taken.graphs([(texts, {})], load_transform(predictor.recipe, ToDAG()))
    if isinstance(data, str):
        raise ValueError(f"{data}{no_path(smiles)}")
    atoms = [atom for text in texts for atom in Chem.MolFromSmiles(text).GetAtoms()]
    labels = [f"{number} {atom.GetSymbol()}" for number, atom in enumerate(atoms)]
    if "is_edge" in data:
        into, out_of = data.edge_index.chunk(2, dim=1)
        labels += [f"{labels[start]} -> {labels[end]}" for start, end in zip(into[0], out_of[1], strict=True)]
    return _Subject(smiles, data, labels, 0, [], predictor.target_names, predictor.classes, ".".join(texts))


def _dag(predictor: Predictor, folder: str, question: Question) -> _Subject:
    content, encoding, transform = read_for(predictor, folder, allow_unknown=True)
    names = [graph.graph_id for graph in content.graphs]
    number = 0 if question.graph is None else _find(names, question.graph, f"graph of {folder}")
    data = transform(content.graphs[number])
    row, marked = _row(data, encoding, question.item)
    begin, count = sum(len(graph.node_id) for graph in content.graphs[:number]), len(content.graphs[number].node_id)
    labels = list(data.node_id)
    for cells in list(content.cells.values())[:1]:
        labels[:count] = [
            f"{label}\n{_short(cell)}" if cell else label
            for label, cell in zip(labels[:count], cells[begin : begin + count], strict=True)
        ]
    where = "" if not marked else f", {' -> '.join(data.node_id[node] for node in marked)}"
    columns = {name.removeprefix("nodes."): cells[begin : begin + count] for name, cells in content.cells.items()}
    told = [list(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    name, names = f"{names[number]}{where}", encoding.target_names
    return _Subject(name, data, labels, row, marked, names, encoding.classes, cells=told)


def _row(data: Data, encoding: Encoding, item: list[str] | None) -> tuple[int, list[int]]:
    """Row of the targets, and the nodes that it is about."""
    if encoding.level == "graph":
        if item is not None:
            raise ValueError("this model predicts graphs: leave out --item")
        return 0, []
    if encoding.level == "node":
        if item is not None and len(item) != 1:
            raise ValueError(f"this model predicts nodes: --item takes one of them, got {len(item)}")
        node = 0 if item is None else _find(data.node_id, item[0], f"node of graph {data.graph_id}")
        return node, [node]
    assert data.edge_index is not None
    edges = data.edge_index.t().tolist()
    if not edges:
        raise ValueError(f"graph {data.graph_id} has no edges")
    if item is None:
        return 0, edges[0]
    if len(item) != 2:
        raise ValueError(f"this model predicts edges: --item takes a start and an end, got {len(item)} nodes")
    ends = [_find(data.node_id, name, f"node of graph {data.graph_id}") for name in item]
    if ends not in edges:
        raise ValueError(f"graph {data.graph_id} has no edge from {item[0]} to {item[1]}")
    return edges.index(ends), ends


def _find(names: list[str], name: str, kind: str) -> int:
    if name not in names:
        some = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        near = meant(name, names) if len(names) <= _COMPARED else ""
        raise ValueError(f"there is no {kind} called {name!r}; there are {some}{near}")
    return names.index(name)


def _column(targets: list[str], target: str | None, probabilities: Tensor | None) -> int:
    """Column of the output: by the name of a target, of a class with or without its target; else the default."""
    if target is None:
        return 0 if probabilities is None else int(probabilities.argmax())
    short = [name.partition(": ")[2] for name in targets]
    return short.index(target) if target in short else _find(targets, target, "target")


def _numbers(output: Tensor, predictor: Predictor) -> Tensor:
    """Output in the unit of the target, as its logarithm, as logits, or as logarithms of probabilities."""
    if predictor.kind == "multiclass":
        return output.log_softmax(dim=-1)
    if predictor.scale is None:
        return output
    # Without the mean, which differences do not have.
    return as_double(output) * predictor.scale.std.to(output.device)


def _unit(predictor: Predictor, column: int) -> str:
    if predictor.scale is not None:
        return predictor.scale.unit(column)
    return "log probability" if predictor.kind == "multiclass" else "logit"


def _short(cell: str) -> str:
    """A cell as it is drawn beside a node: a number with more digits than anyone reads is rounded."""
    try:
        return cell if "." not in cell or len(cell) <= _DIGITS + 2 else f"{float(cell):.{_DIGITS}g}"
    except ValueError:
        return cell


def _notes(values: Tensor, predictor: Predictor) -> list[str]:
    """What the values mean, and which nodes have none."""
    plans = any(isinstance(module, MakespanPLSTM) for module in predictor.modules())
    unknown = "a word as an unknown one, a number as the mean of training, or as 0 if it is raw"
    what = "if the task takes no time" if plans else f"without the features of the node ({unknown}); its edges stay"
    notes = [f"what the prediction loses {what}"]
    if len(values) > _TRIED:
        notes.append(
            f"{_TRIED} of {len(values):,} nodes were tried, those with the largest gradients; the others count as 0"
        )
    return notes


def _print(values: Tensor, labels: list[str], title: str, unit: str, notes: list[str]) -> None:
    """The largest values as a table; nodes that add nothing are not listed."""
    largest = [node for node in values.abs().topk(min(_LISTED, len(values))).indices.tolist() if float(values[node])]
    rows = [[labels[node].replace("\n", " "), f"{float(values[node]):+.4g}"] for node in largest]
    print_table(Console(), ["node", f"adds ({unit})"], rows or [["no node adds anything", "0"]], title)
    for note in notes:
        Console().say(note)
