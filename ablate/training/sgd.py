"""SGD with momentum and weight decay, in torch's functional form.

torch.optim.SGD computes the same, but imports torch._dynamo, which takes a second in every process.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim.sgd import sgd

from ablate.config.schema import Recipe
from ablate.models.build import no_decay, normalising, rate_factors


class Group(NamedTuple):
    """What a parameter's learning rate is multiplied by, and its weight decay."""

    rate_factor: float
    weight_decay: float


def groups(network: nn.Module, recipe: Recipe) -> dict[str, Group]:
    """The Group of each parameter, by name.

    Weight decay acts on every parameter, gates and batch normalisation included, as in fb.resnet.torch, except on those
    that a module names in `no_decay` and, without the recipe's `decay_norm`, those of normalisation. A module names
    factors of the learning rate in `rate_factors`.
    """
    factors = rate_factors(network)
    exempt = no_decay(network) | (set() if recipe.decay_norm else normalising(network))
    return {
        name: Group(factors.get(parameter, 1.0), 0.0 if parameter in exempt else recipe.weight_decay)
        for name, parameter in network.named_parameters()
    }


class SGD:
    """v ← μ v + g, then w ← w − η v, for every parameter w with a gradient; g = ∇L + λ w.

    With the recipe's `nesterov`, w ← w − η (g + μ v). μ and λ are its momentum and weight decay; η is `rate`, a tensor
    () that is read at each step. `groups` says what differs between parameters. `momenta` holds each parameter's v,
    which is changed in place and 0 before the first step.
    """

    def __init__(self, network: nn.Module, rate: Tensor, recipe: Recipe) -> None:
        self.rate, self.recipe = rate, recipe
        self.parameters = list(network.parameters())
        self.groups = list(groups(network, recipe).values())
        self.momenta = [torch.zeros_like(parameter) for parameter in self.parameters]
        # Of a custom shortcut's parameters, the fused kernel refuses complex ones. On a CPU it takes views with gaps,
        # as w[:, 0], for whole tensors. Momenta have the strides of whole tensors.
        self.fused = all(
            parameter.is_floating_point() and parameter.stride() == momentum.stride()
            for parameter, momentum in zip(self.parameters, self.momenta, strict=True)
        )

    @torch.no_grad()
    def step(self) -> None:
        every = list(zip(self.parameters, self.momenta, self.groups, strict=True))
        for factor, decay in sorted({*self.groups}):
            used = [(p, p.grad, v) for p, v, own in every if own == (factor, decay) and p.grad is not None]
            sgd(
                [p for p, _, _ in used],
                [gradient for _, gradient, _ in used],
                [v for _, _, v in used],
                weight_decay=decay,
                momentum=self.recipe.momentum,
                lr=self.rate if factor == 1 else self.rate * factor,
                dampening=0.0,
                nesterov=self.recipe.nesterov,
                maximize=False,
                fused=self.fused,
            )
