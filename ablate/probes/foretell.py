"""What the measures of ablate.probes.signal say about training, with the reasons for its limits."""

import math
from dataclasses import dataclass
from statistics import median

from ablate.probes.signal import Signal

TINY = -20
"""log2 of the gain below which a network is taken to have no shortcut path. Rows of [B] Table 1, 54 units, below it:
none, 0; constant 0.5, 2^-54; exclusive gates with b_g = 0 and −1, 2^-54 and 2^-24. They fail. Two with 2^-54 train
badly: frozen gating, 12.35 %, and the shortcut-only gate with b_g = 0, 12.86 %, where the identity has 6.61 %."""
PLAIN = 27
"""Units of a network without shortcuts that still trains on CIFAR-10: plain-56 ([A] Fig. 6); plain-110 does not."""
SMALL = -1
"""log2 of the gain below which the error is expected above the identity's. Rows of [B] Table 1 between TINY and this,
exclusive gates with b_g = −2 to −4, fail; the gate with b_g = −6 keeps 2^-0.2 and has 6.91 %."""
CLOSED = -3
"""log2 of the factor on F below which the sentence says so: a path that is kept does not help a unit that adds nothing.
[B] gives exclusive gates with b_g = −6 and −7, 2^-8.7 and 2^-10, 8.70 and 9.81 %."""
LARGE = 1
"""log2 of the gain above which f counts too: a ReLU halves what a 1×1 convolution by He's initialisation doubles."""
GROWS = 0.5
"""log2 of the gain with f above which the error is expected above the identity's. On digits, constant scaling by 1.03
and 1.1 at 110 layers, with f 2^1 and 2^6.4, has 20 and 88 %, by 1.1 at 56 layers, 2^2.7, 6.4 %, where the identity has
4.0 and 3.6 % (results/why)."""


@dataclass(frozen=True)
class Foretold:
    """What is expected of a network before it trains. It is about the shortcut path, and no promise.

    `level`: 3 where nothing keeps it from training, 2 for a higher error, 1 for that of a plain network, 0 for none.
    The limits between 3 and 2 are of shortcuts: connections with a state have 3.
    `path`, `with_f`: log2 of what the path keeps over all units, alone and with f; of a random shortcut, of the share
    of elements that it reaches. `added`: log2 of the factor on F(x) that is added, the median of the units.
    """

    sentence: str
    level: int
    path: float
    with_f: float
    added: float


def foretell(signal: Signal) -> Foretold:
    """What the measures of a network say of its training."""
    count, first = len(signal.units), signal.units[0].path
    random = signal.draws > 1
    path, with_f = (log2(gain.reached) if random else gain.log2 for gain in (first.backward, first.with_f))
    added = log2(median(unit.added / unit.residual if unit.residual else 1.0 for unit in signal.units)) / 2
    units = f"{count} unit{'s' * (count > 1)}"
    if not (math.isfinite(signal.loss) and first.backward.log2 < math.inf):
        where = "the gradient of the shortcut path" if math.isfinite(signal.loss) else "the loss"
        return Foretold(f"over {units} {where} is not finite: expect this network not to train", 0, path, with_f, added)
    kept = path
    if random:
        elements = "no element" if kept == -math.inf else f"{written(kept)} of the elements"
        what = f"passes the gradient at {elements}, over {signal.draws} draws of its random numbers"
    elif kept > LARGE:
        kept = with_f
        what = f"multiplies the gradient by {written(first.backward.log2)}, and with f in it by {written(kept)}"
    elif abs(kept) < 0.005:
        what = "keeps the gradient as it is"
    else:
        what = f"keeps {written(kept)} of the gradient" if kept < 0 else f"multiplies the gradient by {written(kept)}"
    level, expected = _expectation(signal, kept, added)
    return Foretold(f"over {units} the shortcut path {what}: {expected}", level, path, with_f, added)


def _expectation(signal: Signal, kept: float, added: float) -> tuple[int, str]:
    if kept < TINY and len(signal.units) > PLAIN:
        opening = " unless its gates open" if any(unit.gates for unit in signal.units) else ""
        return 0, f"expect this network not to train{opening}"
    if kept < TINY:
        return 1, "expect it to train as a plain network of its depth, worse than with the identity"
    if signal.stateful:
        known = abs(kept) < 0.005
        unknown = "what that means for a state of several tensors is not known"
        return 3, "nothing in it keeps this network from training" if known else unknown
    if kept < SMALL or kept > GROWS:
        return 2, "expect a higher error than with the identity"
    if added < CLOSED:
        return 2, f"but the units add only {written(added)} of F(x), so expect a higher error than with the identity"
    return 3, "nothing in it keeps this network from training"


def log2(value: float) -> float:
    """−inf for 0."""
    return math.log2(value) if value else -math.inf


def written(log2: float) -> str:
    """2^-54, 2^-0.19 or nothing."""
    if log2 == -math.inf:
        return "nothing"
    if abs(log2) < 0.005:
        return "2^0"
    return f"2^{log2:.0f}" if abs(log2) >= 10 else f"2^{log2:.2g}"
