"""The checks of simulation.py: which coverage breaks a bound, and which studies count."""

import numpy
import pytest

from ablate.report import stats
from tests.simulation import TRUTH, Coverage, counted, coverage, false_alarms, normal, skewed, too_low_or_high


@pytest.mark.parametrize(
    ("errors", "seeds", "holds", "broken"),
    [
        (normal, 5, 0.945, False),
        (normal, 5, 0.935, True),
        (counted, 5, 0.965, True),
        (normal, 3, 0.965, False),  # too wide with fewer than five seeds
        (skewed, 5, 0.93, False),
        (skewed, 5, 0.92, True),
    ],
)
def test_coverage_has_bounds_by_kind_of_errors(errors, seeds, holds, broken):
    assert too_low_or_high(errors, seeds, Coverage(given=1.0, holds=holds, width=0.3)) == broken


def test_studies_without_an_interval_are_not_counted_as_missed():
    values = numpy.random.default_rng(0).normal(TRUTH, 0.1, (40, 5))
    values[::2] = 50.0  # one study in two has equal seeds, far from the truth
    found = coverage(*stats.student_interval(values))
    assert found.given == 0.5
    assert found.holds > 0.8
    assert "50.0 % have one" in str(found)


def test_correction_prevents_false_alarms():
    corrected, uncorrected = false_alarms(normal, 5, 1000, numpy.random.default_rng(0), 0.0)
    assert corrected < 0.08
    assert uncorrected > 0.2
