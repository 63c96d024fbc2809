"""The gains of the shortcuts from each unit of a forward pass to the last."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from ablate.base.seeds import derive
from ablate.models.generators import seed_generators
from ablate.models.shortcuts import Gate
from ablate.probes.gates import held
from ablate.probes.path import Ends, Gain, Link, Map, Scaled, average, gain, identity, pulled, pushed
from ablate.probes.visits import Visit, passages, seen, stateful

DRAWS = 8
"""Over which a shortcut that draws random numbers is averaged."""
PUSHES, FIXED = 3000, 100_000
"""Vectors pushed through a unit in the forward gains of a network, so many that they take seconds; and the elements of
a vector that take as long as the rest of a push."""


@dataclass(frozen=True)
class Along:
    """The gains of the shortcuts from one unit to the last, and of the unit's `own`.

    `backward`: of random signs at y_L, pulled back to x_l. `forward`: of x_l itself, pushed to y_L; None if h has no
    second derivative, and of most units of a large network, because it takes a product for each later unit. `with_f`:
    as `backward`, with what stands between two shortcuts in the path too: f, and pre-activations. `held`: as
    `backward`, with the gates held constant; None without gates.

    Of connections, the signs are at the x that the last state gives, and pulled back to the state before unit l;
    `own` has signs at the state after it. There is no `forward`.
    """

    own: Gain
    backward: Gain
    forward: Gain | None
    with_f: Gain
    held: Gain | None


def along(passed: Sequence[Visit], seed: int) -> tuple[list[Along], int]:
    """The gains from each unit, averaged over so many draws of the shortcuts' random numbers: 1 if they draw none.

    Raises AblateError as `identity`.
    """
    yardstick = _Yardstick(passed, seed)
    draws = DRAWS if _draws(passed) else 1
    measured = [_draw(yardstick, number) for number in range(draws)]
    return [_average(gains) for gains in zip(*measured, strict=True)], draws


class _Yardstick:
    """The vectors that are sent along the path, and what becomes of them with the identity of option A for h."""

    def __init__(self, passed: Sequence[Visit], seed: int) -> None:
        self.passed, self.seed = passed, seed
        generator = torch.Generator().manual_seed(derive(seed, "signs"))
        # Random signs, because means over them are exact where the Jacobian is diagonal.
        self.signs = [signs_like(visit.total, generator) for visit in passed]
        shortcuts = [visit.shortcut for visit in passed]
        through = passages(passed, shortcuts)
        links = [identity(passage) for passage in through]
        pulls: list[Map] = [link.pull if link else _same for link in links]
        pushes: list[list[Map]] = [[link.push for link in links[at:] if link] for at in range(len(links))]
        signs, self.start = self.signs, self.signs[-1]
        self.ends: Ends | None = None
        self.own_ends: list[Ends] | list[None] = [None] * len(passed)
        states = stateful(passed)
        if states:
            signs = [signs_like(passage.after, generator) for passage in through]
            self.start, self.ends = at_end(passed, shortcuts, signs[-1])
            self.own_ends = [(Scaled.of(v), Scaled.of(w)) for v, w in zip(self.signs, signs, strict=True)]
        self.own = [Scaled.of(pull(one)) for pull, one in zip(pulls, signs, strict=True)]
        self.backward = pulled(signs[-1], pulls)
        work = sum((at + 1) * (1 + visit.x.numel() / FIXED) for at, visit in enumerate(passed))
        self.every = math.ceil(work / PUSHES)
        chosen = [] if states else range(0, len(passed), self.every)
        self.forward = {at: pushed(passed[at].x, pushes[at]) for at in chosen}


def signs_like(like: Tensor, generator: torch.Generator) -> Tensor:
    """Random signs in the shape of a tensor."""
    return (2 * torch.randint(0, 2, like.shape, generator=generator) - 1).to(like.device, like.dtype)


def at_end(passed: Sequence[Visit], shortcuts: Sequence[nn.Module], signs: Tensor) -> tuple[Tensor, Ends]:
    """Signs at the x that the last state gives, pulled back to that state; and the two as the ends of paths."""
    link = Link(partial(seen, shortcuts, len(passed) - 1), passed[-1].total)
    start = link.pull(signs)
    return start, (Scaled.of(start), Scaled.of(signs))


def _same(v: Tensor) -> Tensor:
    return v


def _draws(passed: Sequence[Visit]) -> bool:
    """Whether a shortcut gives another sum with other random numbers."""
    with torch.no_grad():
        same = [visit.again() for visit in passed]
        return any(not torch.equal(y, visit.again(same=False)) for y, visit in zip(same, passed, strict=True))


def _draw(yardstick: _Yardstick, number: int) -> list[Along]:
    """The gains with the random numbers of the pass, or in later draws with others."""
    passed = yardstick.passed
    if number:
        seed_generators(derive(yardstick.seed, "draw", number))
    sums = [partial(visit.again, same=number == 0) for visit in passed]
    links = [Link(again, visit.x) for again, visit in zip(sums, passed, strict=True)]
    pulls: list[Map] = [link.pull for link in links]
    sent = zip(links, yardstick.signs, yardstick.own, yardstick.own_ends, strict=True)
    own = [gain(Scaled.of(link.pull(signs)), w, ends) for link, signs, w, ends in sent]

    def backward(maps: Sequence[Map]) -> list[Gain]:
        vectors = pulled(yardstick.start, maps)
        return [gain(v, w, yardstick.ends) for v, w in zip(vectors, yardstick.backward, strict=True)]

    with_f = backward([_whole(passed, at, pull) for at, pull in enumerate(pulls)])
    of_held: list[Gain] | list[None] = [None] * len(passed)
    gates = [visit.shortcut.gate for visit in passed if isinstance(visit.shortcut, Gate)]
    if len(gates) == len(passed):
        constant = [
            Link(partial(held, gate, again), visit.x) for gate, again, visit in zip(gates, sums, passed, strict=True)
        ]
        of_held = backward([link.pull for link in constant])
    return [Along(*one) for one in zip(own, backward(pulls), _forward(yardstick, links), with_f, of_held, strict=True)]


def _whole(passed: Sequence[Visit], at: int, pull: Map) -> Map:
    """`pull` of a unit's shortcut with what follows its sum, up to the next unit, and what precedes it in its own."""
    visit = passed[at]
    end = passed[at + 1].start if at + 1 < len(passed) else visit.output

    def pulled_through(v: Tensor) -> Tensor:
        v = pull(_back(end, visit.total, v))
        return v if visit.given is visit.start else _back(visit.given, visit.start, v)

    return pulled_through


def _back(y: Tensor, x: Tensor, v: Tensor) -> Tensor:
    (found,) = torch.autograd.grad(y, x, v, retain_graph=True)
    return found


def _forward(yardstick: _Yardstick, links: Sequence[Link]) -> list[Gain | None]:
    pushes: list[Map] = [link.push for link in links]
    found: list[Gain | None] = [None] * len(links)
    try:
        for at, of_identity in yardstick.forward.items():
            found[at] = gain(pushed(yardstick.passed[at].x, pushes[at:]), of_identity)
    except RuntimeError:  # of a custom function without a second derivative
        return [None] * len(links)
    return found


def _average(draws: Sequence[Along]) -> Along:
    def over(name: str) -> Gain | None:
        gains = [getattr(one, name) for one in draws]
        return None if None in gains else average(gains)

    own, backward, with_f = (average([getattr(one, name) for one in draws]) for name in ("own", "backward", "with_f"))
    return Along(own, backward, over("forward"), with_f, over("held"))
