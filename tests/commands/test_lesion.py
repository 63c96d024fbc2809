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
    assert written == {"lesion.json", "table.md", *(f"{kind}.svg" for kind in KINDS)}
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
    assert "without one of the 1 units that keep the shape" in said.out
    again = ask("lesion", str(folders[0]), "--only", "alone", "--json")
    (run,) = json.loads(again.out)["runs"]
    assert {*KINDS} & run.keys() == {"alone"}


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
