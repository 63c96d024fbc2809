"""A training step as one CUDA graph: one launch instead of a thousand, which at 110 layers take longer than computing.

A graph repeats the kernels that were captured, without the Python of a custom shortcut. So it is checked against eager
steps before it is used.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from ablate.base.errors import AblateError, one_line
from ablate.training.checkpoint import generators, restore_generators
from ablate.training.step import Step

STEPS = 3
"""Steps that are compared. The eager ones also initialise what must exist before a capture."""
TOLERANCE = 1e-3
"""Relative difference of two losses; a GPU may sum in another order each time."""

Capture = Callable[[Step], Callable[[], None]]


def capture(step: Step) -> Callable[[], None]:
    """The replay of the step, captured as a CUDA graph. Raises what CUDA raises."""
    graph = torch.cuda.CUDAGraph()
    step.optimizer.zero_grad()  # the graph allocates its own gradients
    with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
        step()
    return graph.replay


class Graphed:
    """Takes `step` as a graph once it is captured and checked; before that, and if the graph differs, eagerly.

    `overhead` is the seconds spent on capturing and checking.
    """

    def __init__(self, step: Step, warn: Callable[[str], None], capture: Capture = capture) -> None:
        self.step, self.warn, self.capture = step, warn, capture
        self.take: Callable[[], None] | None = None
        self.overhead = 0.0

    @property
    def used(self) -> bool:
        """Whether a graph takes the steps."""
        return self.take not in (None, self.step)

    def __call__(self) -> None:
        left = self.step.batches.per_epoch - int(self.step.batches.index.item()) if self.take is None else 0
        if left >= STEPS:  # the steps that are compared are of one epoch
            began = time.perf_counter()
            self.take = checked_graph(self.step, self.warn, self.capture)
            self.overhead += time.perf_counter() - began
        (self.take or self.step)()


def checked_graph(step: Step, warn: Callable[[str], None], capture: Capture = capture) -> Callable[[], None]:
    """`step` as a graph if that computes the same; else `step` itself, and a warning with the losses of both.

    `STEPS` batches of its epoch must be left. The state of the step is restored. Raises AblateError if CUDA cannot
    capture it: after a failed capture the process cannot train.
    """
    restore = _remember(step)
    with _side_stream(step.device):
        eager = _losses(step, step)
        restore()
        try:
            replay = capture(step)
        except Exception as error:
            cause = error.__context__ or error  # the end of a failed capture raises over the error within it
            raise AblateError(
                f"no CUDA graph can be captured of this step: {one_line(cause)}; add graph=false"
            ) from error
    restore()
    replayed = _losses(step, replay)
    restore()
    same = all(map(_alike, eager, replayed)) and _reads_its_rate(step, replay)
    restore()
    if not same:
        warn(f"no CUDA graph: it differs from eager steps (losses {eager}, and {replayed} by the graph)")
        return step
    return replay


def _alike(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=TOLERANCE) or (math.isnan(a) and math.isnan(b))


def _losses(step: Step, take: Callable[[], None]) -> list[float]:
    first = int(step.batches.index.item())
    for _ in range(STEPS):
        take()
    return step.losses[first : first + STEPS].tolist()


def _reads_its_rate(step: Step, take: Callable[[], None]) -> bool:
    """Whether `take` reads the learning rate at each step: at a rate of 0 no weight changes."""
    rate, before = step.rate.clone(), [parameter.detach().clone() for parameter in step.network.parameters()]
    step.rate.zero_()
    take()
    step.rate.copy_(rate)
    return all(torch.equal(a, b) for a, b in zip(before, step.network.parameters(), strict=True))


@contextmanager
def _side_stream(device: torch.device) -> Iterator[None]:
    """A second stream, which CUDA requires for a capture and its warm-up."""
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
