"""The statistics against scipy and statsmodels, and against values worked by hand."""

import math

import numpy
import pandas
import pytest
from scipy import stats as scipy_stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm
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

# Three seeds, three images. Means of seeds 1/3, 2/3, 1, of images 1, 2/3, 1/3, of all 2/3; sum of squares 9 * 2/9.
# Mean squares: seeds 3 (1/9 + 0 + 1/9) / 2 = 1/3, images the same, residual (2 - 2/3 - 2/3) / 4 = 1/6.
BY_HAND = numpy.array([[1, 0, 0], [1, 1, 0], [1, 1, 1]])


def misclassified(seed, n=5, m=500, shape=(), difficulty=2.0, skill=0.2):
    """Of shape (*shape, n, m): images differ in difficulty and seeds in skill; about 5 % are wrong."""
    rng = numpy.random.default_rng(seed)
    images, seeds = rng.normal(0, difficulty, (*shape, 1, m)), rng.normal(0, skill, (*shape, n, 1))
    return images + seeds + rng.normal(-3.7, 1, (*shape, n, m)) > 0


def mean_squares(values):
    """Of seeds, images and residual, by statsmodels."""
    n, m = values.shape
    frame = pandas.DataFrame({"y": values.ravel() + 0.0, "seed": numpy.repeat(range(n), m), "image": [*range(m)] * n})
    return anova_lm(ols("y ~ C(seed) + C(image)", frame).fit()).mean_sq


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


def test_intervals_of_errors_end_at_0_and_100():
    low, high = stats.student_interval(numpy.array([[1.0, 0.2, 4.0], [99.0, 99.8, 96.0]]))
    assert low[0] == 0.0 < high[0] < 100.0
    assert 0.0 < low[1] < high[1] == 100.0


def test_intervals_of_differences_end_at_plus_and_minus_100():
    _, low, high, _ = stats.paired_difference(numpy.array([[0.0, 10, 50]]), numpy.array([[90.0, 80, 60]]))
    assert low[0] == -100.0
    assert high[0] > 0.0  # not cut at 0, as an error's would be
    wide = numpy.array([[1, 1, 1, 1, 0, 1, 1, 1, 1, 1], [1, 0, 0, 0, 0, 0, 0, 0, 0, 0], [1] * 10])
    assert stats.crossed_difference(wide)[2] == 100.0
    assert stats.crossed_difference(-wide)[1] == -100.0


def test_mean_squares_by_hand():
    assert stats._mean_squares(BY_HAND) == pytest.approx((1 / 3, 1 / 3, 1 / 6))
    assert stats.seed_noise_share(BY_HAND) == pytest.approx(1 / 2)


@pytest.mark.parametrize("n", [3, 6])
def test_mean_squares_agree_with_statsmodels(n):
    wrong = misclassified(0, n, 40)
    assert stats._mean_squares(wrong) == pytest.approx(tuple(mean_squares(wrong)))
    difference = wrong.astype(int) - misclassified(1, n, 40)
    assert stats._mean_squares(difference) == pytest.approx(tuple(mean_squares(difference)))


def test_crossed_difference_by_hand():
    # Variance from seeds 1/3 / 9, from images (1/3 - 1/6) / 9; t(0.975, 2) = 4.302653, z = 1.959964; exponent 2 + 10/4.
    half = ((4.302652729911275 / math.sqrt(27)) ** 4.5 + (1.959963984540054 / math.sqrt(54)) ** 4.5) ** (1 / 4.5)
    mean, low, high, p = map(float, stats.crossed_difference(BY_HAND))
    assert (mean, low, high) == pytest.approx((200 / 3, 200 / 3 - 100 * half, 100.0))
    t, z = scipy_stats.t.isf(p / 2, 2), scipy_stats.norm.isf(p / 2)
    at_p = ((t / math.sqrt(27)) ** 4.5 + (z / math.sqrt(54)) ** 4.5) ** (1 / 4.5)
    assert at_p == pytest.approx(2 / 3)


def test_crossed_interval_by_hand():
    # In log-odds: log(2) - and + half / (2/3 * 1/3), half as above.
    half = 4.5 * ((4.302652729911275 / math.sqrt(27)) ** 4.5 + (1.959963984540054 / math.sqrt(54)) ** 4.5) ** (1 / 4.5)
    ends = [100 / (1 + math.exp(-math.log(2) - sign * half)) for sign in (-1, 1)]
    assert stats.crossed_interval(BY_HAND) == pytest.approx(ends)


def test_crossed_difference_is_the_paired_t_test_if_images_have_no_effect():
    # Each seed is wrong on images of its own only, one to three of them.
    difference = numpy.zeros((4, 400), int)
    for seed, wrong in enumerate([1, 3, 2, 2]):
        difference[seed, 100 * seed : 100 * seed + wrong] = 1
    per_seed = 100 * difference.mean(-1)
    theirs = scipy_stats.ttest_1samp(per_seed, 0)
    within = theirs.confidence_interval(0.95)
    expected = (per_seed.mean(), within.low, within.high, theirs.pvalue)
    assert stats.crossed_difference(difference) == pytest.approx(expected, rel=1e-9)


def test_crossed_difference_is_the_z_test_over_images_if_seeds_agree():
    one = numpy.array([1] * 20 + [-1] * 8 + [0] * 472)
    error = one.std(ddof=1) / math.sqrt(500)
    mean, low, high, p = map(float, stats.crossed_difference(numpy.tile(one, (3, 1))))
    assert (mean, high - mean, mean - low) == pytest.approx((2.4, 195.9963984540054 * error, 195.9963984540054 * error))
    assert p == pytest.approx(2 * scipy_stats.norm.sf(0.024 / error))


def test_p_is_the_level_at_which_the_interval_ends_at_zero(monkeypatch):
    difference = misclassified(0).astype(int) - misclassified(1)
    mean, *_, p = map(float, stats.crossed_difference(difference))
    assert 0.001 < p < 0.999
    monkeypatch.setattr(stats, "CONFIDENCE", 1 - p)
    _, low, high, _ = map(float, stats.crossed_difference(difference))
    assert (low if mean > 0 else high) == pytest.approx(0, abs=1e-9)


def test_p_is_small_but_not_zero_for_a_large_difference():
    difference = misclassified(0, 3, 10_000).astype(int) - (numpy.random.default_rng(1).random((3, 10_000)) < 0.9)
    p = float(stats.crossed_difference(difference)[3])
    assert 0 < p < 0.001


def test_interval_over_seeds_and_images_holds_the_error_over_all_images():
    truth = 100 * scipy_stats.norm.cdf(-3.7 / math.sqrt(1 + 2**2 + 0.2**2))
    wrong = misclassified(0, shape=(2000,))
    shares = [
        numpy.mean((low <= truth) & (truth <= high))
        for low, high in (stats.crossed_interval(wrong), stats.student_interval(100 * wrong.mean(-1)))
    ]
    assert 0.935 < shares[0] < 0.965
    assert shares[1] < 0.9  # over seeds alone


def test_equal_seeds_get_the_variance_that_their_images_show():
    difference = numpy.zeros((3, 500), int)
    for seed in range(3):
        difference[seed, 10 * seed : 10 * seed + 10] = 1  # 2 % each, on other images
    mean, low, high, p = map(float, stats.crossed_difference(difference))
    residual = mean_squares(difference).iloc[2]
    assert mean == pytest.approx(2.0)
    half = 100 * 4.302652729911275 * math.sqrt(residual / 1500)
    assert (low, high) == pytest.approx((2 - half, 2 + half))
    assert 0.001 < p < 0.05
    low, high = map(float, stats.crossed_interval(difference > 0))
    assert 0 < low < 2 < high


@pytest.mark.parametrize("values", [numpy.zeros((3, 50), int), numpy.ones((3, 50), int)])
def test_without_variation_there_is_no_crossed_interval(values):
    mean, low, high, p = stats.crossed_difference(values)
    assert numpy.isnan([*stats.crossed_interval(values > 0), low, high, stats.seed_noise_share(values)]).all()
    assert float(p) == 1.0 if mean == 0 else numpy.isnan(p)


@pytest.mark.parametrize(("n", "m"), [(1, 50), (2, 50), (5, 1)])
def test_few_seeds_or_one_image_have_no_crossed_interval_and_no_p(n, m):
    wrong = numpy.arange(n * m).reshape(n, m) % 3 == 0
    _, *interval_and_p = stats.crossed_difference(wrong.astype(int))
    assert numpy.isnan([*interval_and_p, *stats.crossed_interval(wrong), stats.seed_noise_share(wrong)]).all()


def test_leading_axes_are_independent_studies_of_images():
    wrong = misclassified(0, shape=(3, 2))
    low, high = stats.crossed_interval(wrong)
    assert (low[2, 1], high[2, 1]) == pytest.approx(stats.crossed_interval(wrong[2, 1]))
    difference = wrong.astype(int) - misclassified(1, shape=(3, 2))
    for found, alone in zip(
        stats.crossed_difference(difference), stats.crossed_difference(difference[2, 1]), strict=True
    ):
        assert found.shape == (3, 2)
        assert found[2, 1] == pytest.approx(alone)


def test_noise_of_the_test_set_is_all_of_the_spread_of_seeds_of_equal_skill():
    equal = [stats.seed_noise_share(misclassified(seed, 200, 500, skill=0.0)) for seed in range(4)]
    assert numpy.mean(equal) == pytest.approx(1, abs=0.08)
    # Jordan 2023: variance on the test set = variance on all images + residual / m. Both by many images and seeds.
    wrong = misclassified(5, 200, 20_000)
    all_images, residual = wrong.mean(-1).var(ddof=1), mean_squares(wrong[:10, :400]).iloc[2]
    few = [stats.seed_noise_share(wrong[:, start : start + 500]) for start in range(0, 20_000, 500)]
    assert numpy.mean(few) == pytest.approx(residual / 500 / (all_images + residual / 500), abs=0.05)


def test_looks_of_one_number_of_seeds_keep_the_level():
    assert stats.false_alarms_of_looks([5]) == stats.false_alarms_of_looks([2, 5, 5]) == pytest.approx(0.05)
    assert stats.false_alarms_of_looks([]) == stats.false_alarms_of_looks([1, 2]) == 0


@pytest.mark.parametrize("looks", [[3, 5, 10, 20], [3, 4], [20, 5]])
def test_false_alarms_of_looks_agree_with_simulation(looks):
    differences = numpy.random.default_rng(0).normal(0, 1, (40_000, max(looks)))
    alarms = [scipy_stats.ttest_1samp(differences[:, :look], 0, axis=1).pvalue < 0.05 for look in looks]
    assert stats.false_alarms_of_looks(looks) == pytest.approx(numpy.any(alarms, 0).mean(), abs=0.006)


def test_four_looks_make_fifteen_percent_false_alarms():
    assert stats.false_alarms_of_looks([3, 5, 10, 20]) == pytest.approx(0.15, abs=0.005)


INF = math.inf
# Medians of the eleven rows of the quickstart, and [B] Table 1, whose 'fail' is above all numbers.
QUICKSTART = [3.2, 76.4, 57.2, 48.4, 21.2, 45.2, 45.8, 76.4, 3.0, 10.2, 90.0]
TABLE_1 = [6.61, INF, INF, 12.35, INF, 8.70, 9.81, 12.86, 6.91, 12.22, INF]


def test_rank_correlation_of_the_quickstart_with_table_1():
    rho, low, high = stats.rank_correlation(numpy.array(QUICKSTART), numpy.array(TABLE_1))
    assert rho == pytest.approx(0.74, abs=0.005)
    assert low < 0.3 < 0.9 < high
    kept = [row for row in range(11) if row != 4]  # without exclusive gating at -3
    rho, *_ = stats.rank_correlation(numpy.array(QUICKSTART)[kept], numpy.array(TABLE_1)[kept])
    assert rho == pytest.approx(0.90, abs=0.005)


@pytest.mark.parametrize(
    ("a", "b"), [(QUICKSTART, TABLE_1), ([1, 2, 3, 4, 5], [2, 1, 4, 3, 5]), ([1, 1, 2], [3, 2, 1])]
)
def test_rank_correlation_agrees_with_scipy(a, b):
    rho, *_ = stats.rank_correlation(numpy.array(a), numpy.array(b))
    assert rho == pytest.approx(scipy_stats.spearmanr(a, b).statistic)


def test_rank_correlation_interval_by_hand():
    # rho = 1 - 6 (1 + 1 + 1 + 1) / (5 * 24) = 0.8; z = log(9) / 2, half = 1.959964 sqrt((1 + 0.8^2 / 2) / (5 - 3)).
    rho, low, high = stats.rank_correlation(numpy.array([1.0, 2, 3, 4, 5]), numpy.array([2.0, 1, 4, 3, 5]))
    z, half = math.log(9) / 2, 1.959963984540054 * math.sqrt(0.66)
    assert (rho, low, high) == pytest.approx((0.8, math.tanh(z - half), math.tanh(z + half)))


@pytest.mark.parametrize("sign", [1, -1])
def test_equal_orders_leave_room_for_a_smaller_correlation(sign):
    order = numpy.arange(7.0)
    rho, low, high = stats.rank_correlation(order, sign * order)
    assert rho == pytest.approx(sign)
    near, far = sorted([low, high], key=abs)
    assert 0.7 < abs(near) < 0.9
    assert far == pytest.approx(sign)


def test_rank_correlation_needs_variation_and_four_rows():
    assert numpy.isnan(stats.rank_correlation(numpy.array([1.0, 2, 3, 4]), numpy.full(4, INF))).all()
    rho, *interval = stats.rank_correlation(numpy.array([1.0, 2, 3]), numpy.array([1.0, 3, 2]))
    assert rho == pytest.approx(0.5)
    assert numpy.isnan(interval).all()
