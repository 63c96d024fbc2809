"""A whole training step as one CUDA graph: a GPU is told once of a thousand small kernels, and then only "again".

At 110 layers the telling takes longer than the work. But a graph repeats what it has seen, without the Python that may
be in somebody's own shortcut, and what a driver makes of it is not in our hands: before it is used, it is held against
plain steps.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from ablate.errors import AblateError, one_line
from ablate.training.checkpoint import generators, restore_generators
from ablate.training.step import Step

STEPS = 3
"""Steps that are compared. Plain ones warm up what a capture must find ready, too."""
TOLERANCE = 1e-3
"""Relative difference of a loss; a GPU's sums come in another order each time."""

Capture = Callable[[Step], Callable[[], None]]


def capture(step: Step) -> Callable[[], None]:
    """The step as a graph that is replayed. Raises whatever CUDA objects to."""
    graph = torch.cuda.CUDAGraph()
    step.optimizer.zero_grad()  # the graph's gradients lie in memory of its own
    with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
        step()
    return graph.replay


def graphed(step: Step, warn: Callable[[str], None], capture: Capture = capture) -> Callable[[], None]:
    """`step` as a graph if that computes the same, else `step` itself, and a warning that says why.

    The step has begun an epoch, and is given back as it was. Raises AblateError where CUDA does not take it as a graph:
    what a capture that failed leaves of a process is not to be trained with.
    """
    if step.per_epoch - int(step.index.item()) < STEPS:
        return step
    restore = _remember(step)
    with _aside(step.device):
        plain = _losses(step, step)
        restore()
        try:
            again = capture(step)
        except Exception as error:
            cause = error.__context__ or error  # what ends a capture hides what went wrong in it
            raise AblateError(f"no CUDA graph can be made of this step: {one_line(cause)}; add graph=false") from error
    restore()
    repeated = _losses(step, again)
    restore()
    if not (all(map(_alike, plain, repeated)) and _takes_its_rate(step, again)):
        restore()
        warn(f"no CUDA graph: it does not do what plain steps do (losses {plain}, and {repeated} by the graph)")
        return step
    restore()
    return again


def _alike(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=TOLERANCE) or (math.isnan(a) and math.isnan(b))


def _losses(step: Step, take: Callable[[], None]) -> list[float]:
    first = int(step.index.item())
    for _ in range(STEPS):
        take()
    return step.losses[first : first + STEPS].tolist()


def _takes_its_rate(step: Step, take: Callable[[], None]) -> bool:
    """Whether the learning rate is read at each step: at a rate of 0 no weight changes."""
    rate, before = step.rate.clone(), [parameter.detach().clone() for parameter in step.net.parameters()]
    step.rate.zero_()
    take()
    step.rate.copy_(rate)
    return all(torch.equal(a, b) for a, b in zip(before, step.net.parameters(), strict=True))


@contextmanager
def _aside(device: torch.device) -> Iterator[None]:
    """A stream beside the usual one, where CUDA wants a capture, and what warms up for it, to happen."""
    if device.type != "cuda":
        yield
        return
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    try:
        with torch.cuda.stream(stream):
            yield
    finally:
        torch.cuda.current_stream().wait_stream(stream)


def _remember(step: Step) -> Callable[[], None]:
    """Gives what puts back everything that a step changes, into the same places."""
    places = [*step.net.parameters(), *step.net.buffers(), step.losses, step.wrong, step.index]
    values = [place.detach().clone() for place in places]
    momenta = {parameter: momentum.clone() for parameter, momentum in step.momenta()}
    random = generators(step.device)

    @torch.no_grad()
    def restore() -> None:
        for place, value in zip(places, values, strict=True):
            place.copy_(value)
        for parameter, momentum in step.momenta():
            if parameter in momenta:
                momentum.copy_(momenta[parameter])
            else:
                momentum.zero_()  # as good as none: the first step adds its gradient to nothing
        restore_generators(random, step.device)

    return restore
