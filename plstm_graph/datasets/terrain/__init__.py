"""Water over terrain: a real elevation model, made soils and rain, and the discharge that follows from them."""

from plstm_graph.datasets.terrain.elevation import Elevation as Elevation
from plstm_graph.datasets.terrain.elevation import fill_depressions as fill_depressions
from plstm_graph.datasets.terrain.elevation import load_elevation as load_elevation
from plstm_graph.datasets.terrain.terrain import EDGE_FEATURES as EDGE_FEATURES
from plstm_graph.datasets.terrain.terrain import NODE_FEATURES as NODE_FEATURES
from plstm_graph.datasets.terrain.terrain import Terrain as Terrain
