import re
from dataclasses import replace

import pytest

from ablate.base.errors import ConfigError
from ablate.config.check import check, check_types
from ablate.config.schema import as_typed


@pytest.mark.parametrize("depth", [8, 20, 56, 110, 1202])
def test_depths_of_6n_plus_2_pass(depth, resolve):
    check(replace(resolve(), depth=depth))


@pytest.mark.parametrize(
    ("depth", "nearest"),
    [(111, "110, 116"), (109, "104, 110"), (7, "8, 14"), (0, "8, 14"), (-4, "8, 14"), (2, "8, 14"), (9, "8, 14")],
)
def test_other_depths_are_refused_with_the_nearest(depth, nearest, resolve):
    with pytest.raises(ConfigError, match=rf"^depth {depth} is not 6n\+2; nearest: {nearest}$"):
        check(replace(resolve(), depth=depth))


@pytest.mark.parametrize(
    "override",
    [
        "seed=-1",
        f"seed={2**32}",
        "threads=0",
        "threads=100000",
        "depth=600002",
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
        "recipe.learning_rate=1e308",
        "recipe.weight_decay=1e39",
        "recipe.momentum=1",
        "recipe.weight_decay=-1",
        "recipe.warmup=1",
        "recipe.milestones=[0.7,0.5]",
        "recipe.milestones=[0.5,1.5]",
        "stop_at_chance=0",
        "stop_at_chance=1",
        "stop_at_chance=-1",
        "stop_at_chance=2",
        "stop_at_chance=nan",
        "checkpoint.minutes=0",
        "checkpoint.steps=0",
        "pack=0",
        "pack=some",
        "rerun=maybe",
        "results=",
    ],
)
def test_value_out_of_range_is_refused_by_its_key(override, resolve):
    with pytest.raises(ConfigError, match=" is invalid: use ") as caught:
        resolve(override)
    assert str(caught.value).startswith(override.partition("=")[0])
    assert "\n" not in str(caught.value)


def test_probes_in_compiled_units_are_refused(resolve):
    with pytest.raises(ConfigError, match=r"^probes=signal cannot measure inside compiled units: add compile=false$"):
        resolve("probes=signal", "compile=true")


@pytest.mark.parametrize(
    ("word", "cause"),
    [("compile", "cannot recompute compiled units"), ("graph", "cannot be captured as a CUDA graph")],
)
def test_activation_checkpointing_of_compiled_or_captured_units_is_refused(word, cause, resolve):
    with pytest.raises(ConfigError, match=rf"^activation_checkpointing=true {cause}: add {word}=false$"):
        resolve("activation_checkpointing=true", f"{word}=true")


def test_folder_without_its_parts_is_refused(resolve, tmp_path):
    (tmp_path / "train").mkdir()
    for words in ([], [f"data.root={tmp_path}"]):
        with pytest.raises(
            ConfigError, match=r"^data.root=.* must be a folder with train/CLASS/file and test/CLASS/file in it$"
        ):
            resolve("data=folder", *words)


@pytest.mark.parametrize("name", [".", "..", ".hidden", "-x", "a/b", "/tmp/a", "a\\b", "a\nb", "a\x1b[31m", "x" * 201])
def test_experiment_that_cannot_name_a_folder_is_refused(name, resolve):
    with pytest.raises(ConfigError, match=r"^experiment=.*cannot name a folder") as caught:
        check(replace(resolve(), experiment=name))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", [None, "", "table1", "my exp", "a.b-c_d", "Übung 1"])
def test_other_experiments_pass(name, resolve):
    check(replace(resolve(), experiment=name))


FILE = {"scale": 0.5, "count": 3, "norm": False, "option": "A", "free": None, "width": "???", "depth": "${depth}"}


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        *(("scale", value, "a number") for value in ("abc", True, None, [1])),
        *(("count", value, "a number") for value in ("3x", False)),
        *(("norm", value, "true or false") for value in (1, "maybe", None)),
        *(("option", value, "a word") for value in (1, True, None)),
    ],
)
def test_value_of_another_type_than_its_default_is_refused(key, value, wanted):
    message = rf"^shortcut.{key}={re.escape(as_typed(value))} is invalid: use {wanted}$"
    with pytest.raises(ConfigError, match=message):
        check_types("shortcut", {key: value}, FILE)


PASSES = {"scale": 1, "count": 0.5, "norm": True, "option": "B", "free": "x", "width": 3, "depth": 8}


@pytest.mark.parametrize("key", PASSES)
def test_value_of_the_same_type_or_without_a_default_passes(key):
    check_types("shortcut", {key: PASSES[key]}, FILE)
