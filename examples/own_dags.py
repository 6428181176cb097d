"""Train on a folder of DAGs from Python, where `plstm-graph fit` is not enough: the loop is yours.

python examples/own_dags.py                      # the example set: 2,021 neural architectures and their scores
python examples/own_dags.py my_dags --epochs 60  # any folder with a regression target of graphs
"""

import argparse

import torch
from torch_geometric.loader import DataLoader
from tqdm import trange

from plstm_graph import PLSTM, LineGraph
from plstm_graph.datasets import DAGFolder
from plstm_graph.transforms import ToDAG


def predict(model, batch):
    line_graph = LineGraph.from_data(batch)  # once per batch, for all layers
    return model(batch.x, batch.edge_index, batch.edge_attr, batch.batch, line_graph, batch.num_graphs)


def rmse(model, loader, mean, std):
    model.eval()
    with torch.no_grad():
        errors = [predict(model, batch) * std + mean - batch.y for batch in loader]
    return root_mean_square(errors)


def root_mean_square(errors):
    return torch.cat(errors).square().mean().sqrt().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", default="datasets/nas_bench_graph_proteins")
    parser.add_argument("--epochs", type=int, default=30)
    options = parser.parse_args()
    torch.manual_seed(0)

    dataset = DAGFolder(options.folder, pre_transform=ToDAG())  # directions kept; levels and cuts attached once
    sizes = dataset.encoding
    loaders = {name: DataLoader(dataset.part(name), 64, shuffle=name == "train") for name in ("train", "valid", "test")}
    targets = torch.cat([data.y for data in dataset.part("train")])
    mean, std = targets.mean(dim=0), targets.std(dim=0)

    model = PLSTM(
        in_channels=sizes.node_sizes,  # sizes of category columns, 0 for columns of numbers
        hidden_channels=32,
        num_layers=2,
        out_channels=sizes.num_outputs,
        edge_dim=sizes.edge_sizes or None,
        norm_eps=1.0,  # keeps how strongly a node is spoken to, not only in which direction
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    steps = options.epochs * len(loaders["train"])
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=steps)
    progress = trange(options.epochs, unit=" epochs")
    for _ in progress:
        model.train()
        for batch in loaders["train"]:
            loss = (predict(model, batch) - (batch.y - mean) / std).square().mean()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        progress.set_postfix(valid_rmse=f"{rmse(model, loaders['valid'], mean, std):.5f}")
    by_mean = root_mean_square([batch.y - mean for batch in loaders["test"]])
    print(f"test RMSE {rmse(model, loaders['test'], mean, std):.5f}, of the mean predictor {by_mean:.5f}")


if __name__ == "__main__":
    main()
