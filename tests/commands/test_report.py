"""The report's command line: what it prints, and what a wrong request gets."""

from dataclasses import asdict

import pytest


@pytest.fixture
def report(ask, tmp_path):
    """Runs `ablate report` on what was written."""
    return lambda *arguments: ask("report", str(tmp_path / "runs"), *arguments)


def refused(outcome, status, *words):
    assert outcome.status == status, outcome
    assert len(outcome.err.splitlines()) == 1, outcome.err
    for word in words:
        assert word in outcome.err


def test_report_imports_no_torch_and_writes_nothing_by_default(write, process, no_torch, tmp_path):
    write("seed=0", test_error=5.0)
    before = sorted(tmp_path.rglob("*"))
    outcome = process("ablate", "report", "runs", path=no_torch)
    assert (outcome.status, outcome.err) == (0, "")
    assert "identity" in outcome.out
    assert "5.00" in outcome.out
    assert sorted(tmp_path.rglob("*")) == before


def test_table_notes_and_pivot_are_printed_and_files_written(write, report, tmp_path):
    write("seed=0", test_error=5.0)
    outcome = report("--pivot", "shortcut", "depth", "--out", str(tmp_path / "out"))
    assert (outcome.status, outcome.err) == (0, "")
    for words in (
        "test error, last epoch (mean)",
        "Test error of the last epoch in percent. All rows: data digits",
        "│ identity │ 5.00 │",
    ):
        assert words in outcome.out
    assert f"Written: {tmp_path / 'out' / 'report.html'}" in outcome.out.replace("\n", "")
    assert (tmp_path / "out" / "pivot.csv").read_text() == "shortcut,20\nidentity,5.00\n"


def test_narrow_terminal_omits_details(write, report, monkeypatch):
    for seed, error in enumerate([5.0, 6.0, 7.0]):
        write(f"seed={seed}", test_error=error)
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    for columns, shown in (("80", False), ("300", True)):
        monkeypatch.setenv("COLUMNS", columns)
        out = report().out
        assert out.splitlines()[0].count("┳") == (6 if shown else 3)
        assert ("Some columns need a terminal" in out) != shown


def test_failed_and_unreadable_runs_are_named_with_their_reasons(write, report):
    failed = write(status="failed", reason="OSError: disk full\nTraceback")
    spoilt = write("shortcut=gate", test_error=6.0)
    (spoilt / "result.json").write_text("{")
    outcome = report()
    assert outcome.status == 0
    unread, reason = outcome.err.splitlines()
    assert str(spoilt) in unread
    assert reason == f"ablate report: {failed} failed: OSError: disk full"


def test_names_with_markup_are_text(write, report, resolve):
    for seed, name in enumerate((r"a\[/b]", ":x: y")):
        tree = asdict(resolve(f"seed={seed}")) | {"shortcut": {"name": name, "_target_": "mine.H", "source": "0123"}}
        tree["data"] = tree["data"] | {"name": "a:x:"}
        write(tree=tree, test_error=5.0, code={"shortcut": "0"})
    outcome = report()
    assert outcome.status == 0
    for words in (r"a\[/b]", ":x: y", "All rows: data a:x:"):
        assert words in outcome.out


def test_part_of_a_study_is_corrected_for_its_rows_and_says_so(write, report):
    for at, name in enumerate(("identity", "gate", "conv1x1", "none")):
        for seed in range(3):
            write(f"shortcut={name}", f"seed={seed}", test_error=5.0 + at + seed**2 * (at + 1) / 9)
    assert "of the study" not in report().out
    sentence = "p is corrected for the 1 row shown; with all rows of the study it would be 3."
    assert sentence in report("--baseline", "shortcut=gate", "--where", "shortcut.option=A").out


def test_mixed_compares_runs_of_different_devices(write, report):
    for shortcut, device in (("identity", "cpu"), ("gate", "cuda")):
        for seed in range(3):
            error = 5.0 + seed**2 * (1 + (shortcut == "gate"))
            write(f"shortcut={shortcut}", f"seed={seed}", test_error=error, device_type=device)
    assert "not compared: cpu, cuda" in report().out
    outcome = report("--mixed")
    assert "not separable with 3 seeds" in outcome.out
    assert "Compared in spite of differences: gate bias_init=-6 (cpu, cuda)." in outcome.out


def test_length_is_that_of_the_recipe_as_on_the_command_line(write, report):
    write("iterations=40", test_error=5.0)
    write("iterations=80", test_error=4.0)
    assert "│ 5.00 │ 4.00 │" in report("--pivot", "shortcut", "iterations").out
    assert "4.00" not in report("--where", "iterations=40").out


def test_value_of_where_is_read_as_on_the_command_line(write, report):
    write(test_error=5.0)
    assert "5.00" in report("--where", "recipe.weight_decay=1e-4").out


def test_predictions_that_cannot_be_used_are_named(write, report):
    folder = write(test_error=5.0, predictions=True)
    (sentence,) = report().err.splitlines()
    assert sentence.startswith(f"ablate report: {folder / 'predictions.npy'} cannot be read")


def test_missing_and_empty_folders_are_refused(report, tmp_path):
    refused(report(), 1, str(tmp_path / "runs"))
    (tmp_path / "runs").mkdir()
    refused(report(), 1, "holds no runs")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--experiment", "quickstrat"], 1, "'quickstrat'"),
        (["--where", "depth=9"], 1, "leaves no run"),
        (["--where", "depth"], 2, "KEY=VALUE"),
        (["--baseline", "unit"], 2, "KEY=VALUE"),
        (["--baseline", "shortcut=gate"], 1, "no row has this value"),
        (["--baseline", "unit=mine"], 1, "no row has this value"),
        (["--baseline", "seed=0"], 2, "rows do not differ in seed"),
        (["--pivot", "shortcut", "colour"], 1, "no key 'colour'"),
        (["--pivot", "seed", "shortcut"], 2, "rows do not differ in seed"),
        (["--out", "/dev/null/out"], 1, "cannot be written"),
    ],
)
def test_wrong_option_is_one_sentence(arguments, status, words, write, report):
    write(test_error=5.0)
    refused(report(*arguments), status, words)


def test_several_folders_are_one_study(ask, writer, tmp_path):
    for name, seeds in (("a", (0, 1)), ("b", (1, 2))):
        for seed in seeds:
            writer(tmp_path / name)("depth=8", f"seed={seed}", test_error=float(seed))
        writer(tmp_path / name)("depth=8", "shortcut=gate", status="diverged")  # without an error, alike in both
    copy = next((tmp_path / "b").glob("*-s2-*"))
    copy.rename(copy.with_name(f"copy-of-{copy.name}"))
    writer(tmp_path / "a")("depth=8", "seed=2", test_error=2.0)
    said = ask("report", str(tmp_path / "a"), str(tmp_path / "b"))
    assert (said.status, said.err) == (0, "")
    assert "1.00 ± 1.00" in said.out  # of 0, 1 and 2: seed 1 counts once
    other = next((tmp_path / "b").glob("*-s1-*")) / "result.json"
    other.write_text(other.read_text().replace('"test_error": 1.0', '"test_error": 50.0'))
    said = ask("report", str(tmp_path / "a"), str(tmp_path / "b"))
    assert "1.00 ± 1.00" in said.out
    assert f"{other.parent} has another result than {tmp_path / 'a' / other.parent.name}, which is used" in said.err
