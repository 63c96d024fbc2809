"""Looks, their weights, and p-values corrected for looks and rows, against values worked out by hand."""

import itertools

import numpy
import pytest
from statsmodels.stats.multitest import multipletests

from ablate.report import stats
from ablate.report.sequential import corrected, looks, weights

NAN = numpy.nan


def separable_at(p, most):
    """The seeds at which each row became separable, (..., rows); 0 if it did not."""
    separable = corrected(p, most) < 1 - stats.CONFIDENCE
    return numpy.where(separable.any(0), numpy.array(looks(most))[separable.argmax(0)], 0)


@pytest.mark.parametrize(
    ("most", "seeds"),
    [(3, (3,)), (4, (3, 4)), (5, (3, 4, 5)), (8, (3, 4, 6, 8)), (10, (3, 4, 5, 7, 10)), (20, (3, 4, 5, 7, 10, 14, 20))],
)
def test_looks_end_at_most_seeds(most, seeds):
    assert looks(most) == seeds


def test_fewer_seeds_than_the_test_needs_are_refused():
    with pytest.raises(ValueError, match="at least 3, not 2"):
        looks(2)


@pytest.mark.parametrize(
    ("most", "rows", "shares"),
    [
        (3, 7, [1]),
        (4, 1, [2 / 5, 3 / 5]),
        (4, 2, [4 / 7, 3 / 7]),
        (5, 3, [2 / 5, 4 / 15, 1 / 3]),  # 2/3 in the ratio of 3 to 2, and the rest
    ],
)
def test_weights_of_looks(most, rows, shares):
    assert weights(most, rows) == pytest.approx(shares)


@pytest.mark.parametrize("most", [3, 4, 7, 10, 20, 100])
def test_proof_of_the_family_wise_error_holds(most):
    """The weights have the sum 1, and the share of a row and look falls with the number of rows left."""
    shares = numpy.stack([weights(most, rows) for rows in range(1, 40)])
    assert shares.sum(-1) == pytest.approx(1)
    assert (shares > 0).all()
    assert (numpy.diff(shares / numpy.arange(1, 40)[:, None], axis=0) < 0).all()


def test_one_look_is_holms_correction():
    rng = numpy.random.default_rng(0)
    for rows in (1, 2, 10):
        p = rng.uniform(size=rows) ** 4
        assert corrected(p[None], 3)[0] == pytest.approx(multipletests(p, method="holm")[1])


def test_correction_is_closed_testing():
    """A row's p is the largest of all sets of rows with it, each tested by Bonferroni (Marcus et al. 1976)."""
    rng = numpy.random.default_rng(3)
    for _ in range(200):
        p = rng.uniform(size=(3, 4)) ** 4
        sets = [chosen for size in range(1, 5) for chosen in itertools.combinations(range(4), size)]
        of_sets = {chosen: min((len(chosen) * p[:, chosen].T / weights(5, len(chosen))).min(), 1) for chosen in sets}
        expected = [max(of_set for chosen, of_set in of_sets.items() if row in chosen) for row in range(4)]
        assert corrected(p, 5)[-1] == pytest.approx(expected)


def test_two_rows_at_two_looks():
    p = numpy.array([[0.01, 0.04], [NAN, 0.02]])
    # Look 3: 2 x 0.01 / (4/7) = 0.035 and 0.04 / (2/5) = 0.1. Look 4: the first row has stopped, the second has
    # 0.02 / (3/5) = 0.0333, but not less than the row before it.
    assert corrected(p, 4) == pytest.approx(numpy.array([[0.035, 0.1], [0.035, 0.035]]))
    assert separable_at(p, 4).tolist() == [3, 4]
    assert separable_at(p[:1], 4).tolist() == [3, 0]


def test_separable_row_gives_its_share_to_the_looks_of_the_others():
    p = numpy.array([[0.019, 0.04], [0.5, 0.001]])
    # Look 3: 2 x 0.019 / (4/7) = 0.0665. At look 4 the second row is separable: 2 x 0.001 / (3/7) = 0.0047. The first
    # is alone, and has 0.019 / (2/5) = 0.0475 from look 3.
    assert corrected(p, 4) == pytest.approx(numpy.array([[0.0665, 0.1], [0.0475, 0.0046667]]), abs=1e-6)
    assert separable_at(p, 4).tolist() == [4, 4]


def test_look_that_was_skipped_gives_nothing_to_later_looks():
    p = numpy.array([[NAN], [0.02]])
    assert corrected(p, 4) == pytest.approx(numpy.array([[1], [0.02 / 0.6]]))


def test_row_without_p_is_counted_and_not_separable():
    p = numpy.array([[0.01, NAN], [0.01, NAN]])
    assert corrected(p, 4) == pytest.approx(numpy.array([[0.035, 1], [0.035, 1]]))
    assert separable_at(p, 4).tolist() == [3, 0]


def test_verdict_does_not_depend_on_looks_after_it():
    rng = numpy.random.default_rng(1)
    p = rng.uniform(size=(5, 500, 6)) ** rng.integers(1, 8, 6)
    found = separable_at(p, 10)
    assert set(numpy.unique(found)) == {0, *looks(10)}
    after = numpy.array(looks(10))[:, None, None] > numpy.where(found > 0, found, 10)
    assert (separable_at(numpy.where(after, NAN, p), 10) == found).all()
    for number, seeds in enumerate(looks(10), 1):
        until = separable_at(p[:number], 10)
        assert (until == numpy.where(found <= seeds, found, 0)).all()


def test_studies_are_corrected_one_by_one():
    p = numpy.random.default_rng(2).uniform(size=(5, 3, 4)) ** 3
    assert corrected(p, 10) == pytest.approx(numpy.stack([corrected(p[:, study], 10) for study in range(3)], 1))
