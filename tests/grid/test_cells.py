"""Which cells a command line asks for, and what Hydra's settings do for them."""

import pytest

from ablate.base.errors import ConfigError
from ablate.grid import cells


def compose(*words):
    """The configurations of the cells that `ablate -m WORDS` asks for."""
    return cells.compose(words, []).configs


@pytest.fixture
def experiment(tmp_path):
    """Writes an experiment, and gives the folder to look for it in: `experiment("mine", "depth: 8")`."""

    def write(name, content):
        folder = tmp_path / "my" / "experiment"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.yaml").write_text(f"# @package _global_\n{content}")
        return [tmp_path / "my"]

    return write


def test_first_key_varies_slowest_and_the_last_value_of_a_key_counts():
    found = [(one.depth, one.seed) for one in compose("depth=8,14", "seed=5", "seed=0,1")]
    assert found == [(8, 0), (8, 1), (14, 0), (14, 1)]


def test_value_that_depends_on_the_seed_differs_in_each_cell():
    found = compose("depth=8,14", "seed=0,1", "+unit.mine=${seed}.${depth}")
    assert [one.unit["mine"] for one in found] == ["0.8", "1.8", "0.14", "1.14"]


def test_cells_of_sub_grids_have_their_own_depths_and_seeds(experiment):
    rows = "{shortcut: 'identity, none', depth: 20}, {shortcut: 'identity, none', seed: 4}, {shortcut: identity}"
    folders = experiment("mine", f"depth: 110\nhydra:\n  sweeper:\n    params:\n      rows: [{rows}]\n")
    found = cells.compose(["+experiment=mine"], folders).configs
    assert [(one.depth, one.seed) for one in found] == [(20, 0), (20, 0), (110, 4), (110, 4), (110, 0)]


@pytest.mark.parametrize("key", ["seed", "depth"])
def test_value_that_a_plus_sets_is_that_of_every_cell(key):
    assert {getattr(one, key) for one in compose(f"{key}=14,20", f"++{key}=32")} == {32}


def test_cells_do_not_share_what_a_run_may_change():
    one, other = compose("seed=0,1")
    one.tracker.run = "one"
    assert other.tracker.run is None


@pytest.mark.parametrize("word", ["depth=8,9", "seed=0,4294967296"])
def test_wrong_value_that_shares_a_composed_configuration_is_refused_with_its_cell(word):
    with pytest.raises(ConfigError, match=rf"\(in the cell {word.replace('8,', '').replace('0,', '')}\)$"):
        compose(word)


def test_parameter_that_all_swept_shortcuts_have_is_applied_to_each():
    found = compose("shortcut=gate,exclusive_gate", "shortcut.bias_init=-3", "seed=0,1")
    assert [(one.shortcut["name"], one.shortcut["bias_init"]) for one in found] == [
        *[("gate", -3)] * 2,
        *[("exclusive_gate", -3)] * 2,
    ]


def test_cell_that_lacks_a_parameter_is_named():
    with pytest.raises(ConfigError) as caught:
        compose("shortcut=gate,identity", "shortcut.bias_init=-3")
    assert str(caught.value) == (
        "the chosen shortcut has no key 'bias_init', which belongs to exclusive_gate, gate, highway "
        "(in the cell shortcut=identity shortcut.bias_init=-3)"
    )


@pytest.mark.parametrize("words", [["+experiment=quickstart,depth"], ["+experiment=glob(quick*)"]])
def test_list_of_experiments_with_lists_of_their_own_is_refused(words):
    with pytest.raises(
        ConfigError, match=r"^experiments cannot be a list, because each has lists of its own: give one"
    ):
        compose(*words)


def test_experiments_without_lists_are_a_list_like_another(experiment):
    folders = experiment("one", "depth: 8\n")
    experiment("two", "depth: 14\n")
    found = cells.compose(["+experiment=one,two"], folders).configs
    assert [one.depth for one in found] == [8, 14]


def test_experiments_with_other_launchers_are_refused(experiment):
    folders = experiment("one", "depth: 8\n")
    experiment("two", "defaults:\n  - override /hydra/launcher: joblib\n")
    with pytest.raises(ConfigError, match=r"^hydra.launcher differs between the cells: start a grid for each"):
        cells.compose(["+experiment=one,two"], folders)


@pytest.mark.parametrize(
    "words", [["hydra/launcher=basic,joblib"], ["hydra/launcher=joblib", "hydra.launcher.n_jobs=1,2"]]
)
def test_list_of_launchers_is_refused(words):
    with pytest.raises(ConfigError, match=f"^{words[-1]} is a list: give one value, because a grid has one launcher$"):
        compose(*words)


@pytest.mark.parametrize("lists", ['"0, 1"', "[0, 1]", "range(2)"])
def test_lists_of_an_experiment_are_strings_or_yaml_lists(lists, experiment):
    folders = experiment("mine", f"hydra:\n  sweeper:\n    params:\n      seed: {lists}\n")
    found = cells.compose(["+experiment=mine"], folders).configs
    assert [one.seed for one in found] == [0, 1]


def test_values_are_read_as_in_a_single_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [one.seed for one in compose("seed=${recipe.batch},5")] == [64, 5]
    assert [one.seed for one in compose("seed='0','1'")] == [0, 1]
    (one,) = compose("results=${hydra:runtime.cwd}/${oc.env:PLACE}", "+hydra.job.env_set.PLACE=there")
    assert one.results == f"{tmp_path}/there"


def test_run_sees_the_environment_that_the_command_line_sets(ask, monkeypatch):
    monkeypatch.setattr(
        "ablate.grid.launcher.SerialLauncher.carry_out",
        lambda self, records: print("sees", __import__("os").environ["X"]),
    )
    assert "sees y" in ask("-m", "seed=0,1", "depth=8", "+hydra.job.env_set.X=y").out


@pytest.mark.parametrize("word", ["shortcut=glob(zzz*)", "seed=range(3,3)"])
def test_empty_list_is_refused(word):
    with pytest.raises(ConfigError) as caught:
        compose(word)
    assert str(caught.value) == f"{word} is an empty list: no run would be trained"


def test_options_of_a_users_folder_are_found_by_glob(tmp_path):
    (tmp_path / "recipe").mkdir()
    (tmp_path / "recipe" / "mine.yaml").write_text("defaults: [digits, _self_]\nname: mine\n")
    found = cells.compose(["recipe=glob(*)"], [tmp_path]).configs
    assert sorted(one.recipe.name for one in found) == ["digits", "he2016", "imagenet", "mine", "modern"]


def test_grid_without_an_end_is_refused_at_once():
    with pytest.raises(ConfigError, match=r"^a grid has at most 100,000 runs"):
        compose("seed=range(1000000000)")
    with pytest.raises(ConfigError, match=r"^a grid has at most 100,000 runs"):
        compose("seed=range(1000)", "recipe.batch=range(2,1000)")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["data.shift=1,8"], "data.shift=8 is invalid: use less than the images' side, 8 pixels"),
        (["recipe.batch=64,1298"], "recipe.batch=1298 is more than the 1297 training images of data=digits"),
        (["data.validation=0,1290"], "recipe.batch=64 is more than the 7 training images of data=digits"),
    ],
)
def test_cell_that_its_dataset_cannot_train_stops_the_grid_before_the_first_run(words, sentence, ask, tmp_path):
    outcome = ask("-m", "depth=8", "iterations=1", *words)
    assert (outcome.status, outcome.out, outcome.err) == (2, "", f"ablate: {sentence}\n")
    assert not (tmp_path / "runs").exists()


def test_grid_is_named_on_the_command_line(ask, tmp_path):
    assert ask("-m", "name=mine", "depth=8", "iterations=1", "seed=0,1").status == 0
    status = ask("status", str(tmp_path / "runs"), "--experiment", "mine")
    assert (status.status, "2 finished" in status.out) == (0, True)
    alone = ask("name=mine", "depth=8")
    assert (alone.status, alone.err) == (2, "ablate: name=mine is for a grid: add -m\n")
