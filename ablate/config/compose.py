"""Composition with Hydra: from words of a command line, conf/ and further folders to one tree of values."""

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

# Hydra's public functions keep their state in one global, which a program that embeds this package may be using. These
# are private: another minor version of Hydra may rename them.
from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import JobRuntime, env_override, setup_globals
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from ablate.base.errors import ConfigError
from ablate.config.explain import explained, unknown_key, unknown_sweeper
from ablate.config.files import Origin, check_folders, conf_folder, options, sites_folder
from ablate.config.schema import Config, as_typed, probes_of


class Composer:
    """Composes configurations from conf/, slurm/ and `folders`. Raises ConfigError for a folder that it cannot use."""

    def __init__(self, folders: Sequence[Path] = ()) -> None:
        check_folders(folders)
        _register()
        path = create_config_search_path(str(conf_folder()))
        for folder in (sites_folder(), *folders):
            path.prepend("ablate", f"file://{folder.absolute()}", SearchPathQuery(provider="schema"))
        self.origin = Origin(folders=[conf_folder(), sites_folder(), *folders])
        self.loader = ConfigLoaderImpl(path)

    def compose(self, words: Sequence[str]) -> DictConfig:
        """What Hydra composes, with its own node `hydra`. Raises ConfigError with one sentence."""
        with explained(self.origin):
            composed = self.loader.load_configuration("config", list(words), RunMode.RUN)
        _check_hydra(composed.hydra)
        return composed


def _register() -> None:
    """Give Hydra the schema, under the name that conf/config.yaml starts from, and what `hydra.main` sets up."""
    Plugins.instance()  # finds plugins on disk, which store their schemas
    version.setbase("1.3")
    setup_globals()
    JobRuntime.instance().set("name", "ablate")
    store = ConfigStore.instance()
    store.store(name="schema", node=Config)
    # Hydra's `basic` and another package's `joblib` have schemas that the files in conf/hydra do not follow.
    for kind in ("launcher", "sweeper"):
        for name in options(f"hydra/{kind}"):
            store.repo["hydra"][kind].pop(f"{name}.yaml", None)


ADDABLE = ("hydra.job.env_set.", "hydra.job.env_copy", "hydra.sweeper.params.", "hydra.launcher.")
"""Keys of Hydra's node that may be new. Those of the launcher are compared with its file."""


def _check_hydra(hydra: DictConfig) -> None:
    """Raise ConfigError if a setting differs from the one in conf/config.yaml, or the launcher does not have a key."""
    if (sweeper := hydra.runtime.choices["hydra/sweeper"]) not in options("hydra/sweeper"):
        raise ConfigError(unknown_sweeper(sweeper))  # that of an installed plugin
    asked = flat(OmegaConf.to_container(hydra))
    for key, value in _fixed().items():
        if (asked[key] or None) != (value or None):
            raise ConfigError(
                f"hydra.{key}={as_typed(asked[key])} is not supported: leave it out; results=FOLDER chooses the folder "
                "of records, --config-dir FOLDER that of configuration files"
            )
    launcher = Origin.of(hydra).declared("hydra/launcher")
    if not launcher:
        known = ", ".join(options("hydra/launcher"))
        raise ConfigError(f"hydra/launcher={hydra.runtime.choices['hydra/launcher']} is another package's: use {known}")
    added: Any = OmegaConf.to_container(hydra.overrides.hydra)
    for key in (word.lstrip("+").partition("=")[0] for word in added if word.startswith("+")):
        if not key.startswith(ADDABLE):
            raise ConfigError(unknown_key(key))
    for key in hydra.launcher:
        if key not in launcher:
            raise ConfigError(unknown_key(f"hydra.launcher.{key}"))


@functools.cache
def _fixed() -> dict[str, Any]:
    fixed = flat(OmegaConf.to_container(OmegaConf.load(conf_folder() / "config.yaml").hydra))
    return {**fixed, "sweeper.max_batch_size": None}


def flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    """A tree as one level of dotted keys; an empty group is a value."""
    if not isinstance(tree, dict) or not tree:
        return {prefix: tree}
    pairs = (flat(value, f"{prefix}.{key}" if prefix else key) for key, value in tree.items())
    return {key: value for pair in pairs for key, value in pair.items()}


@contextlib.contextmanager
def as_job(composed: DictConfig) -> Iterator[None]:
    """What Hydra sets up for a job: the environment variables of its node, and ${hydra:...}."""
    before = HydraConfig.instance().cfg
    HydraConfig.instance().cfg = composed  # type: ignore[assignment]  # as Hydra does
    try:
        with env_override(composed.hydra.job.env_set):
            yield
    finally:
        HydraConfig.instance().cfg = before


def from_tree(tree: Mapping[str, Any]) -> Config:
    """The configuration whose plain values are `tree`. Raises OmegaConfBaseException if they do not fit the schema."""
    plain = {key: probes_of(value) if key == "probes" else value for key, value in tree.items()}
    config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), plain))
    assert isinstance(config, Config)
    return config
