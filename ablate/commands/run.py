"""A run, or with -m a grid: what `ablate KEY=VALUE ...` carries out.

    ablate shortcut=gate depth=110
    ablate -m +experiment=table1

torch is imported only after the configuration has been checked, so that a mistake is answered at once.
"""

import os
from collections.abc import Sequence

from hydra._internal.hydra import Hydra

from ablate.base.errors import AblateError, ConfigError, one_line
from ablate.base.place import place
from ablate.base.terminal import is_terminal
from ablate.config.compose import Composer, as_job
from ablate.config.explain import explained
from ablate.config.resolve import resolve
from ablate.config.words import Words, parse_run, sort
from ablate.grid.planning import dry_run
from ablate.grid.sweeper import sweep
from ablate.runs import layout
from ablate.runs.record import Record
from ablate.tracking.follower import tracker


def main(arguments: Sequence[str]) -> None:
    """Train what a command line asks for. Raises AblateError, or an error of custom code.

    In a group of processes the first does that, and the others follow it.
    """
    here = place()
    if here.alone:
        return _lead(arguments)
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # or torch doubts that unused parameters need be looked for
    if here.rank:
        from ablate.runs.follow import follow

        return follow()
    from ablate.training.group import group

    together = group()
    try:
        return _lead(arguments)
    finally:
        together.end()


def _lead(arguments: Sequence[str]) -> None:
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        os.environ["ABLATE_TRACEBACK"] = "1"
    words = sort(arguments)
    if words.shown:
        return _show(words)
    if words.grid:
        return sweep(words.overrides, words.folders)
    parse_run(words.overrides)
    composed = Composer(words.folders).compose(words.overrides)
    if str(composed.hydra.mode) == "RunMode.MULTIRUN":  # an experiment's file says so
        return sweep(words.overrides, words.folders)
    choices = composed.hydra.runtime.choices
    for key, default in (("hydra/launcher", "basic"), ("cluster", None)):
        if choices[key] != default:
            raise ConfigError(f"{key}={choices[key]} is for the runs of a grid: add -m")
    if composed.name is not None:
        raise ConfigError(f"name={composed.name} is for a grid: add -m")
    with as_job(composed):
        return _run(Record(resolve(composed)))


def _show(words: Words) -> None:
    """Print the composed configuration, or how it is composed."""
    if words.grid:
        raise ConfigError("a grid has no single configuration to print: leave out -m and lists")
    parse_run(words.overrides)
    composer, shown = Composer(words.folders), words.shown
    hydra = Hydra(task_name="ablate", config_loader=composer.loader)
    with explained(composer.origin):
        if "info" in shown:
            hydra.show_info(shown["info"], config_name="config", overrides=words.overrides)
        else:
            resolved = "resolve" in shown
            hydra.show_cfg("config", words.overrides, shown.get("cfg") or "job", shown.get("package"), resolved)


def _run(record: Record) -> None:
    of_grids = {
        "pack": record.config.pack is not None,
        "fail_fast": record.config.fail_fast,
        "seeds=auto": record.config.seeds is not None,
        "tune.trials": record.config.tune.trials is not None,
    }
    for key, given in of_grids.items():
        if given:
            raise ConfigError(f"{key} is for the runs of a grid: add -m")
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
