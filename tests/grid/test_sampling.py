"""Points drawn from intervals."""

import math
from collections import Counter

import pytest
from scipy.stats import qmc

from ablate.base.errors import ConfigError
from ablate.grid.sampling import Interval, points


def test_quantiles_of_a_logarithmic_interval_are_those_worked_out_by_hand():
    interval = Interval(0.001, 1000, log=True)  # six decades
    assert [interval.at(fraction) for fraction in (0, 1 / 6, 0.5, 5 / 6, 1)] == [0.001, 0.01, 1, 100, 1000]
    assert Interval(0.003, 0.3, log=True).at(0.5) == 0.03
    assert Interval(-1, 3).at(0.25) == 0


def test_half_of_many_logarithmic_values_are_below_the_geometric_mean():
    values = [value for (value,) in points([Interval(0.003, 0.3, log=True)], 1024, 0)]
    assert sum(value < 0.03 for value in values) == pytest.approx(512, abs=3)  # 3: some round to 0.03 itself
    assert sum(value < 0.003 * 10**0.5 for value in values) == pytest.approx(256, abs=3)


@pytest.mark.parametrize("count", [1, 5, 8, 21])
@pytest.mark.filterwarnings("ignore:The balance properties")
def test_points_are_those_that_scipy_draws_rounded(count):
    drawn = qmc.Sobol(2, scramble=True, seed=7).random(count)
    expected = [(float(f"{a:.3g}"), float(f"{10 ** (2 * b - 1):.3g}")) for a, b in drawn]
    assert points([Interval(0, 1), Interval(0.1, 10, log=True)], count, 7) == expected


def test_each_eighth_of_each_interval_has_one_of_eight_points():
    drawn = points([Interval(0, 8)] * 3, 8, 0)
    for column in zip(*drawn, strict=True):
        assert sorted(map(math.floor, column)) == list(range(8))
    assert drawn != [tuple(8 * value for value in row) for row in qmc.Sobol(3, scramble=False).random_base2(3)]


def test_same_seed_gives_the_same_points_and_more_begin_with_fewer():
    intervals = [Interval(0, 1), Interval(1, 9, whole=True)]
    assert points(intervals, 20, 3)[:6] == points(intervals, 6, 3)
    assert points(intervals, 6, 3) != points(intervals, 6, 4)


def test_whole_numbers_are_equally_frequent_with_both_ends():
    counts = Counter(value for (value,) in points([Interval(1, 8, whole=True)], 1024, 0))
    assert counts == dict.fromkeys(range(1, 9), 128)
    assert all(type(value) is int for value in counts)


def test_logarithmic_whole_numbers_are_as_frequent_as_their_share_of_the_logarithm():
    counts = Counter(value for (value,) in points([Interval(1, 3, log=True, whole=True)], 4096, 0))
    expected = {n: 4096 * math.log((n + 0.5) / (n - 0.5)) / math.log(3.5 / 0.5) for n in (1, 2, 3)}
    assert counts == pytest.approx(expected, abs=2)


def test_rounded_values_stay_inside_an_interval_narrower_than_their_digits():
    assert {value for (value,) in points([Interval(0.30001, 0.30002)], 16, 0)} <= {0.30001, 0.30002}
    assert all(len(f"{value:g}".strip("0.").replace(".", "")) <= 3 for (value,) in points([Interval(0.01, 99)], 64, 0))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Interval(3, 1), "interval(3,1) is invalid: its end must be above its start"),
        (lambda: Interval(2, 2), "interval(2,2) is invalid: its end must be above its start"),
        (lambda: Interval(0, 1, log=True), "interval(0,1) cannot be logarithmic: its start must be above 0"),
        (lambda: Interval(0, math.inf), "interval(0,inf) is invalid: use two finite numbers"),
        (lambda: points([Interval(0, 1)], 0, 0), "0 samples are invalid: use 1 or more"),
        (lambda: points([Interval(0, 1)], 1, -1), "a seed of -1 is invalid: use 0 or more"),
        (lambda: points([Interval(0, 1)] * 30_000, 1, 0), "30000 intervals are too many: use at most 21201"),
    ],
)
def test_intervals_without_numbers_and_counts_without_points_are_refused(make, sentence):
    with pytest.raises(ConfigError) as caught:
        make()
    assert str(caught.value) == sentence
