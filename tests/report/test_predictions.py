"""Predictions: read, checked against the record, and used for intervals and tests over seeds and test images."""

import csv
import io

import numpy
import pytest

from ablate.report import formats, records, stats, tables
from ablate.report.aggregate import cells
from ablate.report.predictions import read_wrong

IMAGES = 200


@pytest.fixture
def predict(write):
    """`predict("shortcut=gate", wrong)` writes a run for each row of `wrong` (seeds, images), with its predictions."""

    def make(overrides, wrong, truth=None, **results):
        truth = numpy.arange(wrong.shape[1]) % 10 if truth is None else truth
        folders = []
        for seed, row in enumerate(wrong):
            error = 100 * int(row.sum()) / len(row)
            folder = write(*overrides.split(), f"seed={seed}", **{"test_error": error, "predictions": True, **results})
            numpy.save(folder / "predictions.npy", numpy.array([(truth + row) % 10, truth], numpy.uint8))
            folders.append(folder)
        return folders

    return make


@pytest.fixture
def study(tmp_path):
    """The cells of what was written, with the predictions that can be used, and a sentence for each that cannot."""

    def make(**options):
        runs = records.load(tmp_path / "runs")
        wrong, unused = read_wrong(runs)
        return cells(runs, wrong=wrong, **options), unused

    return make


def draw(share, seeds=4, images=IMAGES, start=0):
    """Wrong or not: images of different difficulty, the same for each `share` of errors."""
    difficulty = numpy.random.default_rng(0).normal(size=images)
    noise = numpy.random.default_rng(start).normal(size=(seeds, images))
    return difficulty + noise > numpy.quantile(difficulty + noise, 1 - share)


def test_intervals_and_tests_are_over_seeds_and_images(predict, study):
    ours, theirs = draw(0.2, start=1), draw(0.1, start=2)
    predict("shortcut=identity", theirs)
    predict("shortcut=gate", ours)
    frame, unused = study()
    assert unused == []
    row = frame.iloc[1]
    assert (row.over, row.difference_over) == ("seeds and test images",) * 2
    assert (row.low, row.high) == pytest.approx(tuple(map(float, stats.crossed_interval(ours.astype(float)))))
    expected = tuple(map(float, stats.crossed_difference(ours.astype(float) - theirs)))
    assert (row.difference, row.difference_low, row.difference_high, row.p) == pytest.approx(expected)
    assert row.noise_share == pytest.approx(stats.seed_noise_share(ours.astype(float)))
    # Over seeds alone, the intervals are those of a study without predictions.
    errors = 100 * ours.mean(1)
    assert (row.low_seeds, row.high_seeds) == pytest.approx(tuple(map(float, stats.student_interval(errors))))
    _, low, high, p = map(float, stats.paired_difference(errors, 100 * theirs.mean(1)))
    found = (row.difference_low_seeds, row.difference_high_seeds, row.p_seeds)
    assert found == pytest.approx((low, high, p))
    assert row.high - row.low > row.high_seeds - row.low_seeds


def test_verdict_follows_the_test_over_seeds_and_images(predict, study):
    """All seeds make the same mistakes: their differences hardly vary, but they are about one image of 40."""
    theirs, ours = numpy.zeros((4, 40), bool), numpy.zeros((4, 40), bool)
    theirs[:, :4] = ours[:, :5] = True
    theirs[0, 5] = ours[0, 6] = ours[0, 7] = True
    predict("shortcut=identity", theirs)
    predict("shortcut=gate", ours)
    row = study()[0].iloc[1]
    assert row.p_seeds < 0.05 < row.p
    assert row.verdict == "not separable with 4 seeds"


def test_notes_and_csv_say_of_what_intervals_speak(predict, study):
    predict("shortcut=identity", draw(0.1, start=2))
    predict("shortcut=gate", draw(0.2, start=1))
    frame, _ = study()
    (note,) = (line for line in tables.notes(frame) if line.startswith("Intervals"))
    share = round(100 * frame.noise_share.median())
    assert note == (
        "Intervals: 95 %, over seeds and test images. Of the variance over seeds, "
        f"{share} % (median of rows) is noise of the test set."
    )
    _, row = csv.DictReader(io.StringIO(formats.cells_csv(frame)))
    for name in ("low", "high", "low_seeds", "high_seeds", "difference_low", "difference_low_seeds", "p", "p_seeds"):
        assert float(row[name]) == pytest.approx(frame[name][1])


def test_row_without_all_predictions_is_over_seeds_alone_and_named(predict, study):
    predict("shortcut=identity", draw(0.1, start=2))
    last = predict("shortcut=gate", draw(0.2, start=1))[-1]
    predict("shortcut=none", draw(0.3, start=3))
    (last / "predictions.npy").unlink()
    frame, (sentence,) = study()
    assert str(last / "predictions.npy") in sentence
    rows = frame.set_index("label")
    assert rows.over.to_dict() == {
        "identity": "seeds and test images", "gate bias_init=-6": "seeds", "none": "seeds and test images",
    }  # fmt: skip
    assert rows.difference_over["gate bias_init=-6"] == "seeds"
    assert rows.p["gate bias_init=-6"] == rows.p_seeds["gate bias_init=-6"]
    assert "over seeds and test images, but over seeds alone for gate bias_init=-6." in "\n".join(tables.notes(frame))


def test_rows_over_seeds_alone_are_named_with_their_depth(predict, write, study):
    predict("depth=20", draw(0.1, start=2))
    for seed in range(3):
        write("depth=32", f"seed={seed}", test_error=5.0 + seed)
    assert "but over seeds alone for identity, depth 32." in "\n".join(tables.notes(study()[0]))


def other_length(folder):
    numpy.save(folder / "predictions.npy", numpy.load(folder / "predictions.npy")[:, :-2])


def other_truth(folder):
    numpy.save(folder / "predictions.npy", (numpy.load(folder / "predictions.npy") + 1) % 10)


def other_error(folder):
    predicted, true = numpy.load(folder / "predictions.npy")
    predicted[0] = (true[0] + (predicted[0] == true[0])) % 10
    numpy.save(folder / "predictions.npy", numpy.array([predicted, true]))


def claimed_length(folder):
    content = (folder / "predictions.npy").read_bytes()
    shape = f"(2, {IMAGES})"
    (folder / "predictions.npy").write_bytes(content.replace(shape.encode(), f"(2, {10**17})".encode(), 1))


SPOILS = {
    "more claimed than there is": claimed_length,
    "empty": lambda folder: (folder / "predictions.npy").write_bytes(b""),
    "cut": lambda folder: (folder / "predictions.npy").write_bytes((folder / "predictions.npy").read_bytes()[:-1]),
    "a zip file": lambda folder: (folder / "predictions.npy").write_bytes(b"PK\3\4"),
    "a list": lambda folder: numpy.save(folder / "predictions.npy", numpy.zeros(IMAGES, numpy.uint8)),
    "no images": lambda folder: numpy.save(folder / "predictions.npy", numpy.zeros((2, 0), numpy.uint8)),
    "other number of images": other_length,
    "other true classes": other_truth,
    "an error other than the record's": other_error,
}


@pytest.mark.parametrize("how", SPOILS)
def test_predictions_that_do_not_fit_are_named_and_not_used(how, predict, study):
    predict("shortcut=identity", draw(0.1, start=2))
    folder = predict("shortcut=gate", draw(0.2, start=1))[2]
    SPOILS[how](folder)
    frame, (sentence,) = study()
    assert sentence.startswith(str(folder / "predictions.npy"))
    assert sentence.endswith("not used")
    assert list(frame.over) == ["seeds and test images", "seeds"]
    assert frame.verdict[1] == "worse"


def test_rows_on_different_test_images_are_compared_over_seeds(predict, study):
    predict("shortcut=identity", draw(0.1, start=2))
    predict("shortcut=gate", draw(0.2, start=1), truth=(numpy.arange(IMAGES) + 1) % 10)
    frame, unused = study()
    assert unused == []
    assert list(frame.over) == ["seeds and test images"] * 2
    assert frame.difference_over[1] == "seeds"
    assert "but over seeds alone for gate bias_init=-6" in "\n".join(tables.notes(frame))


def test_only_common_seeds_are_paired(predict, study):
    ours, theirs = draw(0.2, seeds=5, start=1), draw(0.1, seeds=3, start=2)
    predict("shortcut=identity", theirs)
    predict("shortcut=gate", ours)
    row = study()[0].iloc[1]
    expected = map(float, stats.crossed_difference(ours[:3].astype(float) - theirs))
    assert (row.difference, row.difference_low, row.difference_high, row.p) == pytest.approx(tuple(expected))


def test_two_seeds_have_a_difference_and_no_interval(predict, study):
    predict("shortcut=identity", draw(0.1, seeds=2, start=2))
    predict("shortcut=gate", draw(0.2, seeds=2, start=1))
    frame, _ = study()
    assert frame.difference[1] == pytest.approx(10.0)
    assert frame[["low", "difference_low", "p"]].isna().all(axis=None)
    assert frame.verdict[1] == "not tested: 2 seeds"
    assert not any(line.startswith("Intervals") for line in tables.notes(frame))


def test_predictions_of_a_stopped_run_count(predict, study):
    ours = draw(0.9, start=1)
    predict("shortcut=gate", ours, status="stopped", stopped_at=120, reason="at chance")
    frame, _ = study()
    assert frame.over[0] == "seeds and test images"
    assert (frame.low[0], frame.high[0]) == pytest.approx(tuple(map(float, stats.crossed_interval(ours.astype(float)))))


def test_diverged_run_has_no_predictions_and_its_row_no_interval(predict, write, study):
    predict("shortcut=identity", draw(0.1, start=2))
    predict("shortcut=gate", draw(0.2, start=1))
    write("shortcut=gate", "seed=9", status="diverged", reason="step 3", predictions=False)
    frame, unused = study()
    assert unused == []
    assert frame.verdict[1] == "not tested: diverged"
    assert frame[["low", "low_seeds"]].iloc[1].isna().all()
