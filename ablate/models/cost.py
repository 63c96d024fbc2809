"""What a network costs: parameters, multiply-adds for one image, and memory for one image in training."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

BETWEEN = "between parts"


class Cost(NamedTuple):
    """Of a network or a part of it. `activation_bytes`: what each image of a batch adds to what the forward pass keeps
    for the backward pass, in float32.
    """

    parameters: int
    multiply_adds: int
    activation_bytes: int


def parameters(network: nn.Module) -> int:
    """Learned numbers, including batch normalisation's."""
    return sum(parameter.numel() for parameter in network.parameters())


@torch.no_grad()
def multiply_adds(network: nn.Module, shape: tuple[int, int, int]) -> int:
    """Multiply-adds of convolutions and matrix products for one image (C, H, W): what [A] calls FLOPs.

    Counts the operations that torch executes, so those of a custom shortcut too.
    """
    return _multiply_adds(network, shape, {})[""]


def costs(network: nn.Module, shape: tuple[int, int, int]) -> dict[str, Cost]:
    """The cost of each part of a network on the CPU for images (C, H, W), in the order of the forward pass.

    Parts are the network's children, of `stages` each stage; BETWEEN has what is in none. Trains nothing, but the
    running statistics of batch normalisation change.
    """
    parts = dict(_parts(network))
    with torch.no_grad():
        operations = _multiply_adds(network, shape, parts)
    two, three = (_kept(network, shape, parts, batch) for batch in (2, 3))  # what is kept once is in both
    found = {
        name: Cost(parameters(part), operations[name], three[name] - two[name])
        for name, part in {**parts, "": network}.items()
    }
    whole = found.pop("")
    totals = (sum(column) for column in zip(*found.values(), strict=True))
    found[BETWEEN] = Cost(*(everything - some for everything, some in zip(whole, totals, strict=True)))
    return {name: cost for name, cost in found.items() if any(cost)}


def _parts(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, child in network.named_children():
        if name == "stages":
            yield from ((f"stage {number}", stage) for number, stage in enumerate(child.children(), 1))
        else:
            yield name, child


def _multiply_adds(network: nn.Module, shape: tuple[int, ...], parts: Mapping[str, nn.Module]) -> dict[str, int]:
    """Of each part, and of the whole network as ''."""
    training = network.training
    network.eval()
    with _FlopCounter() as counter, _of_parts(parts, lambda: counter.flops) as found:
        network(torch.zeros(1, *shape, device=next(network.parameters()).device))
    network.train(training)
    return {name: flops // 2 for name, flops in {**found, "": counter.flops}.items()}  # torch counts both operations


def _kept(network: nn.Module, shape: tuple[int, ...], parts: Mapping[str, nn.Module], batch: int) -> dict[str, int]:
    """Bytes that a forward pass in training keeps for the backward pass: of each part, and of all as ''."""
    kept: dict[int, int] = {}  # by storage, because tensors share them

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    training = network.training
    network.train()
    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    with hooks, _of_parts(parts, lambda: sum(kept.values())) as found:
        output = network(torch.zeros(batch, *shape))  # until it is gone, no memory is used twice
    network.train(training)
    del output
    return {**found, "": sum(kept.values())}


@contextmanager
def _of_parts(parts: Mapping[str, nn.Module], meter: Callable[[], int]) -> Iterator[dict[str, int]]:
    """By how much `meter` rises within the forward pass of each part."""
    found = dict.fromkeys(parts, 0)

    def count(name: str, sign: int) -> Callable[..., None]:
        def counted(*_: Any) -> None:
            found[name] += sign * meter()

        return counted

    with ExitStack() as hooks:
        for name, part in parts.items():
            hooks.enter_context(part.register_forward_pre_hook(count(name, -1)))
            hooks.enter_context(part.register_forward_hook(count(name, 1)))
        yield found


class _FlopCounter(TorchDispatchMode):
    """Adds up torch's own formula of each operation, as torch.utils.flop_counter.FlopCounterMode does.

    That class would import torch._dynamo, which takes a second in every process.
    """

    supports_higher_order_operators = True
    flops = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # to skip it, torch would import it

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        formula = flop_registry.get(getattr(func, "_overloadpacket", func))
        if formula is not None:
            self.flops += formula(*args, **kwargs, out_val=result)
        return result
