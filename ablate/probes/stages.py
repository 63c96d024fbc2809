"""Measurements inside a network while it trains, as (name, value) pairs. They change no result.

`gate_openness/stageK` is the mean of 1 − g(x) over the images of an evaluation and over the gates of stage K.
`gradient/stageK` is the L2 norm of the loss's gradient with respect to the weights of stage K, at the last step of the
epoch.

    ablate shortcut=gate probes=true
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ablate.models.resnet import ResNet
from ablate.models.shortcuts import Gate


class Probes:
    """The probes of one network."""

    def __init__(self, network: ResNet) -> None:
        self.network, self.stages = network, list(network.stages)
        self.norms = torch.zeros(len(self.stages))

    def gradients(self) -> None:
        """Compute the norms of the parameters' current gradients, without waiting for the device."""
        norms = []
        for stage in self.stages:
            gradients = [p.grad for p in stage.parameters() if p.grad is not None]
            norms.append(nn.utils.get_total_norm(gradients))
        self.norms = torch.stack(norms).float()

    @contextmanager
    def watch(self) -> Iterator[dict[str, float]]:
        """Measure the forward passes in this context; the dictionary holds the values after it."""
        measured: dict[str, float] = {}
        sums: dict[int, Tensor] = {}
        counts: dict[int, int] = {}

        def add(stage: int, logits: Tensor) -> None:  # 1 - sigmoid(a) as sigmoid(-a), which is exact near 0
            sums[stage] = sums.get(stage, 0.0) + torch.sigmoid(-logits.float()).sum()
            counts[stage] = counts.get(stage, 0) + logits.numel()

        hooks = [
            gate.gate.register_forward_hook(lambda _module, _inputs, logits, stage=stage: add(stage, logits))
            for stage, gate in self._gates()
        ]
        try:
            yield measured
        finally:
            for hook in hooks:
                hook.remove()
        for stage in sorted(sums):
            measured[f"gate_openness/stage{stage}"] = sums[stage].item() / counts[stage]
        for stage, norm in enumerate(self.norms.tolist(), 1):
            measured[f"gradient/stage{stage}"] = norm

    def _gates(self) -> Iterator[tuple[int, Gate]]:
        for stage, unit in self.network.units():
            for module in unit.modules():
                if isinstance(module, Gate):
                    yield stage, module
