"""What a prediction comes from, as a page for a browser: one file, without anything from elsewhere."""

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import to_hex
from torch import Tensor

from plstm_graph.text import visible
from plstm_graph.viz.attribution import COLOURS, scale_of
from plstm_graph.viz.page_views import View, dag_views

_LISTED = 25
_STOPS = 27  # of the scale of colours


@dataclass
class Node:
    """A node as the page tells of it.

    Attributes:
        name (str): Its name.
        cells (list[tuple[str, str]]): Its features, with the names of their columns.
        label (str): Lines that are written on it. (default: its name)
    """

    name: str
    cells: list[tuple[str, str]] = field(default_factory=list)
    label: str = ""


def attribution_page(
    edge_index: Tensor,
    values: Tensor,
    nodes: Sequence[Node],
    title: str,
    *,
    unit: str = "",
    notes: Sequence[str] = (),
    marked: Sequence[int] = (),
    path: Tensor | None = None,
) -> str:
    """A page with a DAG whose nodes tell by hovering what they are and what they add to a prediction.

    Of more than 60 nodes those that matter have a view of their own, as in
    :func:`~plstm_graph.viz.draw_dag_attribution`, beside one of the whole graph. The page asks nobody for anything, and
    no name in it can become markup or a script: names are escaped, or JSON that a script sets as text, and the page
    forbids all scripts but its own.

    Args:
        edge_index: Start and end node of each edge, ``[2, E]``.
        values: As from :func:`~plstm_graph.viz.attribution`, ``[N]``.
        nodes: What the nodes are called, and their features.
        title: Of the page.
        unit: Of the values.
        notes: Sentences below the list of the largest values.
        marked: Nodes with a thick border, such as the one that is predicted.
        path: Edges that are drawn strongly, in order, such as a critical path: columns of ``edge_index``.

    Returns:
        The page, HTML.
    """
    scale = scale_of(values)
    colours = ScalarMappable(scale, COLOURS)
    fills = [to_hex(color) for color in colours.to_rgba(values.numpy(force=True))]
    views = dag_views(
        edge_index, values, [visible(node.label or node.name).split("\n") for node in nodes], fills, list(marked), path
    )
    told = sorted({node for view in views for node in view.nodes} | set(_largest(values)))
    adds = f"adds ({unit})" if unit else "adds"
    data = {
        "adds": adds,
        "nodes": {
            str(node): [
                visible(nodes[node].name),
                f"{float(values[node]):+.4g}",
                [[visible(column), visible(cell)] for column, cell in nodes[node].cells],
            ]
            for node in told
        },
    }
    style, script = ((files("plstm_graph.viz") / f"page.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    policy = f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; base-uri 'none'"
    tabs = "".join(
        f'<button data-view="{number}" aria-pressed="{"false" if number else "true"}">{_text(view.name)}</button>'
        for number, view in enumerate(views)
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_text(title)}</title>
<style>{style}</style>
</head>
<body>
<header><h1>{_text(title)}</h1></header>
<main>
<div id="stage">
<div id="bar">{tabs if len(views) > 1 else ""}
<button id="closer" title="closer">+</button><button id="farther" title="farther">&minus;</button>
<button id="all">all</button><input id="find" type="search" placeholder="find a node"><span id="count"></span></div>
<svg id="graph" role="img" aria-label="the graph" preserveAspectRatio="xMidYMid meet">
<defs><marker id="tip-of-edge" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="7" markerHeight="7" orient="auto"
markerUnits="userSpaceOnUse"><path d="M0 0.6 L8 4 L0 7.4 z" fill="#6b7785"/></marker></defs>
{"".join(_view(view) for view in views)}</svg>
</div>
<aside>
<h2>{_text(adds)}</h2>
{_scale(colours, float(scale.vmax or 0))}
<ol>{"".join(_item(nodes[node].name, float(values[node]), node, values, fills[node]) for node in _largest(values))}</ol>
{"".join(f"<p>{_text(note)}</p>" for note in notes)}
<p>Hover over a node to see what it is and its edges. Drag to move, turn the wheel to come closer.</p>
</aside>
</main>
<div id="tip" role="status" hidden></div>
<script type="application/json" id="data">{_json(data)}</script>
<script>{script}</script>
</body>
</html>
"""


def _view(view: View) -> str:
    box, first = (" ".join(f"{each:.1f}" for each in sides) for sides in (view.box, view.first or view.box))
    return f'<g class="view" data-box="{box}" data-first="{first}">{"".join(view.shapes)}</g>\n'


def _largest(values: Tensor) -> list[int]:
    order = values.abs().argsort(descending=True, stable=True).tolist()
    return [node for node in order[:_LISTED] if float(values[node]) != 0]


def _item(name: str, value: float, node: int, values: Tensor, fill: str) -> str:
    share = 100 * abs(value) / max(float(values.abs().max()), 1e-300)
    bar = f'<rect width="{share:.1f}" height="4" rx="1" fill="{fill}" stroke="#5b6672" stroke-width=".3"/>'
    line = f'<svg viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">{bar}</svg>'
    return f'<li data-n="{node}" tabindex="0"><span>{_text(name)}</span><b>{value:+.4g}</b>{line}</li>'


def _scale(colours: ScalarMappable, high: float) -> str:
    """The colours from the lowest to the highest value that they stand for."""
    low = -high
    stops = map(to_hex, colours.to_rgba(np.linspace(low, high, _STOPS)))
    cells = [f'<rect x="{stop * 10}" width="10" height="12" fill="{fill}"/>' for stop, fill in enumerate(stops)]
    words = zip((0, 135, 270), ("start", "middle", "end"), (low, 0.0, high), strict=True)
    marks = "".join(f'<text x="{x}" y="26" text-anchor="{anchor}">{value:.3g}</text>' for x, anchor, value in words)
    attributes = 'id="scale" viewBox="0 0 270 30" shape-rendering="crispEdges" aria-hidden="true"'
    return f"<svg {attributes}>{''.join(cells)}{marks}</svg>"


def _text(text: str) -> str:
    return html.escape(visible(text))


def _json(data: object) -> str:
    """JSON that no parser of HTML takes for markup."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
