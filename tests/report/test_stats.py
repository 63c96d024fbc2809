"""The statistics against scipy and statsmodels asked directly, and against values worked out on paper."""

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
def test_the_interval_is_scipys(name):
    values = numpy.array(STUDIES[name][1])
    low, high = stats.student_interval(values)
    theirs = scipy_stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (float(low), float(high)) == pytest.approx((theirs.low, theirs.high), abs=1e-9, rel=0)


@pytest.mark.parametrize("name", STUDIES)
def test_the_paired_difference_is_scipys(name):
    base, own = map(numpy.array, STUDIES[name])
    difference, low, high, p = map(float, stats.paired_difference(own, base))
    theirs = scipy_stats.ttest_rel(own, base)
    within = theirs.confidence_interval(0.95)
    assert difference == pytest.approx((own - base).mean(), abs=1e-9)
    assert (low, high, p) == pytest.approx((within.low, within.high, theirs.pvalue), abs=1e-9, rel=0)


def test_the_interval_is_what_paper_and_a_t_table_give():
    # 6, 7, 8: mean 7, s = 1, standard error 1/sqrt(3); t(0.975, 2) = 4.302653 in the tables.
    low, high = stats.student_interval(numpy.array([6.0, 7.0, 8.0]))
    assert float(high) - 7 == pytest.approx(4.302652729911275 / math.sqrt(3), abs=1e-9)
    assert 7 - float(low) == pytest.approx(float(high) - 7, abs=1e-12)


@pytest.mark.parametrize(
    "p", [[0.01, 0.04, 0.03, 0.005], [0.5], [0.2, 0.2, 0.2], [1.0, 0.0, 0.7], [0.04, 0.01, 0.049, 0.02, 0.3]]
)
def test_holm_is_statsmodels(p):
    assert stats.holm(numpy.array(p)) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-12)


def test_holm_by_hand_and_without_the_rows_that_have_no_p():
    # Of three: 3 * 0.01, then max with 2 * 0.03, then max with 1 * 0.04.
    adjusted = stats.holm(numpy.array([0.04, numpy.nan, 0.01, 0.03]))
    assert adjusted[[0, 2, 3]] == pytest.approx([0.06, 0.03, 0.06])
    assert numpy.isnan(adjusted[1])


@pytest.mark.parametrize("n", [1, 2])
def test_too_few_seeds_have_no_interval_and_no_p(n):
    values = numpy.arange(float(n)) + 5
    assert numpy.isnan(stats.student_interval(values)).all()
    assert numpy.isnan(stats.paired_difference(values, values * 1.5)[1:]).all()


def test_the_bootstrap_is_offered_from_five_seeds():
    rng = numpy.random.default_rng(0)
    assert numpy.isnan(stats.bootstrap_interval(numpy.array([1.0, 2.0, 3.0, 4.0]), rng)).all()
    assert numpy.isfinite(stats.bootstrap_interval(numpy.array([1.0, 2.0, 3.0, 4.0, 5.5]), rng)).all()


def test_seeds_that_all_gave_the_same_show_no_spread():
    same = numpy.full(5, 4.2)
    assert numpy.isnan(stats.student_interval(same)).all()
    assert numpy.isnan(stats.bootstrap_interval(same, numpy.random.default_rng(0))).all()
    difference, low, high, p = stats.paired_difference(same + 0.5, same)
    assert float(difference) == pytest.approx(0.5)
    assert numpy.isnan([low, high, p]).all()
    assert float(stats.paired_difference(same, same)[3]) == 1.0


def test_differences_that_are_alike_but_for_rounding_show_no_spread():
    difference, low, high, p = stats.paired_difference(numpy.array([3.2, 3.6, 2.8]), numpy.array([2.8, 3.2, 2.4]))
    assert float(difference) == pytest.approx(0.4)
    assert numpy.isnan([low, high, p]).all()
    tripled = numpy.array([0.1 + 0.2, 0.3, 0.3])
    assert float(stats.paired_difference(tripled, numpy.full(3, 0.3))[3]) == 1.0


def test_the_bootstrap_draws_from_the_generator_that_it_is_given_and_from_no_other():
    values = numpy.array(STUDIES["skewed"][0])
    numpy.random.seed(0)
    one = stats.bootstrap_interval(values, numpy.random.default_rng(3))
    numpy.random.seed(1)
    again = stats.bootstrap_interval(values, numpy.random.default_rng(3))
    other = stats.bootstrap_interval(values, numpy.random.default_rng(4))
    assert one == again
    assert one != other


def test_the_bootstrap_nears_students_t_where_errors_are_normal_and_seeds_many():
    values = numpy.random.default_rng(5).normal(6.6, 0.16, 400)
    ours = numpy.array(stats.bootstrap_interval(values, numpy.random.default_rng(0)))
    theirs = numpy.array(stats.student_interval(values))
    assert numpy.abs(ours - theirs).max() < 0.15 * (theirs[1] - theirs[0])


@pytest.mark.parametrize("values", [[3.2] * 6 + [4.0], [2.2] * 5 + [2.6], [6.61] * 4 + [6.9]])
def test_a_bootstrap_of_one_value_many_times_is_no_interval(values):
    # Often a resample is one value n times: its spread is nothing, or the rounding of its mean, and its t has no end.
    assert numpy.isnan(stats.bootstrap_interval(numpy.array(values), numpy.random.default_rng(0))).all()


def test_a_resample_of_one_value_that_is_the_mean_has_a_t_of_zero():
    values = numpy.array([2.9, 3.3, 3.3, 3.3, 3.3, 3.3, 3.7])
    assert 0 < abs(values.mean() - 3.3) < 1e-12  # one resample in ten is 3.3 seven times, off the mean by rounding
    low, high = map(float, stats.bootstrap_interval(values, numpy.random.default_rng(0)))
    assert 3.0 < low < 3.3 < high < 3.6


def test_the_bootstrap_leans_with_the_skew():
    low, high = stats.bootstrap_interval(
        numpy.array([1.0, 1.1, 1.2, 1.4, 1.9, 3.5, 1.0, 1.2]), numpy.random.default_rng(0)
    )
    mean = 1.5375
    assert high - mean > 1.5 * (mean - low)


def test_many_studies_at_once_are_each_one_by_itself():
    values = numpy.random.default_rng(1).normal(5, 1, (3, 2, 6))
    low, _ = stats.student_interval(values)
    assert low.shape == (3, 2)
    assert low[2, 1] == pytest.approx(stats.student_interval(values[2, 1])[0])


@pytest.mark.parametrize(("difference", "spread"), [(0.3, 0.16), (0.3, 0.3), (1.0, 0.5), (0.05, 0.16)])
@pytest.mark.parametrize("n", [3, 5, 10, 40])
def test_power_is_statsmodels(difference, spread, n):
    theirs = TTestPower().power(difference / (spread * math.sqrt(2)), n, 0.05)
    assert stats.power(difference, spread, n) == pytest.approx(theirs, abs=1e-9)


def test_power_with_rows_is_at_the_corrected_level():
    theirs = TTestPower().power(0.3 / (0.2 * math.sqrt(2)), 7, 0.05 / 10)
    assert stats.power(0.3, 0.2, 7, rows=10) == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize(("ratio", "rows", "told"), [(61, 100, 0.939), (142, 1000, 0.780)])
def test_power_of_a_large_difference_at_a_strict_level_and_few_seeds(ratio, rows, told):
    n, draws = 3, 400_000  # the definition, drawn: a mean of n normal differences over its standard error
    rng = numpy.random.default_rng(0)
    mean = rng.normal(ratio / math.sqrt(2), 1 / math.sqrt(n), draws)
    error = numpy.sqrt(rng.chisquare(n - 1, draws) / (n - 1) / n)
    drawn = (mean / error > scipy_stats.t.isf(0.05 / rows / 2, n - 1)).mean()
    assert stats.power(ratio, 1.0, n, rows) == pytest.approx(told, abs=0.001)
    assert stats.power(ratio, 1.0, n, rows) == pytest.approx(drawn, abs=0.002)


@pytest.mark.parametrize("n", [3, 100, 100_000])
def test_power_of_a_difference_beyond_all_spread_is_certain(n):
    assert stats.power(100.0, 1e-6, n) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize(
    ("difference", "chance", "rows"), [(0.3, 0.8, 1), (0.1, 0.8, 1), (0.3, 0.95, 10), (5.0, 0.8, 1)]
)
def test_seeds_needed_is_the_first_number_that_suffices(difference, chance, rows):
    n = stats.seeds_needed(difference, 0.16, chance, rows)
    assert stats.power(difference, 0.16, n, rows) >= chance
    assert n == stats.STUDENT_FROM or stats.power(difference, 0.16, n - 1, rows) < chance


def test_seeds_needed_gives_up_where_there_is_no_end():
    assert stats.seeds_needed(1e-6, 1.0, most=1000) == 1001
