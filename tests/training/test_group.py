"""Several processes that train one run: the same training, and what happens when one of them dies."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import asdict, replace

import pytest
import torch

from ablate.base.errors import AblateError, ConfigError
from ablate.base.place import Place
from ablate.config.check import check_processes
from ablate.config.resolve import from_overrides
from ablate.data.batches import training_batches
from ablate.data.load import load
from ablate.models.build import build
from ablate.runs.code import code
from ablate.runs.follow import Order, checked
from ablate.training.synchronise import normalised_over, synchronise
from tests.conftest import ROOT
from tests.data.images import write_images
from tests.waiting import LIMIT, held, until

DROPOUT = ("shortcut=dropout", "depth=8", "iterations=30", "checkpoint.steps=4", "device=cpu", "results=runs")


GONE = "a process of this run died, or cannot be reached any more"


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture
def begin(tmp_path):
    """`begin(size, *words)`: the processes of `python WORDS` in tmp_path, by rank. Those left over are killed."""
    every = []

    def begun(size, *words):
        where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "GLOO_SOCKET_IFNAME": "lo"}
        for rank in range(size):
            here = {"RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": size}
            environment = {**os.environ, **where, **{key: str(value) for key, value in here.items()}}
            every.append(
                subprocess.Popen(
                    [sys.executable, *words],
                    cwd=tmp_path,
                    env=environment | {"PYTHONPATH": ROOT},
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    start_new_session=True,
                )
            )
        return every[-size:]

    yield begun
    for one in every:
        with contextlib.suppress(ProcessLookupError):
            one.kill()
        one.communicate()


@pytest.fixture
def together(begin):
    """`together(size, *words)`: exit status and both streams of each process."""

    def ran(size, *words):
        made = begin(size, *words)
        return [(*one.communicate(timeout=LIMIT)[::-1], one.returncode) for one in made]

    return ran


def result(tmp_path):
    """The only record in runs/."""
    [path] = (tmp_path / "runs").glob("*/result.json")
    return json.loads(path.read_text())


STEPS = """
import json, pathlib, sys, torch
from ablate.config.resolve import from_overrides
from ablate.training.evaluate import evaluate
from ablate.training.group import group
from ablate.training.loop import NullObserver
from ablate.training.setup import Setup

torch.set_num_threads(1)
setup = Setup(from_overrides(*sys.argv[1:]))
setup.network.double()
training = setup.start(warn=print)
step = training.step
step.batches.mean, step.losses = step.batches.mean.double(), step.losses.double()

class Kept(NullObserver):
    losses, evaluations = [], []
    def step(self, number):
        self.losses.append(step.losses[(number - 1) % step.batches.per_epoch].item())
    def evaluation(self, one):
        self.evaluations.append([one.train_loss, one.train_error, one.test_loss, one.test_error])

random = torch.rand(1).item()
ending = training.train(Kept())
found = {"losses": Kept.losses, "evaluations": Kept.evaluations, "random": random,
         "predictions": ending.predictions.tolist(),
         "alone": evaluate(training.network, training.dataset.test_batches(step.batches.mean)).loss,
         "buffers": [value.tolist() for value in training.network.buffers()]}
pathlib.Path(f"found-{group().place.rank}.json").write_text(json.dumps(found))
"""


@pytest.mark.parametrize("size", [2, pytest.param(3, marks=pytest.mark.long)])
def test_processes_train_as_one_with_synchronised_batch_normalisation(size, together, tmp_path):
    words = ["depth=8", "iterations=20", "recipe.batch=120", "recipe.learning_rate=0.05", "device=cpu"]
    words += ["data.shift=1", "data.flip=true", "sync_batch_norm=true"]
    (tmp_path / "steps.py").write_text(STEPS)
    for count in (1, size):
        assert [status for *_, status in together(count, "steps.py", *words)] == [0] * count
        found = [json.loads((tmp_path / f"found-{rank}.json").read_text()) for rank in range(count)]
        if count == 1:
            [alone] = found
    assert len(alone["losses"]) == 20
    assert found[0]["random"] == alone["random"]
    assert len({one["random"] for one in found}) == size  # each drops units of its own images
    for one in found:
        assert one["losses"] == pytest.approx(alone["losses"], rel=1e-9)
        assert one["evaluations"] == [pytest.approx(two, rel=1e-6) for two in alone["evaluations"]]
        assert one["predictions"] == alone["predictions"]
        for ours, theirs in zip(one["buffers"], alone["buffers"], strict=True):
            assert ours == pytest.approx(theirs, rel=1e-9)


STOPS = """
import sys
from ablate.config.resolve import from_overrides
from ablate.training.chance import Chance
from ablate.training.group import group
from ablate.training.loop import NullObserver
from ablate.training.setup import Setup

rank = group().place.rank
if rank and sys.argv[1] == "differ":
    Chance.holds = lambda *numbers: False
ending = Setup(from_overrides(*sys.argv[2:])).start(warn=print).train(NullObserver())
print(ending.stopped_at)
"""


@pytest.mark.parametrize("view", ["agree", "differ"])
def test_processes_stop_at_chance_at_one_step_as_the_leader_decides(view, together, tmp_path):
    words = ["depth=8", "iterations=12", "recipe.batch=400", "recipe.learning_rate=1e-9", "stop_at_chance=0.5"]
    (tmp_path / "stops.py").write_text(STOPS)
    found = together(2, "stops.py", view, *words, "device=cpu")
    assert [(out, status) for _, out, status in found] == [("6\n", 0)] * 2


@pytest.mark.long
def test_batch_normalisation_is_per_process_by_default(together, tmp_path):
    (tmp_path / "steps.py").write_text(STEPS)
    found = []
    for count in (1, 2):
        together(count, "steps.py", "depth=8", "iterations=3", "recipe.batch=120", "device=cpu")
        found.append(json.loads((tmp_path / "found-0.json").read_text()))
        # Process 0's running statistics are those of the evaluation, and of what it writes.
        assert found[-1]["evaluations"][-1][2] == pytest.approx(found[-1]["alone"], rel=1e-9)
    assert abs(found[0]["losses"][0] - found[1]["losses"][0]) > 1e-4


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The result of DROPOUT by two processes that nobody disturbs."""
    folder = tmp_path_factory.mktemp("whole")
    environment = {**os.environ, "PYTHONPATH": ROOT, "GLOO_SOCKET_IFNAME": "lo"}
    (folder / "own.py").write_text("from ablate.models.shortcuts import Dropout as Holds\n")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    words = [*DROPOUT, "shortcut._target_=own.Holds"]
    subprocess.run([*torchrun, "-m", "ablate", *words], cwd=folder, env=environment, check=True, timeout=LIMIT)
    return result(folder)


def test_run_whose_process_died_is_resumed_to_the_same_bits(whole, begin, together, tmp_path):
    words = ["-m", "ablate", *DROPOUT, held(tmp_path, "Dropout", step=14)]
    leader, other = begin(2, *words)
    until((tmp_path / "waits").exists, leader)
    other.kill()
    (tmp_path / "hold").unlink()
    out, error = leader.communicate(timeout=LIMIT)
    assert (leader.returncode, other.wait()) == (1, -signal.SIGKILL), (out, error)
    found = result(tmp_path)
    assert found["status"] == "failed"
    assert found["reason"] == f"{GONE}; run the same command again to resume"
    assert "Traceback" not in error
    [(error, out, _), _] = together(2, *words)
    assert "resumed at step" in out, error
    found = result(tmp_path)
    assert (found["weights_sha256"], found["test_error"]) == (whole["weights_sha256"], whole["test_error"])
    assert [one["processes"] for one in found["sessions"]] == [2, 2]
    assert (whole["processes"], whole["normalised_over"]) == (2, 32)


@pytest.mark.long
def test_signal_stops_all_processes_at_one_step(whole, begin, together, tmp_path):
    words = ["-m", "ablate", *DROPOUT, held(tmp_path, "Dropout", step=14)]
    both = begin(2, *words)
    until((tmp_path / "waits").exists, both[0])
    for one in both:
        one.send_signal(signal.SIGTERM)
    (tmp_path / "hold").unlink()
    streams = [one.communicate(timeout=LIMIT) for one in both]
    assert [one.returncode for one in both] == [128 + signal.SIGTERM, 0], streams
    assert streams[1] == ("", "")
    assert result(tmp_path)["status"] == "interrupted"
    together(2, *words)
    assert result(tmp_path)["weights_sha256"] == whole["weights_sha256"]


@pytest.mark.long
def test_run_resumed_by_another_number_of_processes_says_what_differs(begin, together, tmp_path):
    words = ["-m", "ablate", *DROPOUT, held(tmp_path, "Dropout", step=14)]
    both = begin(2, *words)
    until((tmp_path / "waits").exists, both[0])
    both[0].send_signal(signal.SIGINT)
    (tmp_path / "hold").unlink()
    assert both[0].wait(LIMIT) == 130
    [(error, _, status)] = together(1, *words)
    assert status == 0
    assert "batch normalisation sees 64 images at a time, and 32 before" in error
    found = result(tmp_path)
    assert [one["processes"] for one in found["sessions"]] == [2, 1]


BROKEN = """
import os
from ablate.models.shortcuts import Identity

class Broken(Identity):
    def __init__(self, *built, option="A", when="built"):
        super().__init__(*built, option=option)
        self.when = when
        self.at("built")

    def at(self, moment):
        if moment == self.when and os.environ["RANK"] == "2":
            raise ValueError("no such luck")

    def forward(self, x, residual):
        if self.training:
            self.at("trained")
        return super().forward(x, residual)
"""


@pytest.mark.long
@pytest.mark.parametrize("when", ["built", "trained"])
def test_grid_goes_on_after_one_process_could_not_prepare_a_run(when, together, tmp_path):
    (tmp_path / "own.py").write_text(BROKEN)
    words = ["-m", "ablate", "-m", "shortcut._target_=own.Broken", f"+shortcut.when={when},never", "depth=8"]
    words += ["iterations=10", "recipe.batch=60", "device=cpu", "results=runs"]
    [(error, _, status), (innocent, _, one), (guilty, _, other)] = together(3, *words)
    assert status == 1
    states = {
        found["config"]["shortcut"]["when"]: found
        for found in (json.loads(path.read_text()) for path in (tmp_path / "runs").glob("*/result.json"))
    }
    assert "no such luck" in states[when]["reason"]
    assert "process 2 of 3" in states[when]["reason"]
    assert "Traceback" not in error + innocent + guilty
    if when == "built":
        assert states["never"]["status"] == "finished"
        assert (one, innocent, other, guilty) == (0, "", 0, "")
    else:  # in the middle of a step: nobody knows what the other process has left unsaid
        assert "never" not in states
        assert "out of step" in error
        assert (one, other) == (1, 1)
        assert innocent == f"ablate: process 1 of 3 ended: {GONE}\n"


@pytest.mark.long
def test_all_processes_end_when_there_is_nothing_to_train(together):
    found = together(2, "-m", "ablate", "depth=8", "dry_run=true")
    assert [status for *_, status in found] == [0, 0]
    for words, why in (
        (["depth=9"], "depth 9 is not 6n+2"),
        (["-m", "depth=8", "seed=0,1", "hydra/launcher=joblib"], "leave out pack and hydra/launcher"),
        (["depth=8", "data.validation=1"], "2 processes cannot share 1 test images"),
    ):
        found = together(2, "-m", "ablate", *words)
        assert [status for *_, status in found] == [2, 0]
        assert why in found[0][0]
        assert found[0][0].count("\n") == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["recipe.batch=30"], "recipe.batch=30 cannot be divided among 4 processes"),
        (["recipe.batch=4"], "recipe.batch=4 cannot be divided among 4 processes"),
        (["graph=true"], "graph=true is for one process, and these are 4"),
        (["probes=signal"], "probes=signal is for one process, and these are 4"),
        (["device=cuda:1"], "device=cuda:1 is one GPU, and 4 processes need one each"),
    ],
)
def test_run_that_processes_cannot_share_is_refused(words, sentence, resolve):
    config = resolve("depth=8", *words)
    check_processes(config, 1)
    with pytest.raises(ConfigError, match=sentence):
        check_processes(config, 4)


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"WORLD_SIZE": "2"}, "RANK, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT is not"),
        ({"WORLD_SIZE": "2", "RANK": "2"}, "a rank must be below its size"),
        ({"WORLD_SIZE": "2", "RANK": "x"}, "must be whole numbers"),
        ({"WORLD_SIZE": "2", "RANK": "0", "MASTER_PORT": "x"}, "process 0 of 2 cannot join the others at localhost:x"),
    ],
)
def test_environment_that_names_no_place_is_refused(variables, sentence, process):
    rest = {"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    found = process("ablate", "depth=8", **(rest | variables if "RANK" in variables else variables))
    assert found.status == 1
    assert sentence in found.err
    assert found.err.count("\n") == 1


def test_command_is_for_one_process(ask, monkeypatch):
    monkeypatch.setattr("ablate.commands.place", lambda: Place(0, 2, 0, 2))
    assert ask("status").status == 2
    assert ask("help").status == 0


def test_order_is_for_processes_with_the_same_code_images_and_torch(resolve, tmp_path):
    root = write_images(tmp_path)
    tree = asdict(resolve("depth=8", "shortcut=gate", "data=imagenet", f"data.root={root}", "data.size=32"))
    order = Order(tree, code(tree), torch.float32, 1, None)
    assert asdict(checked(order)) == tree
    for other, what in (
        ({"code": order.code | {"shortcut": "0"}}, "shortcut differ"),
        ({"torch": "1.0"}, "torch 1.0 and "),
        ({"tree": tree | {"data": tree["data"] | {"fingerprint": "0"}}}, "images or initial weights differ"),
    ):
        with pytest.raises(AblateError, match=what):
            checked(replace(order, **other))


def test_images_of_one_mean_are_those_of_a_process_or_of_the_batch(resolve):
    for words, wanted in (([], 32), (["sync_batch_norm=true"], 64), (["net=lenet5"], None)):
        config = resolve("recipe.batch=64", *(words if "net=lenet5" in words else ["depth=8", *words]))
        assert normalised_over(build(config, shape=(1, 8, 8), classes=10), config, 2) == wanted


def test_batch_normalisation_of_ones_own_is_not_replaced():
    class Own(torch.nn.BatchNorm2d):
        def forward(self, x):
            return x

    synchronise(torch.nn.Sequential(torch.nn.BatchNorm2d(3)), torch.device("cpu"))
    with pytest.raises(AblateError, match="Own has its own forward"):
        synchronise(torch.nn.Sequential(Own(3)), torch.device("cpu"))


def test_parts_of_processes_make_up_each_batch_and_the_test():
    config = from_overrides("depth=8", "data.shift=1", "data.flip=true", "recipe.batch=100")
    dataset = load(config.data)
    places = [Place(rank, 3) for rank in range(3)]
    whole, *parts = (training_batches(dataset, config, torch.device("cpu"), here) for here in (Place(), *places))
    for one in (whole, *parts):
        one.begin_epoch(1, 4)
    images, labels = zip(*(one.next() for one in parts), strict=True)
    assert [len(one) for one in labels] == [33, 33, 34]
    assert torch.equal(torch.cat(images), whole.next()[0])
    whole.begin_epoch(1, 4)
    assert torch.equal(torch.cat(labels), whole.next()[1])
    assert torch.equal(torch.cat([dataset.part(here).test_y for here in places]), dataset.test_y)
    assert torch.equal(torch.cat([dataset.part(here).test_x for here in places]), dataset.test_x)
