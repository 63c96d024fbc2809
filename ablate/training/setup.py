"""From a configuration to training steps: the one way, for runs, benchmarks and packing.

setup = Setup(config)               # device, dataset and network
training = setup.start(warn=print)  # all of it on the device, in its precision
training.train(observer)
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ablate.base.errors import ConfigError
from ablate.base.seeds import derive
from ablate.config.check import check_processes
from ablate.config.schema import SIGNAL, Config
from ablate.data.batches import per_epoch, training_batches
from ablate.data.dataset import Dataset
from ablate.data.load import load
from ablate.models.build import build
from ablate.models.generators import seed_generators
from ablate.models.network import Network
from ablate.probes.stages import Probes
from ablate.probes.training import SignalProbe
from ablate.training import loop
from ablate.training.chance import Check, chance_of, check_at
from ablate.training.device import compile_units, keep_memory, move, pick_device, pick_precision, set_deterministic
from ablate.training.evaluate import Test, evaluate
from ablate.training.graph import checked_graph
from ablate.training.group import group
from ablate.training.initial import initialise
from ablate.training.recompute import recompute_units
from ablate.training.schedule import learning_rate, total_steps
from ablate.training.step import Step
from ablate.training.synchronise import synchronise

if TYPE_CHECKING:
    from ablate.data.streamed import Streamed


class Setup:
    """The device, precision, dataset and network of a run, the last two on the CPU, and its length in steps.

    Raises ConfigError or AblateError if the device or the data is missing, the network cannot be built, or
    init_from does not fit it.
    """

    def __init__(self, config: Config) -> None:
        self.config, self.group = config, group()
        check_processes(config, self.group.place.size)
        self.device = pick_device(config.device, self.group.place)
        keep_memory()
        set_deterministic(self.device, config.deterministic)
        self.dataset = load(config.data)
        if (count := len(self.dataset.test_y)) < self.group.place.size:
            raise ConfigError(f"{self.group.place.size} processes cannot share {count} test images: start fewer")
        self.steps = total_steps(config.recipe, per_epoch(self.dataset, config.recipe.batch))
        self.chance = chance_of(self.dataset.train_y)
        self.network = build(config, shape=self.dataset.shape, classes=len(self.dataset.classes))
        initialise(self.network, config)
        self.precision = pick_precision(config.precision)

    def start(self, *, warn: Callable[[str], None], precision: torch.dtype | None = None) -> "Training":
        """Move everything to the device. `precision` overrides the configuration's: a resumed run keeps its own."""
        config, network, precision = self.config, self.network, precision or self.precision
        move(network, self.device)
        if config.compile:
            compile_units(network)
        if config.activation_checkpointing:
            recompute_units(network)
        here = self.group.place
        if config.sync_batch_norm and not here.alone:
            synchronise(network, self.device)
        dataset = self.dataset.to(self.device)
        batches = training_batches(dataset, config, self.device, here)
        step = Step(network, batches, config.recipe, precision, self.group)
        step.rate.fill_(learning_rate(0, self.steps, config.recipe))
        seed_generators(derive(config.seed, "training", *([here.rank] if here.rank else [])))
        take: Callable[[], None] = step
        if config.graph and self.device.type == "cuda":
            take = checked_graph(step, warn)
        elif config.graph:
            warn(f"graph=true has no effect on {self.device.type}: it is for CUDA")
        probed = config.probes == SIGNAL
        probes, signal = (Probes(network), SignalProbe(network, config.probe_every)) if probed else (None, None)
        check = check_at(config.stop_at_chance, self.steps, self.chance) if config.stop_at_chance else None
        return Training(config, network, step, take, dataset, probes, signal, check)


@dataclass
class Training:
    """A network on its device, ready to be trained. `take` takes a step: `step` itself, or a CUDA graph of it."""

    config: Config
    network: Network
    step: Step
    take: Callable[[], None]
    dataset: "Dataset | Streamed"
    probes: Probes | None
    signal: SignalProbe | None
    check: Check | None

    @property
    def graphed(self) -> bool:
        """Whether a CUDA graph takes the steps."""
        return self.take is not self.step

    def evaluate(self, pause: Callable[[], None] = lambda: None) -> Test:
        """The network on the test images; `pause` is called between batches and may raise, to stop."""
        together = self.step.group
        together.copy(self.network.buffers())  # of batch normalisation
        part, least = self.dataset.part(together.place), len(self.dataset.test_y) // together.place.size
        return evaluate(self.network, part.test_batches(self.step.batches.mean), pause, together, least)

    def train(self, observer: loop.NullObserver, resume: dict[str, Any] | None = None) -> loop.Ending:
        """Train to the end of the run; see `loop.train`. The processes of a group must all be ready."""
        self.step.join()
        measured = self.probes, self.signal
        recipe = self.config.recipe
        return loop.train(self.step, self.take, self.evaluate, recipe, *measured, self.check, observer, resume)

    def steps(self) -> Iterator[None]:
        """Endless steps at the first step's learning rate, without evaluation, to be timed."""
        epoch = 0
        while True:
            self.step.begin_epoch(epoch)
            for _ in range(self.step.batches.per_epoch):
                self.take()
                yield
            epoch += 1


def wait(device: torch.device) -> None:
    """Wait until the device is idle."""
    torch.get_device_module(device).synchronize()
