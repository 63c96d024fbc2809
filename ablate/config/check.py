"""Checks of a configuration's values and their combinations. They need no data, no network and no torch."""

import math
import os
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeGuard

from ablate.base.errors import ConfigError
from ablate.base.image_folder import SPLITS, evaluation_split
from ablate.config.schema import CUSTOM, SIGNAL, Config, Recipe, Tracker, Tune, as_typed

LAYERS = {f"ablate.models.units.{name}": layers for name, layers in (("Basic", 2), ("Bottleneck", 3), ("Single", 1))}
"""Convolutions in a shipped unit."""
CIFAR, IMAGENET = "ablate.models.resnet.cifar", "ablate.models.resnet.imagenet"
NARROWEST, WIDEST = 0.0625, 64
"""Times the papers' channels: one channel in the first stage; and at 20 layers 1.1 billion parameters."""
DEEPEST = 100_000
"""A deeper network is not built in an hour."""
MOST_THREADS = max(64, 4 * (os.cpu_count() or 1))
"""With many more, a step takes seconds, or the process crashes. A grid may be submitted from a smaller machine: 64."""

FLOAT32 = 2.0**128
"""Above the largest number of float32."""
DATASETS = ("digits", "cifar10", "cifar100", "folder", "imagenet")


def check(config: Config) -> None:
    """Raise ConfigError if a value is out of range or two values contradict each other."""
    _require(config.depth <= DEEPEST, "depth", config.depth, f"{DEEPEST} or less")
    _check_depth(config)
    _require(NARROWEST <= config.width <= WIDEST, "width", config.width, f"{NARROWEST} to {WIDEST}")
    # torch seeds its CPU generator with 32 bits: two larger seeds could be the same run under two names.
    _require(0 <= config.seed < 2**32, "seed", config.seed, "a whole number from 0 to 2^32 - 1")
    threads = config.threads is None or 1 <= config.threads <= MOST_THREADS
    _require(threads, "threads", config.threads, f"1 to {MOST_THREADS}")
    _require(config.precision in ("float32", "bfloat16"), "precision", config.precision, "float32 or bfloat16")
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", config.device):
        raise ConfigError(f"device={config.device} is invalid: use auto, cpu, mps, cuda or cuda:N")
    _require(config.probes in ("none", SIGNAL), "probes", config.probes, "none or signal")
    _require(config.probe_every >= 1, "probe_every", config.probe_every, "1 or more steps")
    if config.probes != SIGNAL and config.probe_every != Config.probe_every:
        raise ConfigError(f"probe_every={config.probe_every} is for probes=signal: add that, or leave it out")
    if config.probes == SIGNAL:
        for key, why in (("compile", "inside compiled units"), ("graph", "inside a CUDA graph")):
            if getattr(config, key):
                raise ConfigError(f"probes=signal cannot measure {why}: add {key}=false")
    if config.activation_checkpointing and config.compile:
        raise ConfigError("activation_checkpointing=true cannot recompute compiled units: add compile=false")
    if config.sync_batch_norm and config.compile:
        raise ConfigError("sync_batch_norm=true cannot be compiled: add compile=false")
    if config.activation_checkpointing and config.graph:
        raise ConfigError("activation_checkpointing=true cannot be captured as a CUDA graph: add graph=false")
    share = config.stop_at_chance
    _require(share is None or 0 < share < 1, "stop_at_chance", share, "a share of the run between 0 and 1, or null")
    _check_recipe(config.recipe)
    every = config.checkpoint
    _require(every.minutes is None or every.minutes > 0, "checkpoint.minutes", every.minutes, "above 0, or null")
    _require(every.steps is None or every.steps >= 1, "checkpoint.steps", every.steps, "1 or more, or null")
    check_tracker(config.tracker)
    pack = config.pack is None or re.fullmatch(r"auto|[1-9]\d{0,2}|1000", config.pack)
    _require(pack, "pack", config.pack, "auto, or 1 to 1000")
    _require(config.rerun in (None, "failed", "changed", "all"), "rerun", config.rerun, "failed, changed or all")
    tune = config.tune
    for key in ("trials", "studies", "held_out"):
        value = getattr(tune, key)
        _require(value is None or value >= 1, f"tune.{key}", value, "1 or more")
    if tune.trials is None and tune != Tune():
        raise ConfigError("tune.studies and tune.held_out are for tune.trials=N: add that, or leave them out")
    if tune.trials is not None and config.seeds is not None:
        raise ConfigError("tune.trials and seeds=auto are both given: give one of them")
    _require(config.seeds in (None, "auto"), "seeds", config.seeds, "auto, or seed=0,1,2 for these seeds")
    _require(3 <= config.most_seeds <= 1000, "most_seeds", config.most_seeds, "3 to 1000")
    if config.seeds is None and config.most_seeds != Config.most_seeds:
        raise ConfigError(f"most_seeds={config.most_seeds} is for seeds=auto: add that, or leave it out")
    _require(config.results.strip(), "results", config.results, "a folder")
    for path in (Path(config.results), *Path(config.results).parents):
        if path.is_symlink() and not path.exists():
            raise ConfigError(
                f"results={config.results} is invalid: {path} is a link to {os.readlink(path)}, which is gone"
            )
    name = config.experiment or "grid"
    if name[0] in ".-" or {"/", "\\"} & set(name) or not name.isprintable() or len(name.encode()) > 200:
        raise ConfigError(
            f"experiment={name!r} cannot name a folder: use letters and digits, no / or \\, no leading . or -"
        )
    for group in CUSTOM:
        node = getattr(config, group)
        target, name = node.get("_target_"), node.get("name")
        if not names_class(target):
            raise ConfigError(f"{group}._target_={as_typed(target)} names no class: write it as MODULE.CLASS")
        if not isinstance(name, str) or not name.strip():  # YAML reads no as false, and 010 as 8
            raise ConfigError(f"{group}.name={as_typed(name)} is invalid: use a word, in quotes if it is in a file")
    if "layers" in config.shortcut:
        raise ConfigError("shortcut.layers is a unit's number of layers: give the shortcut's parameter another name")
    check_storable("", asdict(config))
    _check_data(config)


def check_processes(config: Config, size: int) -> None:
    """Raise ConfigError if a run cannot be trained by `size` processes together."""
    if size == 1:
        return
    batch = config.recipe.batch
    if batch % size or batch < 2 * size:
        raise ConfigError(
            f"recipe.batch={batch} cannot be divided among {size} processes, with 2 images or more for each: give a "
            "multiple, or start another number of processes"
        )
    for key, word, used in (("graph", "true", config.graph), ("probes", SIGNAL, config.probes == SIGNAL)):
        if used:
            raise ConfigError(f"{key}={word} is for one process, and these are {size}: leave it out")
    if ":" in config.device:
        raise ConfigError(f"device={config.device} is one GPU, and {size} processes need one each: use device=cuda")


def _check_depth(config: Config) -> None:
    fixed = fixed_depth(config.net, config.unit)
    if fixed is not None and config.depth != fixed:
        words = f"net {config.net['name']}{_unit(config)} has a depth of {fixed}"
        raise ConfigError(f"depth={config.depth} is invalid: {words}; leave depth out")
    if config.net.get("_target_") != CIFAR:
        return
    step = 3 * layers(config.unit)  # n units in each of three stages ([A] §4.2)
    below = max(step + 2, config.depth - (config.depth - 2) % step)
    if config.depth != below:
        raise ConfigError(f"depth {config.depth} is not {step}n+2{_unit(config)}; nearest: {below}, {below + step}")


def _unit(config: Config) -> str:
    return "" if layers(config.unit) == 2 else f" with unit {config.unit['name']}"


def fixed_depth(net: Mapping[str, Any], unit: Mapping[str, Any]) -> int | None:
    """The layers of a network that has a table of stages, or whose file says its depth; None for others."""
    if net.get("_target_") == IMAGENET:
        stages: Any = net.get("stages")
        table = isinstance(stages, list) and all(type(one) is int and 1 <= one <= DEEPEST for one in stages)
        _require(table and 1 <= len(stages) <= 8, "net.stages", stages, "the units of 1 to 8 stages, as in [3,4,6,3]")
        return 2 + layers(unit) * sum(stages)
    found = net.get("depth")
    _require(found is None or (type(found) is int and found >= 1), "net.depth", found, "1 or more")
    return found


def layers(unit: Mapping[str, Any]) -> int:
    """The convolutions in a unit. A custom unit has two, unless its key `layers` says otherwise."""
    shipped = LAYERS.get(str(unit.get("_target_")))
    found = shipped or unit.get("layers", 2)
    if shipped and "layers" in unit:
        raise ConfigError(f"unit.layers is for custom units; unit {unit['name']} has {shipped}: leave it out")
    _require(type(found) is int and 1 <= found <= 100, "unit.layers", found, "1 to 100")
    return int(found)


def _check_recipe(recipe: Recipe) -> None:
    for key in ("iterations", "epochs"):
        length = getattr(recipe, key)
        _require(length is None or length >= 1, key, length, "1 or more")
    if (recipe.iterations is None) == (recipe.epochs is None):
        raise ConfigError(f"recipe {recipe.name} needs one of iterations and epochs: add iterations=N or epochs=N")
    _require(recipe.batch >= 2, "recipe.batch", recipe.batch, "2 or more, for batch normalisation")
    rate, decay = recipe.learning_rate, recipe.weight_decay
    _require(0 < rate < FLOAT32, "recipe.learning_rate", rate, "a number above 0 that float32 can hold")
    _require(recipe.schedule in ("steps", "cosine"), "recipe.schedule", recipe.schedule, "steps or cosine")
    if recipe.schedule == "cosine" and recipe.milestones:
        raise ConfigError("recipe.milestones have no effect on recipe.schedule=cosine: add recipe.milestones=[]")
    if recipe.nesterov and not recipe.momentum:
        raise ConfigError("recipe.nesterov=true needs recipe.momentum above 0")
    _require(0 <= recipe.momentum < 1, "recipe.momentum", recipe.momentum, "from 0 to below 1")
    _require(0 <= decay < FLOAT32, "recipe.weight_decay", decay, "a number from 0 that float32 can hold")
    _require(0 <= recipe.warmup < 1, "recipe.warmup", recipe.warmup, "a fraction of the run, from 0 to below 1")
    ordered = recipe.milestones == sorted(recipe.milestones) and all(0 < m < 1 for m in recipe.milestones)
    _require(ordered, "recipe.milestones", recipe.milestones, "rising fractions of the run, between 0 and 1")


def check_tracker(tracker: Tracker) -> None:
    """Raise ConfigError for a name that W&B would refuse."""
    if tracker.name not in ("none", "wandb"):
        raise ConfigError(f"tracker.name={tracker.name} is invalid: use none or wandb")
    if tracker.name == "none" and (tracker.project, tracker.entity) != (Tracker.project, Tracker.entity):
        raise ConfigError("tracker.project and tracker.entity are for W&B: add tracker=wandb")
    for key, name in (("project", tracker.project), ("entity", tracker.entity)):
        if name is not None and (not name.strip() or len(name) > 128 or set(name) & set("/\\#?%:")):
            raise ConfigError(f"tracker.{key}={name!r} is invalid: use 1 to 128 characters without / \\ # ? % :")


def check_types(group: str, node: Mapping[str, Any], declared: Mapping[str, Any]) -> None:
    """Raise ConfigError for a parameter whose type is not that of its default in the YAML file."""
    for key, default in declared.items():
        wanted, value = _kind(default), node.get(key, default)
        computed = isinstance(default, str) and (default == "???" or "${" in default)  # or to be given
        if wanted and not computed and _kind(value) != wanted:
            raise ConfigError(f"{group}.{key}={as_typed(value)} is invalid: use {wanted}")


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float)):
        return "a number"
    return "a word" if isinstance(value, str) else ""


def names_class(target: object) -> TypeGuard[str]:
    """Whether `target` has the form MODULE.CLASS."""
    return isinstance(target, str) and "." in target and all(part.isidentifier() for part in target.split("."))


def _require(holds: object, key: str, value: object, wanted: str) -> None:
    if not holds:
        raise ConfigError(f"{key}={as_typed(value)} is invalid: use {wanted}")


def check_storable(key: str, value: object) -> None:
    """Raise ConfigError for what a record cannot hold: a number that JSON lacks, or a name that is not UTF-8."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{key}={value} is not a finite number")
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise ConfigError(f"{key + '=' if key else ''}{value!a} is not UTF-8: use other letters") from error
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in pairs:
        check_storable(f"{key}.{name}" if key else str(name), item)


def _check_data(config: Config) -> None:
    data = config.data
    _require(data.validation >= 0, "data.validation", data.validation, "0 or more images")
    _require(data.shift >= 0, "data.shift", data.shift, "0 or more pixels")
    if data.name not in DATASETS:
        raise ConfigError(f"data.name={data.name} is invalid: use one of {', '.join(DATASETS)}")
    splits = ("train", evaluation_split(Path(data.root or ""))) if data.name == "imagenet" else SPLITS
    whole = data.root and all((Path(data.root) / split).is_dir() for split in splits)
    if data.name in ("folder", "imagenet") and not whole:
        root, held = as_typed(data.root), "val" if data.name == "imagenet" else "test"
        raise ConfigError(f"data.root={root} must be a folder with train/CLASS/file and {held}/CLASS/file in it")
    _require(data.views in (1, 10), "data.views", data.views, "1 or 10")
    _require(data.size is None or 8 <= data.size <= 4096, "data.size", data.size, "8 to 4096 pixels, or null")
    _require(data.workers is None or 0 <= data.workers <= 512, "data.workers", data.workers, "0 to 512, or null")
    if data.size is not None and data.name == "digits":
        raise ConfigError(f"data.size={data.size} is invalid: digits have 8x8 pixels; leave it out")
    own = {"views": 1, "workers": None, "colour": False}
    for key, value in own.items():
        if data.name != "imagenet" and getattr(data, key) != value:
            raise ConfigError(f"data.{key} is for data=imagenet, and data={data.name} has no such choice: leave it out")
    if config.graph and data.name == "imagenet":
        raise ConfigError("graph=true needs images that are on the device as a whole: leave it out with data=imagenet")
    if data.name == "imagenet" and data.shift:
        raise ConfigError(f"data.shift={data.shift} is invalid: data=imagenet crops at random; leave it out")
