"""Pictures: what a model reads, how a training went."""

from plstm_graph.viz.contact_sheet import contact_sheet as contact_sheet
from plstm_graph.viz.influence import draw_influence as draw_influence
from plstm_graph.viz.influence import influence as influence
