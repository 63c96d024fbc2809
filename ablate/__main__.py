"""The front door: one run, or with -m a grid.

    python -m ablate shortcut=gate depth=110
    python -m ablate -m +experiment=table1

torch is imported only after the configuration stands, so that help and a mistake answer at once.
"""

# ruff: noqa: E402  what answers Ctrl-C stands before the imports that take a second

import itertools
import os
import signal
import sys


def _leave(*_: object) -> None:
    os.write(2, b"ablate: interrupted\n")
    os._exit(130)


if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # First of all, and until a run listens itself: a KeyboardInterrupt amid imports comes out as anything.
    signal.signal(signal.SIGINT, _leave)

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from ablate import config as configuration
from ablate import grid
from ablate.errors import AblateError, ConfigError, one_line
from ablate.explain import check_words, explain
from ablate.runs.planning import dry_run
from ablate.runs.record import Record
from ablate.runs.stopping import Interrupted
from ablate.terminal import say, watched

FULL = "HYDRA_FULL_ERROR"
VALUED = (
    *("--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn", "--package", "-p", "--cfg", "-c"),
    "--experimental-rerun",
)
"""Hydra's options that a value follows."""
KINDS = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
"""What may follow --info, or not."""

configuration.register()
grid.register()


@hydra.main(version_base="1.3", config_path=str(configuration.conf_folder()), config_name="config")
def entry(composed: DictConfig) -> None:
    try:
        configuration.stay_put(HydraConfig.get().job.chdir)
        place = HydraConfig.get().runtime.choices.get("hydra/launcher")
        if place not in (None, "basic"):
            raise ConfigError(f"hydra/launcher={place} is for the runs of a grid: add -m")
        _run(configuration.resolve(composed))
    except Exception as error:  # raised on, Hydra would put the overrides before it on stderr
        sys.exit(_report(error))


def _run(config: configuration.Config) -> None:
    if config.pack is not None:
        raise ConfigError("pack is for the runs of a grid: add -m")
    if config.dry_run:
        return dry_run([Record(config)])

    from ablate.runs.progress import Progress
    from ablate.runs.run import run

    progress = Progress(bar=watched())
    try:
        run(config, progress)
    except AblateError:
        raise
    except Exception as error:
        log = Record(config).folder / "run.log"
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


def _options_first(words: list[str]) -> list[str]:
    """Hydra's parser stumbles over an option that stands between overrides."""
    options: list[str] = []
    overrides: list[str] = []
    rest = iter(words)
    if words and words[-1] in ("--info", "-i"):
        words.append("all")
    for word in rest:
        if word in ("--info", "-i"):
            kind = next(rest)
            options.append(f"--info={kind if kind in KINDS else 'all'}")
            overrides += [] if kind in KINDS else [kind]
        elif word in VALUED:
            options += [word, *itertools.islice(rest, 1)]
        else:
            (options if word.startswith("-") else overrides).append(word)
    return options + overrides


def main() -> int:
    # With this set Hydra hands every error on instead of printing it over several lines and exiting with 1.
    if os.environ.get(FULL) == "1":
        os.environ["ABLATE_TRACEBACK"] = "1"
    os.environ[FULL] = "1"
    sys.argv[1:] = _options_first(sys.argv[1:])
    try:
        check_words(sys.argv[1:])
        entry()
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


if __name__ == "__main__":
    sys.exit(main())
