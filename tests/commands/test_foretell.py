"""`ablate foretell`: measures of the runs' own networks, in a table, in JSON and in files."""

import json
import math
import sys

import pytest

import ablate
from ablate.commands import foretell
from ablate.commands.foretell import FILES
from ablate.report.foretelling import check
from ablate.runs.reading import read_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folder of twelve short runs, and of two without units or not finished."""
    folder = tmp_path_factory.mktemp("runs")
    words = ("iterations=20", "threads=1", "device=cpu", f"results={folder}")
    for shortcut in ("identity", "none", "constant", "gate", "dropout", "conv1x1"):
        for depth in (8, 14):
            ablate.run(f"shortcut={shortcut}", f"depth={depth}", *words)
    ablate.run("net=lenet5", "shortcut=none", *words)
    return folder


def test_measures_are_those_of_the_probe_and_of_the_records(runs, ask, tmp_path, strict_json):
    out = tmp_path / "out"
    said = ask("foretell", str(runs), "--json", "--out", str(out))
    assert said.status == 0, said.err
    assert "net lenet5 has no residual units" in said.err
    found = strict_json(said.out)
    assert len(found["runs"]) == 12
    for one in found["runs"]:
        result = json.loads((runs / one["run"] / "result.json").read_text())
        assert one["error"] == result["test_error"]
        first = json.loads((runs / one["run"] / "metrics.jsonl").read_text().splitlines()[0])
        assert one["measures"]["loss"] == first["train_loss"]
    (gate,) = (one for one in found["runs"] if one["shortcut"] == "Gate" and one["depth"] == 14)
    words = ("shortcut=gate", "depth=14", "threads=1", "device=cpu")
    probed = strict_json(ask("probe", *words, "--json").out)["networks"][0]
    units = probed["units"]
    assert gate["measures"]["path"] == pytest.approx(units[0]["shortcut"]["backward"]["gain"])
    assert gate["measures"]["with f"] == pytest.approx(units[0]["shortcut"]["with_f"]["gain"])
    assert gate["measures"]["gradient"] == pytest.approx(units[0]["gradient"])
    expected = abs(2 * math.log(units[0]["gradient"] / units[-1]["gradient"]))
    assert gate["measures"]["scales"] == pytest.approx(expected)
    assert gate["measures"]["depth"] == len(units) == 6
    assert len({one["setting"] for one in found["runs"]}) == 2  # two depths
    again = ask("foretell", str(out / "foretell.json"), "--out", str(tmp_path / "again"))
    assert again.status == 0, again.err
    assert "gain of the shortcut path" in again.out
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes()


def test_bad_requests_are_refused(runs, ask, tmp_path):
    (tmp_path / "foretell.json").write_text('{"runs": [{}]}')
    (tmp_path / "file").touch()
    for words, part in (
        ((str(tmp_path / "none"),), "is not a folder"),
        ((str(tmp_path / "foretell.json"),), "is not a foretell.json"),
        ((str(runs), "--out", str(tmp_path)), "is there already"),
        ((str(runs), "--out", str(tmp_path / "file")), "cannot be written: File exists; use another --out"),
    ):
        said = ask("foretell", *words)
        assert said.status in (1, 2)
        assert part in said.err
        assert said.out == ""
    assert (tmp_path / "foretell.json").read_text() == '{"runs": [{}]}'


def test_few_runs_are_not_enough(ask, tmp_path):
    ablate.run("depth=8", "iterations=5", "threads=1", "device=cpu", f"results={tmp_path}")
    said = ask("foretell", str(tmp_path))
    assert said.status == 1
    assert "has 1 finished runs that can be measured: at least 10 are needed" in said.err


def test_run_that_diverged_has_the_error_of_guessing_and_the_largest_loss(tmp_path):
    words = ("depth=8", "iterations=20", "recipe.learning_rate=1e20", "threads=1", "device=cpu")
    folder = ablate.run(*words, f"results={tmp_path}").folder
    found = foretell._run(read_run(folder), trust=False)
    assert json.loads((folder / "result.json").read_text())["status"] == "diverged"
    assert found["error"] == 90
    assert found["measures"]["loss"] == sys.float_info.max
    assert check([found]) == [found]
