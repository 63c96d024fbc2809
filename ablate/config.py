"""The typed schema of a run and every check that needs no data, no net and no torch.

A request passes three gates: Hydra composes it against the dataclasses here (unknown keys and wrong types die), then
`check` looks at values and combinations, then `resolve` writes it in the one form that its signature is taken from.
"""

import functools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from omegaconf import MISSING, DictConfig, OmegaConf

from ablate.errors import ConfigError, one_line
from ablate.source import digest, find

BUILT_IN = "ablate.models.shortcuts."

# The types of the built-in shortcuts' parameters, so that a slip dies before torch is imported. A shortcut of the
# user's own is checked by its own constructor.
PARAMETER_TYPES: dict[str, type] = {
    "scale": float,
    "residual_scale": float,
    "bias_init": float,
    "norm": bool,
    "p": float,
    "option": str,
}


@dataclass
class Data:
    """Which pictures, and what is done to a training batch."""

    name: str = MISSING
    root: str | None = None
    validation: int = 0  # training pictures held out; the run is then evaluated on them and not on the test set
    shift: int = 0  # random crop: pixels of zero padding on each side
    flip: bool = False
    download: bool = False
    fingerprint: str | None = None  # filled in by `resolve` for a folder: what is in it, wherever it lies


@dataclass
class Recipe:
    """How a net is trained. Milestones and warm-up are fractions of the run, so a shorter run keeps its shape."""

    name: str = MISSING
    iterations: int | None = None
    epochs: int | None = None
    batch: int = MISSING
    learning_rate: float = MISSING
    milestones: list[float] = field(default_factory=list)
    warmup: float = 0.0
    momentum: float = 0.9
    weight_decay: float = 1e-4


@dataclass
class Checkpoint:
    """How often a run writes down all that it needs to go on: by the clock, or every so many steps."""

    minutes: float | None = 5.0
    steps: int | None = None


@dataclass
class Tracker:
    """Where a run is shown beside its record. `run` is its name there; a grid's sweeper gives telling ones."""

    name: str = "none"
    project: str = "ablate"
    entity: str | None = None
    run: str | None = None


@dataclass
class Config:
    """One run. `experiment` is the grid it was first asked for by; it does not change the result."""

    shortcut: dict[str, Any] = MISSING
    depth: int = 20
    unit: dict[str, Any] = MISSING
    data: Data = MISSING
    recipe: Recipe = MISSING
    seed: int = 0
    iterations: int | None = None
    epochs: int | None = None
    device: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    deterministic: bool = False  # the same bits on a GPU too
    graph: bool = False  # a GPU's steps as one CUDA graph; Python in somebody's own shortcut is not run again then
    compile: bool = False  # residual units through torch.compile
    probes: bool = False  # measure gates and gradients inside the net as well
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    tracker: Tracker = field(default_factory=Tracker)
    pack: str | None = None  # how many runs of a grid one device carries at once: a number, or auto
    rerun: str | None = None  # failed, all: train these afresh where they have ended, the old folder kept aside
    dry_run: bool = False
    results: str = "results/runs"
    experiment: str | None = None


def register() -> None:
    """Tell Hydra the schema, under the name that conf/config.yaml starts from."""
    Plugins.instance()  # looks for plugins on disk, which store their own schemas
    store = ConfigStore.instance()
    store.store(name="schema", node=Config)
    # Hydra's own `basic` and another package's `joblib` come with schemas that conf/hydra/launcher does not follow.
    for name in known("hydra/launcher"):
        store.repo["hydra"]["launcher"].pop(f"{name}.yaml", None)


def from_overrides(*overrides: str) -> "Config":
    """The run that `python -m ablate OVERRIDES` trains. Raises ConfigError, or what Hydra raises."""
    register()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return resolve(compose("config", overrides=list(overrides)))


def conf_folder() -> Path:
    """conf/ beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).resolve().parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def sites_folder() -> Path:
    """slurm/, which has the group `cluster`: beside conf/ in a checkout, and inside the package in a wheel."""
    return conf_folder().parent / "slurm"


def known(group: str) -> list[str]:
    """The options of a configuration group, by name."""
    return sorted(path.stem for path in (conf_folder() / group).glob("*.yaml"))


def stay_put(change_folder: object) -> None:
    """Raise ConfigError where Hydra is asked to change the working directory."""
    if change_folder:
        raise ConfigError("hydra.job.chdir=true would move results, data and own modules elsewhere: leave it out")


def resolve(composed: DictConfig) -> Config:
    """The request as typed values, checked and in one form: two ways of saying a thing resolve to the same.

    Raises ConfigError with one sentence.
    """
    config = OmegaConf.to_object(composed)
    assert isinstance(config, Config)
    return settle(config)


def settle(config: Config) -> Config:
    """`config` itself, checked and in one form, with what own code and own pictures are at this moment."""
    recipe = config.recipe
    if config.iterations is not None and config.epochs is not None:
        raise ConfigError("iterations and epochs are both given: give one of them")
    if config.iterations is not None or config.epochs is not None:
        recipe.iterations, recipe.epochs = config.iterations, config.epochs
        config.iterations = config.epochs = None
    _name_own("shortcut", config.shortcut)
    _name_own("unit", config.unit)
    check(config)
    if config.data.name == "folder":
        from ablate.data.listing import fingerprint

        config.data.fingerprint = fingerprint(Path(config.data.root or ""))
    return config


def check(config: Config) -> None:
    """Raise ConfigError where a value is out of range or two values do not go together."""
    depth, data, recipe = config.depth, config.data, config.recipe
    if depth < 8 or (depth - 2) % 6:
        below = max(8, depth - (depth - 2) % 6)
        raise ConfigError(f"depth {depth} is not 6n+2; nearest: {below}, {below + 6}")
    # torch seeds its CPU generator by 32 bits: seeds further apart would be the same run under two names.
    _require(0 <= config.seed < 2**32, "seed", config.seed, "a whole number from 0 to 2^32 - 1")
    _require(config.threads is None or config.threads >= 1, "threads", config.threads, "1 or more")
    _require(
        config.precision in ("auto", "float32", "bfloat16"), "precision", config.precision, "auto, float32, bfloat16"
    )
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", config.device):
        raise ConfigError(f"device {config.device!r} is not one of auto, cpu, mps, cuda, cuda:N")
    _require(data.validation >= 0, "data.validation", data.validation, "0 or more pictures")
    _require(data.shift >= 0, "data.shift", data.shift, "0 or more pixels")
    if config.compile and config.probes:
        raise ConfigError("probes=true sees nothing inside compiled units: add compile=false")
    for key in ("iterations", "epochs"):
        length = getattr(recipe, key)
        _require(length is None or length >= 1, key, length, "1 or more")
    if (recipe.iterations is None) == (recipe.epochs is None):
        raise ConfigError(f"recipe {recipe.name} needs one of iterations and epochs: add iterations=N or epochs=N")
    _require(recipe.batch >= 2, "recipe.batch", recipe.batch, "2 or more, for batch normalisation")
    _require(0 < recipe.learning_rate < math.inf, "recipe.learning_rate", recipe.learning_rate, "a number above 0")
    _require(0 <= recipe.momentum < 1, "recipe.momentum", recipe.momentum, "from 0 to below 1")
    _require(0 <= recipe.weight_decay < math.inf, "recipe.weight_decay", recipe.weight_decay, "0 or more")
    _require(0 <= recipe.warmup < 1, "recipe.warmup", recipe.warmup, "a fraction of the run, from 0 to below 1")
    ordered = recipe.milestones == sorted(recipe.milestones) and all(0 < m < 1 for m in recipe.milestones)
    _require(ordered, "recipe.milestones", recipe.milestones, "rising fractions of the run, between 0 and 1")
    every = config.checkpoint
    _require(every.minutes is None or every.minutes > 0, "checkpoint.minutes", every.minutes, "above 0, or null")
    _require(every.steps is None or every.steps >= 1, "checkpoint.steps", every.steps, "1 or more, or null")
    check_tracker(config.tracker)
    _require(config.pack in (None, "auto") or _is_count(config.pack), "pack", config.pack, "auto, or 1 to 1000")
    _require(config.rerun in (None, "failed", "all"), "rerun", config.rerun, "failed or all")
    _require(bool(config.results.strip()), "results", config.results, "a folder")
    name = config.experiment or "grid"
    if name[0] in ".-" or {"/", "\\"} & set(name) or not name.isprintable() or len(name.encode()) > 200:
        raise ConfigError(
            f"experiment={name!r} cannot name a folder: give letters and digits, no / or \\, no . or - at its beginning"
        )
    _check_shortcut(config.shortcut)
    _check_target("unit", config.unit)
    for group in ("shortcut", "unit"):
        _check_finite(group, getattr(config, group))
    if data.name == "folder":
        _check_folder(data)


def _is_count(word: str | None) -> bool:
    return word is not None and word.isdecimal() and 1 <= int(word) <= 1000


def check_tracker(tracker: Tracker) -> None:
    """Raise ConfigError for a name that W&B would refuse."""
    if tracker.name not in ("none", "wandb"):
        raise ConfigError(f"tracker.name={tracker.name} is not one of none, wandb")
    if tracker.name == "none" and (tracker.project, tracker.entity) != (Tracker.project, Tracker.entity):
        raise ConfigError("tracker.project and tracker.entity are for W&B: add tracker=wandb")
    for key, name in (("project", tracker.project), ("entity", tracker.entity)):
        if name is not None and (not name.strip() or len(name) > 128 or set(name) & set("/\\#?%:")):
            raise ConfigError(f"tracker.{key}={name} is no name for W&B: 1 to 128 letters, none of them / \\ # ? % :")


def _require(holds: bool, key: str, value: object, wanted: str) -> None:
    if not holds:
        raise ConfigError(f"{key}={value} is out of range: it must be {wanted}")


def _check_target(group: str, node: Mapping[str, Any]) -> str:
    target = node.get("_target_")
    if not _names_class(target):
        raise ConfigError(f"{group}._target_={target} names no class: write it as MODULE.CLASS")
    return target


def _names_class(target: object) -> TypeGuard[str]:
    return isinstance(target, str) and "." in target and all(part.isidentifier() for part in target.split("."))


def _check_finite(key: str, value: object) -> None:
    """Neither JSON nor a signature has a number that is not finite."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{key}={value} is not a finite number")
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in pairs:
        _check_finite(f"{key}.{name}", item)


def _check_shortcut(shortcut: Mapping[str, Any]) -> None:
    target = _check_target("shortcut", shortcut)
    if not target.startswith(BUILT_IN):
        return
    for key, value in shortcut.items():
        wanted = PARAMETER_TYPES.get(key, type(value))
        number = wanted is float and isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number and not isinstance(value, wanted):
            name = {float: "a number", bool: "true or false", str: "a word"}[wanted]
            raise ConfigError(f"shortcut.{key}={value} has the wrong type: it must be {name}")
    _require(0 <= shortcut.get("p", 0) < 1, "shortcut.p", shortcut.get("p"), "a ratio from 0 to below 1")
    _require(shortcut.get("option", "A") in ("A", "B", "C"), "shortcut.option", shortcut.get("option"), "A, B or C")


def _name_own(group: str, node: dict[str, Any]) -> None:
    """A class never goes under another one's name, and one from the user's module carries its source's hash.

    Without the first, `shortcut._target_=mine.H` would be tabled as 'identity'; without the second, an edited class
    would be answered with the old run.
    """
    target = node.get("_target_")
    if not _names_class(target):
        return  # `check` says so
    files = {name: _file(group, name) for name in known(group)}
    built_in = {file["_target_"]: name for name, file in files.items() if "_target_" in file}
    base = files.get(str(node.get("name")), {})
    if node.get("name") is None or base.get("_target_", target) != target:
        # `shortcut._target_=mine.H` was laid over a built-in's file: what that file says is not the class's own.
        for key, value in base.items():
            if key != "_target_" and node.get(key) == value:
                del node[key]
        node["name"] = built_in.get(target, target.rpartition(".")[2])
    if target in built_in:
        return
    try:
        source = digest(find(target)[0])
    except (Exception, SystemExit) as error:  # a package's __init__ is the user's code and raises what it likes
        reason = str(error) if isinstance(error, ModuleNotFoundError) else one_line(error)
        raise ConfigError(f"{group}._target_={target} cannot be imported: {reason}") from error
    if source:
        node["source"] = source


@functools.cache
def _file(group: str, name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((conf_folder() / group / f"{name}.yaml").read_text()))


def _check_folder(data: Data) -> None:
    if not data.root:
        raise ConfigError("data=folder needs data.root=FOLDER with train/CLASS/file and test/CLASS/file in it")
    for split in ("train", "test"):
        if not (Path(data.root) / split).is_dir():
            raise ConfigError(
                f"data.root={data.root} has no folder {split}/: it must hold train/CLASS/file and test/CLASS/file"
            )
