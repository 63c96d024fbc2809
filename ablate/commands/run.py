"""A run, or with -m a grid: what `ablate KEY=VALUE ...` carries out.

    ablate shortcut=gate depth=110
    ablate -m +experiment=table1

torch is imported only after the configuration has been checked, so that a mistake is answered at once.
"""

import os
import sys
from collections.abc import Iterable

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from ablate.base.errors import AblateError, ConfigError, one_line
from ablate.base.terminal import is_terminal
from ablate.config import compose
from ablate.config.explain import check_words
from ablate.config.resolve import resolve
from ablate.grid import sweeper
from ablate.grid.planning import dry_run
from ablate.runs import layout
from ablate.runs.record import Record
from ablate.tracking.follower import tracker

VALUED = ("--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn", "--package", "-p", "--cfg", "-c")
"""Hydra's options that a value follows."""

compose.register()
sweeper.register()


def main(words: list[str]) -> None:
    """Train what the words of a command line ask for. Raises AblateError, or an error of Hydra's or of custom code."""
    # With this set Hydra raises every error instead of printing it over several lines and exiting with 1.
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        os.environ["ABLATE_TRACEBACK"] = "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv[1:] = _options_last(words)
    check_words(sys.argv[1:])
    errors: list[Exception] = []  # if they were raised to Hydra, it would print the overrides before them
    hydra.main(version_base="1.3", config_path=str(compose.conf_folder()), config_name="config")(
        lambda composed: _entry(composed, errors)
    )()
    if errors:
        raise errors[0]


def _entry(composed: DictConfig, errors: list[Exception]) -> None:
    try:
        compose.refuse_chdir(HydraConfig.get().job.chdir)
        launcher = HydraConfig.get().runtime.choices.get("hydra/launcher")
        if launcher not in (None, "basic"):
            raise ConfigError(f"hydra/launcher={launcher} is for the runs of a grid: add -m")
        _run(Record(resolve(composed, compose.Origin.of(HydraConfig.get()))))  # type: ignore[arg-type]
    except Exception as error:
        errors.append(error)


def _run(record: Record) -> None:
    if record.config.pack is not None:
        raise ConfigError("pack is for the runs of a grid: add -m")
    if record.config.dry_run:
        return dry_run([record])

    from ablate.runs.progress import Progress
    from ablate.runs.run import run

    try:
        run(record, Progress(bar=is_terminal()), tracker(record.config))
    except AblateError:
        raise
    except Exception as error:
        log = record.folder / layout.LOG
        raise AblateError(f"{one_line(error)}{f'; its log: {log}' if log.exists() else ''}") from error
    return None


def _options_last(words: Iterable[str]) -> list[str]:
    """Hydra's parser fails on an option that is between overrides."""
    options: list[str] = []
    overrides: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        (options if word.startswith("-") else overrides).append(word)
        if rest and (word in VALUED or (word in ("--info", "-i") and "=" not in rest[0])):
            options.append(rest.pop(0))
    return overrides + options
