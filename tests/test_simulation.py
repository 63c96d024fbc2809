"""The gate on the statistics: what it lets pass and what it does not."""

import numpy
import pytest

from tests import simulation
from tests.simulation import Kept, counted, coverage, normal, skewed


@pytest.mark.parametrize(
    ("draw", "seeds", "holds", "passes"),
    [
        (normal, 5, 0.945, True),
        (normal, 5, 0.935, False),
        (counted, 5, 0.965, False),
        (normal, 3, 0.965, True),  # too wide with 3 seeds is no false promise
        (skewed, 5, 0.93, True),
        (skewed, 5, 0.92, False),
    ],
)
def test_each_spread_of_errors_has_its_bound(draw, seeds, holds, passes):
    kept = Kept(offered=1.0, holds=holds, median=0.3, widest=2.0)
    assert (not list(simulation.broken_by(draw, seeds, "Student's t", kept))) == passes


def test_one_interval_as_wide_as_only_rounding_makes_it_breaks_the_promise():
    (sentence,) = simulation.broken_by(counted, 7, "bootstrap-t", Kept(0.9, 0.95, 1.2, 7e13))
    assert "7e+13 points" in sentence


def test_studies_without_an_interval_are_counted_beside_and_not_among():
    def draw(rng, shape):  # one study in two has seeds that are all alike, and far from the truth
        values = rng.normal(simulation.TRUTH, 0.1, shape)
        values[::2] = 50.0
        return values

    kept = coverage(draw, 5, 40, numpy.random.default_rng(0))["Student's t"]
    assert kept.offered == 0.5
    assert kept.holds > 0.8
    assert "50.0 % have one" in simulation.written(kept)
    assert coverage(normal, 3, 10, numpy.random.default_rng(0))["bootstrap-t"] is None
