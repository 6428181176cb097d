"""A small graph model with the call of plstm_graph.nn.PLSTM, so that training is tested apart from it; callbacks."""

import os
import signal
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch_geometric.data import Batch
from torch_geometric.nn import GINEConv, global_mean_pool


class TinyModel(torch.nn.Module):
    def __init__(self, out_channels: int = 1, hidden_channels: int = 16, dropout: float = 0.1) -> None:
        super().__init__()
        self.atoms = torch.nn.Embedding(128, hidden_channels)
        self.bonds = torch.nn.Embedding(8, hidden_channels)
        self.conv = GINEConv(torch.nn.Linear(hidden_channels, hidden_channels))
        self.dropout = torch.nn.Dropout(dropout)
        self.head = torch.nn.Linear(hidden_channels, out_channels)

    def forward(
        self, x: Tensor, edge_index: Tensor, edge_attr: Tensor, batch: Tensor, line_graph: object, batch_size: int
    ) -> Tensor:
        assert line_graph is not None
        x = self.conv(self.atoms(x[:, 0]), edge_index, self.bonds(edge_attr[:, 0])).relu()
        return self.head(global_mean_pool(self.dropout(x), batch, batch_size))


class KillInEpoch(Callback):
    """Ends the process as a power cut would, in the middle of an epoch; once, which a file remembers."""

    def __init__(self, epoch: int, marker: str) -> None:
        self.epoch, self.marker = epoch, Path(marker)

    def on_train_batch_end(self, trainer: Trainer, *args: object) -> None:
        if trainer.current_epoch == self.epoch and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)


class Record(Callback):
    """Writes which molecules each process saw in each epoch, and its weights at the end."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.seen: dict[str, list[list[int]]] = {"train": [], "valid": []}

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        if batch_idx == 0:
            self.seen["train"].append([])
            self.seen["valid"].append([])
        self.seen["train"][-1] += batch.row.tolist()

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        self.seen["valid"][-1] += batch.row.tolist()

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        record = {"seen": self.seen, "weights": pl_module.model.state_dict()}
        torch.save(record, self.folder / f"{trainer.world_size}-{trainer.global_rank}.pt")
