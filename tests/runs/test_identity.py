"""What is part of a run's identity, and what is not."""

import copy
import json
from dataclasses import asdict

import pytest

from ablate.runs.identity import EXCLUDED, NEUTRAL, cell, folder_name, signature
from ablate.runs.naming import flatten

# Keys that decide a result. If one of these were excluded, two different requests would share a folder.
DECIDING = {
    *("depth", "unit._target_", "shortcut._target_", "shortcut.bias_init", "shortcut.option", "seed", "precision"),
    "init_fingerprint",
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
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return 2 * value + 3
    if isinstance(value, list):
        return [*value, 0.9]
    return "other" if value is None else value + "x"


def is_excluded(path):
    return any(".".join(path[: end + 1]) in EXCLUDED for end in range(len(path)))  # itself, or its group


def changed(tree, path, value):
    tree = copy.deepcopy(tree)
    node = tree
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return tree


# Configurations as records keep them, and their signatures. A signature that changes here makes every record of its
# kind a run that is trained again: give a new key a neutral value (identity.NEUTRAL) instead.
UNIDENTIFYING = {
    **{
        "checkpoint": {"minutes": 5.0, "steps": None},
        "pack": None,
        "rerun": None,
        "accept_code": False,
        "fail_fast": False,
        "dry_run": False,
        "graph": False,
    },
    **{"tracker": {"name": "none", "project": "ablate", "entity": None, "run": None}},
    **{"results": "results/runs", "experiment": None},
}
DEFAULT = {
    "shortcut": {"name": "identity", "_target_": "ablate.models.shortcuts.Identity", "option": "A"},
    "unit": {"name": "basic", "_target_": "ablate.models.units.Basic"},
    "data": {
        **{"name": "digits", "root": None, "validation": 0, "shift": 1, "flip": False, "download": False},
        **{"fingerprint": None},
    },
    "recipe": {
        **{"name": "digits", "iterations": None, "epochs": 20, "batch": 64, "learning_rate": 0.02},
        **{"milestones": [0.5, 0.75], "warmup": 0.02, "momentum": 0.9, "weight_decay": 0.0001},
    },
    **{"depth": 20, "seed": 0, "iterations": None, "epochs": None, "device": "auto", "precision": "float32"},
    **{"threads": None, "deterministic": False, "compile": False, "probes": False},
    **UNIDENTIFYING,
}
TABLE1 = {
    "shortcut": {
        **{"name": "gate", "_target_": "ablate.models.shortcuts.Gate", "bias_init": -6.0, "weight_init": "zero"},
        **{"decay_bias": True, "option": "A"},
    },
    "unit": {"name": "basic", "_target_": "ablate.models.units.Basic"},
    "data": {
        **{"name": "cifar10", "root": "data", "validation": 0, "shift": 4, "flip": True, "download": True},
        **{"fingerprint": None},
    },
    "recipe": {
        **{"name": "he2016", "iterations": 64000, "epochs": None, "batch": 128, "learning_rate": 0.1},
        **{"milestones": [0.5, 0.75], "warmup": 0.00625, "momentum": 0.9, "weight_decay": 0.0001},
    },
    **{"depth": 110, "seed": 3, "iterations": None, "epochs": None, "device": "cuda", "precision": "float32"},
    **{"threads": None, "deterministic": True, "compile": False, "probes": True},
    **UNIDENTIFYING,
}
# Of a version that had no key of NEUTRAL yet.
CUSTOM = {
    "shortcut": {"name": "ReZero", "_target_": "mine.ReZero", "source": "0123456789abcdef", "scales": [0.5, 1]},
    "unit": {"name": "basic", "_target_": "ablate.models.units.Basic"},
    "data": {
        **{"name": "folder", "root": "/data/birds", "validation": 500, "shift": 2, "flip": True, "download": False},
        **{"fingerprint": "fedcba9876543210"},
    },
    "recipe": {
        **{"name": "he2016", "iterations": 1000, "epochs": None, "batch": 32, "learning_rate": 1},
        **{"milestones": [], "warmup": 0.0, "momentum": 0.0, "weight_decay": 0.0},
    },
    **{"depth": 8, "seed": 1, "iterations": None, "epochs": None, "device": "cpu", "precision": "bfloat16"},
    **{"threads": 2, "deterministic": False},
    **UNIDENTIFYING,
}


@pytest.mark.parametrize(
    ("kept", "wanted"),
    [(DEFAULT, "26dc6f589d09718d"), (TABLE1, "e5d80114be73ae9b"), (CUSTOM, "229ea496181ed7a5")],
    ids=["default", "table1", "custom"],
)
def test_signature_of_a_kept_configuration_does_not_change(kept, wanted):
    assert signature(kept) == wanted


def test_requests_have_the_signatures_of_kept_configurations(resolve):
    table1 = ("shortcut=gate", "data=cifar10", "depth=110", "seed=3", "device=cuda:1", "probes=signal")
    assert signature(asdict(resolve())) == signature(DEFAULT)
    asked = resolve(*table1, "precision=float32", "deterministic=true", "data.root=elsewhere")
    assert signature(asdict(asked)) == signature(TABLE1)


@pytest.mark.parametrize("path", ["added", "recipe.added", "added.inner"])
@pytest.mark.parametrize(
    ("neutral", "other"),
    [
        *[(0, 1), (3, 4), (1.0, 1.5), ("sgd", "adam"), ("", "x"), (False, 0), (None, False)],
        *[([1, 2.0], [2, 1]), ([], [0]), ({"a": 1, "b": [2]}, {"a": 1, "b": [3]}), ({}, {"a": None})],
    ],
    ids=repr,
)
def test_key_added_with_a_neutral_value_leaves_signatures_alone(path, neutral, other, monkeypatch):
    *parents, leaf = path.split(".")
    monkeypatch.setitem(NEUTRAL, path, neutral)

    def at(value):
        tree = copy.deepcopy(DEFAULT)
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = dict(reversed(value.items())) if isinstance(value, dict) else value
        return tree

    assert signature(at(neutral)) == signature(DEFAULT)
    assert cell(at(neutral)) == cell(DEFAULT)
    assert signature(at(other)) != signature(DEFAULT)


def test_every_neutral_value_is_its_keys_default(resolve):
    tree = flatten(asdict(resolve("unit=bottleneck")))  # it has the keys of the other units, and one more
    assert {key: tree[key] for key in NEUTRAL} == NEUTRAL


def test_order_of_a_custom_unit_is_its_own_parameter():
    custom = DEFAULT | {"unit": {"name": "mine", "_target_": "mine.U", "source": "0123"}}
    assert signature(changed(custom, ("unit", "order"), "original")) != signature(custom)
    assert signature(changed(DEFAULT, ("unit", "order"), "original")) == signature(DEFAULT)


def test_every_key_that_is_not_excluded_changes_the_signature(tree):
    for path, value in leaves(tree):
        other = signature(changed(tree, path, another(value)))
        assert (other == signature(tree)) == is_excluded(path), path


def test_deciding_keys_are_not_excluded(tree):
    paths = {".".join(path) for path, _ in leaves(tree)}
    assert paths >= DECIDING
    assert not [path for path in DECIDING if is_excluded(path.split("."))]
    assert {name.split(".")[0] for name in EXCLUDED} <= set(tree)
    assert all(EXCLUDED.values())  # each with its reason


def test_two_changes_give_different_signatures(tree):
    changes = [changed(tree, path, another(value)) for path, value in leaves(tree) if not is_excluded(path)]
    assert len({signature(other) for other in changes}) == len(changes)


def test_signature_has_the_kind_of_device_but_not_its_index(tree):
    def of(device):
        return signature({**tree, "device": device})

    assert of("cuda") == of("cuda:0") == of("cuda:3")
    assert len({of("cuda"), of("cpu"), of("mps"), of("auto")}) == 4


def test_signature_does_not_depend_on_the_order_of_keys(tree):
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
def test_signature_does_not_depend_on_the_spelling_of_a_number(one, other, resolve):
    assert signature(asdict(resolve("shortcut=gate", one))) == signature(asdict(resolve("shortcut=gate", other)))


def test_equivalent_requests_have_the_same_folder(resolve):
    def folder(*overrides):
        return folder_name(asdict(resolve(*overrides)))

    assert folder("shortcut=gate_b0") == folder("shortcut=gate", "shortcut.bias_init=0")
    assert folder("shortcut=frozen_gate") == folder("shortcut=constant", "shortcut.residual_scale=0.5")
    assert folder("iterations=7") == folder("recipe.iterations=7", "recipe.epochs=null")
    assert folder("shortcut=gate") != folder("shortcut=gate_b0")
    assert folder("epochs=20") == folder()  # the recipe's own length


def test_signature_survives_json(tree):
    assert signature(json.loads(json.dumps(tree))) == signature(tree)


def test_signature_does_not_modify_the_tree(tree):
    before = copy.deepcopy(tree)
    signature(tree)
    cell(tree)
    assert tree == before


def test_cell_does_not_depend_on_the_seed(tree):
    assert cell(tree) == cell({**tree, "seed": 9})
    assert cell(tree) != cell({**tree, "depth": 14})
    assert cell(tree) != signature(tree)


def test_folder_name_is_safe_for_any_shortcut_name(tree):
    assert folder_name(tree) == f"digits-gate-d8-s0-{signature(tree)}"
    odd = changed(tree, ("shortcut", "name"), "../a b/ç" + "y" * 300)
    name = folder_name(odd)
    assert name == f"digits-.._a_b_{'y' * 33}-d8-s0-{signature(odd)}"
    assert "/" not in name
