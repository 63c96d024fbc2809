"""The statistics against scipy and statsmodels, and against values worked by hand."""

import math

import numpy
import pytest
from scipy import stats as scipy_stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from ablate.report import stats

# Five small studies: identity and a variant over common seeds, percent.
STUDIES = {
    "close": ([6.61, 6.45, 6.80, 6.52, 6.70], [6.91, 6.85, 6.74, 7.05, 6.88]),
    "worse": ([4.2, 3.0, 3.4], [10.2, 13.8, 7.4]),
    "wide": ([3.2, 2.4, 4.2, 3.6, 2.6, 3.0, 3.8], [75.2, 57.0, 80.4, 60.6, 82.0, 71.1, 64.3]),
    "alike": ([5.0, 6.0, 7.0, 8.0], [5.2, 5.8, 7.2, 7.8]),
    "skewed": ([1.0, 1.1, 1.2, 9.0, 1.0, 1.3], [2.0, 2.2, 1.9, 2.1, 2.0, 2.6]),
}


@pytest.mark.parametrize("name", STUDIES)
def test_interval_agrees_with_scipy(name):
    values = numpy.array(STUDIES[name][1])
    low, high = stats.student_interval(values)
    theirs = scipy_stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (float(low), float(high)) == pytest.approx((theirs.low, theirs.high), abs=1e-9, rel=0)


@pytest.mark.parametrize("name", STUDIES)
def test_paired_difference_agrees_with_scipy(name):
    base, own = map(numpy.array, STUDIES[name])
    difference, low, high, p = map(float, stats.paired_difference(own, base))
    theirs = scipy_stats.ttest_rel(own, base)
    within = theirs.confidence_interval(0.95)
    assert difference == pytest.approx((own - base).mean(), abs=1e-9)
    assert (low, high, p) == pytest.approx((within.low, within.high, theirs.pvalue), abs=1e-9, rel=0)


def test_interval_by_hand():
    # 6, 7, 8: mean 7, s = 1, standard error 1/sqrt(3); t(0.975, 2) = 4.302653 in the tables.
    low, high = stats.student_interval(numpy.array([6.0, 7.0, 8.0]))
    assert float(high) - 7 == pytest.approx(4.302652729911275 / math.sqrt(3), abs=1e-9)
    assert 7 - float(low) == pytest.approx(float(high) - 7, abs=1e-12)


@pytest.mark.parametrize(
    "p", [[0.01, 0.04, 0.03, 0.005], [0.5], [0.2, 0.2, 0.2], [1.0, 0.0, 0.7], [0.04, 0.01, 0.049, 0.02, 0.3]]
)
def test_holm_agrees_with_statsmodels(p):
    assert stats.holm(numpy.array(p)) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-12)


def test_holm_by_hand_ignores_rows_without_p():
    # Of three: 3 * 0.01, then max with 2 * 0.03, then max with 1 * 0.04.
    adjusted = stats.holm(numpy.array([0.04, numpy.nan, 0.01, 0.03]))
    assert adjusted[[0, 2, 3]] == pytest.approx([0.06, 0.03, 0.06])
    assert numpy.isnan(adjusted[1])


@pytest.mark.parametrize("n", [1, 2])
def test_fewer_than_three_seeds_have_no_interval_and_no_p(n):
    values = numpy.arange(float(n)) + 5
    assert numpy.isnan(stats.student_interval(values)).all()
    assert numpy.isnan(stats.paired_difference(values, values * 1.5)[1:]).all()


def test_equal_seeds_have_no_interval_and_no_p():
    same = numpy.full(5, 4.2)
    assert numpy.isnan(stats.student_interval(same)).all()
    difference, low, high, p = stats.paired_difference(same + 0.5, same)
    assert float(difference) == pytest.approx(0.5)
    assert numpy.isnan([low, high, p]).all()
    assert float(stats.paired_difference(same, same)[3]) == 1.0


def test_differences_equal_up_to_rounding_have_no_interval_and_no_p():
    difference, low, high, p = stats.paired_difference(numpy.array([3.2, 3.6, 2.8]), numpy.array([2.8, 3.2, 2.4]))
    assert float(difference) == pytest.approx(0.4)
    assert numpy.isnan([low, high, p]).all()
    tripled = numpy.array([0.1 + 0.2, 0.3, 0.3])
    assert float(stats.paired_difference(tripled, numpy.full(3, 0.3))[3]) == 1.0


def test_leading_axes_are_independent_studies():
    values = numpy.random.default_rng(1).normal(5, 1, (3, 2, 6))
    low, _ = stats.student_interval(values)
    assert low.shape == (3, 2)
    assert low[2, 1] == pytest.approx(stats.student_interval(values[2, 1])[0])


@pytest.mark.parametrize(("difference", "spread"), [(0.3, 0.16), (0.3, 0.3), (1.0, 0.5), (0.05, 0.16)])
@pytest.mark.parametrize("n", [3, 5, 10, 40])
def test_power_agrees_with_statsmodels(difference, spread, n):
    theirs = TTestPower().power(difference / (spread * math.sqrt(2)), n, 0.05)
    assert stats.power(difference, spread, n) == pytest.approx(theirs, abs=1e-9)


def test_power_for_several_rows_is_at_the_corrected_level():
    theirs = TTestPower().power(0.3 / (0.2 * math.sqrt(2)), 7, 0.05 / 10)
    assert stats.power(0.3, 0.2, 7, rows=10) == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize(("ratio", "rows", "expected"), [(61, 100, 0.939), (142, 1000, 0.780)])
def test_power_of_large_differences_agrees_with_simulation(ratio, rows, expected):
    n, draws = 3, 400_000  # the definition, drawn: a mean of n normal differences over its standard error
    rng = numpy.random.default_rng(0)
    mean = rng.normal(ratio / math.sqrt(2), 1 / math.sqrt(n), draws)
    error = numpy.sqrt(rng.chisquare(n - 1, draws) / (n - 1) / n)
    drawn = (mean / error > scipy_stats.t.isf(0.05 / rows / 2, n - 1)).mean()
    assert stats.power(ratio, 1.0, n, rows) == pytest.approx(expected, abs=0.001)
    assert stats.power(ratio, 1.0, n, rows) == pytest.approx(drawn, abs=0.002)


@pytest.mark.parametrize("n", [3, 100, 100_000])
def test_power_tends_to_one(n):
    assert stats.power(100.0, 1e-6, n) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize(
    ("difference", "chance", "rows"), [(0.3, 0.8, 1), (0.1, 0.8, 1), (0.3, 0.95, 10), (5.0, 0.8, 1)]
)
def test_seeds_needed_is_the_smallest_sufficient_number(difference, chance, rows):
    n = stats.seeds_needed(difference, 0.16, chance, rows)
    assert stats.power(difference, 0.16, n, rows) >= chance
    assert n == stats.STUDENT_FROM or stats.power(difference, 0.16, n - 1, rows) < chance


def test_seeds_needed_is_bounded():
    assert stats.seeds_needed(1e-6, 1.0, most=1000) == 1001
