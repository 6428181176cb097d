"""Draw which atoms of a molecule a trained model's atoms read of.

python examples/influence.py CHECKPOINT "CC(C)Cc1ccc(cc1)C(C)C(=O)O" --output influence.png
"""

import argparse

from plstm_graph import LineGraph
from plstm_graph.datasets import smiles_to_data
from plstm_graph.predict.predictor import load_module, load_transform
from plstm_graph.transforms import ToDAG
from plstm_graph.viz import draw_influence, influence


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="a .ckpt file that `plstm-graph fit` wrote")
    parser.add_argument("smiles")
    parser.add_argument("--atoms", type=int, nargs="*", help="atoms to look from (default: those that read farthest)")
    parser.add_argument("--output", default="influence.png")
    arguments = parser.parse_args()

    module = load_module(arguments.checkpoint)
    transform = load_transform(module.recipe) or ToDAG()
    data = transform(smiles_to_data(arguments.smiles))
    line_graph = LineGraph.from_data(data)
    matrix = influence(module.model, data.x, data.edge_index, data.edge_attr, line_graph=line_graph)
    draw_influence(arguments.smiles, matrix, arguments.atoms).savefig(arguments.output, dpi=110)
    print(f"wrote {arguments.output}")


if __name__ == "__main__":
    main()
