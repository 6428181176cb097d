"""``plstm-graph info``: what a bug report needs to say."""

import importlib.metadata
import platform

import torch

from plstm_graph.console import Console
from plstm_graph.ops.scatter import torch_scatter_version

_PACKAGES = ("plstm_graph", "torch", "torch_geometric", "lightning", "jsonargparse", "torchmetrics", "rdkit", "ogb")


def print_info(console: Console) -> None:
    """Print versions, backends, devices and threads.

    Args:
        console: Where to print.
    """
    accelerator = torch.accelerator.current_accelerator()
    devices = ["cpu"]
    if accelerator is not None:
        devices += [f"{accelerator.type}:{number}" for number in range(torch.accelerator.device_count())]
    if torch.cuda.is_available():
        devices = ["cpu", *(f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(torch.cuda.device_count()))]
    rows = {"python": f"{platform.python_version()} on {platform.system()} {platform.machine()}"}
    rows |= {name: importlib.metadata.version(name) for name in _PACKAGES}
    rows["torch_scatter"] = torch_scatter_version() or "not installed (optional; make scatter)"
    rows["devices"] = ", ".join(devices)
    rows["threads"] = str(torch.get_num_threads())
    for name, text in rows.items():
        console.say(f"{name:<16} {text}")
