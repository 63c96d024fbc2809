"""`ablate lesion`: numbers of trained runs, seeds together, in a table, in JSON and in files."""

import json

import pytest

from ablate.commands.lesion import KINDS


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folders of three seeds of ResNet-8, of one plain-8 and of one LeNet-5."""
    import ablate

    folder = tmp_path_factory.mktemp("runs")
    words = ("iterations=60", "threads=1", "device=cpu", f"results={folder}")
    found = [ablate.run("depth=8", f"seed={seed}", *words) for seed in range(3)]
    found.append(ablate.run("shortcut=none", "depth=8", *words))
    return [run.folder for run in found], ablate.run("net=lenet5", "shortcut=none", *words).folder


def test_runs_of_several_seeds_are_one_row(runs, ask, tmp_path, strict_json):
    folders, _ = runs
    said = ask("lesion", *map(str, folders), "--samples", "2", "--json", "--out", str(tmp_path / "out"))
    assert said.status == 0, said.err
    found = strict_json(said.out)
    assert [row["name"] for row in found["rows"]] == ["identity, depth 8, digits", "none, depth 8, digits"]
    assert [row["seeds"] for row in found["rows"]] == [[0, 1, 2], [0]]
    for folder, run in zip(folders, found["runs"], strict=True):
        assert run["intact"] == json.loads((folder / "result.json").read_text())["test_error"]
        assert [unit["changes_shape"] for unit in run["units"]] == [False, True, True]
        assert len(run["alone"]) == 3
        assert [one["dropped"] for one in run["several"]] == [1, 2, 3]
        assert run["several"][2]["errors"][0] == run["several"][2]["errors"][1]  # all of them
        assert [one["errors"] for one in run["swapped"]] == [[]] * 3  # no two units of one shape
        assert [one["length"] for one in run["paths"]] == [0, 1, 2, 3]
    plain = found["runs"][-1]
    assert [sum(one["norms"]) > 0 for one in plain["paths"]] == [False, False, False, True]
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {"lesion.json", "table.md", "alone.svg", "several.svg", "paths.svg"}
    file = tmp_path / "out/lesion.json"
    assert strict_json(file.read_text())["runs"] == found["runs"]
    again = ask("lesion", str(file), "--out", str(tmp_path / "again"))
    assert again.status == 0, again.err
    for name in written:
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_table_says_what_one_dropped_unit_does(runs, ask):
    folders, _ = runs
    said = ask("lesion", *map(str, folders[:3]), "--only", "alone")
    whole = [json.loads((folder / "result.json").read_text())["test_error"] for folder in folders[:3]]
    assert f"and {sum(whole) / 3:.2f} [" in said.out
    assert "without the one unit that keeps the shape" in said.out
    again = ask("lesion", str(folders[0]), "--only", "alone", "--json")
    (run,) = json.loads(again.out)["runs"]
    assert {*KINDS} & run.keys() == {"alone"}


def test_runs_measured_in_several_ways_are_one_row(runs, ask, tmp_path, strict_json):
    folders, _ = runs
    for folder, kind in zip(folders[:2], ("alone", "paths"), strict=True):
        said = ask("lesion", str(folder), "--only", kind, "--samples", "1", "--out", str(tmp_path / kind))
        assert said.status == 0, said.err
    files = [str(tmp_path / kind / "lesion.json") for kind in ("alone", "paths")]
    said = ask("lesion", *files, "--json", "--out", str(tmp_path / "alone"), "--overwrite")
    (row,) = strict_json(said.out)["rows"]
    assert (len(row["intact"]), len(row["one_dropped"]), len(row["shares"])) == (2, 1, 1)
    intact = json.loads((folders[0] / "result.json").read_text())["test_error"]
    assert f"and {intact:.2f} % with all 3" in (tmp_path / "alone/table.md").read_text()
    assert not (tmp_path / "alone/alone.svg").exists()  # not of all runs


def test_run_counts_once(runs, ask):
    said = ask("lesion", str(runs[0][0]), str(runs[0][0]), "--only", "alone")
    assert said.status == 1
    assert "is named twice, and would count as two seeds" in said.err


def test_network_whose_units_all_change_the_shape(ask, tmp_path):
    import ablate

    words = ("unit=bottleneck", "depth=11", "iterations=5", "threads=1", "device=cpu", f"results={tmp_path}")
    folder = ablate.run(*words).folder
    said = ask("lesion", str(folder), "--only", "alone", "--json")
    assert said.status == 0, said.err
    assert json.loads(said.out)["rows"][0]["one_dropped"] == []


def test_names_are_no_markup(runs, ask, tmp_path):
    out = tmp_path / "out"
    ask("lesion", str(runs[0][0]), "--only", "paths", "--samples", "1", "--out", str(out))
    found = json.loads((out / "lesion.json").read_text())
    found["runs"][0]["name"] = "[/red]<b>|\x1b[31m, depth 8, digits, seed 0"
    found["runs"][0]["paths"][0]["norms"] = [None]  # it was not finite
    (out / "lesion.json").write_text(json.dumps(found))
    said = ask("lesion", str(out / "lesion.json"), "--out", str(out), "--overwrite")
    assert said.status == 0, said.err
    assert "[/red]<b>|\ufffd[31m" in said.out
    assert "\x1b" not in said.out
    assert "| \\[/red\\]\\<b\\>\\|" in (out / "table.md").read_text()


@pytest.mark.parametrize(
    "change",
    [
        lambda runs: runs.clear(),
        lambda runs: runs[0].pop("run"),
        lambda runs: runs[0].update(intact=None),
        lambda runs: runs[0]["units"].pop(),
        lambda runs: runs[0]["alone"][1].update(error="low"),
        lambda runs: runs[0]["several"][0].pop("dropped"),
        lambda runs: runs[0]["paths"][0].update(norms=[]),
    ],
)
def test_edited_numbers_are_refused(change, runs, ask, tmp_path):
    out = tmp_path / "out"
    ask("lesion", str(runs[0][0]), "--samples", "1", "--out", str(out))
    found = json.loads((out / "lesion.json").read_text())
    change(found["runs"])
    (out / "lesion.json").write_text(json.dumps(found))
    said = ask("lesion", str(out / "lesion.json"))
    assert said.status == 1
    assert "is not a lesion.json" in said.err


def test_folder_that_cannot_be_written_is_refused_before_anything_is_measured(runs, ask, tmp_path):
    (tmp_path / "file").touch()
    said = ask("lesion", str(runs[0][0]), "--out", str(tmp_path / "file"))
    assert said.status == 1
    assert said.out == ""
    assert "cannot be written: File exists; use another --out" in said.err


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (("{lenet}",), 1, "has no residual units: there is nothing to drop"),
        (("{none}",), 1, "holds neither a result.json nor a config.yaml"),
        (("{out}/table.md",), 1, "table.md is not a lesion.json"),
        (("{run}", "--samples", "0"), 2, "--samples 0 is invalid"),
        (("{run}", "--only", "arms"), 2, "'arms' is not one of alone, several, swapped, paths"),
        (("{run}", "--only", "alone", "--out", "{out}"), 2, "table.md is there already: add --overwrite"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(words, status, sentence, runs, ask, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/table.md").touch()
    names = {"lenet": runs[1], "run": runs[0][0], "none": tmp_path / "none", "out": tmp_path / "out"}
    said = ask("lesion", *(word.format(**names) for word in words))
    assert said.status == status
    assert sentence in said.err.splitlines()[-1]
