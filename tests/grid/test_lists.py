"""Grids that are more than every combination: keys that are paired, keys of one choice, unions, and drawn values."""

import shlex
from dataclasses import asdict

import pytest

from ablate.base.errors import ConfigError
from ablate.grid import cells
from ablate.grid.sampling import Interval, points
from ablate.runs.identity import signature

INTERVAL = "'recipe.learning_rate=tag(log,interval(0.003,0.3))'"
FORMS = {
    "zip": "NAME=zip(KEY=choice(A,B),KEY=choice(C,D))",
    "pairs": "another name, as in pairs=zip(...)",
    "where": "shortcut.bias_init=where(gate,0,-3)",
}
LIST = "is not a list in order: write depth=choice(A,B)"
PAIRS = "p=zip(depth=choice(8,14),width=choice(1,2))"
GATES = "shortcut=identity,gate,exclusive_gate"


def compose(words, folders=()):
    """The configurations of the cells that `ablate -m WORDS` asks for, as a shell splits the words."""
    return cells.compose(shlex.split(words), [*folders])[0]


def order(config):
    return config.shortcut["name"], config.shortcut.get("bias_init", 0)


def biases(configs):
    return [(one.shortcut["name"], one.shortcut.get("bias_init")) for one in configs]


@pytest.fixture
def experiment(tmp_path):
    """Writes an experiment with these sweeper's settings, and gives the folder to look for it in."""

    def write(settings):
        folder = tmp_path / "my" / "experiment"
        folder.mkdir(parents=True)
        indented = "".join(f"    {line}\n" for line in settings.splitlines())
        (folder / "mine.yaml").write_text(f"# @package _global_\nhydra:\n  sweeper:\n{indented}")
        return [tmp_path / "my"]

    return write


def test_paired_keys_are_one_dimension_that_others_cross():
    found = compose("'pairs=zip(recipe.learning_rate=choice(0.1,0.05),recipe.batch=[128,64])' seed=0,1")
    assert [(one.recipe.learning_rate, one.recipe.batch, one.seed) for one in found] == [
        (0.1, 128, 0), (0.1, 128, 1), (0.05, 64, 0), (0.05, 64, 1),
    ]  # fmt: skip


def test_pairs_named_after_a_part_of_the_configuration_have_its_keys():
    found = compose("'recipe=zip(learning_rate=choice(0.1,0.05),batch=choice(128,64))'")
    assert [(one.recipe.learning_rate, one.recipe.batch) for one in found] == [(0.1, 128), (0.05, 64)]
    found = compose("shortcut=gate 'shortcut=zip(bias_init=choice(0,-3),option=choice(A,B))'")
    assert [(one.shortcut["bias_init"], one.shortcut["option"]) for one in found] == [(0, "A"), (-3, "B")]


def test_pairs_join_choices_of_groups_their_parameters_and_keys_at_the_top():
    found = compose(
        "'p=zip(shortcut=choice(gate,exclusive_gate,gate),shortcut.bias_init=choice(-6,-3,0), depth = range(8,21,6))'"
    )
    assert [(*pair, one.depth) for pair, one in zip(biases(found), found, strict=True)] == [
        ("gate", -6, 8), ("exclusive_gate", -3, 14), ("gate", 0, 20),
    ]  # fmt: skip


def test_values_in_pairs_may_hold_commas_and_brackets():
    found = compose(r"""'p=zip(recipe.milestones=choice([0.5,0.75],[0.6]),results=choice("a,b)",c))'""")
    assert [(one.recipe.milestones, one.results) for one in found] == [([0.5, 0.75], "a,b)"), ([0.6], "c")]
    found = cells.compose([r"p=zip(results=[a\)b,'it\'s(','c\\'],depth=[8,14,20])"], []).configs
    assert [(one.results, one.depth) for one in found] == [("a)b", 8), ("it's(", 14), ("c\\", 20)]


def test_pairs_of_an_experiment_are_replaced_by_their_name(experiment):
    folders = experiment("params:\n  pairs: zip(depth=choice(8,14),width=choice(1,2))\n  seed: 0, 1")
    found = compose("+experiment=mine", folders)
    assert [(one.depth, one.width, one.seed) for one in found] == [(8, 1, 0), (8, 1, 1), (14, 2, 0), (14, 2, 1)]
    found = compose("+experiment=mine 'pairs=zip(depth=choice(20,26),width=choice(3,4))' seed=5", folders)
    assert [(one.depth, one.width, one.seed) for one in found] == [(20, 3, 5), (26, 4, 5)]
    with pytest.raises(ConfigError, match=r"^depth is in pairs=zip\(\.\.\.\) and given again: give it once$"):
        compose("+experiment=mine depth=20", folders)


def test_key_of_one_choice_is_left_out_of_other_cells():
    found = compose(f"{GATES} 'shortcut.bias_init=where(exclusive_gate,0,-1,-3)'")
    assert biases(found) == [
        ("identity", None), ("gate", -6), ("exclusive_gate", 0), ("exclusive_gate", -1), ("exclusive_gate", -3),
    ]  # fmt: skip


def test_several_choices_have_values_of_their_own_and_the_other_dimensions_cross_them():
    found = compose(f"{GATES} seed=0,1 'shortcut.bias_init=where(exclusive_gate,0,-1),where(gate,-2)'")
    assert biases(found[::2]) == [("identity", None), ("gate", -2), ("exclusive_gate", 0), ("exclusive_gate", 0)]
    assert [one.seed for one in found] == [0, 1, 0, 1, 0, 0, 1, 1]


def test_choice_may_be_in_pairs_or_the_only_one(experiment):
    found = compose("'p=zip(shortcut=choice(identity,gate),depth=choice(8,14))' 'shortcut.bias_init=where(gate,0,-1)'")
    assert biases(found) == [("identity", None), ("gate", 0), ("gate", -1)]
    assert biases(compose("'recipe.batch=where(digits,32,64)'")) == [("identity", None)] * 2
    folders = experiment("params:\n  shortcut: identity, gate\n  shortcut.bias_init: where(gate,0,-1)")
    assert biases(compose("+experiment=mine", folders)) == [("identity", None), ("gate", 0), ("gate", -1)]
    assert biases(compose("+experiment=mine shortcut=gate shortcut.bias_init=-5", folders)) == [("gate", -5)]
    assert biases(compose("+experiment=mine shortcut=identity", folders)) == [("identity", None)]  # narrowed


def test_choice_that_an_experiments_own_lists_do_not_have_is_refused(experiment):
    folders = experiment("params:\n  shortcut: identity, gate\n  shortcut.bias_init: where(gat,0,-1)")
    with pytest.raises(ConfigError, match=r"no run of this grid has shortcut=gat, only shortcut=identity,gate$"):
        compose("+experiment=mine", folders)


def test_rows_of_table_1_are_a_grid_of_biases_with_the_same_signatures():
    named = compose("+experiment=table1 seed=0")
    spelt = compose(
        "data=cifar10 depth=110 shortcut=identity,none,constant,frozen_gate,exclusive_gate,gate,conv1x1,dropout seed=0 "
        "'shortcut.bias_init=where(exclusive_gate,0,-1,-2,-3,-4,-5,-6,-7),where(gate,0,-6)'"
    )
    assert [signature(asdict(one)) for one in sorted(spelt, key=order)] == [
        signature(asdict(one)) for one in sorted(named, key=order)
    ]
    assert len({signature(asdict(one)) for one in named}) == 16


def test_sub_grids_are_united_and_the_command_line_is_for_all_of_them(experiment):
    folders = experiment(
        "params:\n"
        "  - {shortcut: identity, depth: '8, 14'}\n"
        "  - shortcut: gate\n    shortcut.bias_init: [0, -3]\n    depth: 8\n"
    )
    found = compose("+experiment=mine seed=0,1", folders)
    assert [(*pair, one.depth, one.seed) for pair, one in zip(biases(found), found, strict=True)] == [
        ("identity", None, 8, 0), ("identity", None, 8, 1), ("identity", None, 14, 0), ("identity", None, 14, 1),
        ("gate", 0, 8, 0), ("gate", 0, 8, 1), ("gate", -3, 8, 0), ("gate", -3, 8, 1),
    ]  # fmt: skip
    assert [one.depth for one in compose("+experiment=mine depth=20", folders)] == [20] * 3


def test_sub_grids_beside_lists_that_all_have(experiment, ask, tmp_path):
    folders = experiment(
        "params:\n  seed: 0, 1\n  rows:\n    - {shortcut: identity}\n    - {shortcut: 'identity, gate'}\n"
    )
    found = compose("+experiment=mine depth=8", folders)
    assert [(one.shortcut["name"], one.seed) for one in found] == [
        ("identity", 0), ("identity", 1), ("identity", 0), ("gate", 0), ("identity", 1), ("gate", 1),
    ]  # fmt: skip
    planned = ask("-m", "--config-dir", str(folders[0]), "+experiment=mine", "depth=8", "dry_run=true")
    assert planned.out.splitlines()[-1].startswith("4 runs; ")  # each once


def test_drawn_values_are_the_points_of_all_intervals_and_others_cross_them(experiment):
    rate = "'recipe.learning_rate=tag(log,interval(0.003,0.3))' 'recipe.batch=int(interval(16,64))'"
    drawn = points([Interval(0.003, 0.3, log=True), Interval(16, 64, whole=True)], 3, 7)
    found = compose(f"shortcut=identity,gate {rate} hydra.sweeper.samples=3 hydra.sweeper.seed=7")
    assert [(one.recipe.learning_rate, one.recipe.batch) for one in found] == [*drawn, *drawn]
    assert [one.shortcut["name"] for one in found] == ["identity"] * 3 + ["gate"] * 3
    folders = experiment("samples: 3\nseed: 7\nparams:\n  recipe.learning_rate: tag(log, interval(0.003, 0.3))")
    drawn = points([Interval(0.003, 0.3, log=True)], 3, 7)
    assert [(one.recipe.learning_rate,) for one in compose("+experiment=mine", folders)] == drawn


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("p=zip(depth=[8,14],width=[1,2,3])", "{} pairs lists of one length, and has 2 of depth, 3 of width"),
        ("p=zip(depth=choice(8,14))", "{} has one key: write {zip}"),
        ("p=zip(depth=8,14,width=1,2)", "{}: depth=8 " + LIST),
        ("p=zip('depth=8,14','width=1,2')", "{}: 'depth=8,14' is not KEY=LIST: write {zip}"),
        ("p=zip(depth=shuffle(8,14),width=choice(1,2))", "{}: depth=shuffle(8,14) " + LIST),
        ("p=zip(depth=interval(8,14),width=choice(1,2))", "{}: depth=interval(8,14) " + LIST),
        (PAIRS + ",8", "{} cannot be read: write {zip}"),
        ("p=zip(depth=choice(8,14),depth=choice(8,14))", "depth is in p=zip(...) and given again: give it once"),
        ("p=zip(seed=[1,2],hydra/launcher=[basic,a])", "{} is a list: give one value, because a grid has one launcher"),
        ("p=zip(width=choice(1,2),seed=range(0))", "{} pairs lists of one length, and has 2 of width, 0 of seed"),
        ("p=zip(width=[],seed=[])", "{} pairs empty lists: no run would be trained"),
        ("p=zip(width=[1,2],seed=range(1,3,0))", "seed=range(1,3,0) is invalid: its step must not be 0"),
        ("seed=range(1,3,0)", "{} is invalid: its step must not be 0"),
        ("recipe.learning_rate=0.3,interval(0.1,0.2)", "{} has an interval in a list: give one interval, or values"),
        ("shortcut.bias_init=where(a,interval(0,1))", "{}: where(...) takes a choice and then values, as in {where}"),
        ("shortcut.bias_init=where(interval(0,1),0)", "{}: where(...) takes a choice and then values, as in {where}"),
        (
            "shortcut.bias_init=where(gate,0),where(gate,1)",
            "{} has a choice twice: write all its values in one where(...)",
        ),
        ("depth=zip(seed=[1,2],width=[1,2])", "{}: depth is a key, and here it names a zip: give {pairs}"),
        ("+" + PAIRS, "{}: '+p' cannot name a zip: write {zip}"),
        ("p=zap(depth=choice(8,14))", "{} cannot be read: there is no zap(...); did you mean 'zip'?"),
        ("shortcut.bias_init=where(stable,0)", "{}: no run of this grid has shortcut=stable, only shortcut=identity"),
        ("depth=where(gate,8,14)", "{}: where(...) is for a key of a group, as in {where}"),
        ("shortcut=where(gate,8,14)", "{}: where(...) is for a key of a group, as in {where}"),
        ("shortcut.bias_init=where(gate)", "{}: where(...) takes a choice and then values, as in {where}"),
        ("shortcut.bias_init=where()", "{} cannot be read: write shortcut.bias_init=where(CHOICE,A,B)"),
        ("shortcut.bias_init=where(gate,range(3))", "{}: where(...) takes a choice and then values, as in {where}"),
        ("shortcut.bias_init=where(gate,0),-3", "{} has values outside where(...): write a where(...) for each choice"),
        ("shortcut.bias_init=were(gate,0)", "{} cannot be read: there is no were(...); did you mean 'where'?"),
        ("recipe.learning_rate=interval(0.1,0.2)", "{} needs a number of samples: add hydra.sweeper.samples=N"),
        ("recipe.learning_rate=interval(0.1)", "{} cannot be read: write recipe.learning_rate=interval(START,END)"),
        ("recipe.learning_rate=interval(0.2,0.1)", "{}: interval(0.2,0.1) is invalid: its end must be above its start"),
        ("recipe.batch=tag(log,interval(0,1))", "{}: interval(0,1) cannot be logarithmic: its start must be above 0"),
        ("recipe.learning_rate=tag(lgo,interval(1,2))", "{} has the tag lgo: the one that has a meaning is log"),
        ("hydra.sweeper.samples=0", "hydra.sweeper.samples=0 is invalid: use 1 to 100,000"),
        ("hydra.sweeper.samples=many", "hydra.sweeper.samples=many is invalid: use 1 to 100,000"),
        ("hydra.sweeper.samples=8", "{} draws values in intervals, and the grid has none: add one, as in " + INTERVAL),
        ("hydra.sweeper.seed=-1", "hydra.sweeper.seed=-1 is invalid: use a whole number of 0 or more"),
        ("hydra.sweeper.sample=8", "there is no key 'hydra.sweeper.sample': ablate --help lists them"),
    ],
)  # fmt: skip
def test_list_that_cannot_be_meant_is_refused_in_one_sentence(word, sentence):
    with pytest.raises(ConfigError) as caught:
        cells.compose([word], [])
    assert str(caught.value).partition(" (in the cell")[0] == sentence.format(word, **FORMS)


def test_samples_of_an_interval_that_is_replaced_are_refused():
    with pytest.raises(ConfigError, match=r"^hydra.sweeper.samples=8 draws values in intervals, and the grid has none"):
        cells.compose(["width=interval(1,2)", "width=1", "hydra.sweeper.samples=8"], [])


def test_list_without_m_is_refused():
    from ablate.config.words import parse_run

    for word in (
        "p=zip(depth=choice(8,14),width=choice(1,2))",
        "shortcut.bias_init=where(gate,0)",
        "width=interval(1,2)",
    ):
        with pytest.raises(ConfigError, match=r"is a list: add -m for a run of each"):
            parse_run([word])


@pytest.mark.parametrize("params", ["[]", "[1, 2]", "[{}]", "[{depth: 8}, 5]"])
def test_sub_grids_that_are_no_lines_are_refused(params, experiment):
    folders = experiment(f"params: {params}")
    if params == "[]":
        assert len(compose("+experiment=mine", folders)) == 1
        return
    with pytest.raises(ConfigError) as caught:
        compose("+experiment=mine", folders)
    assert str(caught.value) == "hydra.sweeper.params is a list of sub-grids: each must be lines of KEY: LIST"
