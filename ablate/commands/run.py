"""A run, or with -m a grid: what `ablate KEY=VALUE ...` carries out.

    ablate shortcut=gate depth=110
    ablate -m +experiment=table1

torch is imported only after the configuration has been checked, so that a mistake is answered at once.
"""

import itertools
import os
import sys
from collections.abc import Iterable

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from ablate.base.errors import AblateError, ConfigError, one_line
from ablate.base.terminal import is_terminal, say
from ablate.config import compose
from ablate.config.explain import check_words, explain
from ablate.config.resolve import resolve
from ablate.grid import sweeper
from ablate.grid.planning import dry_run
from ablate.runs import layout
from ablate.runs.record import Record
from ablate.runs.stopping import Interrupted
from ablate.tracking.follower import tracker

VALUED = (
    *("--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn", "--package", "-p", "--cfg", "-c"),
    "--experimental-rerun",
)
"""Hydra's options that a value follows."""
INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
"""What may follow --info."""

compose.register()
sweeper.register()


def main(words: list[str]) -> int:
    """Train what the words of a command line ask for, and return the exit status."""
    # With this set Hydra raises every error instead of printing it over several lines and exiting with 1.
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        os.environ["ABLATE_TRACEBACK"] = "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv[1:] = _options_first(words)
    try:
        check_words(sys.argv[1:])
        _entry()
    except (HydraException, OmegaConfBaseException) as error:
        return _report(ConfigError(explain(error)))
    except Exception as error:
        return _report(error)
    except Interrupted as error:
        say(f"ablate: interrupted: {error}", error=True)
        return error.exit_status
    except KeyboardInterrupt:
        say("ablate: interrupted", error=True)
        return 130
    return 0


@hydra.main(version_base="1.3", config_path=str(compose.conf_folder()), config_name="config")
def _entry(composed: DictConfig) -> None:
    try:
        compose.refuse_chdir(HydraConfig.get().job.chdir)
        launcher = HydraConfig.get().runtime.choices.get("hydra/launcher")
        if launcher not in (None, "basic"):
            raise ConfigError(f"hydra/launcher={launcher} is for the runs of a grid: add -m")
        _run(Record(resolve(composed, compose.Origin.of(HydraConfig.get()))))  # type: ignore[arg-type]
    except Exception as error:  # if it were raised, Hydra would print the overrides before it
        sys.exit(_report(error))


def _run(record: Record) -> None:
    if record.config.pack is not None:
        raise ConfigError("pack is for the runs of a grid: add -m")
    if record.config.dry_run:
        return dry_run([record])

    from ablate.runs.progress import Progress
    from ablate.runs.run import run

    progress = Progress(bar=is_terminal())
    try:
        run(record, progress, tracker(record.config))
    except AblateError:
        raise
    except Exception as error:
        log = record.folder / layout.LOG
        raise AblateError(f"{one_line(error)}{f'; its log: {log}' if log.exists() else ''}") from error
    finally:
        progress.close()
    return None


def _report(error: Exception) -> int:
    if os.environ.get("ABLATE_TRACEBACK"):
        raise error
    said = str(error) if isinstance(error, AblateError) else one_line(error)
    say(f"ablate: {said}", error=True)
    return error.exit_status if isinstance(error, AblateError) else AblateError.exit_status


def _options_first(words: Iterable[str]) -> list[str]:
    """Hydra's parser fails on an option that is between overrides."""
    options: list[str] = []
    overrides: list[str] = []
    rest = iter(words)
    for word in rest:
        if word in ("--info", "-i"):
            kind = next(rest, "all")
            options.append(f"--info={kind if kind in INFO else 'all'}")
            overrides += [] if kind in INFO else [kind]
        elif word in VALUED:
            options += [word, *itertools.islice(rest, 1)]
        else:
            (options if word.startswith("-") else overrides).append(word)
    return options + overrides
