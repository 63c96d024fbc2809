"""The typed schema of a run: every key, its type, its default and what it means.

`ablate --help`, tab completion and the configuration reference are generated from it. A default that a file in conf/
must state (a recipe's learning rate) is MISSING here.
"""

import json
from collections.abc import Iterator
from dataclasses import MISSING as NO_DEFAULT
from dataclasses import Field, dataclass, field, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, get_args

from omegaconf import MISSING

SIGNAL = "signal"
"""The value of `probes` that measures."""
CUSTOM = ("shortcut", "unit", "net")
"""Groups whose `_target_` may be a class outside this package."""
LABELS = ("name", "source", "layers", "_target_")
"""Keys of a shortcut or unit that are not parameters of its constructor."""
NET_LABELS = ("name", "source", "depth", "option", "_target_")
"""The same of a network: its number of layers if that is fixed, and the option of shortcuts that do not name one."""


def _key(default: Any, meaning: str) -> Any:
    kind = {"default_factory": default.copy} if isinstance(default, (list, dict)) else {"default": default}
    return field(**kind, metadata={"meaning": meaning})


def probes_of(value: Any) -> Any:
    """`probes` of a record, as it is written now: early records have true or false."""
    return (SIGNAL if value else "none") if isinstance(value, bool) else value


@dataclass
class Data:
    """A dataset, and how its training images are augmented."""

    name: str = _key(MISSING, "digits, cifar10, cifar100, folder or imagenet")
    root: str | None = _key(None, "folder of the dataset")
    validation: int = _key(0, "training images held out; if above 0, the run is evaluated on them, not on the test set")
    shift: int = _key(0, "pixels of zero padding on each side for the random crop")
    flip: bool = _key(False, "random horizontal flip")
    size: int | None = _key(None, "side of the images in pixels; null: as they are, or 224 of imagenet")
    colour: bool = _key(False, "of imagenet, random change of colour")
    views: int = _key(1, "of imagenet, views of each test image: 1, or 10 crops")
    workers: int | None = _key(None, "of imagenet, processes that read images; null: the cores")
    download: bool = _key(False, "fetch the dataset if it is not there")
    fingerprint: str | None = _key(None, "hash of an image folder's content; set automatically")


@dataclass
class Recipe:
    """How a network is trained. Milestones and warm-up are fractions of the run, so a shorter run keeps its shape."""

    name: str = _key(MISSING, "the recipe's name in tables")
    iterations: int | None = _key(None, "length in training steps; set this or epochs")
    epochs: int | None = _key(None, "length in epochs; set this or iterations")
    batch: int = _key(MISSING, "images in a batch")
    learning_rate: float = _key(MISSING, "initial learning rate")
    schedule: str = _key(
        "steps", "steps: divide the learning rate by 10 at the milestones; cosine: to 0 along a cosine"
    )
    milestones: list[float] = _key([], "fractions of the run at which the learning rate is divided by 10")
    warmup: float = _key(0.0, "fraction of the run at a tenth of the learning rate")
    momentum: float = _key(MISSING, "SGD momentum")
    nesterov: bool = _key(False, "Nesterov's momentum")
    weight_decay: float = _key(MISSING, "weight decay, on every parameter that no module exempts")
    decay_norm: bool = _key(True, "weight decay on the parameters of normalisation too")


@dataclass
class Checkpoint:
    """How often a run saves what it needs to resume."""

    minutes: float | None = _key(5.0, "minutes between checkpoints; null: no timed checkpoints")
    steps: int | None = _key(None, "steps between checkpoints; null: no step-based checkpoints")


@dataclass
class Tune:
    """Of a grid, values of its own for each row: those of the best of some trials on held-out training images."""

    trials: int | None = _key(None, "trials of each row, drawn in the grid's intervals; null: no tuning")
    studies: int = _key(1, "repetitions with other draws and another seed; the study with the median best counts")
    held_out: int | None = _key(None, "training images that the trials are evaluated on; null: a fifth")


@dataclass
class Tracker:
    """An experiment tracker that shows runs beside their records."""

    name: str = _key("none", "none or wandb")
    project: str = _key("ablate", "W&B project")
    entity: str | None = _key(None, "W&B user or team; null: your default")
    run: str | None = _key(None, "name of the run on W&B; null: its shortcut and what else differs in its grid")


@dataclass
class Config:
    """One run."""

    shortcut: dict[str, Any] = _key(MISSING, "h(x), and its parameters")
    unit: dict[str, Any] = _key(MISSING, "the residual unit, and its parameters")
    # The default is for records that are older than the key.
    net: dict[str, Any] = _key({"name": "resnet", "_target_": "ablate.models.resnet.cifar"}, "the network")
    data: Data = _key(MISSING, "the dataset")
    recipe: Recipe = _key(MISSING, "the training recipe")
    depth: int = _key(20, "layers: of net=resnet 6n + 2, with bottleneck units 9n + 2, with single units 3n + 2")
    width: float = _key(1, "times the channels of every unit, rounded down")
    seed: int = _key(0, "seed of initial weights, data order, augmentation and dropout")
    init_from: str | None = _key(
        None, "start from the weights in this file, of a run, torchvision or another release; or from a run's folder"
    )
    init_fingerprint: str | None = _key(None, "hash of that file's content; set automatically")
    iterations: int | None = _key(None, "length in training steps, in place of the recipe's")
    epochs: int | None = _key(None, "length in epochs, in place of the recipe's")
    device: str = _key("auto", "auto, cpu, cuda, cuda:N or mps")
    precision: str = _key("float32", "float32 or bfloat16: of the stem and F in training; all else is float32")
    threads: int | None = _key(None, "CPU threads; null: the cores, divided by the runs that share them")
    sync_batch_norm: bool = _key(
        False, "with several processes, normalise over a whole batch; otherwise each over its own part"
    )
    stop_at_chance: float | None = _key(
        None, "share of the run after which it is stopped if its training is still at chance; null: never"
    )
    deterministic: bool = _key(False, "bit-identical results on a GPU too, at some cost in speed")
    graph: bool = _key(False, "capture a GPU's training step as a CUDA graph after checking it against eager steps")
    compile: bool = _key(False, "compile the residual units with torch.compile")
    activation_checkpointing: bool = _key(
        False, "recompute each unit's activations in the backward pass: less memory, more time, the same bits"
    )
    probes: str = _key("none", "none, or signal: measure signal, gradient, shortcut path and gates of each unit")
    probe_every: int = _key(100, "steps between measurements of probes=signal")
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    tracker: Tracker = field(default_factory=Tracker)
    pack: str | None = _key(None, "runs of a grid that share one device: a number, or auto to measure it")
    rerun: str | None = _key(
        None, "failed, changed (finished by other code) or all: train these again; old folders move to _archived"
    )
    accept_code: bool = _key(False, "skip finished runs and resume unfinished ones although other code trained them")
    tune: Tune = field(default_factory=Tune)
    seeds: str | None = _key(
        None, "auto: of a grid, more seeds for each row until it is settled against the identity, at most most_seeds"
    )
    most_seeds: int = _key(10, "of seeds=auto, the seeds after which a row is not separable")
    fail_fast: bool = _key(False, "stop a grid at its first failed run; otherwise the others go on")
    dry_run: bool = _key(False, "list the runs and their cost, and stop")
    results: str = _key("results/runs", "folder of the run records")
    name: str | None = _key(None, "a name for a grid, which --experiment of status and report takes")
    experiment: str | None = _key(None, "the grid that a run belongs to; set by name, or by a file of the group")


@dataclass(frozen=True)
class Key:
    """A configuration key: its dotted name, its default as in YAML ('' if a file must give it), its meaning.

    `kind` says which values it takes: 'a whole number or null'.
    """

    name: str
    default: str
    meaning: str
    kind: str


def keys(node: Any = Config, prefix: str = "") -> Iterator[Key]:
    """Every key of a run. The keys inside `shortcut`, `unit` and `net` are their constructors' parameters."""
    for one in fields(node):
        if is_dataclass(one.type):
            yield from keys(one.type, f"{prefix}{one.name}.")
        else:
            yield Key(prefix + one.name, _written(one), one.metadata["meaning"], _kind(one.type))


def _written(one: "Field[Any]") -> str:
    default = [] if one.default is NO_DEFAULT else one.default
    return "" if default == MISSING or one.name in CUSTOM else json.dumps(default).strip('"')


KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a word",
    list[float]: "a list of numbers, as in [0.5,0.75]",
}


def _kind(declared: Any) -> str:
    kinds = get_args(declared) if isinstance(declared, UnionType) else [declared]
    return " or ".join("null" if one is NoneType else KINDS.get(one, "") for one in kinds)


def as_typed(value: object) -> str:
    """A value as on the command line: null, true."""
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)
