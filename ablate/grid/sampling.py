"""Values drawn from intervals: scrambled Sobol points.

n such points cover several dimensions more evenly than n independent ones: of 8 points, each eighth of each interval
holds one. (Owen 1998, "Scrambling Sobol' and Niederreiter-Xing points", Journal of Complexity 14.)

    ablate -m 'recipe.learning_rate=tag(log,interval(0.003,0.3))' hydra.sweeper.samples=8
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import qmc

from ablate.base.errors import ConfigError

DIGITS = 3
"""Significant digits of a drawn number, so that names of runs are short."""
DIMENSIONS = qmc.Sobol.MAXDIM


@dataclass(frozen=True)
class Interval:
    """Numbers from `start` to `end`, uniform, or with `log` their logarithms; with `whole` only whole numbers, both
    ends included. Raises ConfigError if there are none.
    """

    start: float
    end: float
    log: bool = False
    whole: bool = False

    def __post_init__(self) -> None:
        written = f"interval({self.start:g},{self.end:g})"
        if not (math.isfinite(self.start) and math.isfinite(self.end)):
            raise ConfigError(f"{written} is invalid: use two finite numbers")
        if self.end <= self.start:
            raise ConfigError(f"{written} is invalid: its end must be above its start")
        if self.log and self.start <= 0:
            raise ConfigError(f"{written} cannot be logarithmic: its start must be above 0")

    def at(self, fraction: float) -> float | int:
        """The value below which a `fraction` of the interval lies, in [0, 1], rounded."""
        margin = 0.5 if self.whole else 0.0  # so that the first and the last number are drawn as often as others
        start, end = self.start - margin, self.end + margin
        if self.log:
            value = math.exp(math.log(start) + fraction * (math.log(end) - math.log(start)))
        else:
            value = start + fraction * (end - start)
        rounded = round(value) if self.whole else float(f"{value:.{DIGITS}g}")
        return min(max(rounded, self.start), self.end)  # rounding may leave the interval


def points(intervals: Sequence[Interval], count: int, seed: int) -> list[tuple[float | int, ...]]:
    """`count` points, each with a value from every interval in its order; the same for the same `seed`.

    More points with the same seed begin with these, so that a grid can be enlarged. Raises ConfigError for a count
    below 1, a negative seed, or too many intervals.
    """
    if count < 1:
        raise ConfigError(f"{count} samples are invalid: use 1 or more")
    if seed < 0:
        raise ConfigError(f"a seed of {seed} is invalid: use 0 or more")
    if len(intervals) > DIMENSIONS:
        raise ConfigError(f"{len(intervals)} intervals are too many: use at most {DIMENSIONS}")
    if not intervals:
        return [()] * count
    # Sobol points are balanced if their number is a power of 2, and scipy warns of others. The first n of 2^m are the
    # n it would draw: not balanced exactly, still even.
    drawn = qmc.Sobol(len(intervals), scramble=True, seed=seed).random_base2(math.ceil(math.log2(count)))[:count]
    return [tuple(one.at(fraction) for one, fraction in zip(intervals, row, strict=True)) for row in drawn.tolist()]
