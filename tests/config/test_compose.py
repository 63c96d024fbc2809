"""Every file of conf/ composes, and what files declare is known."""

from dataclasses import asdict

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from ablate.base.errors import ConfigError
from ablate.config.compose import from_tree
from ablate.config.files import conf_folder, options
from ablate.config.resolve import from_overrides
from ablate.grid import cells
from ablate.runs.identity import folder_name

CELLS = {"quickstart": 11, "table1": 80, "depth": 10, "precision": 20, "choices": 48, "fair": 55}
CELLS |= {
    "modern": 60,
    "highway": 10,
    "mlsbench": 18,
    "table2": 25,
    "table3": 10,
    "options": 15,
    "lecture": 15,
    "cifar10_small": 57,
}
SAME = [("shortcut", "frozen_gate"), ("net", "diracnet"), *(("net", f"plain{depth}") for depth in (18, 20, 34, 56))]
"""Files that are another one with other choices, and have its name."""
FILES = [(group, name) for group in ("shortcut", "unit", "net", "recipe", "data") for name in options(group)]


@pytest.mark.parametrize(("group", "name"), FILES)
def test_every_file_composes_and_resolves(group, name, resolve, tmp_path):
    more = []
    if (group, name) in (("data", "folder"), ("data", "imagenet")):
        held = "test" if name == "folder" else "val"
        for path in ("train/a", "train/b", f"{held}/a", f"{held}/b"):
            (tmp_path / path).mkdir(parents=True)
            (tmp_path / path / "0.png").touch()
            (tmp_path / path / "one.png").touch()
        more = [f"data.root={tmp_path}"]
    chosen = asdict(resolve(f"{group}={name}", *more))[group]
    # A name copied from another file would stand for that file in every table.
    assert name.startswith(chosen["name"]) or (group, name) in SAME


@pytest.mark.parametrize("name", options("experiment"))
def test_every_experiment_expands_to_its_number_of_runs(name):
    grid = cells.compose([f"+experiment={name}"], [])
    assert len({folder_name(asdict(config)) for config in grid.configs}) == CELLS[name]
    assert {config.experiment for config in grid.configs} == {name}
    assert grid.composed.hydra.mode.name == "MULTIRUN"


def test_quickstart_is_on_digits_and_table1_on_cifar10_with_the_papers_recipe(resolve):
    assert resolve("+experiment=quickstart").data.name == "digits"
    table1 = resolve("+experiment=table1")
    assert (table1.data.name, table1.depth, table1.recipe.name) == ("cifar10", 110, "he2016")
    assert (table1.recipe.iterations, table1.unit["name"]) == (64000, "basic")


def test_default_run_is_the_original_unit_on_digits(resolve):
    config = resolve()
    assert (config.shortcut["name"], config.data.name, config.seed) == ("identity", "digits", 0)


def test_plain_values_give_the_configuration_back(resolve):
    config = resolve("shortcut=gate", "epochs=3", "data.flip=true")
    assert from_tree(asdict(config)) == config


@pytest.mark.parametrize(
    "key", ["run.dir", "sweep.dir", "sweep.subdir", "output_subdir", "verbose", "sweeper.max_batch_size"]
)
def test_setting_of_hydra_without_an_effect_is_refused(key):
    with pytest.raises(ConfigError, match=rf"^hydra.{key}=5 is not supported: leave it out; results=FOLDER"):
        from_overrides(f"hydra.{key}=5")


def test_setting_of_hydra_in_a_file_is_refused(tmp_path):
    (tmp_path / "my" / "experiment").mkdir(parents=True)
    (tmp_path / "my" / "experiment" / "mine.yaml").write_text("# @package _global_\nhydra:\n  run:\n    dir: x\n")
    with pytest.raises(ConfigError, match=r"^hydra.run.dir=x is not supported"):
        from_overrides("--config-dir", str(tmp_path / "my"), "+experiment=mine")


def test_a_program_that_uses_hydra_itself_is_left_alone():
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        before = GlobalHydra.instance().hydra
        assert from_overrides("depth=8").depth == 8
        assert GlobalHydra.instance().hydra is before
