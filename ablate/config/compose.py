"""The files that Hydra composes a configuration from: where they are, and what they declare."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from omegaconf import DictConfig, OmegaConf

from ablate.base.errors import ConfigError
from ablate.config.schema import Config


def conf_folder() -> Path:
    """conf/ beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def sites_folder() -> Path:
    """slurm/, which has the group `cluster`: beside conf/ in a checkout, inside the package in a wheel."""
    return conf_folder().parent / "slurm"


def options(group: str, folders: Iterable[Path] = ()) -> list[str]:
    """The names in a configuration group, in conf/ and in further `folders`."""
    return sorted({path.stem for folder in (conf_folder(), *folders) for path in (folder / group).glob("*.yaml")})


@dataclass(frozen=True)
class Origin:
    """The files that a configuration was composed from: each group's choice, and the folders in order of search."""

    choices: Mapping[str, str] = field(default_factory=dict)
    folders: Sequence[Path] = ()
    overridden: frozenset[str] = frozenset()  # dotted keys that the user gave

    @classmethod
    def of(cls, hydra: DictConfig) -> "Origin":
        """From the `hydra` node of a composed configuration."""
        sources = [source.path for source in hydra.runtime.config_sources if source.schema == "file"]
        choices = {str(group): str(choice) for group, choice in hydra.runtime.choices.items()}
        words = (str(word).lstrip("+~").partition("=")[0] for word in hydra.overrides.task)
        return cls(choices, [Path(path) for path in sources], frozenset(words))

    def declared(self, group: str) -> dict[str, Any]:
        """The content of the chosen file of a group and of the files it builds on, without overrides."""
        return declared(group, self.choices.get(group, ""), tuple(self.folders or [conf_folder()]))


@functools.cache
def declared(group: str, name: str, folders: tuple[Path, ...]) -> dict[str, Any]:
    """The content of GROUP/NAME.yaml merged over the files of its `defaults` in the same group; {} if there is none."""
    file = next((path for folder in folders if (path := folder / group / f"{name}.yaml").is_file()), None)
    if file is None:
        return {}
    # Not PyYAML, which reads 1e-4 as a string.
    content: dict[str, Any] = dict(OmegaConf.to_container(OmegaConf.load(file), resolve=False))  # type: ignore[arg-type]
    found: dict[str, Any] = {}
    for base in content.pop("defaults", []):
        if isinstance(base, str) and base != "_self_":
            found |= declared(group, base, folders)
    return found | content


def register() -> None:
    """Give Hydra the schema, under the name that conf/config.yaml starts from."""
    Plugins.instance()  # finds plugins on disk, which store their schemas
    store = ConfigStore.instance()
    store.store(name="schema", node=Config)
    # Hydra's `basic` and another package's `joblib` have schemas that conf/hydra/launcher does not follow.
    for name in options("hydra/launcher"):
        store.repo["hydra"]["launcher"].pop(f"{name}.yaml", None)


def from_tree(tree: Mapping[str, Any]) -> Config:
    """The configuration whose plain values are `tree`. Raises OmegaConfBaseException if they do not fit the schema."""
    config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), dict(tree)))
    assert isinstance(config, Config)
    return config


def refuse_chdir(chdir: object) -> None:
    """Raise ConfigError if Hydra is asked to change the working directory."""
    if chdir:
        raise ConfigError("hydra.job.chdir=true would move results, data and custom modules: leave it out")
