"""Probes measure what they say, and leave a run's bits alone."""

import json
import math
import signal

import pytest
import torch
from torch.nn import functional

from ablate.models import build
from ablate.models.shortcuts import Gate
from ablate.probes.stages import Probes
from ablate.runs.observer import Observer
from ablate.runs.reading import TIMES
from ablate.runs.stopping import Interrupted

TINY = ("shortcut=gate", "depth=8", "epochs=3")


@pytest.fixture
def net(resolve):
    torch.manual_seed(0)
    return lambda *words: build(resolve("depth=8", *words), channels=1, classes=10)


def measured(net, dataset):
    with torch.no_grad(), Probes(net.eval()).watch() as found:
        net(dataset)
    return found


def test_openness_of_a_gate_with_no_weights_is_that_of_its_bias(net):
    net = net("shortcut=gate", "shortcut.bias_init=-2")
    gates = [module for module in net.modules() if isinstance(module, Gate)]
    for gate in gates:
        torch.nn.init.zeros_(gate.gate.weight)
    torch.nn.init.constant_(gates[-1].gate.bias, 3.0)
    found = measured(net, torch.randn(5, 1, 8, 8))
    assert found["gate_openness/stage1"] == pytest.approx(1 / (1 + math.exp(-2)))
    assert found["gate_openness/stage2"] == pytest.approx(1 / (1 + math.exp(-2)))
    assert found["gate_openness/stage3"] == pytest.approx(1 / (1 + math.exp(3)))


def test_openness_is_the_mean_over_all_pictures_however_they_are_batched(net):
    net = net("shortcut=exclusive_gate", "shortcut.bias_init=0")
    dataset = torch.randn(7, 1, 8, 8)
    seen = []
    gate = next(module for module in net.modules() if isinstance(module, Gate))
    hook = gate.gate.register_forward_hook(lambda _module, _inputs, logits: seen.append(1 - torch.sigmoid(logits)))
    with torch.no_grad(), Probes(net.eval()).watch() as found:
        net(dataset[:4])
        net(dataset[4:])
    hook.remove()
    assert found["gate_openness/stage1"] == pytest.approx(torch.cat(seen).mean().item(), rel=1e-5)


def test_a_net_without_gates_has_no_openness(net):
    assert not [name for name in measured(net("shortcut=identity"), torch.randn(2, 1, 8, 8)) if "gate" in name]


def test_after_a_watch_nothing_is_left_in_the_net(net):
    net = net("shortcut=gate")
    with pytest.raises(RuntimeError), Probes(net).watch():
        raise RuntimeError
    assert not [module for module in net.modules() if module._forward_hooks]


def test_gradients_are_the_norms_over_each_stages_weights(net):
    net = net("shortcut=gate")
    functional.cross_entropy(net(torch.randn(6, 1, 8, 8)), torch.arange(6)).backward()
    probes = Probes(net)
    probes.gradients()
    with probes.watch() as found:
        pass
    for number, stage in enumerate(net.stages, 1):
        squares = sum((p.grad.double() ** 2).sum().item() for p in stage.parameters())
        assert found[f"gradient/stage{number}"] == pytest.approx(math.sqrt(squares), rel=1e-5)
    assert len({round(found[f"gradient/stage{k}"], 9) for k in (1, 2, 3)}) == 3


def record(folder):
    (found,) = (path for path in folder.iterdir() if path.name[0] not in "_.")
    return found


def lines(folder):
    found = [json.loads(line) for line in (record(folder) / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in TIMES} for line in found]


def sha(folder):
    return json.loads((record(folder) / "result.json").read_text())["weights_sha256"]


@pytest.fixture
def probed(ask, tmp_path):
    """A probed run, undisturbed."""
    assert ask(*TINY, "probes=true", f"results={tmp_path / 'probed'}").status == 0
    return tmp_path / "probed"


def test_probes_leave_the_weights_and_every_other_number_as_they_are(ask, probed, tmp_path):
    assert ask(*TINY, f"results={tmp_path / 'plain'}").status == 0
    assert sha(probed) == sha(tmp_path / "plain")
    without = lines(probed)
    assert [len(line.pop("probes")) for line in without] == [6, 6, 6]
    assert without == lines(tmp_path / "plain")
    assert record(probed).name != record(tmp_path / "plain").name


# In the middle of an epoch, and at the end of one: its gradients are taken, its evaluation is still to come.
@pytest.mark.parametrize(("steps", "evaluated"), [(30, 1), (20, 0)])
def test_a_probed_run_that_is_stopped_and_resumed_measures_the_same(
    ask, probed, tmp_path, monkeypatch, steps, evaluated
):
    words = (*TINY, "probes=true", f"checkpoint.steps={steps}", f"results={tmp_path / 'stopped'}")
    whole = Observer.checkpoint

    def stop(self, state):
        whole(self, state)
        raise Interrupted(signal.SIGTERM, self.now, kept=True)

    with monkeypatch.context() as patch:
        patch.setattr(Observer, "checkpoint", stop)
        assert ask(*words).status == 128 + signal.SIGTERM
    assert len(lines(tmp_path / "stopped")) == evaluated
    assert ask(*words).status == 0
    assert lines(tmp_path / "stopped") == lines(probed)
    assert sha(tmp_path / "stopped") == sha(probed)
