"""Every file of conf/ composes, and the configuration's own checks."""

from dataclasses import asdict, fields, replace
from itertools import product

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ablate.base.errors import ConfigError
from ablate.config.check import check
from ablate.config.compose import conf_folder, known
from ablate.config.schema import Config
from ablate.models.shortcuts import NoShortcut
from ablate.runs.identity import folder_name

CELLS = {"quickstart": 11, "table1": 80, "depth": 10}
GROUPS = ("shortcut", "unit", "recipe", "data")
FILES = [(group, name) for group in GROUPS for name in known(group)]


def test_the_groups_hold_what_the_papers_ask_for():
    assert set(known("shortcut")) >= {"identity", "none", "constant", "frozen_gate", "gate", "conv1x1", "dropout"}
    assert set(known("data")) >= {"digits", "cifar10", "cifar100", "folder"}
    assert set(known("experiment")) >= set(CELLS)


@pytest.mark.parametrize(("group", "name"), FILES)
def test_every_file_of_a_group_composes_and_resolves(group, name, resolve, tmp_path):
    more = []
    if (group, name) == ("data", "folder"):
        for path in ("train/a", "test/a"):
            (tmp_path / path).mkdir(parents=True)
        more = [f"data.root={tmp_path}"]
    config = resolve(f"{group}={name}", *more)
    chosen = asdict(config)[group]
    assert chosen["name"]
    # A file of another group's name under its own would pass for it in every table.
    assert name.startswith(chosen["name"]) or (group, name) == ("shortcut", "frozen_gate")


@pytest.mark.parametrize("name", known("experiment"))
def test_every_experiment_expands_to_as_many_runs_as_it_says_and_all_resolve(name, resolve):
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        whole = compose("config", overrides=[f"+experiment={name}"], return_hydra_config=True)
    params = OmegaConf.to_container(whole.hydra.sweeper.params)
    seeds = [int(seed) for seed in str(params.pop("seed", 0)).split(",")]
    values = [[f"{key}={value.strip()}" for value in str(given).split(",")] for key, given in params.items()]
    cells = [resolve(f"+experiment={name}", *cell) for cell in product(*values)]
    configs = [replace(config, seed=seed) for config in cells for seed in seeds]  # to compose each takes too long
    assert len({folder_name(asdict(config)) for config in configs}) == CELLS.get(name, len(configs))
    for config in configs:
        check(config)
    assert {config.experiment for config in configs} == {name}
    assert whole.hydra.mode.name == "MULTIRUN"


def test_quickstart_has_the_rows_of_table_1_on_digits_and_table1_on_cifar(resolve):
    assert resolve("+experiment=quickstart").data.name == "digits"
    table1 = resolve("+experiment=table1")
    assert (table1.data.name, table1.depth, table1.recipe.name) == ("cifar10", 110, "he2016")
    assert (table1.recipe.iterations, table1.unit["name"]) == (64000, "basic")


def test_the_default_run_is_the_original_unit_on_digits(resolve):
    config = resolve()
    assert (config.shortcut["name"], config.data.name, config.seed) == ("identity", "digits", 0)


@pytest.mark.parametrize("depth", [8, 20, 56, 110, 1202])
def test_depths_of_6n_plus_2_pass(depth, resolve):
    assert resolve(f"depth={depth}").depth == depth


@pytest.mark.parametrize(
    ("depth", "nearest"),
    [(111, "110, 116"), (109, "104, 110"), (7, "8, 14"), (0, "8, 14"), (-4, "8, 14"), (2, "8, 14"), (9, "8, 14")],
)
def test_a_depth_between_is_told_its_neighbours(depth, nearest, resolve):
    with pytest.raises(ConfigError, match=rf"^depth {depth} is not 6n\+2; nearest: {nearest}$"):
        resolve(f"depth={depth}")


@pytest.mark.parametrize(
    "override",
    [
        "seed=-1",
        f"seed={2**32}",
        "threads=0",
        "precision=float16",
        "device=gpu",
        "data.validation=-1",
        "data.shift=-1",
        "iterations=0",
        "epochs=0",
        "recipe.batch=1",
        "recipe.learning_rate=0",
        "recipe.learning_rate=nan",
        "recipe.learning_rate=inf",
        "recipe.momentum=1",
        "recipe.weight_decay=-1",
        "recipe.warmup=1",
        "recipe.milestones=[0.7,0.5]",
        "recipe.milestones=[0.5,1.5]",
        "shortcut.option=D",
    ],
)
def test_a_value_out_of_range_is_refused_by_its_key(override, resolve):
    key = override.split("=")[0].split(".")[-1]
    with pytest.raises(ConfigError, match=key) as caught:
        resolve(override)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [".", "..", ".hidden", "-x", "a/b", "/tmp/a", "a\\b", "a\nb", "a\x1b[31m", "x" * 201])
def test_an_experiments_name_is_a_folders(name, resolve):
    with pytest.raises(ConfigError, match=r"^experiment=.*cannot name a folder") as caught:
        check(replace(resolve(), experiment=name))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", [None, "", "table1", "my exp", "a.b-c_d", "Übung 1"])
def test_other_names_of_experiments_pass(name, resolve):
    check(replace(resolve(), experiment=name))


def test_iterations_take_the_place_of_a_recipes_epochs_and_back(resolve):
    short, long = resolve("iterations=5").recipe, resolve("recipe=he2016", "epochs=2").recipe
    assert (short.iterations, short.epochs) == (5, None)
    assert (long.iterations, long.epochs) == (None, 2)
    assert asdict(resolve("iterations=5")) == asdict(resolve("recipe.iterations=5", "recipe.epochs=null"))


def test_every_key_of_the_schema_is_in_the_configuration(resolve):
    assert set(asdict(resolve())) == {field.name for field in fields(Config)}


def test_the_plain_net_is_no_shortcut(resolve):
    assert resolve("shortcut=none").shortcut["_target_"].endswith(NoShortcut.__name__)
