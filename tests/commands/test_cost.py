"""The command cost: what is measured, for which images, and in which form."""

import json

import pytest

from ablate.models.build import build
from ablate.models.cost import multiply_adds, parameters


@pytest.fixture
def networks(ask):
    """The networks in the JSON of `ablate cost WORDS --json`."""

    def measured(*words):
        outcome = ask("cost", *words, "--json")
        assert outcome.status == 0, outcome.err
        return json.loads(outcome.out)["networks"]

    return measured


def test_parts_add_up_to_the_network(networks, resolve):
    (found,) = networks("depth=8", "shortcut=gate", "data=cifar10")
    network = build(resolve("depth=8", "shortcut=gate"), shape=(3, 32, 32), classes=10)
    assert found["images"] == {"shape": [3, 32, 32], "classes": 10, "whose": "of data=cifar10"}
    assert (found["network"], found["depth"]) == ("gate bias_init=-6", 8)
    assert (found["parameters"], found["multiply_adds"]) == (parameters(network), multiply_adds(network, (3, 32, 32)))
    assert [part["part"] for part in found["parts"]] == ["stem", "stage 1", "stage 2", "stage 3", "head"]
    for key in ("parameters", "multiply_adds", "activation_bytes"):
        assert sum(part[key] for part in found["parts"]) == found[key] > 0


@pytest.mark.parametrize(
    ("words", "shape", "classes"),
    [
        (["depth=8"], [1, 8, 8], 10),
        (["net=lenet5"], [1, 8, 8], 10),
        (["net=resnet18"], [3, 224, 224], 1000),
        (["net=googlenet"], [3, 224, 224], 1000),
        (["net=googlenet", "net.size=32"], [1, 8, 8], 10),
        (["net=resnet18", "data=cifar100"], [3, 32, 32], 100),
        (["net=resnet18", "--size", "64"], [3, 64, 64], 1000),
        (["depth=8", "--size", "48", "--classes", "7"], [3, 48, 48], 7),
        (["depth=8", "--classes", "7"], [1, 8, 8], 7),
    ],
)
def test_images_that_the_numbers_are_for(words, shape, classes, networks, ask):
    (found,) = networks(*words)
    assert (found["images"]["shape"], found["images"]["classes"]) == (shape, classes)
    channels, height, width = shape
    assert (
        f"for an image of {height}x{width}x{channels} and {classes} classes"
        in ask("cost", *words).out.partition("\n")[0]
    )


def test_recomputed_units_keep_only_their_input(networks):
    whole, recomputed = (
        networks("depth=14", f"activation_checkpointing={value}")[0]["parts"][1]["activation_bytes"]
        for value in ("false", "true")
    )
    floats = 8**2 * 16  # in each tensor of the first stage, whose first input the stem keeps
    assert (whole, recomputed) == (2 * 4 * 4 * floats, 4 * floats)


def test_grid_has_a_line_for_each_network_and_none_for_seeds(networks, ask):
    words = ("-m", "depth=8,14", "shortcut=identity,gate", "seed=0,1")
    found = networks(*words)
    assert [(one["network"], one["depth"]) for one in found] == [
        ("identity", 8), ("gate bias_init=-6", 8), ("identity", 14), ("gate bias_init=-6", 14),
    ]  # fmt: skip
    lines = ask("cost", *words).out.splitlines()
    assert lines[0] == "4 networks: for an image of 8x8x1 and 10 classes, of data=digits"
    assert lines[1].split() == ["network", "depth", "parameters", "multiply-adds", "activations", "(kB)"]
    assert lines[2].split() == ["identity", "8", "75,002", "747,136", f"{found[0]['activation_bytes'] / 1e3:.1f}"]


def test_lines_of_a_grid_have_different_names(networks, ask):
    words = ("-m", "depth=8", "width=1,2", "activation_checkpointing=false,true")
    names = [f"identity width={width}" for width in (1, 2)]
    found = networks(*words)
    wanted = [f"{name}{more}" for name in names for more in ("", " activation_checkpointing=true")]
    assert [one["network"] for one in found] == wanted
    assert found[0]["activation_bytes"] > found[1]["activation_bytes"]
    assert ask("cost", "-m", "seed=0,1", "depth=8").out.startswith("1 network: for an image of 8x8x1")


OWN = """
from ablate.models.shortcuts import Identity

class Own(Identity):
    def __init__(self, in_channels, out_channels, stride, *, kind):
        super().__init__(in_channels, out_channels, stride)
"""


def test_brackets_in_a_name_are_not_markup(ask, tmp_path, monkeypatch):
    (tmp_path / "own_kinds.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    found = ask("cost", "-m", "depth=8,14", "shortcut._target_=own_kinds.Own", "+shortcut.kind='[red]'")
    assert [line.split("  ")[0] for line in found.out.splitlines()[2:]] == ["Own kind=[red]"] * 2


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["data=folder"], "no images are read: write --size 224 --classes 10 in place of data=folder"),
        (["data=imagenet"], "no images are read: write --size 224 --classes 10 in place of data=imagenet"),
        (["+data.root=x"], "no images are read: write --size 224 --classes 10 in place of +data.root=x"),
        (["--size", "0"], "--size 0 is invalid: use 1 to 1024 pixels"),
        (["--classes", "0"], "--classes 0 is invalid: use 1 or more"),
        (["--size", "32", "data=cifar10"], "--size and data= are both given: give one of them"),
        (["net=resnet18", "--size", "16"], "net resnet18 needs images of 32x32 or more, and these are 16x16"),
        (["depth=9"], "depth 9 is not 6n+2; nearest: 8, 14"),
        (["depth=8,14"], "depth=8,14 is a list: add -m for one line for each, as in ablate cost -m depth=8,14"),
    ],
)
def test_what_cannot_be_measured_is_refused(words, sentence, ask):
    outcome = ask("cost", *words)
    assert (outcome.status, outcome.err) == (2, f"ablate cost: {sentence}\n")
