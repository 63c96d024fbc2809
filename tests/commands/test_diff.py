"""`ablate diff`: how two runs differ."""

import json
import shutil

import pytest
import yaml

TINY = ("depth=8", "iterations=3", "threads=1")


def rows(table):
    """The rows of a printed table, as words; the part is in the first of its rows only."""
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in table.splitlines() if line.startswith("│")]


def test_table_has_what_differs_and_nothing_else(write, ask):
    versions = {"versions": {"torch": "2.9.0", "numpy": "2.0"}}
    one = write("shortcut=gate", "shortcut.bias_init=-3", test_error=9.5, parameters=80_490, threads=4, **versions)
    code = json.loads((one / "result.json").read_text())["code"]
    versions = {"versions": {"torch": "2.11.0", "numpy": "2.0"}}
    changed = {**code, "training/sgd.py": "0123456789abcdef"}
    other = write("shortcut=gate", "depth=56", test_error=8.25, parameters=80_490, threads=4, code=changed, **versions)
    outcome = ask("diff", str(one), str(other))
    assert (outcome.status, outcome.err) == (0, "")
    assert rows(outcome.out) == [
        ["configuration", "shortcut.bias_init", "-3", "-6"],
        ["", "depth", "20", "56"],
        ["code", "training/sgd.py", code["training/sgd.py"][:12], "0123456789ab"],
        ["machine", "versions.torch", "2.9.0", "2.11.0"],
        ["results", "test_error", "9.5", "8.25"],
        ["", "best_test_error", "9.5", "8.25"],
    ]


def test_json_has_both_values_and_null_for_a_key_that_one_run_lacks(write, ask, strict_json):
    one, other = write("shortcut=identity", test_error=9.5), write("shortcut=gate", test_error=9.5)
    found = strict_json(ask("diff", str(one), str(other), "--json").out)
    assert found["runs"] == [str(one), str(other)]
    assert found["configuration"]["shortcut.bias_init"] == [None, -6.0]
    assert found["code"].keys() == {"shortcut"}
    assert (found["machine"], found["results"]) == ({}, {})


def test_copy_of_a_run_does_not_differ_nor_one_that_is_older_than_a_key(write, ask, tmp_path):
    one = write("shortcut=gate", test_error=9.5)
    copy = tmp_path / "elsewhere" / one.name
    shutil.copytree(one, copy)
    result = json.loads((copy / "result.json").read_text())
    del result["config"]["fail_fast"], result["config"]["width"], result["config"]["data"]["size"]
    (copy / "result.json").write_text(json.dumps(result))
    outcome = ask("diff", str(one), str(copy))
    assert (outcome.status, outcome.out) == (0, "no difference in configuration, code, machine, results\n")


def test_run_that_has_not_ended_is_compared_by_its_configuration(write, ask):
    one, other = write("seed=0", test_error=9.5), write("seed=1", ended=False)
    outcome = ask("diff", str(one), str(other))
    assert rows(outcome.out)[:2] == [["configuration", "seed", "0", "1"], ["results", "status", "finished", "stale"]]
    assert "equal" not in outcome.out


def test_names_are_shown_as_they_are(write, ask, tmp_path):
    one, other = (write(f"+shortcut.mine={mine}", test_error=9.5) for mine in ("'[red]x[/]'", "b"))
    folder = (tmp_path / "[bold]" / one.name).parent
    folder.mkdir()
    shutil.move(one, folder)
    shown = ask("diff", f"../[bold]/{one.name}", f"../runs/{other.name}").out  # short enough for one line
    assert ["configuration", "shortcut.mine", "[red]x[/]", "b"] in rows(shown)
    assert f"../[bold]/{one.name}" in shown


def test_real_runs_are_compared_without_torch(ask, process, no_torch, tmp_path):
    assert ask("-m", *TINY, "shortcut=identity,gate").status == 0
    folders = sorted(str(path) for path in (tmp_path / "runs").glob("digits-*"))
    outcome = process("ablate", "diff", *folders, path=no_torch)
    assert (outcome.status, outcome.err) == (0, "")
    found = {name: values for _, name, *values in rows(outcome.out)}
    assert found["shortcut.name"] == ["gate", "identity"]
    assert found["parameters"] == ["80490", "75002"]


@pytest.mark.parametrize("damage", ["missing", "a file", "no json", "other schema", "edited"])
def test_folder_that_is_no_run_is_refused_in_one_sentence(damage, write, ask, tmp_path):
    one, folder = write("seed=0", test_error=9.5), write("seed=1", test_error=9.5)
    result = json.loads((folder / "result.json").read_text())
    if damage == "missing":
        shutil.rmtree(folder)
    elif damage == "a file":
        folder = folder / "result.json"
    elif damage == "no json":
        (folder / "result.json").write_text("{")
    elif damage == "other schema":
        (folder / "result.json").write_text(json.dumps({**result, "schema": 2}))
    else:
        result["config"]["depth"] = 56
        (folder / "result.json").write_text(json.dumps(result))
    outcome = ask("diff", str(one), str(folder))
    assert (outcome.status, outcome.out, len(outcome.err.splitlines())) == (1, "", 1)
    assert outcome.err.startswith(f"ablate diff: {folder} is not the folder of a run: ")


def test_nothing_in_a_record_is_executed(write, ask, tmp_path):
    one, other = write("seed=0", test_error=9.5), write("seed=1", ended=False)
    assert ask("diff", str(one), str(other)).status == 0
    evil = yaml.safe_load((other / "config.yaml").read_text())
    text = yaml.safe_dump(evil) + f"x: !!python/object/apply:os.mkdir [{tmp_path / 'made'}]\n"
    (other / "config.yaml").write_text(text)
    assert ask("diff", str(one), str(other)).status == 1
    assert not (tmp_path / "made").exists()
