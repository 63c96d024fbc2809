"""SGD with momentum and weight decay, in torch's functional form.

torch.optim.SGD computes the same, but imports torch._dynamo, which takes a second in every process.
"""

import torch
from torch import Tensor, nn
from torch.optim.sgd import sgd

from ablate.config.schema import Recipe
from ablate.models.build import no_decay


class SGD:
    """v ← μ v + ∇L + λ w, then w ← w − η v, for every parameter w with a gradient.

    μ and λ are the recipe's momentum and weight decay; η is `rate`, a tensor () that is read at each step. Weight
    decay acts on every parameter, gates and batch normalisation included, as in fb.resnet.torch, except on those that a
    module names in `no_decay`. `momenta` holds each parameter's v, which is changed in place and 0 before the first
    step.
    """

    def __init__(self, network: nn.Module, rate: Tensor, recipe: Recipe) -> None:
        self.rate, self.recipe = rate, recipe
        self.parameters = list(network.parameters())
        exempt = no_decay(network)
        self.decays = [0.0 if parameter in exempt else recipe.weight_decay for parameter in self.parameters]
        self.momenta = [torch.zeros_like(parameter) for parameter in self.parameters]
        # A custom shortcut's parameters may be complex, which the fused kernel does not take.
        self.fused = all(parameter.is_floating_point() for parameter in self.parameters)

    @torch.no_grad()
    def step(self) -> None:
        every = list(zip(self.parameters, self.momenta, self.decays, strict=True))
        for decay in sorted({*self.decays}):
            used = [(p, p.grad, v) for p, v, own in every if own == decay and p.grad is not None]
            sgd(
                [p for p, _, _ in used],
                [gradient for _, gradient, _ in used],
                [v for _, _, v in used],
                weight_decay=decay,
                momentum=self.recipe.momentum,
                lr=self.rate,
                dampening=0.0,
                nesterov=False,
                maximize=False,
                fused=self.fused,
            )
