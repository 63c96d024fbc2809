"""Parts of a benchmark, each in a process of its own with a deadline: a crash or a hang of one costs no other.

A part is a function that is called as `function(keep, until, **arguments)`. It gives `keep` what it finds as soon as
it is there, may end itself before `until` (seconds of time.monotonic), and returns what it found in a sentence.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psutil

import ablate
from ablate.base.errors import AblateError, one_line
from ablate.base.files import read_json, to_json, write_whole
from ablate.base.process import leave
from ablate.bench.page import listed, section

OK, FAILED, CUT, LEFT_OUT = "ok", "failed", "cut", "left out"
Keep = Callable[[str, dict[str, Any]], None]
"""Takes what a part found, by its title."""
LOG = "log.txt"
"""Beside the results: everything that the parts print."""
TOKEN = "ABLATE_PART"
"""A variable in the environment of all processes that one part starts, by which they are found."""
ENDING = 4.0
"""Seconds in which the processes of a part are ended."""
LEAST = 1.0
"""Seconds with which a part is begun."""
ROOT = Path(ablate.__file__).resolve().parents[1]


class LeftOut(AblateError):
    """What a part needs is not there."""


@dataclass(frozen=True)
class Part:
    """`work` is MODULE:FUNCTION, `share` the most of the whole time that the part may take."""

    name: str
    work: str
    share: float
    arguments: dict[str, Any] = field(default_factory=dict)


class Results:
    """FOLDER/NAME.json and NAME.md: what was found, written whole after every change. One process writes at a time.

    Parts of an earlier call stay until they are carried out again.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name

    def read(self) -> dict[str, Any]:
        """The machine, and each part's state, sentence, seconds, and what it found by title."""
        found = read_json(self.folder / f"{self.name}.json")
        return found or {"benchmark": self.name, "machine": {}, "parts": {}}

    def part(self, name: str) -> dict[str, Any]:
        """One part. Empty if it was not carried out."""
        found: dict[str, Any] = self.read()["parts"].get(name, {})
        return found

    def change(self, part: str, **values: Any) -> None:
        """Set a part's state, sentence, seconds or findings."""
        found = self.read()
        found["parts"][part] = found["parts"].get(part, {}) | values
        self.write(found)

    def keep(self, part: str, title: str, content: dict[str, Any]) -> None:
        """Add what a part found."""
        self.change(part, found=self.part(part).get("found", {}) | {title: content})

    def write(self, found: dict[str, Any]) -> None:
        """Replace all."""
        write_whole(self.folder / f"{self.name}.json", (to_json(found, indent=1) + "\n").encode())
        write_whole(self.folder / f"{self.name}.md", (markdown(found) + "\n").encode())


def markdown(found: dict[str, Any]) -> str:
    """The state of all parts, and what each found."""
    lines = [f"# {found['benchmark']}", f"machine: {listed(found['machine'])}", summary(found["parts"])]
    for name, part in found["parts"].items():
        lines.append(f"## {name}")
        lines += [section(title, content) for title, content in part.get("found", {}).items() if content]
    return "\n\n".join(lines)


def summary(parts: dict[str, Any]) -> str:
    """A line for each part."""
    return "\n".join(f"- {line(name, part)}" for name, part in parts.items())


def line(name: str, part: dict[str, Any]) -> str:
    """A part's state, time and sentence."""
    return f"{part['state']:<9} {name:<15} {part.get('seconds', 0.0):4.0f} s  {part.get('sentence', '')}".rstrip()


def carry_out(part: Part, results: Results, whole: float, end: float, environment: dict[str, str]) -> dict[str, Any]:
    """Carry out a part within its share of the `whole` seconds and before `end`, of time.monotonic, and return it.

    At its deadline all processes that it started are ended. A part without any time left is cut.
    """
    began = time.monotonic()
    until = min(began + part.share * whole, end) - ENDING
    results.change(part.name, state="running", sentence="", seconds=0.0, found={})
    if until - began < LEAST:
        results.change(part.name, state=CUT, sentence="no time was left")
        return results.part(part.name)
    token = uuid.uuid4().hex
    words = [part.work, str(results.folder.resolve()), results.name, part.name, str(until), to_json(part.arguments)]
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        with open(results.folder / LOG, "ab") as log:
            # Not a Worker: Python waits for it at its own end, and a process that hangs in a driver cannot be ended.
            process = subprocess.Popen(
                [sys.executable, "-m", __name__, *words],
                env=os.environ | environment | {TOKEN: token, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        with suppress(subprocess.TimeoutExpired):
            process.wait(until - time.monotonic())
        status = process.returncode
    finally:
        end_all(token)
    with suppress(subprocess.TimeoutExpired):
        process.wait(0.5)
    seconds = time.monotonic() - began
    if results.part(part.name)["state"] != "running":
        results.change(part.name, seconds=seconds)
    elif status is None:
        results.change(part.name, state=CUT, sentence=f"ended after {seconds:.0f} s, its budget", seconds=seconds)
    else:
        how = signal.Signals(-status).name if status < 0 else f"status {status}"
        sentence = f"its process ended with {how}: see {LOG}"
        results.change(part.name, state=FAILED, sentence=sentence, seconds=seconds)
    return results.part(part.name)


def end_all(token: str) -> None:
    """End all processes of a part: also those in sessions of their own, and those whose parent has ended."""
    end = time.monotonic() + ENDING / 2
    while (alive := [one for one in psutil.process_iter() if _token(one) == token]) and time.monotonic() < end:
        for one in alive:
            with suppress(psutil.Error):
                one.kill()
        psutil.wait_procs(alive, timeout=0.2)


def _token(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(TOKEN)
    except (psutil.Error, OSError):  # another user's, or it has ended
        return None


def main(work: str, folder: str, name: str, part: str, until: str, arguments: str) -> None:
    """Carry out a part in this process."""
    results = Results(Path(folder), name)
    module, _, function = work.partition(":")
    try:
        call = getattr(importlib.import_module(module), function)
        state, sentence = OK, call(partial(results.keep, part), float(until), **json.loads(arguments))
    except LeftOut as error:
        state, sentence = LEFT_OUT, str(error)
    except (Exception, SystemExit) as error:  # custom code may end the process
        traceback.print_exc()
        state, sentence = FAILED, str(error) if isinstance(error, AblateError) else one_line(error)
    results.change(part, state=state, sentence=sentence)
    leave(0)  # a library may wait for a GPU that does not answer


if __name__ == "__main__":  # in the module that the parts import: LeftOut must be one class
    importlib.import_module("ablate.bench.parts").main(*sys.argv[1:])
