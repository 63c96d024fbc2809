"""Wrong requests: their exit status, their one line of error, and that they leave no folder of a run."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image

import ablate
from ablate.runs import layout
from tests.conftest import Outcome
from tests.forked import Command
from tests.waiting import LIMIT

SHORT = ("depth=8", "iterations=2")


def refused(outcome, status, *words):
    assert outcome.status == status, outcome
    assert len(outcome.err.splitlines()) == 1, outcome.err
    assert outcome.err.startswith("ablate: ")
    assert "Traceback" not in outcome.err + outcome.out
    for word in words:
        assert word in outcome.err


@pytest.fixture
def no_run(tmp_path):
    """Checks after the test that there is no run in tmp_path, nor anything that looks like one."""
    yield
    assert not [path for name in ("config.yaml", "result.json", "metrics.jsonl") for path in tmp_path.rglob(name)]
    runs = tmp_path / "runs"
    assert not runs.exists() or not any(layout.is_run(path.name) for path in runs.iterdir())


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    """An image folder of two classes, and the overrides for a run on it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for path in ("train/ant", "train/bee", "test/ant", "test/bee"):
        (tmp_path / "set" / path).mkdir(parents=True)
        for index in range(3):
            Image.fromarray(numpy.full((8, 8), index, dtype=numpy.uint8)).save(tmp_path / f"set/{path}/{index}.png")
    return tmp_path / "set", ("data=folder", f"data.root={tmp_path / 'set'}", "recipe.batch=2", *SHORT)


WRONG = {
    ("-m", "cluster=gpu", "seed=0,1"): ["the chosen hydra/launcher has no key 'partition'", "belongs to slurm"],
    ("-m", "hydra/launcher=joblib", "+hydra.launcher.partition=gpu", "seed=0,1"): ["'partition'", "belongs to slurm"],
    ("experiment=quickstart",): ("+experiment=NAME", "quickstart"),
    ("depth=111",): ["ablate: depth 111 is not 6n+2; nearest: 110, 116"],
    ("depth=abc",): ["depth", "abc"],
    ("shortcut=gat",): ["'gat' is unknown", "did you mean 'gate'", "exclusive_gate", "dropout"],
    ("shortcut=zzz",): ["'zzz' is unknown. Known: ", "identity"],
    ("data=digit",): ["'digit' is unknown", "did you mean 'digits'"],
    ("shortcut=dropout", "shortcut.p=1.5"): ["shortcut dropout cannot be built", "shortcut.p=1.5"],
    ("shortcut=dropout", "shortcut.p=half"): ["shortcut.p=half", "a number"],
    ("shortcut=conv1x1", "shortcut.norm=maybe"): ["shortcut.norm=maybe", "true or false"],
    ("shortcut=gate", "shortcut.bias_init=nan"): ["shortcut.bias_init=nan"],
    ("seed=-1",): ["seed=-1"],
    ("iterations=0",): ["iterations=0"],
    ("iterations=5", "epochs=5"): ["iterations and epochs are both given"],
    ("dpeth=20",): ["'dpeth'", "did you mean 'depth'"],
    ("recipe.learning_rat=1",): ["learning_rat'", "did you mean 'recipe.learning_rate'"],
    ("data=folder",): ["data.root"],
    ("shortcut._target_=nowhere_at_all.H",): ["nowhere_at_all", "cannot be imported"],
    ("shortcut._target_=H",): ["shortcut._target_=H", "MODULE.CLASS"],
    ("depth",): ["depth"],
    ("depth=[",): ["'depth=['"],
    ("=3",): ["'=3' has no key"],
    ("+=3",): ["'+=3' has no key"],
    ("tracker.project=x",): ["tracker.project and tracker.entity are for W&B: add tracker=wandb"],
    ("hydra/launcher=joblib",): ["hydra/launcher=joblib is for the runs of a grid: add -m"],
    ("pack=2",): ["pack is for the runs of a grid: add -m"],
    ("fail_fast=true",): ["fail_fast is for the runs of a grid: add -m"],
    ("-m", "hydra/sweeper=nevergrad"): ["hydra/sweeper=nevergrad is not one of ablate's: leave it out"],
    ("tracker=null",): ["tracker=null chooses nothing: tracker is one of none, wandb"],
    ("data=null",): ["data=null chooses nothing"],
    ("+shortcut.xs=[1,nan]",): ["shortcut.xs.1=nan is not a finite number"],
    ("+unit.xs={a:[1,-inf]}",): ["unit.xs.a.1=-inf is not a finite number"],
    ("-m", "+unit.x=1,nan"): ["unit.x=nan is not a finite number"],
    ("results=",): ["results= ", "a folder"],
    ("seed=1,2",): ["seed=1,2 is a list: add -m"],
    ("hydra.job.chdir=true",): ["hydra.job.chdir=true is not supported"],
    ("-m", "seed=1", "hydra.job.chdir=true"): ["hydra.job.chdir=true is not supported"],
    ("data.shift=8", *SHORT): ["data.shift=8", "8 high and 8 wide"],
    **{
        ("-m", "seed=1", "hydra/launcher=joblib", f"hydra.launcher.n_jobs={n}"): [f"hydra.launcher.n_jobs={said} "]
        for n, said in {"abc": "abc", "1.5": "1.5", "0": "0", "true": "True", "null": "None"}.items()
    },
    ("+experiment=table",): ["'table' is unknown", "did you mean 'table"],
    ("-m", "depth=8,9"): ["depth 9 is not 6n+2; nearest: 8, 14", "depth=9"],
    ("-m", "shortcut=gate,gat", "depth=8"): ["'gat' is unknown", "did you mean 'gate'"],
    ("-m", "shortcut=dropout", "shortcut.p=0.5,2"): ["shortcut dropout cannot be built", "shortcut.p=2"],
}


@pytest.mark.usefixtures("no_run")
@pytest.mark.parametrize("arguments", WRONG, ids=" ".join)
def test_wrong_request_exits_with_2_and_one_line(arguments, ask):
    refused(ask(*arguments), 2, *WRONG[arguments])


QUICK = """
import os, sys
from ablate.__main__ import main

for words in sys.argv[1:]:
    sys.argv = ["ablate", *words.split()]
    os.environ.pop("HYDRA_FULL_ERROR", None)  # which main sets
    try:
        status = main()
    except SystemExit as end:
        status = end.code
    print(f"{words} exits with {status}")
"""


@pytest.mark.usefixtures("no_run")
def test_wrong_requests_and_help_do_not_import_torch(process, tmp_path, no_torch):
    wrong = ["depth=111", "shortcut=gat", "dpeth=20", "shortcut=dropout shortcut.p=half", "-m depth=8,9", "statsu"]
    (tmp_path / "quick.py").write_text(QUICK)
    outcome = process("quick", *wrong, "--help", path=no_torch)
    assert outcome.status == 0, outcome
    assert len(outcome.err.splitlines()) == len(wrong)
    for words in wrong:
        assert f"{words} exits with 2" in outcome.out
    assert "--help exits with 0" in outcome.out
    assert process("quick", "depth=8", path=no_torch).status == 99  # a right one does


@pytest.mark.parametrize("module", ["hydra", "torch"])
def test_ctrl_c_while_a_module_is_imported_is_one_line(module, tmp_path):
    (tmp_path / f"{module}.py").write_text(
        "import time\n"
        "try:\n    print('here', flush=True)\n    time.sleep(60)\n"
        "except BaseException as error:\n    raise RecursionError from error\n"
    )
    path = os.pathsep.join([str(tmp_path), str(Path(ablate.__file__).parents[1])])
    process = subprocess.Popen(
        [sys.executable, "-m", "ablate", *SHORT],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "here\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=LIMIT)
    assert (process.returncode, err) == (130, "ablate: interrupted\n")


def test_hydra_full_error_shows_the_traceback(tmp_path):
    command = Command("depth=111", cwd=tmp_path, environment={"HYDRA_FULL_ERROR": "1"})
    _, err = command.communicate()
    assert command.returncode == 2
    assert "Traceback" in err
    assert "depth 111 is not 6n+2" in err.splitlines()[-1]


@pytest.mark.usefixtures("no_run")
def test_image_folder_without_train_is_refused(ask, tmp_path):
    (tmp_path / "set" / "test").mkdir(parents=True)
    refused(ask("data=folder", f"data.root={tmp_path / 'set'}"), 2, str(tmp_path / "set"), "train/")


@pytest.mark.usefixtures("no_run")
def test_file_that_is_not_an_image_is_named(ask, dataset):
    root, overrides = dataset
    (root / "train" / "bee" / "notes.txt").write_text("no image")
    refused(ask(*overrides), 1, str(root / "train" / "bee" / "notes.txt"))


@pytest.mark.usefixtures("no_run")
def test_truncated_image_is_named(ask, dataset):
    root, overrides = dataset
    file = root / "test" / "ant" / "1.png"
    file.write_bytes(file.read_bytes()[:40])
    refused(ask(*overrides), 1, str(file))


@pytest.mark.usefixtures("no_run")
@pytest.mark.parametrize("lacking", ["test", "train"])
def test_class_missing_from_a_split_is_named(lacking, ask, dataset):
    root, overrides = dataset
    for file in (root / lacking / "bee").iterdir():
        file.unlink()
    refused(ask(*overrides), 1, f"{lacking}/bee has no images")


@pytest.mark.usefixtures("no_run")
@pytest.mark.skipif(torch.cuda.is_available(), reason="the device is here")
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_absent_device_is_refused(device, ask):
    refused(ask(f"device={device}", *SHORT), 2, f"device={device}", "device=cpu")


@pytest.mark.usefixtures("no_run")
def test_unwritable_results_are_refused(ask, tmp_path):
    (tmp_path / "file").write_text("")
    results = tmp_path / "file" / "runs"  # below a file, where not even root may write
    refused(ask(f"results={results}", *SHORT), 1, str(results), "cannot be written")


@pytest.mark.usefixtures("no_run")
def test_error_of_a_shortcuts_constructor_is_one_line(ask, tmp_path, monkeypatch):
    (tmp_path / "picky_shortcut.py").write_text(
        "class Picky:\n    def __init__(self, *_, **__):\n        raise ValueError('odd stages\\nand more')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    refused(ask("shortcut._target_=picky_shortcut.Picky", *SHORT), 2, "Picky", "odd stages")
    sys.modules.pop("picky_shortcut")


CUSTOM = """
import sys
from ablate.models.shortcuts import Identity

class Box:
    class Inner(Identity):
        pass

class Ends(Identity):
    def __init__(self, *built):
        sys.exit()

class Narrow(Identity):
    def forward(self, x, residual):
        return residual[:, :1]
"""


@pytest.fixture
def custom(tmp_path, monkeypatch):
    (tmp_path / "custom_shortcuts.py").write_text(CUSTOM)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("custom_shortcuts", None)


@pytest.mark.usefixtures("no_run", "custom")
@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("Gone", 2, ["has no attribute 'Gone'"]),
        ("Box.Gone", 2, ["has no attribute 'Gone'"]),
        ("", 2, ["shortcut._target_=custom_shortcuts. names no class", "MODULE.CLASS"]),
        ("Ends", 2, ["shortcut Ends cannot be built: SystemExit"]),
        ("Narrow", 2, ["it gives (", ", 1, 8, 8) where F(x) is ("]),
    ],
)
@pytest.mark.parametrize("grid", [(), ("-m",)], ids=["run", "grid"])
def test_error_of_a_custom_shortcut_is_one_line(name, status, words, grid, ask):
    outcome = ask(*grid, f"shortcut._target_=custom_shortcuts.{name}", *SHORT)
    assert outcome.status == status
    assert len(outcome.err.splitlines()) == 1, outcome.err
    for word in words:
        assert word in outcome.err


@pytest.mark.usefixtures("custom")
def test_nested_class_is_trained(ask, tmp_path):
    assert ask("shortcut._target_=custom_shortcuts.Box.Inner", *SHORT).status == 0
    assert list((tmp_path / "runs").glob("digits-Inner-*/result.json"))


@pytest.mark.usefixtures("no_run")
def test_absent_class_is_one_line(ask):
    refused(ask("shortcut._target_=ablate.models.shortcuts.Gat", *SHORT), 2, "Gat")


@pytest.mark.usefixtures("no_run")
@pytest.mark.parametrize(("name", "file"), [("cifar10", "data_batch_1"), ("cifar100", "train")])
def test_absent_cifar_names_folder_file_and_alternatives(name, file, ask, tmp_path):
    outcome = ask(f"data={name}", f"data.root={tmp_path / 'empty'}", *SHORT)
    refused(outcome, 1, str(tmp_path / "empty"), file, "data.download=true", "data=digits")


@pytest.mark.usefixtures("no_run")
def test_batch_larger_than_the_data_is_refused(ask):
    refused(ask("recipe.batch=1298", *SHORT), 2, "recipe.batch=1298", "1297")


@pytest.mark.usefixtures("no_run")
def test_validation_of_all_images_is_refused(ask):
    refused(ask("data.validation=1297", *SHORT), 2, "data.validation=1297")


CRASH = """
from ablate.models.shortcuts import Identity

class Crash(Identity):
    def forward(self, x, residual):
        if self.training:
            raise KeyError("no such thing\\nand more")
        return residual
"""


def test_error_of_a_run_is_one_line_that_names_its_log(tmp_path):
    (tmp_path / "crash.py").write_text(CRASH)
    words = ("shortcut._target_=crash.Crash", *SHORT, "threads=1")
    command = Command(*words, cwd=tmp_path)
    out, err = command.communicate()
    refused(Outcome(command.returncode, out, err), 1, "ablate: KeyError: ", "no such thing")
    log = tmp_path / err.rstrip().rpartition("its log: ")[2]
    assert "Traceback" in log.read_text()
    command = Command(*words, cwd=tmp_path, environment={"HYDRA_FULL_ERROR": "1"})
    _, err = command.communicate()
    assert command.returncode == 1
    assert "Traceback" in err
    assert "crash.py" in err


def test_options_may_follow_overrides(ask):
    outcome = ask("depth=8", "-m", "seed=0,1", "dry_run=true")
    assert outcome.status == 0, outcome.err
    assert outcome.out.splitlines()[-1].startswith("2 runs")


@pytest.mark.parametrize("words", [("depth=8", "--info", "defaults"), ("depth=8", "--info"), ("--info", "depth=8")])
def test_info_option_may_be_anywhere_with_or_without_a_value(words, tmp_path):
    command = Command(*words, cwd=tmp_path)  # a process of its own, because Hydra changes how it logs
    out, err = command.communicate()
    assert command.returncode == 0, err
    assert "Defaults" in out


@pytest.mark.parametrize(
    ("word", "typed"), [("\u2013m", "-m"), ("\u2014multirun", "--multirun"), ("\u2013-help", "--help")]
)
def test_typographic_dash_is_answered_with_the_hyphen(word, typed, ask):
    outcome = ask("depth=8", word)
    assert (outcome.status, outcome.err) == (2, f"ablate: {word} begins with a typographic dash: write {typed}\n")


def test_removed_working_directory_is_named(tmp_path, monkeypatch, capsys):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    monkeypatch.setattr("sys.argv", ["ablate", "status"])
    assert ablate.__main__.main() == 1
    assert "the working directory was removed" in capsys.readouterr().err
