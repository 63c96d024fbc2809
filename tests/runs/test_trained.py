"""From a record to a network, with its preprocessing and the code it was trained by."""

import json
import shutil
import subprocess
import sys

import numpy
import pytest
import torch

import ablate
from ablate.data.digits import load_digits
from ablate.runs import layout
from ablate.runs.reading import read_predictions
from tests.runs.test_run import REZERO, only

TINY = ("shortcut=gate", "depth=8", "iterations=12", "device=cpu")


def test_network_answers_as_it_did_at_the_end_of_the_run(ask, tmp_path):
    assert ask(*TINY).status == 0
    folder = only(tmp_path / "runs")
    network, prepare = ablate.load_network(folder)
    digits = load_digits()
    with torch.no_grad():
        answers = network(prepare(digits.test_x)).argmax(1)
    predicted, true = read_predictions(folder)
    assert numpy.array_equal(answers.numpy(), predicted)
    assert numpy.array_equal(digits.test_y.numpy(), true)
    images = json.loads((folder / "result.json").read_text())["images"]
    assert images == {"shape": [1, 8, 8], "classes": list("0123456789")}
    whole = (digits.train_x.double() / 255).mean(0)
    assert numpy.load(folder / layout.MEAN) == pytest.approx(whole.numpy(), abs=1e-7)
    (folder / "weights.pt").write_text("garbage")
    with pytest.raises(ablate.AblateError, match=r"weights\.pt is damaged: train the run again, with rerun=all$"):
        ablate.load_network(folder)


@pytest.fixture
def custom(tmp_path):
    """A run of a custom shortcut in a package in a git repository, trained by a process of its own."""
    package = tmp_path / "project" / "mine"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "parts.py").write_text("ONE = 1\n")
    (package / "unused.py").write_text("TWO = 2\n")
    (package / "rezero.py").write_text(REZERO.replace("from torch", "from mine.parts import ONE\nfrom torch"))
    for words in (["init"], ["add", "."], ["-c", "user.name=A", "-c", "user.email=a@b.c", "commit", "-m", "first"]):
        subprocess.run(["git", "-C", package.parent, *words], check=True, capture_output=True)
    words = ("shortcut._target_=mine.rezero.ReZero", *TINY[1:], "threads=1", f"results={tmp_path / 'runs'}")
    subprocess.run([sys.executable, "-m", "ablate", *words], cwd=package.parent, check=True, capture_output=True)
    return only(tmp_path / "runs")


def test_record_keeps_the_custom_code_and_its_commit(custom, tmp_path):
    copies = {path.relative_to(custom / layout.SOURCE).as_posix() for path in (custom / layout.SOURCE).rglob("*.py")}
    assert copies == {"mine/__init__.py", "mine/parts.py", "mine/rezero.py"}
    head = subprocess.run(["git", "-C", tmp_path / "project", "rev-parse", "HEAD"], capture_output=True, text=True)
    result = json.loads((custom / "result.json").read_text())
    assert result["custom"] == {"commit": head.stdout.strip(), "dirty": False}
    assert result["versions"]["ablate"] == ablate.__version__


@pytest.mark.parametrize("packed", [False, True])
def test_record_is_replayed_where_the_custom_code_is_not(custom, tmp_path, process, packed):
    shutil.rmtree(tmp_path / "project")
    if packed:
        assert process("ablate", "archive", str(custom.parent), "--out", "a.tar.gz").status == 0
        assert process("ablate", "archive", "there", "--from", "a.tar.gz").status == 0
        custom = only(tmp_path / "there")
    refused = process("ablate", "replay", str(custom))
    assert (refused.status, "runs custom code, mine.rezero.ReZero: look at it, then add --trust" in refused.err) == (
        2,
        True,
    )
    again = process("ablate", "replay", str(custom), "--trust")
    assert (again.status, again.err) == (0, "")
    assert "the replay is identical in every bit" in again.out


def test_network_of_custom_code_needs_trust(custom, tmp_path, monkeypatch):
    shutil.rmtree(tmp_path / "project")
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(
        ablate.ConfigError, match=r"runs custom code, mine\.rezero\.ReZero: look at it, then add trust=True"
    ):
        ablate.load_network(custom)
    network, _ = ablate.load_network(custom, trust=True)
    assert sum(name.endswith("alpha") for name, _ in network.named_parameters()) == 3
    for name in [name for name in sys.modules if name.partition(".")[0] == "mine"]:
        del sys.modules[name]


def test_record_without_a_network_is_named(write, tmp_path):
    folder = write("depth=8", test_error=1.0)
    for where in (folder, tmp_path):
        with pytest.raises(ablate.AblateError, match=f"{where} holds no trained network: "):
            ablate.load_network(where)
    interrupted = write("depth=14", status="interrupted")
    with pytest.raises(ablate.AblateError, match="is interrupted: only a finished run has a trained network"):
        ablate.load_network(interrupted)
