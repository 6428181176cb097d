"""Pictures: what a model reads, how a training went."""

from plstm_graph.viz.accuracy_by_distance import draw_accuracy_by_distance as draw_accuracy_by_distance
from plstm_graph.viz.accuracy_by_size import draw_accuracy_by_size as draw_accuracy_by_size
from plstm_graph.viz.attribution import attribution as attribution
from plstm_graph.viz.attribution import draw_dag_attribution as draw_dag_attribution
from plstm_graph.viz.attribution import draw_molecule_attribution as draw_molecule_attribution
from plstm_graph.viz.contact_sheet import contact_sheet as contact_sheet
from plstm_graph.viz.influence import draw_influence as draw_influence
from plstm_graph.viz.influence import influence as influence
from plstm_graph.viz.saliency import draw_saliency as draw_saliency
from plstm_graph.viz.saliency import saliency as saliency
