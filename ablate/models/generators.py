"""The random generators that custom code may use: seeding them, saving and restoring their state."""

import random
from typing import Any

import numpy
import torch


def seed_generators(seed: int) -> None:
    """Seed every generator that custom code may use: torch's on all devices, Python's, NumPy's."""
    torch.manual_seed(seed)
    random.seed(seed)
    numpy.random.seed(seed)


def generators(device: torch.device) -> dict[str, Any]:
    """The state of those generators, as tensors and plain values."""
    state: Any = numpy.random.get_state(legacy=False)
    state["state"]["key"] = state["state"]["key"].tolist()  # torch.load refuses NumPy's arrays
    states = {"torch": torch.get_rng_state(), "python": random.getstate(), "numpy": state}
    if device.type != "cpu":
        states["device"] = torch.get_device_module(device).get_rng_state()
    return states


def restore_generators(states: dict[str, Any], device: torch.device) -> None:
    """Set the generators to `states` of a device of the same kind."""
    torch.set_rng_state(states["torch"])
    random.setstate(states["python"])
    numpy.random.set_state(states["numpy"])
    if device.type != "cpu":
        torch.get_device_module(device).set_rng_state(states["device"])
