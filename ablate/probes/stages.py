"""What is measured inside a network while it trains, as (name, value) pairs; what is computed stays as it is.

`gate_openness/stageK` is the mean of 1 − g(x) over the images of an evaluation and the gates of stage K: the λ of
[B] eq. 8, whose product decides what reaches the first units. `gradient/stageK` is the L2 norm of the loss's gradient
by the weights of stage K, at the last step of the epoch.

    ablate shortcut=gate probes=true
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ablate.models.network import Network
from ablate.models.shortcuts import Gate


class Probes:
    """The probes of one net."""

    def __init__(self, network: Network) -> None:
        self.network, self.stages = network, list(network.stages)
        self.norms = torch.zeros(len(self.stages))

    def gradients(self) -> None:
        """Take the norms of the gradients that lie in the parameters now. Does not wait for the device."""
        norms = []
        for stage in self.stages:
            gradients = [p.grad for p in stage.parameters() if p.grad is not None]
            norms.append(nn.utils.get_total_norm(gradients))
        self.norms = torch.stack(norms).float()

    @contextmanager
    def watch(self) -> Iterator[dict[str, float]]:
        """Inside, gates are watched; what was measured is in the dictionary after it."""
        measured: dict[str, float] = {}
        sums: dict[int, Tensor] = {}
        counts: dict[int, int] = {}

        def see(stage: int, logits: Tensor) -> None:  # 1 - sigmoid(a) is sigmoid(-a), and exact near 1
            sums[stage] = sums.get(stage, 0.0) + torch.sigmoid(-logits.float()).sum()
            counts[stage] = counts.get(stage, 0) + logits.numel()

        hooks = [
            gate.gate.register_forward_hook(lambda _module, _inputs, logits, stage=stage: see(stage, logits))
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
