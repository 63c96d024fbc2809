"""The main table and the notes under it."""

import json

import pytest

from ablate.report import aggregate, records, signals, tables, wording
from tests.report.studies import HEAD


def notes(cells):
    return "\n".join(tables.notes(cells))


def test_headings_of_a_compared_study(study):
    cells = study({"shortcut=identity": [5.0, 5.2, 5.4], "shortcut=gate": [6.0, 6.1, 6.5]})
    assert list(tables.words(cells)) == [
        "shortcut", HEAD, "verdict", "Δ vs identity", "95 % interval of the mean", "p (Holm)", "n",
        "best epoch (optimistic)", "parameters", "seconds",
    ]  # fmt: skip
    assert tables.words(cells).iloc[1].tolist()[:7] == [
        "gate bias_init=-6", "6.20 ± 0.26", "worse", "+1.00 [+0.75, +1.25]", "[5.54, 6.86]", "0.00332", "3",
    ]  # fmt: skip


def test_setting_that_differs_has_a_column(study):
    table = tables.words(study({"depth=20": [5.0], "depth=32": [4.0]}))
    assert list(table.depth) == ["20", "32"]
    assert "data" not in table


def test_note_names_shared_settings_and_their_exceptions(study):
    said = notes(study({"shortcut=identity": [5.0], "shortcut=gate recipe.epochs=1": [60.0]}))
    assert (
        "All rows: data digits, recipe digits (except as a row's name says), net resnet, unit basic, depth 20." in said
    )


@pytest.mark.parametrize(("errors", "noted"), [([5.0], True), ([5.0, 6.0], False)])
def test_note_warns_of_single_seeds(errors, noted, study):
    assert ("One seed per row" in notes(study({"": errors}))) == noted


@pytest.mark.parametrize(("facts", "noted"), [({"threads": 2}, True), ({"cpu": "Another CPU"}, True), ({}, False)])
def test_note_says_that_runs_differ_in_cpu_or_threads(facts, noted, write, study):
    write("shortcut=identity", test_error=5.0, threads=1)
    write("shortcut=gate", test_error=6.0, **{"threads": 1, **facts})
    assert ("differ in CPU or threads" in notes(study({}))) == noted


def test_notes_of_a_usual_study_are_short(study):
    cells = study({"shortcut=identity": [5.0, 5.2, 5.4], "shortcut=gate": [6.0, 6.1, 6.5]})
    assert tables.notes(cells) == [
        "Test error of the last epoch in percent: mean ± standard deviation over 3 seeds. "
        "All rows: data digits, recipe digits, net resnet, unit basic, depth 20.",
        "Intervals: 95 %, over seeds alone; other test images are not covered.",
        "Verdict: paired test over common seeds, p corrected for 1 row (Holm). 'Not separable' does not mean equal.",
        "Computed on cpu, float32.",
    ]


@pytest.mark.parametrize(
    ("started", "commands", "steps"),
    [
        (["10", "10", "10", "10", "10"], ["a", "a", "a", "a", "a"], None),
        (["10", "10", "10", "20", "20"], ["a", "a", "a", "b", "b"], "(3, 5)"),
        (["10", "10", "20", "20", "30"], ["a", "a", "b", "b", "c"], "(4, 5)"),  # no verdict with 2 seeds
        (["10", "10", "10", "11", "11"], ["a", "a", "a", "b", "b"], None),  # both commands ran at once
        (["10", "10", "10", "10", "20"], ["a", "a", "a", "a", "a"], None),
    ],
)
def test_note_prices_seeds_that_were_requested_in_steps(started, commands, steps, write, study):
    errors = {"identity": [5.0, 5.2, 5.4, 5.1, 5.3], "gate": [6.0, 6.1, 6.5, 6.4, 6.2]}
    for shortcut, values in errors.items():
        for seed, (hour, command) in enumerate(zip(started, commands, strict=True)):
            folder = write(f"shortcut={shortcut}", f"seed={seed}", test_error=values[seed], command=command)
            result = json.loads((folder / "result.json").read_text())
            times = {"started": f"2026-01-01T{hour}:00:00+00:00", "ended": f"2026-01-01T{int(hour) + 2}:00:00+00:00"}
            (folder / "result.json").write_text(json.dumps(result | times))
    found = [line for line in tables.notes(study({})) if "in steps" in line]
    if steps is None:
        assert found == []
    else:
        (line,) = found
        assert line.startswith(f"The seeds of 1 row were requested in steps {steps}. If the report was read between")
        alarms = float(line.split("become ")[1].removesuffix(" %."))
        assert 5 < alarms <= 9


def test_verdict_on_part_of_a_study_names_both_families(study):
    cells = study({f"shortcut={name}": [5.0, 5.2, 5.4 + len(name)] for name in ("identity", "gate", "none")})
    assert "rows of the study" not in notes(cells)
    cells.attrs["of"] = 10
    assert "p is corrected for the 2 rows shown; with all rows of the study it would be 10." in notes(cells)


def test_validation_errors_are_named_so(write, table):
    write("data.validation=200", test_error=5.0, evaluated_on="validation")
    (words,), _, _ = table()
    assert words["validation error, last epoch (mean)"] == "5.00"


def test_rows_evaluated_on_different_images_say_on_which(write, study):
    write("seed=0", test_error=5.0)
    write("data.validation=200", "shortcut=gate", test_error=4.0, evaluated_on="validation")
    cells = study({})
    table = tables.words(cells)
    assert list(table["evaluated on"]) == ["test", "validation"]
    assert list(table["error, last epoch (mean)"]) == ["5.00", "4.00"]
    assert "No baseline for 1 of 2 rows: no row has shortcut=identity" in notes(cells)
    assert "held out of the training set" in notes(cells)


def test_rounded_zero_has_no_minus_sign():
    assert wording.signed(-1e-16) == "+0.00"
    assert wording.signed(-0.004) == "+0.00"
    assert wording.signed(-0.006) == "-0.01"


def test_the_table_has_what_the_path_keeps_at_the_first_and_the_last_step(write, tmp_path):
    for seed, gains in enumerate(([-2.0, -4.0], [-3.0, -5.0])):
        folder = write("shortcut=gate", "probes=signal", f"seed={seed}", test_error=5.0)
        lines = [{"step": step, "path": [gain, 0.0]} for step, gain in zip((1, 400), gains, strict=True)]
        (folder / "signal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    folder = write("shortcut=dropout", "probes=signal", test_error=90.0)
    (folder / "signal.jsonl").write_text(json.dumps({"step": 1, "path": [None, 0.0]}) + "\n")
    write("shortcut=none", test_error=90.0)  # without probes
    runs = records.read(tmp_path / "runs").runs
    found = signals.with_gains(aggregate.cells(runs), runs).set_index("shortcut").gain
    assert found.to_dict() == {"gate": "2^-2.5 → 2^-4.5", "dropout": "– → –", "none": ""}
    text = tables.words(signals.with_gains(aggregate.cells(runs), runs))
    assert "path keeps" in text
    assert "path keeps" not in tables.words(aggregate.cells(runs))
