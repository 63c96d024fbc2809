"""What tells two runs apart, and what does not."""

import copy
import json
from dataclasses import asdict

import pytest

from ablate.runs.identity import EXCLUDED, cell, folder_name, signature

# What decides a result by the design. Should a later version exclude one of these, two requests would share a folder.
DECIDING = {
    *("depth", "unit._target_", "shortcut._target_", "shortcut.bias_init", "shortcut.option", "seed", "precision"),
    *("data.name", "data.validation", "data.shift", "data.flip", "data.fingerprint"),
    *("recipe.iterations", "recipe.epochs", "recipe.batch", "recipe.learning_rate", "recipe.milestones"),
    *("recipe.warmup", "recipe.momentum", "recipe.weight_decay"),
}


@pytest.fixture
def tree(resolve):
    return asdict(resolve("shortcut=gate", "depth=8"))


def leaves(node, path=()):
    for key, value in node.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def another(value):
    """A value of the same kind that says something else."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return 2 * value + 3
    if isinstance(value, list):
        return [*value, 0.9]
    return "other" if value is None else value + "x"


def is_excluded(path):
    return any(".".join(path[: end + 1]) in EXCLUDED for end in range(len(path)))  # itself, or the group it is in


def changed(tree, path, value):
    tree = copy.deepcopy(tree)
    node = tree
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return tree


def test_every_key_but_the_excluded_ones_changes_the_signature(tree):
    for path, value in leaves(tree):
        other = signature(changed(tree, path, another(value)))
        assert (other == signature(tree)) == is_excluded(path), path


def test_what_decides_a_result_is_not_excluded(tree):
    paths = {".".join(path) for path, _ in leaves(tree)}
    assert paths >= DECIDING
    assert not [path for path in DECIDING if is_excluded(path.split("."))]
    assert {name.split(".")[0] for name in EXCLUDED} <= set(tree)
    assert all(EXCLUDED.values())  # each with its reason


def test_any_two_changes_give_different_signatures(tree):
    changes = [changed(tree, path, another(value)) for path, value in leaves(tree) if not is_excluded(path)]
    assert len({signature(other) for other in changes}) == len(changes)


def test_the_number_of_a_gpu_is_no_matter_but_the_kind_of_device_is(tree):
    def of(device):
        return signature({**tree, "device": device})

    assert of("cuda") == of("cuda:0") == of("cuda:3")
    assert len({of("cuda"), of("cpu"), of("mps"), of("auto")}) == 4


def test_the_order_of_keys_is_no_matter(tree):
    def turned(node):
        return {key: turned(value) if isinstance(value, dict) else value for key, value in reversed(node.items())}

    assert list(turned(tree)) != list(tree)
    assert signature(turned(tree)) == signature(tree)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("recipe.learning_rate=1e-1", "recipe.learning_rate=0.1"),
        ("recipe.learning_rate=1", "recipe.learning_rate=1.0"),
        ("shortcut.bias_init=-6", "shortcut.bias_init=-6.0"),
        ("recipe.weight_decay=0.0001", "recipe.weight_decay=1e-4"),
    ],
)
def test_the_spelling_of_a_number_is_no_matter(one, other, resolve):
    assert signature(asdict(resolve("shortcut=gate", one))) == signature(asdict(resolve("shortcut=gate", other)))


def test_two_ways_of_asking_for_the_same_run_find_the_same_folder(resolve):
    def folder(*overrides):
        return folder_name(asdict(resolve(*overrides)))

    assert folder("shortcut=gate_b0") == folder("shortcut=gate", "shortcut.bias_init=0")
    assert folder("shortcut=frozen_gate") == folder("shortcut=constant", "shortcut.residual_scale=0.5")
    assert folder("iterations=7") == folder("recipe.iterations=7", "recipe.epochs=null")
    assert folder("shortcut=gate") != folder("shortcut=gate_b0")
    assert folder("epochs=20") == folder()  # the recipe's own length


def test_a_record_read_back_has_its_signature(tree):
    assert signature(json.loads(json.dumps(tree))) == signature(tree)


def test_taking_a_signature_leaves_the_tree_alone(tree):
    before = copy.deepcopy(tree)
    signature(tree)
    cell(tree)
    assert tree == before


def test_a_cell_is_a_run_without_its_seed(tree):
    assert cell(tree) == cell({**tree, "seed": 9})
    assert cell(tree) != cell({**tree, "depth": 14})
    assert cell(tree) != signature(tree)


def test_a_folder_is_name_and_signature_whatever_the_shortcut_is_called(tree):
    assert folder_name(tree) == f"digits-gate-d8-s0-{signature(tree)}"
    odd = changed(tree, ("shortcut", "name"), "../a b/ç" + "y" * 300)
    name = folder_name(odd)
    assert "/" not in name
    assert len(name) < 120
