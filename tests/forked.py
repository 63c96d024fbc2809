"""`ablate WORDS` in a process that starts in 50 ms, because it is forked from one that has imported torch.

Its signals, exit status, output and memory are those of any process. Only the imports are not repeated.
"""

import multiprocessing
import os
import pkgutil
import resource
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Timer

from tests.waiting import LIMIT

IMPORTED = ["ablate.commands.run", "ablate.runs.run", "ablate.runs.progress", "ablate.data.digits"]
"""What a run imports."""
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(IMPORTED)


class Command:
    """A running `ablate WORDS`, with the methods of subprocess.Popen that tests use.

    `largest_file` limits the size of a file that it can write, as a full disk does. `replaced` names functions of the
    package, as in ablate.grid.local._carry_out, and those that take their place. `entry` is the function to call.
    """

    def __init__(
        self,
        *words: str,
        cwd: Path,
        environment: Mapping[str, str] | None = None,
        largest_file: int | None = None,
        replaced: Mapping[str, str] | None = None,
        entry: str = "ablate.__main__.script",
    ) -> None:
        pipes = [CONTEXT.Pipe(duplex=False) for _ in range(2)]
        self.streams = [ours for ours, _ in pipes]
        theirs = [their for _, their in pipes]
        arguments = (words, cwd, dict(environment or {}), largest_file, dict(replaced or {}), entry, theirs)
        self.process = CONTEXT.Process(target=_run, args=arguments, daemon=False)
        self.process.start()
        assert self.process.pid is not None
        self.pid = self.process.pid
        for stream in theirs:
            stream.close()

    @property
    def returncode(self) -> int | None:
        return self.process.exitcode

    def poll(self) -> int | None:
        return self.process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.process.kill()

    def communicate(self) -> tuple[str, str]:
        """Both output streams, once the process and its own processes have closed them."""
        timer = Timer(LIMIT, self.kill)
        timer.start()
        with ThreadPoolExecutor(2) as pool:  # both at once: a full pipe stops its writer
            out, err = pool.map(_read, self.streams)
        self.process.join()
        timer.cancel()
        return out, err


def _read(stream: Connection) -> str:
    with os.fdopen(os.dup(stream.fileno()), "rb") as file:
        return file.read().decode()


def _run(
    words: tuple[str, ...],
    cwd: Path,
    environment: dict[str, str],
    largest_file: int | None,
    replaced: dict[str, str],
    entry: str,
    streams: list[Connection],
) -> None:
    for number, stream in enumerate(streams, 1):
        os.dup2(stream.fileno(), number)
        stream.close()
    os.setsid()  # signals to its process group do not reach the tests
    os.chdir(cwd)
    os.environ.update(environment)
    sys.path.insert(0, str(cwd))
    sys.argv = ["ablate", *words]
    if largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    for name, other in replaced.items():
        module, _, function = name.rpartition(".")
        setattr(pkgutil.resolve_name(module), function, pkgutil.resolve_name(other))
    sys.exit(pkgutil.resolve_name(entry)())
