"""How well measures foretell errors: on made runs, against scikit-learn, and without a look at what is foretold."""

import copy
import math

import numpy
import pytest
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import balanced_accuracy_score

from ablate.report import foretelling
from ablate.report.foretelling import PROBES, RIVALS, called, check, foretold, monotone


def run(shortcut, number, depth, error, **measures):
    names = [name for name in (*PROBES, *RIVALS) if ", " not in name]
    numbers = {name: float(at) for at, name in enumerate(names)} | {"depth": depth} | measures
    row = f"{shortcut} {number}"
    return {
        **{"name": row, "row": row, "shortcut": shortcut, "setting": f"d{depth}", "depth": depth, "error": error},
        "measures": numbers,
    }


@pytest.fixture
def runs():
    """Three shortcuts with four parameters at two depths: the more the path keeps, the smaller the error."""
    out = []
    for at, shortcut in enumerate("abc"):
        for number in range(4):
            for depth in (9, 27):
                kept = 2.0 ** (-depth * (number + at / 3) / 3)
                out.append(run(shortcut, number, depth, 2 + 3 * math.log2(1 / kept), path=kept))
    return out


def named(found):
    return {one.name: one for one in found}


def test_measure_that_decides_the_error_foretells_it(runs):
    found = named(foretold(runs))
    assert found.keys() == {*PROBES, *RIVALS}
    path = found["path"]
    assert (path.correlation.value, path.within.value) == pytest.approx((-1, -1))
    assert path.left_out.value > 0.98
    assert path.called.value > 0.9
    assert (path.correlation.low, path.correlation.high) == pytest.approx((-1, -1))
    depth = found["depth"]
    assert 0 < depth.correlation.value < 0.9
    assert math.isnan(depth.within.value)  # it is one number within a network
    assert math.isnan(found["gradient"].correlation.value)  # one number for all runs


def test_prediction_for_a_shortcut_does_not_use_its_errors(runs):
    study = foretelling._Study(runs)
    ranks = numpy.array([[one["measures"][name] for one in runs] for name in ("path", "depth")]).argsort(-1).argsort(-1)
    other = copy.deepcopy(runs)
    for one in other:
        if one["shortcut"] == "b":
            one["error"] = 99.0
    own = study.shortcuts == "b"
    for measured in (ranks[:1].astype(float), ranks.astype(float)):
        before, after = study._left_out(measured), foretelling._Study(other)._left_out(measured)
        assert before[own].tolist() == after[own].tolist()
        assert before[~own].tolist() != after[~own].tolist()


def test_intervals_are_over_rows_not_runs(runs):
    single = [one for one in runs if one["depth"] == 9]
    thrice = [copy.deepcopy(one) for one in single for _ in range(3)]
    for at, one in enumerate(single):
        for same in thrice[3 * at : 3 * at + 3]:
            one["measures"]["with f"] = same["measures"]["with f"] = float((7 * at) % 12)
    once, more = named(foretold(single))["with f"], named(foretold(thrice))["with f"]
    width = once.correlation.high - once.correlation.low
    assert more.correlation.value == pytest.approx(once.correlation.value)
    assert more.correlation.high - more.correlation.low == pytest.approx(width, rel=0.02)
    assert width > 0.5


def test_few_rows_have_no_interval(runs):
    few = [one for one in runs if one["row"] in ("a 0", "a 1", "b 0", "b 1")]
    correlation = named(foretold(few))["path"].correlation
    assert not math.isnan(correlation.value)
    assert math.isnan(correlation.low)
    assert correlation.written() == f"{correlation.value:.2f}"


@pytest.mark.parametrize("sign", [1, -1])
def test_monotone_prediction_is_isotonic_regression(sign):
    generator = numpy.random.default_rng(3)
    x = generator.integers(12, size=40).astype(float)
    y = sign * x + generator.normal(size=40, scale=4)
    at = numpy.linspace(-2, 14, 50)
    expected = IsotonicRegression(increasing=sign > 0, out_of_bounds="clip").fit(x, y).predict(at)
    assert monotone(x, y, at) == pytest.approx(expected, rel=1e-6)


def test_balanced_accuracy_is_that_of_scikit_learn():
    generator = numpy.random.default_rng(4)
    said, true = generator.random((2, 60)) > 0.6
    assert called(said, true) == pytest.approx(balanced_accuracy_score(true, said))
    assert math.isnan(called(said, numpy.zeros(60, bool)))


def test_table_has_every_measure_and_says_of_what_it_is(runs):
    text = foretelling.markdown(runs, foretold(runs))
    assert "| gain of the shortcut path | -1.00 [-1.00, -1.00] | -1.00 [-1.00, -1.00] |" in text
    assert "24 runs of 12 rows of 3 shortcuts in 2 networks and recipes" in text


@pytest.mark.parametrize(
    "change",
    [
        lambda one: one.pop("row"),
        lambda one: one["measures"].pop("loss"),
        lambda one: one["measures"].update(path=math.inf),
        lambda one: one.update(error="low"),
        lambda one: one.update(error=10**400),
        lambda one: one.update(shortcut=3),
    ],
)
def test_runs_that_are_none_are_refused(runs, change):
    assert check(runs) == runs
    change(runs[5])
    with pytest.raises((ValueError, KeyError, TypeError, OverflowError)):
        check(runs)
