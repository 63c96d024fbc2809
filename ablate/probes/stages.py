"""Measurements inside a network while it trains, as (name, value) pairs. They change no result.

`gate_openness/stageK` is the mean of 1 − g(x) over the images of an evaluation and over the gates of stage K.
`gradient/stageK` is the L2 norm of the loss's gradient with respect to the weights of stage K, at the last step of the
epoch.

A module of a shortcut or unit may offer numbers of its own: a method `scalars()` that returns them by name, as
`{"alpha": self.alpha}`. `alpha/stageK` is their mean over the units of stage K.

    ablate shortcut=gate probes=signal
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ablate.models.network import Network
from ablate.models.shortcuts import Gate
from ablate.probes.gates import openness

OWN = ("gate_openness", "gradient")


class Probes:
    """The probes of one network."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.stages: dict[int, list[nn.Module]] = {}
        for stage, unit in network.units():
            self.stages.setdefault(stage, []).append(unit)
        self.norms = torch.zeros(len(self.stages))

    def gradients(self) -> None:
        """Compute the norms of the parameters' current gradients, without waiting for the device."""
        parameters = ([p for unit in units for p in unit.parameters()] for units in self.stages.values())
        gradients = ([p.grad for p in stage if p.grad is not None] for stage in parameters)
        self.norms = torch.stack([nn.utils.get_total_norm(one) for one in gradients]).float()

    @contextmanager
    def watch(self) -> Iterator[dict[str, float]]:
        """Measure the forward passes in this context; the dictionary holds the values after it."""
        measured: dict[str, float] = {}
        totals: dict[int, tuple[Any, int]] = {}

        def add(stage: int, _module: nn.Module, _inputs: object, logits: Tensor) -> None:
            total, count = totals.get(stage, (0.0, 0))
            totals[stage] = total + openness(logits.float()).sum(), count + logits.numel()

        with ExitStack() as hooks:
            for stage, unit in self.network.units():
                for gate in unit.modules():
                    if isinstance(gate, Gate):
                        hooks.enter_context(gate.gate.register_forward_hook(partial(add, stage)))
            yield measured
        measured |= self._scalars()
        for stage, (total, count) in sorted(totals.items()):
            measured[f"gate_openness/stage{stage}"] = total.item() / count
        for stage, norm in enumerate(self.norms.tolist(), 1):
            measured[f"gradient/stage{stage}"] = norm

    def _scalars(self) -> dict[str, float]:
        """The means of the modules' own numbers. Raises ValueError if one is not a number, or has another's name."""
        found: dict[str, list[float]] = {}
        for stage, unit in self.network.units():
            for module in unit.modules():
                scalars = getattr(module, "scalars", None)
                for name, value in dict(scalars() if callable(scalars) else {}).items():
                    try:
                        number = float(value.detach() if isinstance(value, Tensor) else value)
                    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
                        raise ValueError(f"{type(module).__name__}.scalars() gives {name!r}, not a number") from error
                    if name in OWN:
                        raise ValueError(f"{type(module).__name__}.scalars(): {name!r} is a probe's name; use another")
                    found.setdefault(f"{name}/stage{stage}", []).append(number)
        return {name: sum(values) / len(values) for name, values in sorted(found.items())}
