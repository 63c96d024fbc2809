"""Which rows are settled at which look, from p-values written by hand."""

import math

import numpy
import pytest

from ablate.report import sequential, stats
from ablate.report.settled import DIVERGED, MOST, OPEN, SEPARABLE, Look, settle

TINY = 1e-9


def row(*p, diverged=False):
    """A row with a p at each of the looks 3, 4, 5, 7, 10 that it reached."""
    known = dict(zip(sequential.looks(10), p, strict=False))
    return lambda n: Look(known[n], diverged) if n in known else None


def test_rows_stop_where_they_are_separable():
    far, later, close, begun, none = settle(
        [row(TINY), row(0.5, TINY), row(0.5, 0.5, 0.5, 0.5, 0.5), row(0.5), row()], 10
    )
    assert (far.seeds, far.why) == (3, SEPARABLE)
    assert (later.seeds, later.why) == (4, SEPARABLE)
    assert (close.seeds, close.why, close.p) == (10, MOST, 1.0)
    assert (begun.seeds, begun.why) == (3, OPEN)
    assert (none.seeds, none.why) == (0, OPEN)
    assert math.isnan(none.p)


def test_p_is_corrected_for_rows_and_looks():
    """One row at one look: p over the look's share. Two rows: the smaller p times two over the share of two."""
    share = sequential.weights(10, 1)[0]
    (alone,) = settle([row(0.001)], 10)
    assert alone.p == pytest.approx(0.001 / share)
    first, _ = settle([row(0.001), row(0.9)], 10)
    assert first.p == pytest.approx(2 * 0.001 / sequential.weights(10, 2)[0])
    assert first.p > alone.p


def test_a_row_that_was_settled_stays_so_if_it_gets_more_seeds():
    barely = 0.049 * sequential.weights(10, 1)[0]
    (few,) = settle([row(barely)], 10)
    (more,) = settle([row(barely, 0.9, 0.9)], 10)
    assert few == more
    assert few.why == SEPARABLE


def test_diverged_rows_stop_and_are_not_counted():
    gone, other = settle([row(math.nan, diverged=True), row(0.001)], 10)
    assert (gone.seeds, gone.why) == (3, DIVERGED)
    assert math.isnan(gone.p)
    assert other == settle([row(0.001)], 10)[0]


def test_a_row_that_diverged_in_part_goes_on_to_the_most():
    (part,) = settle([row(*[math.nan] * 5)], 10)
    assert (part.seeds, part.why, part.p) == (10, MOST, 1.0)


def test_nothing_to_settle():
    assert settle([], 10) == []
    assert settle([row(math.nan, diverged=True)], 10)[0].why == DIVERGED


def test_the_most_is_looked_at_at_the_level_of_the_study():
    """At most 3 seeds are one look, and Holm's correction alone."""
    p = [0.01, 0.02, 0.04]
    found = settle([row(one) for one in p], 3)
    assert [one.p for one in found] == pytest.approx(stats.holm(numpy.array(p)).tolist())
