"""ablate bench                              speed: the reference loop, the harness, each measure off
ablate bench grid +experiment=quickstart     a whole grid in wall time against the reference loop
ablate bench records                         checkpoints, records and heartbeats against bare training
ablate bench tracker                         a command with tracker=wandb, offline, against tracker=none"""

import argparse
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from ablate.base.errors import AblateError, ConfigError, one_line
from ablate.base.files import to_json, write_whole
from ablate.base.machine import describe
from ablate.base.terminal import say
from ablate.bench import tables
from ablate.config.explain import explain

EXAMPLES = """examples:
  ablate bench speed                                  two settings: small digits, images of 32x32
  ablate bench speed depth=110 data=cifar10           one setting of your own
  ablate bench grid +experiment=quickstart            minutes: the reference loop is slow
  ablate bench records --rounds 4
  ablate bench speed --out results/bench              kept as speed.json and speed.md"""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        "ablate bench",
        description="Measure the harness on this machine. Leave the machine alone meanwhile.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", nargs="?", choices=list(WHAT), default="speed", help="(speed)")
    parser.add_argument("overrides", nargs="*", help="KEY=VALUE of the run or the grid")
    parser.add_argument(
        "--rounds", type=_count, default=5, help="interleaved rounds after one that warms up (%(default)s)"
    )
    parser.add_argument("--seconds", type=_seconds, default=2.0, help="of each variant in a round (%(default)s)")
    parser.add_argument("--out", type=Path, help="folder for the figures as JSON and Markdown")
    options = parser.parse_intermixed_args(arguments)  # overrides may stand behind an option
    try:
        return _bench(options)
    except AblateError as error:
        status, why = error.exit_status, str(error)
    except (HydraException, OmegaConfBaseException) as error:
        status, why = ConfigError.exit_status, explain(error)
    except KeyboardInterrupt:
        status, why = 130, "interrupted"
    except (Exception, SystemExit) as error:  # somebody's own code may end the process
        if os.environ.get("ABLATE_TRACEBACK"):
            raise
        status, why = AblateError.exit_status, one_line(error)
    say(f"ablate.bench: {why}", error=True)
    return status


def _count(word: str) -> int:
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError("1 or more")
    return int(word)


def _seconds(word: str) -> float:
    if not 0 < float(word) < math.inf:
        raise argparse.ArgumentTypeError("more than 0")
    return float(word)


def _bench(options: argparse.Namespace) -> int:
    if options.out:  # before minutes of measuring
        try:
            options.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise AblateError(f"{options.out} cannot be written: {error.strerror}") from error
    found = {"machine": describe(), "what": options.what, **WHAT[options.what](options)}
    text = tables.markdown(found)
    say(text)
    if options.out:
        try:
            for suffix, content in (("json", to_json(found, indent=1) + "\n"), ("md", text)):
                write_whole(options.out / f"{options.what}.{suffix}", content.encode())
        except OSError as error:
            raise AblateError(f"{options.out} cannot be written: {error.strerror}") from error
    return 0


def _speed(options: argparse.Namespace) -> dict[str, Any]:
    from ablate.bench.speed import measure
    from ablate.bench.workloads import workloads

    settings = {}
    with workloads(options.overrides) as configs:
        for name, config in configs.items():
            say(f"{name}", error=True)
            settings[name] = measure(config, rounds=options.rounds, seconds=options.seconds)
    return {"settings": settings}


def _grid(options: argparse.Namespace) -> dict[str, Any]:
    from ablate.bench.grid import grid
    from ablate.bench.workloads import grids

    with grids(options.overrides) as asked:
        return {"grids": {name: grid(words) for name, words in asked.items()}}


def _pairs(options: argparse.Namespace) -> dict[str, Any]:
    from ablate.bench import pairs as records

    return {"figures": getattr(records, options.what)(options.rounds, options.overrides)}


WHAT: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "speed": _speed,
    "grid": _grid,
    "records": _pairs,
    "tracker": _pairs,
}

if __name__ == "__main__":
    sys.exit(main())
