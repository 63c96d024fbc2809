"""The report on records made by hand, each answer worked out here."""

import copy
import csv
import json
import math
import re
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from ablate.commands.report import main
from ablate.runs.identity import SCHEMA, folder_name

# [B] Table 1, by the files of conf/shortcut.
TABLE_1 = {
    "identity": "6.61",
    "none": "fail",
    "constant": "fail",
    "frozen_gate": "12.35",
    **{f"exclusive_gate_b{b}": "fail" for b in range(6)},
    "exclusive_gate": "8.70",
    "exclusive_gate_b7": "9.81",
    "gate_b0": "12.86",
    "gate": "6.91",
    "conv1x1": "12.22",
    "dropout": "fail",
}
HEAD = "test error, last epoch (median)"


@pytest.fixture
def report(tmp_path, capsys):
    """Runs the report; gives exit status, the Markdown table's rows by heading, the CSV's rows and stderr."""

    def run(*arguments, status=0):
        assert main([str(tmp_path / "runs"), "--out", str(tmp_path / "out"), *arguments]) == status
        said = capsys.readouterr()
        if status:
            return said.err
        lines = [line for line in (tmp_path / "out" / "table.md").read_text().splitlines() if line.startswith("|")]
        split = [
            [re.sub(r"\\(.)", r"\1", word.strip()) for word in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines
        ]
        assert {len(words) for words in split} == {len(split[0])}
        words = [dict(zip(split[0], row, strict=True)) for row in split[2:]]
        with open(tmp_path / "out" / "table.csv", newline="") as file:
            return words, list(csv.DictReader(file)), said.err

    return run


@pytest.mark.parametrize(
    ("errors", "median", "mean", "std"),
    [
        ([7.0], 7.0, 7.0, None),
        ([9.0, 6.0, 7.5], 7.5, 7.5, 1.5),  # deviations 1.5, -1.5, 0: sqrt(4.5 / 2)
        ([6.0, 9.0, 7.0, 8.0], 7.5, 7.5, (5 / 3) ** 0.5),  # of the sample: sqrt((2.25+2.25+0.25+0.25) / 3)
        ([1.0, 2.0, 3.0, 4.0, 30.0], 3.0, 8.0, (610 / 4) ** 0.5),  # 49 + 36 + 25 + 16 + 484
    ],
)
def test_median_mean_and_spread_over_seeds(errors, median, mean, std, write, report):
    for seed, error in enumerate(errors):
        write(f"seed={seed}", test_error=error)
    (words,), (numbers,), said = report()
    assert said == ""
    assert float(numbers["median"]) == pytest.approx(median)
    assert float(numbers["mean"]) == pytest.approx(mean)
    assert (float(numbers["std"]) if numbers["std"] else None) == pytest.approx(std)
    assert numbers["n"] == words["n"] == str(len(errors))
    assert words[HEAD] == f"{median:.2f}"
    assert words["mean ± std"] == (f"{mean:.2f} ± {std:.2f}" if std else f"{mean:.2f}")


def test_the_best_epoch_stands_beside_the_last_one_and_never_for_it(write, report):
    for seed, (last, best) in enumerate([(9.0, 4.0), (8.0, 6.0), (7.0, 5.0)]):
        write(f"seed={seed}", test_error=last, best_test_error=best)
    (words,), (numbers,), _ = report()
    assert words[HEAD] == "8.00"
    assert words["best epoch (flatters)"] == "5.00"
    assert float(numbers["best_epoch"]) == 5.0


@pytest.mark.parametrize(
    ("errors", "text"),
    [
        ([20.0], "20.00"),  # [B]: fail is above 20 %
        ([20.2], "fail (20.20)"),
        ([90.0], "fail (90.00)"),
        ([5.0, 30.0, 40.0], "fail (30.00)"),
        ([5.0, 6.0, 90.0], "6.00"),
    ],
)
def test_fail_is_a_median_above_20_percent(errors, text, write, report):
    for seed, error in enumerate(errors):
        write(f"seed={seed}", test_error=error)
    (words,), _, _ = report()
    assert words[HEAD] == text


@pytest.mark.parametrize(
    ("errors", "text", "state"),
    [
        ([5.0, 6.0, None], "6.00", "diverged 1 of 3"),
        ([5.0, 6.0, 7.0, None], "6.50", "diverged 1 of 4"),
        ([5.0, None, None], "diverged", "diverged 2 of 3"),
        ([5.0, None], "diverged", "diverged 1 of 2"),
        ([None], "diverged", "diverged 1 of 1"),
    ],
)
def test_a_diverged_run_is_the_worst_and_never_vanishes(errors, text, state, write, report):
    for seed, error in enumerate(errors):
        if error is None:
            write(f"seed={seed}", status="diverged", reason="the loss was not finite at step 4", best_test_error=3.0)
        else:
            write(f"seed={seed}", test_error=error)
    (words,), (numbers,), _ = report()
    assert words[HEAD] == text
    assert words["state"] == state
    assert (words["n"], words["mean ± std"]) == (str(len(errors)), "–")
    assert numbers["mean"] == ""


def test_running_failed_interrupted_and_missing_runs_are_shown_and_not_counted(write, report, tmp_path, resolve):
    write("seed=0", test_error=5.0)
    write("seed=1", status="failed", reason="OSError: disk full", best_test_error=1.0)
    write("seed=2", status="interrupted", reason="KeyboardInterrupt", best_test_error=1.0)
    write("seed=3", ended=False)
    write("shortcut=gate", ended=False)
    plan = {"schema": SCHEMA, "runs": {}}
    overrides = [(f"seed={seed}",) for seed in range(6)] + [("shortcut=gate",), ("shortcut=none",)]
    for asked in overrides:
        tree = asdict(resolve(*asked))
        plan["runs"][folder_name(tree)] = tree
    (tmp_path / "runs" / "_grids" / "mine").mkdir(parents=True)
    (tmp_path / "runs" / "_grids" / "mine" / "1.json").write_text(json.dumps(plan))

    words, numbers, said = report("--experiment", "mine")
    for row in words:  # without a result a run is under way or has died; which of the two is not asked here
        row["state"] = row["state"].replace("stale", "running")
    rows = {row["shortcut"]: row for row in words}
    assert rows["identity"][HEAD] == "5.00"
    assert rows["identity"]["n"] == "1 of 6"
    assert rows["identity"]["state"] == "failed 1 of 6, interrupted 1 of 6, running 1 of 6, missing 2 of 6"
    assert (rows["none"][HEAD], rows["none"]["n"], rows["none"]["state"]) == ("missing", "0 of 1", "missing 1 of 1")
    (gate,) = (row for row in words if row["shortcut"].startswith("gate"))
    assert (gate[HEAD].replace("stale", "running"), gate["state"]) == ("running", "running 1 of 1")
    assert [row["median"] for row in numbers if row["shortcut"] == "none"] == [""]
    assert len(said.splitlines()) == 1
    assert "disk full" in said

    whole, _, _ = report()
    (identity,) = (row["state"] for row in whole if row["shortcut"] == "identity")
    assert identity.replace("stale", "running").startswith("failed 1 of 6, interrupted 1 of 6, running 1 of 6")


def test_published_values_stand_beside_in_the_papers_order(write, report):
    texts = {}
    for index, name in enumerate(reversed(TABLE_1)):
        error = 5 + index / 10
        write("data=cifar10", "depth=110", f"shortcut={name}", test_error=error)
        texts[f"{error:.2f}"] = name
    words, numbers, _ = report()
    assert {texts[row[HEAD]]: row["published"] for row in words} == TABLE_1
    assert len(words) == len(numbers) == 16
    order = [texts[row[HEAD]] for row in words]
    assert order[:4] == ["identity", "none", "constant", "frozen_gate"]
    assert order[-4:] == ["gate_b0", "gate", "conv1x1", "dropout"]
    assert {row["source"] for row in numbers} == {"[B] Table 1, 110 layers"}
    assert {row["same_setting"] for row in numbers} == {"True"}
    assert [row["published"] for row in numbers if row["label"].startswith("gate")] == ["12.86", "6.91"]


@pytest.mark.parametrize(
    ("depth", "published"), [(20, "8.75"), (32, "7.51"), (44, "7.17"), (56, "6.97"), (110, "6.61"), (1202, "7.93")]
)
def test_each_depth_has_its_published_error(depth, published, write, report):
    write("data=cifar10", f"depth={depth}", test_error=6.0)
    (words,), (numbers,), _ = report()
    assert words["published"] == published
    assert numbers["same_setting"] == "True"


@pytest.mark.parametrize(
    "overrides",
    [
        ("shortcut.option=B",),
        ("shortcut=gate", "shortcut.bias_init=-5"),
        ("shortcut=constant", "shortcut.scale=0.4"),
        ("shortcut=dropout", "shortcut.p=0.4"),
    ],
    ids=" ".join,
)
def test_what_the_papers_did_not_run_has_no_published_value(overrides, write, report):
    write("data=cifar10", "depth=110", *overrides, test_error=6.0)
    (words,), (numbers,), _ = report()
    assert words.get("published", "–") == "–"
    assert numbers["published"] == ""


@pytest.mark.parametrize(
    "overrides",
    [("iterations=1000",), ("recipe=digits",), ("data.validation=5000",), ("data.flip=false",), ("recipe.batch=64",)],
    ids=" ".join,
)
def test_another_setting_than_the_published_one_is_said(overrides, write, report, tmp_path):
    write("data=cifar10", "depth=110", *overrides, test_error=6.0)
    _, (numbers,), _ = report()
    assert numbers["same_setting"] == "False"
    assert "compare the order of the rows, not the values" in (tmp_path / "out" / "table.md").read_text()


def test_one_seed_is_said_to_be_one_and_two_are_not(write, report, tmp_path):
    write("seed=0", test_error=5.0)
    report()
    assert "One seed a row" in (tmp_path / "out" / "table.md").read_text()
    write("seed=1", test_error=6.0)
    report()
    assert "One seed a row" not in (tmp_path / "out" / "table.md").read_text()


def test_validation_errors_are_not_called_test_errors(write, report):
    write("data.validation=200", test_error=5.0, evaluated_on="validation")
    (words,), _, _ = report()
    assert words["validation error, last epoch (median)"] == "5.00"


def test_marks_of_markdown_and_csv_in_a_name_are_only_text(write, report, resolve, tmp_path):
    name = 'a|b<c>,"d" `e` *f* [g]'
    tree = copy.deepcopy(asdict(resolve()))
    tree["shortcut"] = {"name": name, "_target_": "mine.H"}
    write(tree=tree, test_error=5.0)
    (words,), (numbers,), _ = report()
    assert words["shortcut"] == numbers["shortcut"] == numbers["label"] == name
    text = (tmp_path / "out" / "table.md").read_text()
    assert r"a\|b\<c\>" in text
    assert numbers["published"] == ""


def test_marks_of_the_terminal_in_a_name_are_only_text(write, resolve, capsys, tmp_path):
    for seed, name in enumerate((r"a\[/b]", ":x: y")):
        tree = copy.deepcopy(asdict(resolve(f"seed={seed}")))
        tree["shortcut"] = {"name": name, "_target_": "mine.H"}
        tree["data"]["name"] = ":x:"
        write(tree=tree, test_error=5.0)
    assert main([str(tmp_path / "runs")]) == 0
    said = capsys.readouterr().out
    assert r"a\[/b]" in said
    assert ":x: y" in said
    assert "All rows: data :x:" in said


def test_numbers_in_csv_are_whole_and_finite(write, report):
    write("seed=0", test_error=1 / 3)
    write("shortcut=none", status="diverged", reason="step 1")
    _, numbers, _ = report()
    assert float(numbers[0]["median"]) == pytest.approx(1 / 3, rel=1e-12)
    assert numbers[0]["parameters"] == "75002"
    assert numbers[1]["median"] == "diverged"
    assert not {"inf", "nan"} & {value.lower() for row in numbers for value in row.values()}


def spoil_truncated(folder):
    whole = (folder / "result.json").read_text()
    (folder / "result.json").write_text(whole[: len(whole) // 2])


def spoil(**changes):
    def change(folder):
        result = json.loads((folder / "result.json").read_text())
        (folder / "result.json").write_text(json.dumps({**result, **changes}))

    return change


def spoil_foreign(folder):
    for file in folder.iterdir():
        file.unlink()
    (folder / "thesis.txt").write_text("")


SPOILS = {
    "truncated": spoil_truncated,
    "empty": lambda folder: (folder / "result.json").write_text(""),
    "binary": lambda folder: (folder / "result.json").write_bytes(b"\xff\xfe\x00"),
    "a list": lambda folder: (folder / "result.json").write_text("[]"),
    "another schema": spoil(schema=SCHEMA + 1),
    "another signature": spoil(signature="0" * 16),
    "an unknown status": spoil(status="splendid"),
    "finished without an error": spoil(test_error=None),
    "an error that is no percentage": spoil(test_error=250.0),
    "an error that is not finite": spoil(test_error=math.nan),
    "a foreign folder": spoil_foreign,
    "an unreadable configuration": lambda folder: (
        (folder / "result.json").unlink(),
        (folder / "config.yaml").write_text("a: [b"),
    ),
}


@pytest.mark.parametrize("how", SPOILS)
def test_a_record_that_cannot_be_read_is_named_and_the_rest_is_reported(how, write, report):
    write("seed=0", test_error=5.0)
    spoilt = write("shortcut=gate", test_error=6.0)
    SPOILS[how](spoilt)
    (words,), _, said = report()
    assert words[HEAD] == "5.00"
    assert len(said.splitlines()) == 1
    assert str(spoilt) in said


def test_only_unreadable_records_are_no_report(write, report):
    spoil_truncated(write(test_error=5.0))
    assert len(report(status=1).splitlines()) == 1


def test_an_empty_folder_and_no_folder_are_one_sentence(report, tmp_path):
    said = report(status=1)
    assert len(said.splitlines()) == 1
    assert str(tmp_path / "runs") in said
    (tmp_path / "runs").mkdir()
    said = report(status=1)
    assert len(said.splitlines()) == 1
    assert "holds no runs" in said


def test_an_unknown_experiment_is_one_sentence(write, report):
    write(test_error=5.0)
    said = report("--experiment", "quickstrat", status=1)
    assert len(said.splitlines()) == 1
    assert "'quickstrat'" in said


def test_a_folder_that_cannot_be_written_is_one_sentence(write, capsys, tmp_path):
    write(test_error=5.0)
    (tmp_path / "file").write_text("")
    assert main([str(tmp_path / "runs"), "--out", str(tmp_path / "file" / "out")]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_report_never_imports_torch_and_writes_nothing_unasked(write, process, no_torch, tmp_path):
    write("seed=0", test_error=5.0)
    before = sorted(tmp_path.rglob("*"))
    outcome = process("ablate", "report", "runs", path=no_torch)
    assert (outcome.status, outcome.err) == (0, "")
    assert "identity" in outcome.out
    assert "5.00" in outcome.out
    assert sorted(tmp_path.rglob("*")) == before


def test_cells_that_differ_never_look_alike(write, report):
    write("recipe.learning_rate=0.1", test_error=5.0)
    write("recipe.learning_rate=0.2", test_error=6.0)
    words, _, _ = report()
    assert [row["shortcut"] for row in words] == [
        "identity recipe.learning_rate=0.1",
        "identity recipe.learning_rate=0.2",
    ]


def test_rows_that_differ_in_more_than_their_shortcut_say_in_what(write, report, tmp_path):
    write("shortcut=identity", test_error=5.0)
    write("shortcut=gate", "recipe.epochs=1", test_error=60.0)
    write("shortcut=none", "recipe.learning_rate=5", "device=cpu", test_error=70.0)
    words, _, _ = report()
    assert [row["shortcut"] for row in words] == [
        "identity device=auto recipe.epochs=20 recipe.learning_rate=0.02",
        "none device=cpu recipe.epochs=20 recipe.learning_rate=5",
        "gate bias_init=-6 device=auto recipe.epochs=1 recipe.learning_rate=0.02",
    ]
    said = (tmp_path / "out" / "table.md").read_text()
    assert "All rows: data digits, recipe digits but for what their names say, unit basic, depth 20." in said


def test_switches_are_said_as_they_are_typed(write, report):
    write(test_error=5.0)
    write("probes=true", "threads=1", test_error=6.0)
    words, _, _ = report()
    assert [row["shortcut"] for row in words] == [
        "identity probes=false threads=null",
        "identity probes=true threads=1",
    ]


def test_what_the_name_of_a_recipe_or_a_data_set_says_is_not_said_again(write, report):
    for data in ("digits", "cifar10"):
        write(f"data={data}", test_error=5.0)
        write(f"data={data}", "shortcut=gate", test_error=6.0)
    words, _, _ = report()
    assert {row["shortcut"] for row in words} == {"identity", "gate bias_init=-6"}


def test_a_copied_record_is_not_another_seed(write, report):
    folder = write("seed=0", test_error=5.0)
    shutil.copytree(folder, folder.parent / "copy")
    words, _, said = report()
    assert words[0]["n"] == "1"
    assert "copy is left out" in said


def test_seeds_computed_in_different_ways_are_said_to_be(write, report, tmp_path):
    for seed, precision in ((0, "float32"), (1, "bfloat16")):
        write(f"seed={seed}", test_error=5.0, precision=precision, threads=1)
    report()
    assert "different precisions" in (tmp_path / "out" / "table.md").read_text()


def test_a_record_of_an_older_schema_says_what_to_do_and_the_rest_is_reported(write, report):
    write("seed=0", test_error=5.0)
    spoil(schema=SCHEMA - 1)(write("seed=1", test_error=6.0))
    spoil(schema=SCHEMA + 1)(write("seed=2", test_error=7.0))
    (words,), _, said = report()
    assert (words[HEAD], words["n"]) == ("5.00", "1")
    assert len(said.splitlines()) == 2
    assert "train it again" in said


def test_all_runs_failed_is_a_table_and_a_page_that_say_so(write, report, tmp_path):
    for seed in range(2):
        write(f"seed={seed}", status="failed", reason="OSError: disk full")
    (words,), _, said = report()
    assert (words[HEAD], words["n"], words["state"]) == ("failed", "0 of 2", "failed 2 of 2")
    assert said.count("disk full") == 2
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("OSError: disk full") == 2
    assert "<figure>" not in page


def test_a_cut_metrics_file_is_said_and_costs_a_point_of_a_curve_alone(write, report, tmp_path):
    line = '{"step": %d, "epoch": %d, "train_error": 9.0, "test_error": 8.0}\n'
    for shortcut in ("identity", "gate"):
        folder = write(f"shortcut={shortcut}", test_error=5.0)
        (folder / "metrics.jsonl").write_text("".join(line % (20 * n, n) for n in (1, 2, 3)) + '{"step": 80, "ep')
    words, _, said = report()
    assert [row[HEAD] for row in words] == ["5.00", "5.00"]
    assert said.count("line 4 is cut") == 2
    assert (tmp_path / "out" / "figures" / "curves-01.pdf").stat().st_size > 1000
    assert "line 4 is cut" in (tmp_path / "out" / "report.html").read_text()


def test_every_table_comes_in_every_form_and_again_in_the_same_bytes(write, report, tmp_path):
    for shortcut in ("identity", "gate"):
        write(f"shortcut={shortcut}", test_error=5.0)
    report("--pivot", "shortcut", "depth")
    out = tmp_path / "out"
    names = {path.name for path in out.iterdir() if path.is_file()}
    forms = {f"{name}.{form}" for name in ("table", "table1", "pivot") for form in ("md", "csv", "tex", "html")}
    assert names == forms | {"runs.csv", "report.html", "written.json"}
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file() and path.suffix != ".html"}
    report("--pivot", "shortcut", "depth")
    assert {path: path.read_bytes() for path in before} == before
    assert not list(out.rglob(".writing-*"))


@pytest.mark.parametrize("name", ["table.tex", "figures/shortcuts.pdf", "report.html"])
@pytest.mark.parametrize("edited", [False, True])
def test_a_file_of_somebody_else_is_neither_replaced_nor_removed(name, edited, write, report, tmp_path):
    for shortcut in ("identity", "gate"):
        write(f"shortcut={shortcut}", test_error=5.0)
    theirs = tmp_path / "out" / name
    if edited:
        report()
    theirs.parent.mkdir(parents=True, exist_ok=True)
    theirs.write_text("mine")
    (theirs.parent / "table2.tex").write_text("mine")
    said = report(status=1)
    assert len(said.splitlines()) == 1
    assert str(theirs) in said
    assert theirs.read_text() == (theirs.parent / "table2.tex").read_text() == "mine"
    theirs.unlink()
    report()
    assert (theirs.parent / "table2.tex").read_text() == "mine"


def test_files_of_somebody_else_cost_the_report_those_files_alone(write, report, tmp_path):
    write("shortcut=identity", test_error=5.0)
    out = tmp_path / "out"
    report()
    whole = {path.relative_to(out) for path in out.rglob("*") if path.is_file()}
    mine = (out / "table.csv").read_bytes()
    for path in out.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (out / "runs.csv").mkdir()
    (out / "table.csv").write_text("mine")
    said = report(status=1)
    assert len(said.splitlines()) == 1
    assert f"not touched: {out / 'table.csv'}, {out / 'runs.csv'}; all else is written" in said
    assert {path.relative_to(out) for path in out.rglob("*") if path.is_file()} | {Path("runs.csv")} == whole
    (out / "runs.csv").rmdir()
    (out / "table.csv").unlink()
    report()
    assert (out / "table.csv").read_bytes() == mine


def test_a_file_that_was_edited_and_put_back_is_this_commands_again(write, report, tmp_path):
    write("shortcut=identity", test_error=5.0)
    report()
    table = tmp_path / "out" / "table.csv"
    before = table.read_bytes()
    table.write_text("mine")
    report(status=1)
    table.write_bytes(before)
    report()


def test_a_report_of_a_smaller_study_leaves_no_figure_of_a_larger_one(write, report, tmp_path):
    line = '{"step": %d, "epoch": 1, "train_error": 9.0, "test_error": 8.0}\n'
    for shortcut in ("identity", "gate", "none"):
        folder = write(f"shortcut={shortcut}", test_error=5.0)
        (folder / "metrics.jsonl").write_text(line % 1 + line % 2)
    report()
    assert len(list((tmp_path / "out" / "figures").glob("curves-*.svg"))) == 2
    report("--where", "shortcut=identity")
    assert not list((tmp_path / "out" / "figures").iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--where", "depth=9"], "leaves no run"),
        (["--baseline", "unit"], "KEY=VALUE"),
        (["--baseline", "unit=mine"], "no cell is that"),
        (["--pivot", "shortcut", "colour"], "no key 'colour'"),
    ],
)
def test_a_wrong_option_is_one_sentence(arguments, words, write, capsys, tmp_path):
    write(test_error=5.0)
    assert main([str(tmp_path / "runs"), *arguments]) in (1, 2)
    said = capsys.readouterr().err
    assert words in said
    assert len(said.splitlines()) == 1


def test_a_column_with_no_number_to_show_is_still_sorted_as_numbers(write, report, tmp_path):
    for shortcut, error in (("identity", 6.0), ("gate", 6.9), ("none", 70.0)):  # [B] has none as 'fail', no number
        write("data=cifar10", "depth=110", f"shortcut={shortcut}", test_error=error)
    write("data=cifar10", "depth=110", "shortcut=conv1x1", status="diverged", reason="step 3")
    words, _, _ = report()
    assert [row["less published"] for row in words] == ["-0.61", "–", "-0.01", "–"]
    page = (tmp_path / "out" / "report.html").read_text()
    cells = [re.findall(r'data-key="([^"]*)"', row) for row in page.split('<tr class="cell">')[1:]]
    at = list(words[0]).index("less published")
    assert [float(row[at]) for row in cells] == pytest.approx([-0.61, 1e9, -0.01, 1e9])
    assert not {"inf", "-inf", "nan"} & {key for row in cells for key in row}


def test_the_page_replays_a_run_where_it_lies(write, report, tmp_path):
    folder = write(test_error=5.0)
    report()
    assert f"ablate replay {folder}</pre>" in (tmp_path / "out" / "report.html").read_text()


def test_a_record_with_a_field_of_the_wrong_kind_is_named_and_the_rest_is_reported(write, report):
    write("seed=0", test_error=5.0)
    odd = [
        {"seconds": "fast"},
        {"parameters": [1]},
        {"git": "abc"},
        {"versions": ["torch"]},
        {"started": 3},
        {"steps": True},
        {"multiply_adds": 1e300},
    ]
    for seed, fields in enumerate(odd, 1):
        write(f"seed={seed}", test_error=6.0, **fields)
    (words,), _, said = report()
    assert (words[HEAD], words["n"]) == ("5.00", "1")
    assert len(said.splitlines()) == len(odd)


def test_what_is_not_known_of_a_run_is_no_number_and_no_word(write, report, tmp_path):
    write("seed=0", test_error=5.0, parameters=None, seconds=None, device=None, precision=None)
    (words,), _, said = report()
    assert said == ""
    assert (words["parameters"], words["seconds"]) == ("–", "–")
    text = (tmp_path / "out" / "table.md").read_text() + (tmp_path / "out" / "report.html").read_text()
    assert not re.search(r"\bnan\b", text.lower())
    assert "an unknown device" in text


def test_rows_that_were_evaluated_on_different_pictures_say_which(write, report, tmp_path):
    write("seed=0", test_error=5.0)
    write("data.validation=200", "shortcut=gate", test_error=4.0, evaluated_on="validation")
    words, _, _ = report()
    assert [row["evaluated on"] for row in words] == ["test", "validation"]
    assert [row["error, last epoch (median)"] for row in words] == ["5.00", "4.00"]
    assert "nothing to compare with" in (tmp_path / "out" / "table.md").read_text()


def test_published_errors_of_two_depths_never_stand_in_one_column(write, report):
    for shortcut in ("identity", "gate", "conv1x1"):
        write("data=cifar10", "depth=56", f"shortcut={shortcut}", test_error=6.0)
    words, numbers, _ = report()
    assert [row["published"] for row in words] == ["6.61", "6.91", "12.22"]
    assert {row["source"] for row in numbers} == {"[B] Table 1, 110 layers"}


def test_seeds_are_not_what_a_pivot_or_a_baseline_goes_by(write, capsys, tmp_path):
    write("seed=0", test_error=5.0)
    for words in (["--pivot", "seed", "shortcut"], ["--baseline", "seed=0"]):
        assert main([str(tmp_path / "runs"), *words]) == 1
        assert "not what tells rows apart" in capsys.readouterr().err
