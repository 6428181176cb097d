"""Which nodes a prediction comes from, drawn on the molecule or the DAG."""

import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch_geometric.data import Data

from plstm_graph.nn.graph_model import GraphModel
from plstm_graph.nn.makespan import MakespanPLSTM
from plstm_graph.text import plot_label
from plstm_graph.viz.dag import draw_dag, layered_layout
from plstm_graph.viz.molecule import draw_molecule, read_smiles
from plstm_graph.viz.neighbourhood import Neighbourhood, neighbourhood
from plstm_graph.viz.overview import draw_overview, overview_layout

COLOURS = "RdBu_r"
_SHOWN = 60  # nodes of a drawing
_LETTERS = 8  # of a title, in an inch
_BAR = 3.5  # largest height of a bar of colours, in inches
_OVERVIEW = 2.6  # height of the drawing of a whole large graph


@torch.no_grad()
def attribution(
    model: nn.Module,
    number: Callable[[list[Data]], Tensor],
    data: Data,
    most: int = 256,
    nodes_at_once: int = 50_000,
    always: Sequence[int] = (),
) -> Tensor:
    """How much each node's features add to a prediction: what it loses when their embedding is zero (occlusion).

    Degrees, edges and structure stay as they are. Of a :class:`~plstm_graph.nn.MakespanPLSTM` it is what the prediction
    loses when the task takes no time. One pass for many copies of the graph, each without one node.
    Differences, not gradients: along the way from nothing to the features, outputs of gated and normalised layers turn
    too often for a gradient to say where they end.

    Args:
        model: A module with one model of this package in it, or several, as :class:`~plstm_graph.nn.Ensemble`; run in
            evaluation mode.
        number: Takes ``k`` copies of the graph through the model, to the number that is explained, ``[k]``.
        data: The graph, ``N`` nodes.
        most: Of larger graphs, this many nodes are tried, those with the largest gradient times embedding; the others
            get 0.
        nodes_at_once: In about how many nodes the copies go through the model.
        always: Nodes that are tried in any case, before others.

    Returns:
        ``[N]``, in the unit of the number.

    Raises:
        ValueError: If there is no model of this package, so that it is unknown where node features enter.
    """
    encoders = [module.node_encoder for module in model.modules() if isinstance(module, GraphModel | MakespanPLSTM)]
    if not encoders:
        raise ValueError(
            f"there is no GraphModel of this package in {type(model).__name__}, so where node features enter is unknown"
        )
    assert data.num_nodes is not None
    total = data.num_nodes
    was_training = model.training
    model.eval()
    try:
        nodes = torch.arange(total)
        if total > most:
            strength = _strongest(encoders, number, data)
            strength[list(always)] = torch.inf
            nodes = strength.topk(most).indices
        whole = number([data])
        values = whole.new_zeros(total)
        for part in nodes.split(max(nodes_at_once // total, 1)):
            hidden = part.to(whole.device) + total * torch.arange(len(part), device=whole.device)
            with _changed(encoders, lambda output, hidden=hidden: output.index_fill(0, hidden, 0.0)):  # type: ignore[misc]
                values[part.to(whole.device)] = whole - number([data] * len(part))
    finally:
        model.train(was_training)
    return values


def _strongest(encoders: Sequence[nn.Module], number: Callable[[list[Data]], Tensor], data: Data) -> Tensor:
    """Size of gradient times embedding of each node, ``[N]``."""
    embeddings: list[Tensor] = []

    def record(output: Tensor) -> Tensor:
        embeddings.append(output.detach().requires_grad_())
        return embeddings[-1]

    with torch.enable_grad(), _changed(encoders, record):
        gradients = torch.autograd.grad(number([data]).sum(), embeddings)
    products = [(gradient * value).sum(dim=-1) for gradient, value in zip(gradients, embeddings, strict=True)]
    return torch.stack(products).sum(dim=0).abs().detach()


@contextmanager
def _changed(encoders: Sequence[nn.Module], change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Inside, the encoders' outputs are changed."""
    handles = [encoder.register_forward_hook(lambda module, inputs, output: change(output)) for encoder in encoders]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def draw_dag_attribution(
    edge_index: Tensor,
    values: Tensor,
    labels: Sequence[str],
    title: str = "",
    marked: Sequence[int] = (),
    path: Tensor | None = None,
) -> Figure:
    """Draw a DAG, its nodes from blue (they lower the number) to red (they raise it).

    Of more than 60 nodes, those that matter are drawn, 60 at most: the marked ones and those that their in-edges come
    from, the nodes with the largest values, and ways between them; of a path that is drawn through them its last
    nodes before all others. Below, the whole graph is drawn faintly.

    Args:
        edge_index: Start and end node of each edge, ``[2, E]``.
        values: As from :func:`attribution`, ``[N]``.
        labels: Words on the nodes.
        title: Title of the picture.
        marked: Nodes with a thick border, such as the one that is predicted.
        path: Edges that are drawn strongly and the others faintly, such as a critical path: columns of ``edge_index``
            in the order of the path. (default: all edges alike)

    Returns:
        A matplotlib figure; ``figure.savefig(path)`` writes it.
    """
    shown = neighbourhood(edge_index, values, marked, path, _SHOWN)
    kept, is_whole = shown.nodes, len(shown.nodes) == len(values)
    strong = None if path is None else torch.isin(shown.edges, path)
    colours = ScalarMappable(scale_of(values), COLOURS)
    places = layered_layout(shown.drawn, len(kept), late=not is_whole)
    width, height = (places.amax(dim=0) - places.amin(dim=0)).tolist() if len(kept) else (0.0, 0.0)
    inches = max(4.0, 0.5 * height + 1.5)
    figure = Figure(figsize=(max(5.0 if is_whole else 8.0, 1.1 * width + 2.5), inches + (0 if is_whole else _OVERVIEW)))
    FigureCanvasAgg(figure)
    figure.set_layout_engine("constrained")
    rows = (
        figure.subplots(1, 1, squeeze=False)
        if is_whole
        else figure.subplots(2, 1, squeeze=False, gridspec_kw={"height_ratios": [inches, _OVERVIEW]})
    )
    colors = _rgba(colours, values[kept])
    draw_dag(
        rows[0, 0],
        shown.drawn[:, : len(shown.edges)],
        len(kept),
        labels=[labels[node] for node in kept.tolist()],
        colors=colors,
        strong=strong,
        marked=torch.searchsorted(kept, torch.tensor(list(marked), dtype=torch.long)).tolist(),
        ways=shown.drawn[:, len(shown.edges) :],
        hidden=shown.hidden,
        late=not is_whole,
    )
    if not is_whole:
        title += f"\n{len(kept)} of {len(values):,} nodes{_aside(shown)}"
        overview = overview_layout(edge_index, len(values))
        draw_overview(rows[1, 0], edge_index, overview, kept, colors, "where they are in the whole graph")
    _entitle(figure, title)
    figure.colorbar(colours, ax=rows[0, 0], shrink=min(0.7, _BAR / inches), label="what a node adds")
    return figure


def _aside(shown: Neighbourhood) -> str:
    """What else there is to know of the nodes that are shown."""
    parts = ["a dotted line is a way through so many others"] if shown.hidden else []
    parts += [f"{shown.left_out:,} more in-edges"] if shown.left_out else []
    return "".join(f"; {part}" for part in parts)


def draw_molecule_attribution(smiles: str, values: Tensor, title: str = "", size: int = 480) -> Figure:
    """Draw a molecule, its atoms from blue (they lower the number) to red (they raise it).

    Args:
        smiles: The molecule, its atoms in the order of ``values``.
        values: As from :func:`attribution`, ``[N]``.
        title: Title of the picture.
        size: Height of the drawing in pixels.

    Returns:
        A matplotlib figure; ``figure.savefig(path)`` writes it.

    Raises:
        ValueError: If the SMILES does not parse, or has another number of atoms than there are values.
    """
    molecule = read_smiles(smiles)
    if molecule.GetNumAtoms() != len(values):
        raise ValueError(f"{smiles} has {molecule.GetNumAtoms()} atoms, but there are {len(values)} values")
    colours = ScalarMappable(scale_of(values), COLOURS)
    atoms = {atom: (red, green, blue) for atom, (red, green, blue, _) in enumerate(_rgba(colours, values))}
    figure = Figure(figsize=(6.0, 5.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.imshow(draw_molecule(molecule, atoms, size))
    axes.set_axis_off()
    _entitle(figure, title)
    figure.colorbar(colours, ax=axes, shrink=0.7, label="what an atom adds")
    return figure


def _entitle(figure: Figure, title: str) -> None:
    """Put a title above a picture, in as many lines as it takes: a SMILES may be longer than the picture is wide."""
    letters = int(_LETTERS * figure.get_figwidth())
    lines = [part for line in title.split("\n") for part in textwrap.wrap(line, letters)]
    figure.suptitle(plot_label("\n".join(lines)), fontsize=11)


def _rgba(colours: ScalarMappable, values: Tensor) -> list[tuple[float, ...]]:
    return [tuple(colour) for colour in colours.to_rgba(values.numpy(force=True)).tolist()]


def scale_of(values: Tensor) -> Normalize:
    """White for nothing, as far to one side as to the other, with room so that words stay readable on the strongest."""
    limit = 1.5 * max(float(values.abs().max()) if len(values) else 0.0, 1e-12)
    return Normalize(-limit, limit)
