"""The parts of `ablate bench gpu`: what each does in its process (`ablate.bench.parts`)."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ablate.base.errors import AblateError
from ablate.base.machine import cores
from ablate.bench import parts
from ablate.bench.compare import HARNESS
from ablate.bench.compare import machine as this_machine
from ablate.bench.gpu import CPU, Sizes
from ablate.bench.limits import limit
from ablate.bench.parts import ROOT, Keep, LeftOut
from ablate.bench.speed import speed as measured
from ablate.bench.workloads import write_noise
from ablate.config.resolve import from_overrides
from ablate.grid.cells import compose
from ablate.grid.local import gpus
from ablate.grid.packing import Trial, best, trials
from ablate.runs.archive import pack
from ablate.runs.naming import title
from ablate.runs.reading import read_runs
from ablate.runs.record import Record
from ablate.training.setup import Setup

BEGINNING, STOPPING = 20.0, 20.0
"""Seconds that the processes of a grid take to begin; and to write checkpoints and end after a signal."""
SAFETY = 0.6
"""Share of the time left that Table 1's runs are to take: most of its rows are slower than the one that was timed."""


def machine(keep: Keep, until: float) -> str:
    """This machine and its GPU."""
    found = this_machine()
    keep("machine", found)
    return found.get("GPU", "no GPU")


def tests(keep: Keep, until: float, file: str) -> str:
    """The tests in a file of tests/gpu, their outcomes by name."""
    folder = ROOT / "tests" / "gpu"
    if not folder.is_dir():
        raise LeftOut(f"{folder} is missing: the tests are in a checkout of the repository")
    import pytest

    outcomes: dict[str, str] = {}

    class Outcomes:
        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            if report.when == "call" or report.outcome != "passed":
                outcomes[report.nodeid.partition("::")[2]] = _outcome(report)
                keep("tests", {name: {"outcome": outcome} for name, outcome in outcomes.items()})

    # Warnings are errors in the other tests; another version of torch may have some that do not matter here.
    words = ["-m", "gpu", "-v", "-W", "default", "-p", "no:cacheprovider", f"--rootdir={ROOT}"]
    status = pytest.main([*words, "-c", str(ROOT / "pyproject.toml"), str(folder / file)], [Outcomes()])
    failed = [f"{name} {outcome}" for name, outcome in outcomes.items() if outcome.startswith("failed")]
    if failed:
        raise AblateError(f"{len(failed)} of {len(outcomes)} tests failed: {failed[0]}")
    if status or not outcomes:
        raise AblateError(f"pytest ended with status {int(status)}: see {parts.LOG}")
    skipped = sum(outcome.startswith("skipped") for outcome in outcomes.values())
    return f"{len(outcomes) - skipped} tests passed" + (f", {skipped} skipped" if skipped else "")


def _outcome(report: Any) -> str:
    """passed; or failed or skipped, and why."""
    if report.outcome == "passed":
        return "passed"
    if report.outcome == "skipped" and isinstance(report.longrepr, tuple):
        return f"skipped: {report.longrepr[2].removeprefix('Skipped: ')}"
    crash = getattr(report.longrepr, "reprcrash", None)
    why = crash.message if crash else str(report.longrepr)
    return f"{report.outcome}: {(why.splitlines() or [''])[0]}"


@contextmanager
def _images(sizes: Sizes) -> Iterator[list[str]]:
    """The overrides of random images of 32x32."""
    with tempfile.TemporaryDirectory() as folder:
        write_noise(Path(folder), sizes.images, min(1000, sizes.images))
        yield _data(sizes, folder)


def _data(sizes: Sizes, folder: str) -> list[str]:
    """The overrides of a folder of images."""
    words = ["data=folder", f"data.root={folder}", f"recipe.batch={sizes.batch}", f"device={sizes.device}"]
    return [*words, "threads=1"] if sizes.device == CPU else words


def speed(keep: Keep, until: float, sizes: dict[str, Any], depth: int, compiled: bool = False) -> str:
    """Training and evaluation by the reference loop and the harness, in images a second, and the limit."""
    size = Sizes(**sizes)
    with _images(size) as words:
        found = measured([*words, f"depth={depth}"], size.rounds, size.seconds, keep, compiled)
    figures = {name: row["images/s"]["median"] for name, row in found["training"].items()}
    own = figures.pop(HARNESS)
    ratios = ", ".join(f"{name.removeprefix('harness, ')} {value / own:.2f}" for name, value in figures.items())
    reached = f"{found['limit']['% reached by the harness']:.0f} % of what {found['limit']['bound']} allows"
    left = f"; left out: {', '.join(found['left out'])}" if "left out" in found else ""
    return f"{own:,.0f} images/s, {reached}; relative to it: {ratios}{left}"


def compiled(keep: Keep, until: float, sizes: dict[str, Any], depth: int) -> str:
    """The harness with compile=true, alone and with graph=true, against the harness."""
    return speed(keep, until, sizes, depth, compiled=True)


def packed(keep: Keep, until: float, sizes: dict[str, Any], depth: int) -> str:
    """Images a second of 1, 2, 4, ... runs at once, as long as more give more."""
    size = Sizes(**sizes)
    with _images(size) as words:
        done = _trials(keep, until, size, [*words, f"depth={depth}"])
        chosen = best(done)
        keep("limit", limit(Setup(from_overrides(*words, f"depth={depth}")), chosen.images_per_second))
    gain = chosen.images_per_second / done[0].images_per_second
    return f"{chosen.runs} runs at once: {chosen.images_per_second:,.0f} images/s, {gain:.2f} times one run"


def _trials(keep: Keep, until: float, sizes: Sizes, words: list[str]) -> list[Trial]:
    """Raises AblateError if the time is over before they are done."""
    tried: dict[str, Any] = {}

    def note(trial: Trial) -> None:
        tried[str(trial.runs)] = {"images/s": trial.images_per_second, "GiB": trial.memory / 2**30}
        keep("runs at once", tried)

    records = [Record(from_overrides(*words, f"seed={seed}")) for seed in range(sizes.packed)]
    device = gpus()[0] if sizes.device == "cuda" else None
    done = trials(records, device, cores(), lambda: time.monotonic() > until, note)
    if not done:
        raise AblateError("the time was over before more runs at once gave no more")
    return done


def table1(keep: Keep, until: float, sizes: dict[str, Any], depth: int, data: str | None, folder: str) -> str:
    """Table 1's rows at one seed, packed, with as many iterations as fit. Their records go into an archive.

    Raises LeftOut without a folder of images.
    """
    size = Sizes(**sizes)
    if data is not None:
        return _table1(keep, until, size, depth, _data(size, data), Path(folder), Path("build/gpu-runs"))
    if size.device != CPU:
        raise LeftOut("it needs CIFAR-10: add --data FOLDER, with FOLDER/train/CLASS/file and FOLDER/test/CLASS/file")
    with _images(size) as words, tempfile.TemporaryDirectory() as runs:
        return _table1(keep, until, size, depth, words, Path(folder), Path(runs))


def _table1(keep: Keep, until: float, size: Sizes, depth: int, data: list[str], folder: Path, everything: Path) -> str:
    words = [*size.table, *data, "seed=0"]
    found = parts.Results(folder, "gpu").part(f"packed-{depth}").get("found", {}).get("runs at once")
    if not found:
        best_of = _trials(keep, until, size, [*data, f"depth={depth}"])
        found = {str(trial.runs): {"images/s": trial.images_per_second} for trial in best_of}
    runs_at_once, rate = max(((int(runs), row["images/s"]) for runs, row in found.items()), key=lambda pair: pair[1])
    configs = compose(words, []).configs
    seconds = until - time.monotonic() - BEGINNING - STOPPING
    fitting = SAFETY * seconds * rate / (len(configs) * configs[0].recipe.batch)
    iterations = min(size.iterations, int(fitting))
    if iterations < 1:
        raise AblateError(f"{max(0, seconds):.0f} s are too few for {len(configs)} runs")
    runs = everything / f"{depth}-{iterations}"
    words += [f"iterations={iterations}", f"pack={runs_at_once}", f"results={runs}"]
    keep("settings", {"runs": len(configs), "command": f"ablate -m {' '.join(words)}"})
    process = subprocess.Popen([sys.executable, "-m", "ablate", "-m", *words])
    try:
        process.wait(until - STOPPING - time.monotonic())
    except subprocess.TimeoutExpired:
        process.terminate()  # the runs write checkpoints
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOPPING / 2)
    return _archived(keep, runs, folder, len(configs), iterations)


def _archived(keep: Keep, runs: Path, folder: Path, count: int, iterations: int) -> str:
    """Raises AblateError if a run failed or none ended."""
    found = read_runs(runs).runs
    shown = {
        f"{title(run.config)}, {run.cell[:6]}": {
            "state": run.state,
            "test error, %": run.result.get("test_error"),
            "images/s": run.result.get("images_per_second"),
        }
        for run in found
    }
    keep("runs", shown)
    pack(runs, folder / "records.tar.gz")
    states = [run.state for run in found]
    if "interrupted" in states:
        pack(runs, folder / "checkpoints.tar.gz", checkpoints=True)
    if "failed" in states:
        reason = next(run.result.get("reason") for run in found if run.state == "failed")
        raise AblateError(f"{states.count('failed')} of {count} runs failed: {reason}")
    ended = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    return f"{count} runs of {iterations:,} iterations: {ended}"
