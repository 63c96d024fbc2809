"""What runs are called."""

from dataclasses import asdict

import pytest

from ablate.runs.naming import names, variants


@pytest.fixture
def named(resolve):
    """The names of a grid's runs, each given by its overrides."""
    return lambda *runs: names([asdict(resolve(*run)) for run in runs])


@pytest.mark.parametrize(
    ("runs", "wanted"),
    [
        ([("shortcut=gate", "depth=8", "seed=3")], ["gate bias_init=-6 d8 s3"]),
        ([("seed=0",), ("seed=1",)], ["identity s0", "identity s1"]),
        (
            [("shortcut=gate", "seed=0"), ("shortcut=gate_b0", "seed=0"), ("shortcut=gate", "seed=1")],
            ["gate bias_init=-6 s0", "gate bias_init=0 s0", "gate bias_init=-6 s1"],
        ),
        ([("shortcut=none",), ("shortcut=identity",)], ["none", "identity"]),
        ([("depth=20", "seed=1"), ("depth=56", "seed=1")], ["identity d20", "identity d56"]),
        ([("recipe.batch=32",), ("recipe.batch=64",)], ["identity recipe.batch=32", "identity recipe.batch=64"]),
        # cifar10 brings a recipe, crop and flip with it: the two names say it all
        ([("data=digits",), ("data=cifar10",)], ["identity digits digits", "identity cifar10 he2016"]),
        # where runs lie, what they run on and how often they are saved tells none from another
        ([("seed=0", "threads=1", "results=a"), ("seed=1", "threads=2", "results=b")], ["identity s0", "identity s1"]),
    ],
)
def test_a_name_says_what_differs_in_the_grid(named, runs, wanted):
    assert named(*runs) == wanted


def test_what_names_leave_out_is_said_where_it_alone_tells_runs_apart(named):
    assert named(("threads=1",), ("threads=2",)) == ["identity threads=1", "identity threads=2"]
    recipes = [(f"recipe={recipe}", f"recipe.batch={batch}") for recipe in ("digits", "he2016") for batch in (32, 64)]
    assert len(set(named(*recipes))) == 4


def test_names_tell_the_runs_of_a_grid_apart(named):
    grid = [
        (f"shortcut={shortcut}", f"depth={depth}", f"seed={seed}", f"recipe.batch={batch}")
        for shortcut in ("gate", "gate_b0", "dropout")
        for depth in (8, 14)
        for seed in (0, 1)
        for batch in (32, 64)
    ]
    assert len(set(named(*grid))) == len(grid)


def test_a_variant_is_told_from_those_of_its_shortcut_depth_and_data_alone(resolve):
    grid = [
        *[
            ("depth=8", f"precision={precision}", f"seed={seed}")
            for precision in ("auto", "float32")
            for seed in (0, 1)
        ],
        ("depth=14", "probes=true"),
        ("shortcut=gate", "depth=8"),
        ("depth=8", "data=cifar10"),
    ]
    assert variants([asdict(resolve(*run)) for run in grid]) == [
        *["identity precision=auto"] * 2,
        *["identity precision=float32"] * 2,
        "identity",
        "gate bias_init=-6",
        "identity",
    ]
