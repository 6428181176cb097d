"""Drawings of a DAG as SVG: one of the nodes that matter, with words, and one of the whole graph."""

import html
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from matplotlib.colors import to_rgb
from torch import Tensor

from plstm_graph.viz.dag import Point, routed_layout
from plstm_graph.viz.neighbourhood import Neighbourhood, neighbourhood
from plstm_graph.viz.overview import overview_layout

_SHOWN = 60  # nodes with words
_NODES, _EDGES = 3000, 12_000  # of the drawing of the whole graph
_LETTERS = 18  # of a line of words
_LETTER, _GAP = 6.2, 50.0  # width of a letter; room between columns, in pixels
_ROW, _HIGH = 46.0, 90.0  # least and largest height of a row, which grows with the width of the drawing
_WIDEST = 1500.0  # pixels of a drawing that are seen at first, so that words can be read
_WHOLE = 1400.0, 760.0  # size of the drawing of the whole graph, in pixels


Box = tuple[float, float, float, float]


@dataclass
class View:
    """A drawing.

    Attributes:
        name (str): What it shows.
        nodes (list[int]): The nodes in it.
        box (tuple): Its left and upper edge, width and height.
        first (tuple, optional): What of it is seen first. (default: all)
        shapes (list[str]): Elements of SVG; those of nodes have ``data-n``, those of edges ``data-a`` and ``data-b``.
    """

    name: str
    nodes: list[int]
    box: Box
    first: Box | None = None
    shapes: list[str] = field(default_factory=list)


def dag_views(
    edge_index: Tensor,
    values: Tensor,
    words: Sequence[Sequence[str]],
    fills: Sequence[str],
    marked: Sequence[int],
    path: Tensor | None,
) -> list[View]:
    """The nodes that matter with words; and, if there are others, the whole graph without.

    Args:
        edge_index: Start and end node of each edge, ``[2, E]``.
        values: What each node adds, ``[N]``.
        words: Lines on each node.
        fills: Colour of each node.
        marked: Nodes with a thick border.
        path: Columns of ``edge_index`` on a path.
    """
    shown = neighbourhood(edge_index, values, marked, path, _SHOWN)
    first = _near_view(shown, words, fills, set(marked), path)
    if len(shown.nodes) == len(values):
        return [first]
    return [first, _whole_view(edge_index, len(values), shown, fills, set(marked))]


def _near_view(
    shown: Neighbourhood,
    words: Sequence[Sequence[str]],
    fills: Sequence[str],
    marked: set[int],
    path: Tensor | None,
) -> View:
    nodes = shown.nodes.tolist()
    places, routes = routed_layout(shown.drawn, len(nodes), late=True)
    lines = [[_short(line) for line in words[node]] for node in nodes]
    widths = [max([28.0, *(len(line) * _LETTER + 18 for line in each)]) for each in lines]
    columns = int(max((place[0] for place in places), default=0)) + 1
    wide = [
        max([w for w, place in zip(widths, places, strict=True) if place[0] == c], default=28.0) for c in range(columns)
    ]
    middle = [sum(wide[:c]) + c * _GAP + wide[c] / 2 for c in range(columns)]
    rows = max((y for _, y in places), default=0) - min((y for _, y in places), default=0) + 1
    row = min(max(0.55 * sum(wide) / rows, _ROW), _HIGH)
    on_path = set() if path is None else set(path.tolist())
    view = View("what matters", nodes, (0, 0, 1, 1))
    for number, (a, b) in enumerate(shown.drawn.t().tolist()):
        is_way = number >= len(shown.edges)
        kind = "way" if is_way else "" if path is None else "path" if int(shown.edges[number]) in on_path else "beside"
        points = [(middle[int(places[a][0])] + widths[a] / 2, places[a][1] * row)]
        for column, y in routes[number]:
            points += [(middle[int(column)] + side * wide[int(column)] / 2, y * row) for side in (-1, 1)]
        points.append((middle[int(places[b][0])] - widths[b] / 2 - 1, places[b][1] * row))
        view.shapes.append(_edge(points, nodes[a], nodes[b], kind))
        if is_way:
            x, y = ((first + second) / 2 for first, second in zip(*points[:2], strict=True))
            count = f"+{shown.hidden[number - len(shown.edges)]:,}"
            view.shapes.append(f'<text class="hop" x="{x:.1f}" y="{y + 3:.1f}">{count}</text>')
    for each, node in enumerate(nodes):
        x, y = middle[int(places[each][0])], places[each][1] * row
        view.shapes.append(_pill(x, y, widths[each], lines[each], node, fills[node], node in marked))
    low, high = min((y for _, y in places), default=0) * row, max((y for _, y in places), default=0) * row
    view.box = (-40.0, low - 90, middle[-1] + wide[-1] / 2 + 80, high - low + 140) if nodes else (0, 0, 100, 100)
    if view.box[2] > _WIDEST and marked:  # the node that is asked about, as large as words can be read
        x, y = places[nodes.index(max(marked, key=lambda node: places[nodes.index(node)][0]))]
        left = min(max(middle[int(x)] - 0.8 * _WIDEST, view.box[0]), view.box[0] + view.box[2] - _WIDEST)
        view.first = (left, y * row - 0.3 * _WIDEST, _WIDEST, 0.6 * _WIDEST)
    return view


def _whole_view(edge_index: Tensor, total: int, shown: Neighbourhood, fills: Sequence[str], marked: set[int]) -> View:
    """All nodes as dots, or those around the ones that matter, of graphs that are too large for a page."""
    kept = _around(edge_index, total, shown.nodes.tolist())
    is_kept = torch.zeros(total, dtype=torch.bool)
    is_kept[kept] = True
    inside = is_kept[edge_index].all(dim=0).nonzero().view(-1)
    ends = torch.searchsorted(kept, edge_index[:, inside])
    places = overview_layout(ends, len(kept))
    places -= places.min(axis=0)
    places *= [side / max(float(most), 1e-9) for side, most in zip(_WHOLE, places.max(axis=0), strict=True)]
    is_shown = torch.zeros(total, dtype=torch.bool)
    is_shown[shown.nodes] = True
    matters = is_shown[edge_index[:, inside]].all(dim=0)
    order = torch.cat([matters.nonzero().view(-1), (~matters).nonzero().view(-1)])[:_EDGES].flip(0)
    name = "whole graph" if len(kept) == total else f"{len(kept):,} of {total:,} nodes"
    view = View(name, kept.tolist(), (-30.0, -70.0, _WHOLE[0] + 60, _WHOLE[1] + 100))
    points = places.tolist()
    for column in order.tolist():
        a, b = ends[:, column].tolist()
        start, end = kept[a], kept[b]
        kind = "" if bool(matters[column]) else "rest"
        (x0, y0), (x1, y1) = points[a], points[b]
        view.shapes.append(
            f'<path class="edge {kind}" data-a="{start}" data-b="{end}" d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}"/>'
        )
    radius = 2.2 if len(kept) > 800 else 3.5
    for rest in (True, False):  # those that matter on top
        for each, node in enumerate(view.nodes):
            if bool(is_shown[node]) == rest:
                continue
            x, y = points[each]
            kind = "node rest" if rest else "node marked" if node in marked else "node"
            size = radius if rest else 6.0
            fill = "" if rest else f' fill="{fills[node]}"'
            circle = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size}"{fill}/>'
            view.shapes.append(f'<g class="{kind}" data-n="{node}">{circle}</g>')
    return view


def _around(edge_index: Tensor, total: int, nodes: Sequence[int]) -> Tensor:
    """All nodes, or those nearest to some, in order."""
    if total <= _NODES:
        return torch.arange(total)
    beside: list[list[int]] = [[] for _ in range(total)]
    for start, end in edge_index.t().tolist():
        beside[start].append(end)
        beside[end].append(start)
    found, queue = dict.fromkeys(nodes), deque(nodes)
    while queue and len(found) < _NODES:
        for other in beside[queue.popleft()]:
            if other not in found and len(found) < _NODES:
                found[other] = None
                queue.append(other)
    return torch.tensor(sorted(found))


def _edge(points: Sequence[Point], start: int, end: int, kind: str) -> str:
    """A smooth line that enters and leaves every column levelly."""
    parts = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for number in range(1, len(points)):
        (x0, y0), (x1, y1) = points[number - 1], points[number]
        bend = (x0 + x1) / 2
        parts.append(f"C{bend:.1f} {y0:.1f} {bend:.1f} {y1:.1f} {x1:.1f} {y1:.1f}")
    d = "".join(parts)
    return f'<path class="edge {kind}" data-a="{start}" data-b="{end}" marker-end="url(#tip-of-edge)" d="{d}"/>'


def _pill(x: float, y: float, width: float, lines: Sequence[str], node: int, fill: str, is_marked: bool) -> str:
    height = 22.0 if len(lines) == 1 else 34.0
    kinds = "node" + " marked" * is_marked + " dark" * _is_dark(fill)
    shape = (
        f'<rect x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" width="{width:.1f}" height="{height}" rx="9" '
        f'fill="{fill}"/>'
    )
    first = y + 4 if len(lines) == 1 else y - 3
    texts = "".join(
        f'<text{" class=second" * bool(number)} x="{x:.1f}" y="{first + 14 * number:.1f}">{html.escape(line)}</text>'
        for number, line in enumerate(lines)
    )
    return f'<g class="{kinds}" data-n="{node}">{shape}{texts}</g>'


def _is_dark(fill: str) -> bool:
    red, green, blue = to_rgb(fill)
    return 0.3 * red + 0.59 * green + 0.11 * blue < 0.5


def _short(line: str) -> str:
    line = " ".join(line.split())
    return line if len(line) <= _LETTERS else f"{line[: _LETTERS - 1]}…"
