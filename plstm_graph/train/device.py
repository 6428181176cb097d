"""Devices by their names."""

import torch


def pick_device(name: str) -> torch.device:
    """The device of a name; ``"auto"`` is the accelerator that is there, else the CPU.

    Raises:
        ValueError: If there is no such device.
    """
    if name == "auto":
        return torch.accelerator.current_accelerator() or torch.device("cpu")
    try:
        torch.ones(1, device=name).item()  # which devices without data, such as meta, cannot give
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device {name!r} cannot be used: {str(error).splitlines()[0][:200]}") from error
    return torch.device(name)
