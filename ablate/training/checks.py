"""What `ablate check` asks of a network of a shortcut or unit before it is trained.

A check returns nothing if it holds, and otherwise a sentence that says what is wrong.
"""

import copy
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._pytree import tree_leaves

from ablate.base.errors import ConfigError
from ablate.config.check import CIFAR
from ablate.config.schema import Config
from ablate.models.build import build, check_buildable, checked_logits
from ablate.models.generators import seed_generators
from ablate.models.network import Network
from ablate.training.device import compile_units
from ablate.training.recompute import recompute_units

CLASSES, IMAGES, STEPS = 3, 4, 20
CLOSE = 1e-4
"""Relative to the largest value, in float32: how far compiled code may be from eager code, and an image alone from the
same in a batch."""


class Bench:
    """Makes networks of one configuration, and calls them."""

    def __init__(self, config: Config, images: Tensor) -> None:
        self.config, self.images = config, images
        self.labels = torch.arange(len(images)) % CLASSES

    def network(self) -> Network:
        seed_generators(0)  # `build` seeds again: what a class draws from elsewhere differs
        return build(self.config, shape=self.images.shape[1:], classes=CLASSES).train()

    def logits(self, network: nn.Module, seed: int = 1) -> Tensor:
        seed_generators(seed)
        out: Tensor = network(self.images)
        return out

    def loss(self, network: nn.Module, seed: int = 1) -> Tensor:
        return functional.cross_entropy(self.logits(network, seed).float(), self.labels)


def shapes(bench: Bench) -> str | None:
    """Where the shape of x stays, where the stride is 2, and in CIFAR's networks where channels change at stride 1."""
    network = bench.network()
    with checked_logits(network, bench.config, bench.images.shape[1:], (IMAGES, CLASSES)):
        bench.logits(network)
    if bench.config.net["_target_"] == CIFAR:
        wider = replace(bench.config, width=2 * bench.config.width)
        try:
            check_buildable(wider, bench.images.shape[1:])
        except ConfigError as error:
            return f"with width={wider.width:g}, {error}"
    return None


def inputs(bench: Bench) -> str | None:
    """Shortcuts and units leave the tensors that they are given as they are."""
    network, changed = bench.network(), list[str]()

    def watch(module: nn.Module, hooks: ExitStack) -> None:
        given: list[tuple[Tensor, Tensor]] = []

        def keep(_module: nn.Module, args: tuple[Any, ...]) -> None:
            given[:] = [(one, one.detach().clone()) for one in args if isinstance(one, Tensor)]

        def compare(_module: nn.Module, _args: object, _out: object) -> None:
            for number, (now, before) in enumerate(given, 1):
                if not torch.equal(now, before):
                    changed.append(f"{type(module).__name__} changes its input number {number} in place")

        hooks.enter_context(module.register_forward_pre_hook(keep))
        hooks.enter_context(module.register_forward_hook(compare))

    with ExitStack() as hooks, torch.no_grad():
        for _, unit in network.units():
            watch(unit, hooks)
            for child in unit.children():
                if not isinstance(child, nn.Sequential):  # F and what stands around it work in place on their own
                    watch(child, hooks)
        bench.logits(network)
    return changed[0] if changed else None


def determined(bench: Bench) -> str | None:
    """The seed decides initial weights and what training draws."""
    one, other = bench.network(), bench.network()
    for (name, a), b in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        if not _same(a, b):
            return f"{name} starts with other values each time: draw from torch, numpy.random or random"
    if not torch.equal(bench.logits(one), bench.logits(other)):
        return "the same seed gives other results: draw from torch, numpy.random or random"
    return None


def registered(bench: Bench) -> str | None:
    """Tensors and modules are registered, so that they are trained, saved and moved to the GPU."""
    network = bench.network()
    torchs, known = vars(nn.Module()), {*network.parameters(), *network.modules()}
    for name, module in network.named_modules():
        for key, value in vars(module).items():
            hidden = [one for one in tree_leaves(value) if isinstance(one, Tensor | nn.Module) and one not in known]
            if key not in torchs and hidden:
                wrong = f"{type(module).__name__} of {name} has in {key} a {type(hidden[0]).__name__} that is not"
                return f"{wrong} registered: use nn.Parameter, register_buffer or nn.ModuleList"
    return None


def state(bench: Bench) -> str | None:
    """A checkpoint has all that decides what follows: parameters, buffers and the random generators."""
    one, other = bench.network(), bench.network()
    bench.logits(one)
    other.load_state_dict(one.state_dict())  # a run that resumes has not made the first call
    if not torch.equal(bench.logits(one, seed=2), bench.logits(other, seed=2)):
        return "a resumed run goes on otherwise: keep what changes in training in a buffer, not in an attribute"
    one.eval(), other.eval()
    other.load_state_dict(one.state_dict())
    if not torch.equal(bench.logits(one), bench.logits(other)):
        return "an evaluation after loading its weights differs: keep what changes in training in a buffer"
    return None


def evaluated(bench: Bench) -> str | None:
    """In evaluation, what is said of an image depends on no other image, before or beside it, and on no chance."""
    network = bench.network()
    bench.logits(network)  # statistics of batch normalisation
    network.eval()
    with torch.no_grad():
        generator = torch.Generator().manual_seed(2)
        for parameter in network.parameters():  # off their initial values, at which a head or a scale may be 0
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        together, again = bench.logits(network), bench.logits(network)
        if not _same(together, again):
            return "an evaluation changes those after it: keep state only where self.training is true"
        if not _same(together, bench.logits(network, seed=2)):
            return "an evaluation depends on random numbers: draw them where self.training is true"
        alone = torch.cat([network(image[None]) for image in bench.images])
    scale = together.nan_to_num().abs().max().item()
    if not torch.allclose(together, alone, rtol=0, atol=CLOSE * scale, equal_nan=True):
        return "in evaluation, the logits of an image differ with the images beside it in a batch"
    return None


def learning(bench: Bench) -> str | None:
    """Each parameter has a gradient other than 0 in a step of SGD. What is multiplied by another 0 has none."""
    network, step = bench.network(), 0
    still = dict(network.named_parameters())
    while still and step < STEPS:
        network.zero_grad()
        bench.loss(network, seed=(step := step + 1)).backward()
        still = {name: one for name, one in still.items() if one.grad is None or not one.grad.any()}
        with torch.no_grad():
            for one in network.parameters():
                one.sub_(0.1 * one.grad if one.grad is not None else 0.0)
    return f"the gradient of {next(iter(still))} is 0 in all of {STEPS} steps" if still else None


def gradients(bench: Bench, precision: torch.dtype) -> str | None:
    """With F in `precision`, loss and gradients are finite, and every parameter has one."""
    network = bench.network()
    with torch.autocast("cpu", dtype=precision, enabled=precision != torch.float32):
        loss = bench.loss(network)
    if not loss.isfinite():
        return f"the loss is {loss.item():g}"
    loss.backward()
    for name, parameter in network.named_parameters():
        if parameter.grad is None:
            return f"{name} has no gradient: it is not used"
        if not parameter.grad.isfinite().all():
            return f"the gradient of {name} is not finite"
    return None


def checkpointing(bench: Bench) -> str | None:
    """activation_checkpointing=true gives the same bits."""
    plain, recomputed = bench.network(), bench.network()
    recompute_units(recomputed)
    for network in (plain, recomputed):
        bench.loss(network).backward()
    for (name, one), other in zip(plain.named_parameters(), recomputed.parameters(), strict=True):
        if not _same(one.grad, other.grad):
            return f"the gradient of {name} differs"
    buffers = zip(plain.named_buffers(), recomputed.buffers(), strict=True)
    if different := [name for (name, buffer), other in buffers if not _same(buffer, other)]:
        return f"the buffer {different[0]} differs"
    return None


def compiled(bench: Bench) -> str | None:
    """compile=true gives the same up to rounding. The code is traced, and not made faster, which takes minutes."""
    eager, traced = bench.network(), bench.network()
    compile_units(traced, backend="aot_eager")
    expected, found = bench.loss(eager), bench.loss(traced)
    expected.backward()
    found.backward()
    if not torch.allclose(expected, found, rtol=CLOSE):
        return f"the loss is {found.item():g}, and {expected.item():g} in eager mode"
    for (name, one), other in zip(eager.named_parameters(), traced.parameters(), strict=True):
        scale = max(1e-3, one.grad.abs().max().item()) if one.grad is not None else 1.0
        if one.grad is not None and (
            other.grad is None or not torch.allclose(one.grad, other.grad, atol=CLOSE * scale)
        ):
            return f"the gradient of {name} differs from that in eager mode"
    return None


def copied(bench: Bench) -> str | None:
    """A copy of the network is one of its own: probes measure copies."""
    network = bench.network()
    other = copy.deepcopy(network)
    before = bench.logits(copy.deepcopy(network))
    with torch.no_grad():
        for own in network.parameters():
            own.zero_()
    return None if torch.equal(before, bench.logits(other)) else "a copy changes with its original"


Check = Callable[[Bench], str | None]
CHECKS: dict[str, Check] = {
    "shapes, stride 1 and 2": shapes,
    "inputs not changed": inputs,
    "decided by the seed": determined,
    "tensors registered": registered,
    "state saved and loaded": state,
    "evaluation image by image": evaluated,
    "gradients in float32": partial(gradients, precision=torch.float32),
    "every parameter learns": learning,
    "gradients in bfloat16": partial(gradients, precision=torch.bfloat16),
    "activation checkpointing": checkpointing,
    "compiled as eager": compiled,
    "copies": copied,
}
"""By what the table of `ablate check` calls them. The first decides whether the others can be made."""


def _same(one: Tensor | None, other: Tensor | None) -> bool:
    """Whether two tensors are equal, with NaN where the other has it; or both are missing."""
    if one is None or other is None:
        return one is other
    return torch.equal(one.nan_to_num(), other.nan_to_num()) and torch.equal(one.isnan(), other.isnan())
