"""`ablate bench stopping`: finished runs that would have been stopped, from records made by hand and from real ones."""

import json

import pytest

from ablate.base.errors import AblateError
from ablate.bench import stopping
from ablate.bench.stopping import Trained, counts
from ablate.runs.archive import pack
from ablate.training.chance import Chance
from tests.runs.test_run import only

CHANCE = Chance(2.0, 90.0)


def run(at_chance, error, name="a"):
    """A run of ten steps in each epoch; a letter for each epoch: c at chance, else not."""
    return Trained(name, CHANCE, [(10 * at, one == "c") for at, one in enumerate(at_chance, 1)], error)


RUNS = [
    run("cccccccccc", 90.0),
    run("cccc......", 5.0),
    run("cc.c......", 85.0, "b"),
    run("..........", 1.0),
    run("cccccccccc", 70.0),  # at chance in training to the end: to stop it is not wrong
]


@pytest.mark.parametrize(
    ("share", "stopped", "recovered", "wrongly", "lowest", "saved"),
    [
        (0.1, 4, 2, 1, 5.0, 100 * 4 * 90 / 500),
        (0.3, 3, 1, 1, 5.0, 100 * 3 * 70 / 500),
        (0.35, 4, 2, 1, 5.0, 100 * 4 * 60 / 500),  # step 35, in the epoch that ends at 40
        (0.5, 2, 0, 0, None, 100 * 2 * 50 / 500),
        (0.95, 0, 0, 0, None, 0),  # the run ends there
    ],
)
def test_counts_are_those_on_paper(share, stopped, recovered, wrongly, lowest, saved):
    found = counts(RUNS, share)
    assert (found["stopped"], found["not_at_chance_at_the_end"]) == (stopped, recovered)
    assert (found["wrongly_stopped"], found["lowest_error"]) == (wrongly, lowest)
    assert found["saved_percent"] == pytest.approx(saved)
    assert found["wrongly_stopped_rows"] == ({"a": 1} if wrongly else {})


def test_runs_of_folders_and_archives_are_counted_once_and_as_they_stop(ask, tmp_path):
    still = ("depth=8", "iterations=12", "recipe.batch=400", "recipe.learning_rate=1e-9", "device=cpu")
    learns = ("depth=8", "iterations=100", "device=cpu")
    for asked in (learns, still, (*still, "probes=signal"), (*still, "stop_at_chance=0.5", "seed=1")):
        assert ask(*asked).status == 0
    archive = tmp_path / "study.tar.gz"
    pack(tmp_path / "runs", archive)
    found = stopping.stopping([archive, tmp_path / "runs"])
    assert (found["runs"], found["left_out"]) == (2, [])  # how the last one would have ended is not known
    assert found["ended_at_chance"] == 1
    assert [one["stopped"] for one in found["shares"].values()] == [1, 1, 1, 1, 1]
    # Checked at steps 1, 2, 4, 6 and 8 of 12, in epochs of three.
    saved = [one["saved_percent"] for one in found["shares"].values()]
    assert saved == pytest.approx([100 * left / 112 for left in (9, 9, 6, 6, 3)])
    assert ask(*still, "stop_at_chance=0.5", f"results={tmp_path / 'again'}").status == 0
    assert json.loads((only(tmp_path / "again") / "result.json").read_text())["stopped_at"] == 12 - 6


def test_command_prints_and_writes_what_it_found(ask, write, tmp_path):
    folder = write("shortcut=none", test_error=50.0, steps=40)  # an early record, of digits: its labels are read
    lines = [
        {"step": 20 * at, "epoch": at, "train_loss": loss, "train_error": error}
        for at, (loss, error) in enumerate([(2.31, 90.0), (1.0, 40.0)], 1)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    out = tmp_path / "out"
    said = ask("bench", "stopping", str(tmp_path / "runs"), "--out", str(out))
    assert said.status == 0, said.err
    assert "| 0.5 | 1 of 1 | 1 | 1 | 50.0 % | 50.0 % |" in said.out
    assert "| 0.7 | 0 of 1 | 0 | 0 | – | 0.0 % |" in said.out
    assert "Wrongly stopped at 0.5: none, depth 20 (1)." in said.out
    assert (out / "stopping.md").read_text() == said.out
    assert json.loads((out / "stopping.json").read_text())["shares"]["0.5"]["stopped"] == 1


def test_record_without_all_of_its_evaluations_is_left_out_and_named(write, tmp_path):
    write("shortcut=none", test_error=50.0, steps=40)
    with pytest.raises(AblateError, match="left out: its evaluations are not whole"):
        stopping.stopping([tmp_path / "runs"])


@pytest.mark.parametrize("word", ["nowhere", "depth=8"])
def test_source_that_is_no_folder_and_no_archive_is_one_sentence(ask, word):
    said = ask("bench", "stopping", word)
    assert said.status == 1
    assert said.err.splitlines()[-1].startswith(f"ablate bench: {word} is not an archive of records")
