"""The commands, one file each, and the runner that they share.

A command module has a docstring, whose first line is its summary, `EXAMPLES`, `arguments(parser)` and
`main(options)`, which returns an exit status or None and may raise AblateError.
"""

import argparse
import ast
import importlib
import os
import pkgutil
import signal
import tempfile
import traceback
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.base.errors import AblateError, ConfigError, one_line
from ablate.base.files import writing
from ablate.base.place import place
from ablate.base.terminal import Quiet, say

if TYPE_CHECKING:
    from ablate.config.schema import Config

RUNS = "results/runs"
NOT_COMMANDS = ("run",)
"""Modules here that a command line without a command runs."""


def names() -> list[str]:
    """Every command."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name not in NOT_COMMANDS)


def summary(name: str) -> str:
    """A command's first line of documentation, read without importing it."""
    source = (Path(__path__[0]) / f"{name}.py").read_bytes()
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]


def parser(name: str) -> argparse.ArgumentParser:
    """The command's argument parser."""
    module = importlib.import_module(f"{__name__}.{name}")
    made = argparse.ArgumentParser(
        f"ablate {name}",
        description=summary(name),
        epilog=module.EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.arguments(made)
    return made


def carry_out(name: str, words: list[str]) -> int:
    """Carry out a command and return its exit status."""
    if not (here := place()).alone and name != "help":
        if here.rank == 0:
            say(f"ablate {name}: is for one process, and these are {here.size}: start it without torchrun", error=True)
        return 2
    module, options = importlib.import_module(f"{__name__}.{name}"), parser(name).parse_intermixed_args(words)
    Quiet.lost = ""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # so that temporary folders are removed
    return guarded(f"ablate {name}", lambda: _printed(module.main(options)))


def _printed(status: int | None) -> int:
    """The exit status. Raises AblateError if the output, which a command is for, could not be written."""
    if Quiet.lost and not status:
        raise AblateError(f"the output could not be written: {Quiet.lost}")
    return status or 0


def guarded(prefix: str, call: Callable[[], int | None]) -> int:
    """The exit status of `call`; an error is printed in one sentence."""
    try:
        return int(call() or 0)
    except KeyboardInterrupt:
        status, why = 130, "interrupted"
    except SystemExit as error:  # Hydra's argument parser, which has printed why
        return error.code if isinstance(error.code, int) else 1
    except Exception as error:
        if os.environ.get("ABLATE_TRACEBACK"):
            traceback.print_exc()
        if isinstance(error, AblateError):
            status, why = error.exit_status, str(error)
        elif isinstance(error, OSError) and error.filename is not None:
            status, why = 1, f"{error.filename} cannot be read or written: {error.strerror}"
        else:
            status, why = 1, one_line(error)
    except BaseException as error:  # a run stopped by a signal: ablate.runs.stopping.Interrupted
        if not hasattr(error, "exit_status"):
            raise
        status, why = error.exit_status, f"interrupted: {error}"
    say(f"{prefix}: {why}", error=True)
    return status


def path(text: str) -> Path:
    """A path as it was typed, with ~ for the home folder."""
    return Path(os.path.expanduser(text))


def prepare(folder: Path | None, files: Iterable[str], *, overwrite: bool) -> None:
    """Make the folder of --out, if it is given, before a command computes what it writes there.

    Raises ConfigError if it has one of the files already, unless `overwrite`, and AblateError if it cannot be written.
    """
    if folder is None:
        return
    there = [folder / name for name in files if (folder / name).exists()]
    if there and not overwrite:
        raise ConfigError(f"{there[0]} is there already: add --overwrite, or name another folder with --out")
    with writing(folder, "use another --out"):
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()


def runs_arguments(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """Arguments of a command that reads runs: their folder, or `several`, and one experiment of them."""
    how: dict[str, Any] = {"nargs": "*", "default": [Path(RUNS)]} if several else {"nargs": "?", "default": RUNS}
    parser.add_argument("runs", type=path, help=f"folder{'s' * several} of runs ({RUNS})", **how)
    parser.add_argument("--experiment", metavar="NAME", help="only the runs that this experiment asks for")


def network_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of a command that builds networks as runs do, for `configs`."""
    parser.add_argument("words", metavar="KEY=VALUE", nargs="*", help="the network, and the data")
    parser.add_argument("-m", "--multirun", action="store_true", help="one line for each network of a grid")
    parser.add_argument("--config-dir", type=path, metavar="FOLDER", help="configuration files of your own")


def configs(name: str, options: argparse.Namespace, *, seeds: bool = False) -> "list[Config]":
    """The configuration of each network that a command's `network_arguments` ask for; of one seed, unless `seeds`.

    Raises ConfigError as a run or a grid does, and for a list without -m.
    """
    from ablate.config.resolve import from_overrides
    from ablate.config.words import parse

    if not options.multirun:
        for word in (word for word in options.words if parse([word])[0].is_sweep_override()):
            raise ConfigError(f"{word} is a list: add -m for one line for each, as in ablate {name} -m {word}")
        folder = [f"--config-dir={options.config_dir}"] if options.config_dir else []
        return [from_overrides(*folder, *options.words)]
    from ablate.grid.cells import compose
    from ablate.runs.identity import cell, signature

    found = compose(options.words, [options.config_dir] if options.config_dir else []).configs
    identify = signature if seeds else cell
    # Activation checkpointing changes no result, but what a network costs.
    return [*{(identify(asdict(config)), config.activation_checkpointing): config for config in found}.values()]


def warn(name: str, sentence: str) -> None:
    """Print a sentence of a command to the error stream."""
    say(f"ablate {name}: {sentence}", error=True)
