"""Line graphs in files that ``torch.load(weights_only=True)`` reads, such as graphs with ``data.line_graph``."""

import torch

from plstm_graph.graph.ancestry import Ancestry
from plstm_graph.graph.blocks.layout import BlockLayout
from plstm_graph.graph.blocks.level_blocks import Blocks
from plstm_graph.graph.line_graph import LineGraph
from plstm_graph.graph.links import LinkLayout, Links
from plstm_graph.graph.node_levels import NodeLevels
from plstm_graph.graph.rows import Rows
from plstm_graph.graph.schedule import Schedule


def allow_in_files() -> None:
    """Let torch read a line graph with all that was built of it; all of these hold tensors and numbers alone."""
    torch.serialization.add_safe_globals(
        [LineGraph, Schedule, Ancestry, Links, LinkLayout, NodeLevels, Blocks, BlockLayout, Rows]
    )
