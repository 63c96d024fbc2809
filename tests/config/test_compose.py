"""Every file of conf/ composes, and what files declare is known."""

from dataclasses import asdict, replace
from itertools import product

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ablate.config.check import check
from ablate.config.compose import Origin, conf_folder, from_tree, options
from ablate.runs.identity import folder_name

CELLS = {"quickstart": 11, "table1": 80, "depth": 10, "precision": 20, "gates": 30}
FILES = [(group, name) for group in ("shortcut", "unit", "recipe", "data") for name in options(group)]


@pytest.mark.parametrize(("group", "name"), FILES)
def test_every_file_composes_and_resolves(group, name, resolve, tmp_path):
    more = []
    if (group, name) == ("data", "folder"):
        for path in ("train/a", "test/a"):
            (tmp_path / path).mkdir(parents=True)
        more = [f"data.root={tmp_path}"]
    chosen = asdict(resolve(f"{group}={name}", *more))[group]
    # A name copied from another file would stand for that file in every table.
    assert name.startswith(chosen["name"]) or (group, name) == ("shortcut", "frozen_gate")


@pytest.mark.parametrize("name", options("experiment"))
def test_every_experiment_expands_to_its_number_of_runs(name, resolve):
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        whole = compose("config", overrides=[f"+experiment={name}"], return_hydra_config=True)
    params = OmegaConf.to_container(whole.hydra.sweeper.params)
    seeds = [int(seed) for seed in str(params.pop("seed", 0)).split(",")]
    values = [[f"{key}={value.strip()}" for value in str(given).split(",")] for key, given in params.items()]
    cells = [resolve(f"+experiment={name}", *cell) for cell in product(*values)]
    configs = [replace(config, seed=seed) for config in cells for seed in seeds]  # composing each takes too long
    assert len({folder_name(asdict(config)) for config in configs}) == CELLS[name]
    for config in configs:
        check(config)
    assert {config.experiment for config in configs} == {name}
    assert whole.hydra.mode.name == "MULTIRUN"


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


DECLARED = """
defaults: [gate, _self_]
_target_: own.H
bias_init: 1e-3
option: ${depth}
width: ???
"""


def test_declared_values_are_those_of_the_chosen_file_and_its_defaults(tmp_path):
    (tmp_path / "shortcut").mkdir()
    (tmp_path / "shortcut" / "mine.yaml").write_text(DECLARED)
    origin = Origin({"shortcut": "mine"}, [conf_folder(), tmp_path])
    assert origin.declared("shortcut") == {
        **{"name": "gate", "_target_": "own.H", "bias_init": 0.001, "weight_init": "zero", "decay_bias": True},
        **{"option": "${depth}", "width": "???"},
    }
    assert Origin({"shortcut": "gone"}, [conf_folder()]).declared("shortcut") == {}
