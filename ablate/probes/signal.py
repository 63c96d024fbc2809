"""The signal in a network before it trains, unit by unit: forward, backward, and along the shortcuts alone.

A unit computes y_l = h(x_l) + F(x_l) and x_{l+1} = f(y_l). Everything is measured on one batch in training mode, with a
copy of the network. docs/why.md says what each measure is, and what it cannot say.

    ablate probe shortcut=constant depth=110
"""

import copy
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ablate.base.errors import AblateError
from ablate.models.generators import generators, restore_generators, seed_generators
from ablate.models.network import Network
from ablate.probes.along import Along, along
from ablate.probes.gates import opened
from ablate.probes.jacobian import Spectrum, keep_statistics, spectra
from ablate.probes.mixing import Mixing, composite
from ablate.probes.path import Gain, power
from ablate.probes.theory import Product, products
from ablate.probes.visits import Visit, seen, stateful, visits


@dataclass(frozen=True)
class Gates:
    """1 − g over images, positions and channels: its mean and standard deviation, and the share of it that is below
    0.01 (`shut`) and above 0.99 (`open`).
    """

    mean: float
    deviation: float
    shut: float
    open: float


@dataclass(frozen=True)
class UnitSignal:
    """The measures of one unit; `unit` counts from 1.

    Mean squares of `x`: x_l; `h`: h(x_l), the shortcut's sum for F = 0; `residual`: F(x_l); `added`: y_l − h(x_l). Of
    connections, x_l is what unit l reads of its state, and y_l what the next unit reads of the next one.
    `gradient`: the norm of dE/dx_l through everything; of connections, in the whole state. `path`: gains of the
    shortcuts from this unit to the last, and `theory` what theory says of them, if it does.
    `dead`: the share of the channels of the unit's ReLUs that are 0 at every position of every image.
    """

    unit: int
    stage: int
    x: float
    h: float
    residual: float
    added: float
    gradient: float
    path: Along
    theory: Product | None
    gates: Gates | None
    dead: float | None


@dataclass(frozen=True)
class Signal:
    """What `measure` found. `loss`: cross-entropy of the batch; `draws`: over which gains are averaged; `stateful`:
    whether the shortcuts are connections; `mixing`: of connections with streams that they mix.
    """

    units: list[UnitSignal]
    jacobians: list[Spectrum]
    loss: float
    draws: int
    stateful: bool = False
    mixing: Mixing | None = None


def measure(network: Network, images: Tensor, labels: Tensor, *, seed: int = 0) -> Signal:
    """Measure a network on one batch: `images` (N, C, H, W) as in training, `labels` (N,), on the network's device.

    The network, its buffers and the random generators are as before. Raises AblateError if the network has no units, or
    a unit no path that can be measured or no x, because it changes it in place.
    """
    if not any(True for _ in network.units()):
        raise AblateError(f"{type(network).__name__} has no residual units: there is no shortcut to measure")
    before = generators(images.device)
    try:
        seed_generators(seed)
        return _measure(copy.deepcopy(network).train(), images, labels, seed)
    finally:
        restore_generators(before, images.device)


def facts(signal: Signal) -> dict[str, Any]:
    """The measures as plain values, for JSON and figures. A gain has its log2 too: of 2^-2000, the gain is 0."""
    return {
        "loss": signal.loss,
        "draws": signal.draws,
        "mixing": None if signal.mixing is None else signal.mixing._asdict(),
        "units": [_unit(unit) for unit in signal.units],
        "jacobians": [spectrum._asdict() for spectrum in signal.jacobians],
    }


def _unit(unit: UnitSignal) -> dict[str, Any]:
    names = ("own", "backward", "forward", "with_f", "held")
    return {
        "unit": unit.unit,
        "stage": unit.stage,
        "mean_square": {"x": unit.x, "h": unit.h, "F": unit.residual, "added": unit.added},
        "gradient": unit.gradient,
        "shortcut": {name: _gain(getattr(unit.path, name)) for name in names},
        "theory": None if unit.theory is None else {"gain": power(unit.theory.log2), **unit.theory._asdict()},
        "gates": None if unit.gates is None else asdict(unit.gates),
        "dead": unit.dead,
    }


def _gain(gain: Gain | None) -> dict[str, float] | None:
    return None if gain is None else {"gain": power(gain.log2), **asdict(gain)}


def _measure(network: Network, images: Tensor, labels: Tensor, seed: int) -> Signal:
    keep_statistics(network)
    logits, passed = visits(network, images.detach().requires_grad_())
    for one in passed:
        if one.changed:
            kind = type(one.unit).__name__
            raise AblateError(f"{kind} or its shortcut changes x in place, and x cannot be measured: change a copy")
    jacobians = spectra(passed)
    loss = functional.cross_entropy(logits, labels)
    gradients = torch.autograd.grad(loss, [visit.start for visit in passed], retain_graph=True)
    paths, draws = along(passed, seed)
    theory = products([visit.shortcut for visit in passed])
    units = [
        UnitSignal(
            unit=at + 1,
            stage=visit.stage,
            **_mean_squares(passed, at),
            gradient=torch.linalg.vector_norm(gradients[at].cpu(), dtype=torch.float64).item(),
            path=paths[at],
            theory=theory[at],
            gates=_gates(visit),
            dead=visit.dead,
        )
        for at, visit in enumerate(passed)
    ]
    return Signal(units, jacobians, loss.item(), draws, stateful(passed), composite(passed))


@torch.no_grad()
def _mean_squares(passed: list[Visit], at: int) -> dict[str, float]:
    visit, shortcuts = passed[at], [one.shortcut for one in passed]
    x, y = seen(shortcuts, at - 1, visit.start), seen(shortcuts, at, visit.total)
    h = seen(shortcuts, at, visit.again(residual=torch.zeros_like(visit.residual)))
    parts = {"x": x, "h": h, "residual": visit.residual, "added": y - h}
    return {name: part.detach().cpu().double().square().mean().item() for name, part in parts.items()}


@torch.no_grad()
def _gates(visit: Visit) -> Gates | None:
    found = opened(visit.shortcut, visit.again)
    if found is None:
        return None
    open_ = found.double()
    shares = [(open_ < 0.01).double().mean(), (open_ > 0.99).double().mean()]
    return Gates(*[value.item() for value in (open_.mean(), open_.std(correction=0), *shares)])
