"""A training step as one CUDA graph: one launch instead of a thousand, which at 110 layers take longer than computing.

A graph repeats the kernels that were captured, without the Python of a custom shortcut. So it is checked against eager
steps before it is used.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ablate.base.errors import AblateError, one_line
from ablate.models.generators import generators, restore_generators
from ablate.training.step import Step

STEPS = 3
"""Steps that are compared. The eager ones also initialise what must exist before a capture."""
TOLERANCE = 1e-3
"""Relative difference of two losses; a GPU may sum in another order each time."""


def capture(step: Step) -> Callable[[], None]:
    """The replay of the step, captured as a CUDA graph. Raises what CUDA raises."""
    graph = torch.cuda.CUDAGraph()
    step.network.zero_grad()  # the graph allocates its own gradients
    with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
        step()
    return graph.replay


def checked_graph(
    step: Step, warn: Callable[[str], None], capture: Callable[[Step], Callable[[], None]] = capture
) -> Callable[[], None]:
    """`step` as a graph if that computes the same; else `step` itself, and a warning with the losses of both.

    The state of the step is restored. Raises AblateError if CUDA cannot capture it: after a failed capture the process
    cannot train.
    """
    if step.batches.per_epoch < STEPS:
        warn(f"no CUDA graph: its check needs {STEPS} steps in an epoch")
        return step
    step.begin_epoch(0)
    restore = _remember(step)
    module = torch.get_device_module(step.device)
    module.synchronize()
    # CUDA requires another stream for a capture and its warm-up.
    with torch.cuda.stream(torch.cuda.Stream() if step.device.type == "cuda" else None):
        eager = _losses(step, step)
        restore()
        try:
            replay = capture(step)
        except Exception as error:
            cause = error.__context__ or error  # the end of a failed capture raises over the error within it
            raise AblateError(f"no CUDA graph of this step: {one_line(cause)}; add graph=false") from error
    module.synchronize()
    restore()
    replayed = _losses(step, replay)
    restore()
    if not torch.allclose(eager, replayed, rtol=TOLERANCE, atol=0, equal_nan=True):
        losses = f"losses {eager.tolist()}, and {replayed.tolist()} by the graph"
        warn(f"no CUDA graph: it differs from eager steps ({losses})")
        return step
    return replay


def _losses(step: Step, take: Callable[[], None]) -> Tensor:
    for _ in range(STEPS):
        take()
    return step.losses[:STEPS].cpu().clone()


def _remember(step: Step) -> Callable[[], None]:
    """A function that restores everything a step changes, in place."""
    network, momenta = step.network, step.optimizer.momenta
    places = [*network.parameters(), *network.buffers(), *momenta, step.losses, step.wrong, step.batches.index]
    values = [place.detach().clone() for place in places]
    random = generators(step.device)

    @torch.no_grad()
    def restore() -> None:
        for place, value in zip(places, values, strict=True):
            place.copy_(value)
        restore_generators(random, step.device)

    return restore
