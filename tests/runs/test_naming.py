"""Names of runs: the shortcut, and what else differs among them."""

from dataclasses import asdict

import pytest

from ablate.runs.identity import folder_name
from ablate.runs.naming import describe, names, variants


@pytest.fixture
def named(resolve):
    """The names of a grid's runs, each given by its overrides."""
    return lambda *runs: names([asdict(resolve(*run)) for run in runs])


@pytest.mark.parametrize(
    ("runs", "wanted"),
    [
        ([("shortcut=gate", "depth=8", "seed=3")], ["gate bias_init=-6 d8 s3"]),
        ([("seed=0",), ("seed=1",)], ["identity s0", "identity s1"]),
        ([("shortcut=layerscale", "seed=0")], ["layerscale init=null d20 s0"]),
        (
            [("shortcut=gate", "seed=0"), ("shortcut=gate_b0", "seed=0"), ("shortcut=gate", "seed=1")],
            ["gate bias_init=-6 s0", "gate bias_init=0 s0", "gate bias_init=-6 s1"],
        ),
        ([("shortcut=none",), ("shortcut=identity",)], ["none", "identity"]),
        ([("depth=20", "seed=1"), ("depth=56", "seed=1")], ["identity d20", "identity d56"]),
        ([("recipe.batch=32",), ("recipe.batch=64",)], ["identity recipe.batch=32", "identity recipe.batch=64"]),
        # cifar10 brings a recipe, crop and flip with it: the names of both are enough
        ([("data=digits",), ("data=cifar10",)], ["identity digits digits", "identity cifar10 he2016"]),
        ([("deterministic=true",), ()], ["identity deterministic=true", "identity deterministic=false"]),
        # keys that are not part of the identity do not count, nor the number of threads if the seed differs
        ([("seed=0", "threads=1", "results=a"), ("seed=1", "threads=2", "results=b")], ["identity s0", "identity s1"]),
    ],
)
def test_name_is_the_shortcut_and_what_differs_in_the_grid(named, runs, wanted):
    assert named(*runs) == wanted


def test_names_have_more_keys_if_fewer_leave_two_runs_with_one_name(named):
    assert named(("threads=1",), ("threads=2",)) == ["identity threads=1", "identity threads=2"]
    recipes = [(f"recipe={recipe}", f"recipe.batch={batch}") for recipe in ("digits", "he2016") for batch in (32, 64)]
    assert len(set(named(*recipes))) == 4


def test_runs_of_a_grid_have_distinct_names(resolve):
    bases = [asdict(resolve(f"shortcut={shortcut}")) for shortcut in ("gate", "gate_b0", "dropout")]
    grid = [
        {**base, "depth": depth, "seed": seed, "recipe": {**base["recipe"], "batch": batch}}
        for base in bases
        for depth in (8, 14)
        for seed in (0, 1)
        for batch in (32, 64)
    ]
    assert len(set(names(grid))) == len(grid)


def test_variant_has_what_differs_among_runs_of_its_shortcut_depth_and_data(resolve):
    identity = asdict(resolve("depth=8"))
    grid = [
        *[
            {**identity, "precision": precision, "seed": seed}
            for precision in ("bfloat16", "float32")
            for seed in (0, 1)
        ],
        {**identity, "depth": 14, "probes": True},
        asdict(resolve("depth=8", "shortcut=gate")),
        asdict(resolve("depth=8", "data=cifar10")),
    ]
    assert variants(grid) == [
        *["identity precision=bfloat16"] * 2,
        *["identity precision=float32"] * 2,
        "identity",
        "gate bias_init=-6",
        "identity",
    ]


@pytest.fixture
def units(resolve):
    """Configurations that differ in the unit: the shipped one, and of two other classes, each with a parameter."""
    tree = asdict(resolve("depth=8", "seed=3"))
    custom = [
        {"name": name, "_target_": f"mine.{name}", "groups": groups, "source": f"hash of {name}"}
        for name, groups in (("Preact", 1), ("Preact", 2), ("Wide", 2))
    ]
    return [tree, *({**tree, "unit": unit} for unit in custom)]


def test_unit_is_named_wherever_it_is_not_the_shipped_one(units):
    titles = ["identity", *(f"identity unit={unit}" for unit in ("Preact unit.groups=1", "Preact unit.groups=2"))]
    titles.append("identity unit=Wide unit.groups=2")
    assert [describe(tree) for tree in units] == [f"{title}, depth 8, digits, seed 3" for title in titles]
    assert names(units) == variants(units) == titles
    assert [names([tree]) for tree in units] == [[f"{title} d8 s3"] for title in titles]
    folders = [folder_name(tree).rpartition("-")[0] for tree in units]
    assert folders == [f"digits-identity{unit}-d8-s3" for unit in ("", "-Preact", "-Preact", "-Wide")]


def test_units_of_one_name_are_told_apart_by_their_source(units):
    edited = {**units[1], "unit": {**units[1]["unit"], "source": "other"}}
    assert len({*names([units[1], edited]), *variants([units[1], edited])}) == 2
    assert len(set(names([*units, edited]))) == 5
