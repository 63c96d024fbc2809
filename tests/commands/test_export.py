"""`ablate export`: files that other programs read."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy
import pytest
import torch
from safetensors import safe_open
from torchvision.models.resnet import BasicBlock

import ablate
from ablate.runs import export, layout
from tests.models.test_weights import Akamaster, Chenyaofo

TINY = ("depth=8", "iterations=3", "device=cpu")


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """`make(*words)` trains a run once and returns its folder."""
    made, results = {}, tmp_path_factory.mktemp("runs")

    def run(*words):
        if words not in made:
            made[words] = ablate.run(*TINY, *words, f"results={results}").folder
        return made[words]

    return run


@pytest.mark.parametrize(
    ("form", "option", "definition"),
    [("torchvision", "B", lambda: Chenyaofo(BasicBlock, 1)), ("akamaster", "A", lambda: Akamaster(1))],
)
def test_state_dict_of_a_release_computes_the_same_there(form, option, definition, make, ask, tmp_path):
    folder = make(f"shortcut.option={option}")
    written = ask("export", str(folder), "--to", form)
    file = tmp_path / "elsewhere" / f"{folder.name}-{form}.pt"
    assert (written.status, written.out) == (0, f"written: {file.name}\n")
    theirs = definition()
    theirs.conv1 = torch.nn.Conv2d(1, 16, 3, padding=1, bias=False)  # digits are grey
    theirs.load_state_dict(torch.load(file, weights_only=True))
    network, _ = ablate.load_network(folder)
    x = torch.randn(4, 1, 8, 8)
    with torch.no_grad():
        assert torch.allclose(theirs.eval()(x), network(x), atol=1e-5)


def test_safetensors_hold_the_network_its_configuration_and_its_mean_image(make, ask, tmp_path, resolve):
    folder, file = make("shortcut=gate"), tmp_path / "gate.safetensors"
    assert ask("export", str(folder), "--to", "safetensors", "--out", str(file)).status == 0
    state = torch.load(folder / layout.WEIGHTS, weights_only=True)
    with safe_open(file, "pt") as opened:
        facts = opened.metadata()
        assert {*opened.keys()} == {*state, "mean"}
        assert all(torch.equal(opened.get_tensor(name), value) for name, value in state.items())
        assert numpy.array_equal(opened.get_tensor("mean").numpy(), numpy.load(folder / layout.MEAN))
    result = json.loads((folder / layout.RESULT).read_text())
    assert json.loads(facts["config"]) == result["config"]
    assert json.loads(facts["images"]) == result["images"]
    evaluated = ask("evaluate", str(file), "shortcut=gate", "depth=8", "device=cpu", "--json")
    assert json.loads(evaluated.out)["error"] == result["test_error"]


def test_file_is_replaced_only_if_asked(make, ask, tmp_path):
    words, file = ("export", str(make("shortcut=gate")), "--to", "safetensors", "--out", "x"), tmp_path / "elsewhere/x"
    file.write_text("mine")
    refused = ask(*words)
    assert (refused.status, refused.err) == (
        2,
        "ablate export: x is there already: add --overwrite, or name another with --out\n",
    )
    assert file.read_text() == "mine"
    assert ask(*words, "--overwrite").status == 0
    assert file.stat().st_size > 1000
    missing = ask(*words[:-1], "no/x")
    assert (missing.status, len(missing.err.splitlines())) == (1, 1)
    assert "use another --out" in missing.err


@pytest.mark.parametrize(
    ("form", "words", "sentence"),
    [
        (
            "torchvision",
            (),
            "has shortcut.option=A, and torchvision's networks B: use --to safetensors, which takes any",
        ),
        ("torchvision", ("shortcut.option=C",), "has shortcut.option=C, and torchvision's networks B"),
        ("torchvision", ("shortcut=gate",), "has shortcut._target_=ablate.models.shortcuts.Gate, and torchvision's"),
        (
            "torchvision",
            ("shortcut.option=B", "unit.order=relu_before_addition"),
            "has unit.order=relu_before_addition,",
        ),
        ("torchvision", ("shortcut.option=B", "unit=single"), "has unit._target_=ablate.models.units.Single, and "),
        (
            "torchvision",
            ("net=resnet50", "unit.stride_in=1x1"),
            "has unit.stride_in=1x1, and torchvision's networks 3x3",
        ),
        ("akamaster", ("net=resnet18", "shortcut.option=A"), "has net._target_=ablate.models.resnet.imagenet, and "),
        ("akamaster", ("shortcut.option=B",), "has shortcut.option=B, and akamaster's networks A"),
        (
            "akamaster",
            ("unit=bottleneck", "depth=11"),
            "has unit._target_=ablate.models.units.Bottleneck, and akamaster's",
        ),
        ("akamaster", ("width=2",), "has width=2, and akamaster's networks 1"),
    ],
)
def test_network_that_a_release_has_not_is_refused(form, words, sentence, resolve):
    with pytest.raises(ablate.ConfigError) as caught:
        export.check(Path("RUN"), asdict(resolve(*words)), form)
    assert str(caught.value).startswith(f"RUN {sentence}")
    assert str(caught.value).endswith(": use --to safetensors, which takes any")


class Mean(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.mean = torch.nn.Buffer(torch.zeros(3))


def test_tensor_with_the_name_of_the_mean_image_is_not_overwritten(make, monkeypatch):
    monkeypatch.setattr(export, "load_network", lambda *_, **__: (Mean(), None))
    with pytest.raises(ablate.AblateError, match="has a tensor mean, as the mean image is called in the file: rename"):
        export.export(make("shortcut=gate"), "safetensors")


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("torchvision", ("shortcut.option=B", "depth=20")),
        ("torchvision", ("net=resnet18",)),
        ("torchvision", ("net=resnet50",)),
        ("torchvision", ("shortcut.option=B", "unit=bottleneck", "depth=20")),
        ("akamaster", ("depth=20",)),
    ],
)
def test_network_that_a_release_has_is_not_refused(form, words, resolve):
    export.check(Path("RUN"), asdict(resolve(*words)), form)


def test_refused_network_leaves_no_file(make, ask, tmp_path):
    refused = ask("export", str(make("shortcut=gate")), "--to", "torchvision")
    assert (refused.status, len(refused.err.splitlines())) == (2, 1)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_custom_code_needs_trust(tmp_path, monkeypatch, ask):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine_of_export.py").write_text(
        "from ablate.models.shortcuts import Identity\nclass Mine(Identity):\n    pass\n"
    )
    folder = ablate.run(*TINY, "shortcut._target_=mine_of_export.Mine", f"results={tmp_path / 'runs'}").folder
    words = ("export", str(folder), "--to", "safetensors")
    refused = ask(*words)
    assert (refused.status, len(refused.err.splitlines())) == (2, 1)
    assert "runs custom code, mine_of_export.Mine: look at it, then add " in refused.err
    assert "--trust" in refused.err
    assert ask(*words, "--trust").status == 0


def test_onnx_without_its_package_is_one_sentence(make, ask, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    refused = ask("export", str(make("shortcut=gate")), "--to", "onnx")
    assert (refused.status, refused.err) == (
        1,
        "ablate export: --to onnx needs a package: pip install 'ablate[onnx]'\n",
    )


@pytest.mark.long
@pytest.mark.filterwarnings("default")  # the exporter's own
def test_onnx_graph_answers_as_the_network_for_any_number_of_images(make, ask, tmp_path):
    from onnx.reference import ReferenceEvaluator

    folder, file = make("shortcut=gate"), tmp_path / "gate.onnx"
    assert ask("export", str(folder), "--to", "onnx", "--out", str(file)).status == 0
    graph = ReferenceEvaluator(str(file))
    network, prepare = ablate.load_network(folder)
    for count in (1, 3):
        images = torch.randint(0, 256, (count, 1, 8, 8), dtype=torch.uint8)
        with torch.no_grad():
            expected = network(prepare(images)).numpy()
        (logits,) = graph.run(None, {"images": (images / 255).numpy()})
        assert numpy.allclose(logits, expected, atol=1e-5)
