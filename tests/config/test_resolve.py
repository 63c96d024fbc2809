"""One form for a run: lengths, and the name, parameters and source of a custom class."""

import importlib
import os
import sys
from dataclasses import asdict

import pytest

from ablate.base.code import hash_definition
from ablate.base.errors import ConfigError
from ablate.config.resolve import from_overrides
from ablate.runs.identity import folder_name
from tests.data.images import write_images

REZERO = """
from torch import nn, ones
from ablate.models.shortcuts import match_shape

class ReZero(nn.Module):
    def __init__(self, in_channels, out_channels, stride, *, init=0.5):
        super().__init__()
        self.match = match_shape(in_channels, out_channels, stride, "A")
        self.scale = nn.Parameter(init * ones(1))

    def forward(self, x, residual):
        return self.match(x) + self.scale * residual
"""


@pytest.fixture
def rezero(tmp_path, monkeypatch):
    """A custom shortcut in rezero.py and its file my/shortcut/mine.yaml, without a name."""
    (tmp_path / "rezero.py").write_text(REZERO)
    (tmp_path / "my" / "shortcut").mkdir(parents=True)
    (tmp_path / "my" / "shortcut" / "mine.yaml").write_text("_target_: rezero.ReZero\ninit: 0.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield tmp_path
    sys.modules.pop("rezero", None)


def test_iterations_replace_epochs_and_epochs_iterations(resolve):
    short, long = resolve("iterations=5").recipe, resolve("recipe=he2016", "epochs=2").recipe
    assert (short.iterations, short.epochs) == (5, None)
    assert (long.iterations, long.epochs) == (None, 2)
    assert asdict(resolve("iterations=5")) == asdict(resolve("recipe.iterations=5", "recipe.epochs=null"))


def test_size_that_images_have_anyway_is_no_other_run(resolve, tmp_path):
    assert resolve("data=cifar10", "data.size=32") == resolve("data=cifar10")
    assert resolve("data=cifar10", "data.size=16") != resolve("data=cifar10")
    imagenet = "data=imagenet", f"data.root={write_images(tmp_path)}"
    assert resolve(*imagenet, "data.size=null") == resolve(*imagenet)


def test_tilde_in_a_path_is_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("ABLATE_DATA", "~/images")
    config = from_overrides("data=cifar10", "results='~/runs'")
    assert (config.results, config.data.root) == ("/home/someone/runs", "/home/someone/images")


def test_name_of_a_grid_is_its_experiment(resolve):
    named = asdict(resolve("name=mine"))
    assert (named["experiment"], named["name"]) == ("mine", None)
    assert folder_name(named) == folder_name(asdict(resolve()))


def test_name_with_a_slash_is_refused(resolve):
    with pytest.raises(ConfigError, match=r"^experiment='a/b' cannot name a folder"):
        resolve("name=a/b")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["data.fingerprint=x"], "data.fingerprint=x is computed from the images: leave it out"),
        (["+shortcut.source=x"], "shortcut.source=x is computed from the code: leave it out"),
        (["shortcut=gate", "shortcut.name=identity"], "shortcut.name=identity is the name of another shortcut"),
        (["shortcut.name=gate_b0"], "shortcut.name=gate_b0 is the name of another shortcut"),
        (["unit._target_=json.JSONDecoder", "unit.name=basic"], "unit.name=basic is the name of another unit"),
        (["shortcut.name=''"], "shortcut.name= is invalid: use a word"),
    ],
)
def test_names_and_hashes_cannot_be_given_to_other_code(words, sentence):
    with pytest.raises(ConfigError) as caught:
        from_overrides(*words)
    assert str(caught.value).startswith(sentence)


def test_settings_of_hydra_hold_for_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = from_overrides("results=${hydra:runtime.cwd}/${oc.env:PLACE}", "+hydra.job.env_set.PLACE=there")
    assert config.results == f"{tmp_path}/there"
    assert "PLACE" not in os.environ


def test_iterations_and_epochs_together_are_refused(resolve):
    with pytest.raises(ConfigError, match=r"^iterations and epochs are both given: give one of them$"):
        resolve("iterations=5", "epochs=5")


def test_custom_class_has_its_own_name_its_own_parameters_and_the_hash_of_its_source(rezero):
    source = hash_definition(rezero / "rezero.py", "ReZero")
    node = {"name": "ReZero", "_target_": "rezero.ReZero", "source": source}
    assert from_overrides("shortcut._target_=rezero.ReZero").shortcut == node
    assert from_overrides("shortcut=gate", "shortcut._target_=rezero.ReZero").shortcut == node
    assert from_overrides("shortcut._target_=rezero.ReZero", "+shortcut.init=0.1").shortcut == node | {"init": 0.1}
    same = from_overrides("shortcut=gate", "shortcut._target_=rezero.ReZero", "shortcut.bias_init=-6")
    assert same.shortcut == node | {"bias_init": -6}  # what the user gave stays, though gate.yaml says the same
    named = from_overrides("shortcut._target_=rezero.ReZero", "shortcut.name=mine", "shortcut.option=5")
    assert named.shortcut == node | {"name": "mine", "option": 5}


def test_shipped_class_has_its_shipped_name_and_no_hash():
    node = from_overrides("shortcut._target_=ablate.models.shortcuts.Gate").shortcut
    assert node == {"name": "gate", "_target_": "ablate.models.shortcuts.Gate"}


def test_other_class_of_this_package_has_the_name_of_the_class_and_a_hash():
    node = from_overrides("shortcut._target_=ablate.models.shortcuts.Projection").shortcut
    assert (node["name"], len(node["source"])) == ("Projection", 16)


def test_missing_module_is_one_sentence():
    with pytest.raises(
        ConfigError, match=r"^shortcut._target_=gone.H cannot be imported: there is no module 'gone' on"
    ):
        from_overrides("shortcut._target_=gone.H")


@pytest.mark.parametrize("target", ["H", "own.", "own..H", "5.H", "null"])
def test_target_that_is_not_a_class_is_refused(target):
    with pytest.raises(ConfigError, match=r"names no class: write it as MODULE.CLASS$"):
        from_overrides(f"shortcut._target_={target}")


def test_custom_file_gives_name_and_parameters(rezero, process, strict_json):
    run = process("ablate", "--config-dir", "my", "shortcut=mine", "depth=8", "iterations=1", "threads=1")
    assert (run.status, run.err) == (0, "")
    (folder,) = (rezero / "results" / "runs").glob("digits-ReZero-*")
    node = strict_json((folder / "result.json").read_text())["config"]["shortcut"]
    assert (node["name"], node["init"]) == ("ReZero", 0.0)  # the file's value, not the constructor's default


@pytest.mark.usefixtures("rezero")
def test_wrong_type_for_a_parameter_of_a_custom_file_is_refused_without_torch(process, no_torch):
    refused = process("ablate", "--config-dir", "my", "shortcut=mine", "shortcut.init=abc", path=no_torch)
    assert refused.status == 2
    assert refused.err == "ablate: shortcut.init=abc is invalid: use a number\n"


def test_run_from_python_finds_files_of_a_config_dir(tmp_path):
    (tmp_path / "shortcut").mkdir()
    (tmp_path / "shortcut" / "half.yaml").write_text(
        "name: half\n_target_: ablate.models.shortcuts.Constant\nscale: 0.5\n"
    )
    for words in (("--config-dir", str(tmp_path)), (f"--config-dir={tmp_path}",)):
        assert from_overrides(*words, "shortcut=half").shortcut["name"] == "half"
