"""The checks of the simulation: which coverage breaks a bound, which studies count, and what errors it draws."""

import numpy
import pytest

from ablate.report import stats
from tests.simulation import images, rules, stopping
from tests.simulation.methods import fiducial, misses, satterthwaite, squares
from tests.simulation.seeds import TRUTH, Coverage, counted, coverage, false_alarms, normal, skewed, too_low_or_high


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


def test_true_error_is_that_over_all_seeds_and_images():
    batches = [*images.misclassified(numpy.random.default_rng(0), (400, 5, 500), [6.6, 25.0], 2.0, 0.2)]
    assert batches[0].shape[1:] == (2, 5, 500)
    assert sum(map(len, batches)) == 400
    found = 100 * numpy.concatenate(batches).mean((0, 2, 3))
    assert found == pytest.approx([6.6, 25.0], abs=0.3)


def test_rows_share_as_much_of_the_difficulty_as_is_named():
    def correlation(shared):
        (wrong,) = images.misclassified(numpy.random.default_rng(0), (1, 40, 5000), [25.0, 25.0], 2.0, 0.0, shared)
        return numpy.corrcoef(wrong[0].mean(-2))[0, 1]

    assert correlation(1.0) > 0.95
    assert 0.4 < correlation(0.5) < 0.6
    assert abs(correlation(0.0)) < 0.05


def test_spread_of_seeds_agrees_with_many_images():
    (wrong,) = images.misclassified(numpy.random.default_rng(0), (1, 400, 2000), [6.6], 2.0, 0.2)
    total, _, residual = stats._mean_squares(wrong[0, 0])
    assert images.spread(6.6, 0.2, 2.0) == pytest.approx(100 * numpy.sqrt((total - residual) / 2000), rel=0.1)


def test_methods_that_are_not_used_are_known_by_their_coverage():
    assert misses(squares, 3, 0.05).min() < 0.025  # too wide
    assert misses(fiducial, 3, 0.05).min() < 0.025
    assert misses(satterthwaite, 3, 0.005).max() > 0.02  # four times its level
    for method in (squares, fiducial, satterthwaite, stats._half_width):
        assert misses(method, 5, 0.05)[[0, -1]] == pytest.approx(0.05, abs=0.002)  # images alone, seeds alone


def test_correction_for_looks_prevents_false_alarms():
    values = numpy.random.default_rng(0).normal(TRUTH, 0.1, (1000, 11, stopping.MOST))
    *as_reported, fixed, uncorrected = stopping.alarms(values, 0)
    assert max(*as_reported, fixed) < 0.08
    assert uncorrected > 0.1


def test_runs_of_the_baseline_are_as_many_as_those_of_the_row_that_has_most():
    assert stopping.runs(numpy.array([[3, 3, 10], [3, 4, 4]])) == (26 + 15) / 2


@pytest.mark.parametrize("rule", [rules.reported, lambda values: rules.permuted(values, numpy.random.default_rng(1))])
def test_rule_stops_rows_that_are_far_from_the_baseline(rule):
    values = numpy.random.default_rng(0).normal(size=(50, 4, rules.MOST))
    values[:, 1:3] += 100
    found, seeds = rule(values)
    assert found[:, :2].all()
    assert found[:, 2].mean() < 0.2
    assert (seeds[:, :2] <= rules.BLOCK).all()
    assert (seeds[~found] == rules.MOST).all()
