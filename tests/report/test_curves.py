"""Learning curves from metrics.jsonl, whole or damaged."""

import json

import pandas
import pytest

import ablate
from ablate.report.curves import band, read_curves, thin


def line(step, test, train=1.0):
    return json.dumps({"step": step, "epoch": step // 10, "lr": 0.1, "train_loss": 0.1, "train_error": train,
                       "test_loss": 0.2, "test_error": test, "seconds": 1.0})  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    def make(name, *lines):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.jsonl").write_text("".join(f"{line}\n" for line in lines))
        return tmp_path / name

    return make


def test_whole_file_is_read_without_a_warning(folder):
    curves, warnings = read_curves([folder("a", line(10, 50.0), line(20, 40.0))])
    assert list(curves.test_error) == [50.0, 40.0]
    assert warnings == []


@pytest.mark.parametrize(
    "bad",
    [
        line(20, 40.0)[:30],
        "",
        "[]",
        "null",
        '{"step": 20}',
        "\ufffd",
        line(20, 140.0),
        line(20, 40.0).replace("40.0", "NaN"),
        line(20, 40.0).replace("40.0", "null"),
        *(
            line(20, 40.0).replace('"step": 20', f'"step": {step}')
            for step in ("1e400", "-1", "NaN", '"20"', "1" + 30 * "0")
        ),
        *(line(20, 40.0).replace("0.2", loss) for loss in ("1e400", '"low"', "true", "[1]", "1" + 400 * "0")),
        *(line(20, 40.0)[:-1] + f', "probes": {probes}}}' for probes in ("[1]", '"x"', '{"gradient/stage1": "x"}')),
        "[" * 100_000,
    ],
)
def test_invalid_line_is_left_out_with_a_warning(bad, folder):
    curves, (warning,) = read_curves([folder("a", line(10, 50.0), bad, line(30, 30.0))])
    assert list(curves.step) == [10, 30]
    assert "1 invalid line left out" in warning


def test_invalid_lines_are_counted(folder):
    _, (warning,) = read_curves([folder("a", "", line(20, 140.0), line(30, 30.0))])
    assert "2 invalid lines left out" in warning


def test_line_that_is_still_being_written_is_ignored(folder):
    path = folder("a", line(10, 50.0))
    with open(path / "metrics.jsonl", "a") as file:
        file.write(line(20, 40.0)[:30])
    curves, warnings = read_curves([path])
    assert list(curves.step) == [10]
    assert warnings == []


def test_folder_without_metrics_has_no_curve(tmp_path):
    curves, warnings = read_curves([tmp_path])
    assert len(curves) == 0
    assert warnings == []
    assert list(band(curves, ["a"]).columns)[:2] == ["step", "n"]


def test_band_is_the_mean_and_the_extremes_at_each_step(folder):
    tests = {"a": [50.0, 30.0], "b": [60.0, 20.0], "c": [40.0, 1.0]}
    folders = [folder(name, *(line(10 * at, t) for at, t in enumerate(values, 1))) for name, values in tests.items()]
    found = band(read_curves(folders)[0], tests)
    assert found[["step", "n", "test_error", "test_error_low", "test_error_high"]].to_numpy().tolist() == [
        [10, 3, 50.0, 40.0, 60.0],
        [20, 3, 17.0, 1.0, 30.0],
    ]


def test_band_ends_where_the_first_run_ended(folder):
    ends = {"a": 3, "b": 2, "c": 3}
    folders = [folder(name, *(line(10 * at, 50.0) for at in range(1, n + 1))) for name, n in ends.items()]
    read, _ = read_curves(folders)
    assert list(band(read, ends).step) == [10, 20]
    assert len(band(read, [*ends, "diverged before it was evaluated"])) == 0


def test_thinning_keeps_the_last_row():
    frame = pandas.DataFrame({"x": range(101)})
    kept = thin(frame, 10)
    assert kept[-1] == 100
    assert len(kept) <= 10
    assert thin(frame.head(3), 10) == [0, 1, 2]


def test_every_evaluation_is_a_row_with_its_run_and_its_probes(ask, tmp_path):
    grid = ("-m", "depth=8", "shortcut=gate,none", "epochs=2", "device=cpu", "probes=signal", "hydra/launcher=basic")
    assert ask(*grid).status == 0
    curves = ablate.load_curves(tmp_path / "runs")
    assert curves.groupby("shortcut").step.apply(list).to_dict() == {"gate": [20, 40], "none": [20, 40]}
    assert set(curves) >= {"label", "seed", "lr", "test_error", "train_loss", "gradient/stage1", "gate_openness/stage3"}
    assert curves["gradient/stage1"].notna().all()
    assert curves["gate_openness/stage3"].notna().tolist() == (curves.shortcut == "gate").tolist()
    last = curves[curves.step == 40].set_index("folder").test_error
    assert last.to_dict() == ablate.load(tmp_path / "runs").set_index("folder").test_error.to_dict()


def test_run_without_evaluations_has_no_rows(write, tmp_path):
    write("depth=8", ended=False)
    curves = ablate.load_curves(tmp_path / "runs")
    assert (len(curves), list(curves)[:2]) == (0, ["folder", "label"])


@pytest.mark.parametrize("bad", ['{"step": 1e400}', '{"step": 30, "probes": "x"}', '{"step": 30, "folder": "other"}'])
def test_damaged_line_ends_neither_report_nor_curves(bad, write, ask, tmp_path):
    run = write("depth=8", test_error=40.0)
    (run / "metrics.jsonl").write_text(f"{line(10, 50.0)}\n{bad}\n{line(20, 40.0)}\n")
    curves = ablate.load_curves(tmp_path / "runs")
    assert set(curves.folder) == {run.name}
    assert {10, 20} <= set(curves.step)
    for command in ("status", "report"):
        assert ask(command, str(tmp_path / "runs")).status == 0
    assert ask("report", str(tmp_path / "runs"), "--out", str(tmp_path / "report")).status == 0
