"""Whether the tests fail when the code is wrong: each mutant is one small fault, and its module's tests run on it.

    python -m tests.mutants [WORD ...]      the modules whose path contains a word; all of them without one

Prints how many mutants of each module the tests catch, and the survivors; exits with 1 if fewer than 95 % are caught.
survivors.md argues each survivor. Takes about an hour on one core and resumes where it stopped: results are in
build/mutants, and count until the module changes, those of survivors until its tests change too.

mutmut 3 does not mutate code outside of functions, as the published tables; cosmic-ray edits the checkout, has one
test command for all modules, and starts a process for each mutant, in which importing torch alone takes seconds.
"""

import os

os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}  # a mutant may have the size and time of another

import argparse
import contextlib
import fcntl
import hashlib
import importlib
import json
import multiprocessing
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.mutants.faults import Fault, faults
from tests.mutants.modules import MODULES

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build/mutants"
TREE, COPY = BUILD / "tree", BUILD / "copy"
"""The files as they were when the command began, and a copy of them for each mutant."""
CAUGHT = 0.95
SHARE, FEWEST, MOST = 0.22, 7, 24
"""Of the faults that are possible in a module this share is tried, but at least and at most so many."""
PRELOADED = "pytest torch torchvision.datasets pandas scipy.stats statsmodels.api omegaconf psutil"
"""Imported once, before a process is forked for each mutant."""


def sample(path: str, source: bytes) -> list[Fault]:
    """The same faults each time: those with the smallest hashes, which edits elsewhere in the file do not change."""
    possible = faults(source)
    ranked = sorted(possible, key=lambda fault: hashlib.sha256(f"{path} {fault}".encode()).digest())
    return ranked[: min(MOST, max(FEWEST, round(SHARE * len(possible))))]


def run_tests(tests: tuple[str, ...]) -> None:
    os.setsid()  # what the tests start ends with them
    os.chdir(COPY)
    sys.path[:] = [str(COPY), *(entry for entry in sys.path if entry not in ("", str(ROOT)))]
    for name in [name for name in sys.modules if name.split(".")[0] in ("tests", "ablate")]:
        del sys.modules[name]
    os.environ["PYTHONPATH"] = str(COPY)
    with open(BUILD / "log", "w") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        import pytest

        options = ["-x", "-q", "-p", "no:cacheprovider", f"--basetemp={BUILD / 'tmp'}"]
        status = pytest.main([*options, *tests])
        os._exit(int(status))


def failure(path: str, source: bytes, tests: tuple[str, ...], limit: float) -> str | None:
    """The test that fails if `source` is the module at `path`, or None if all pass."""
    shutil.rmtree(COPY, ignore_errors=True)  # an earlier mutant may have left files
    shutil.copytree(TREE, COPY)
    (COPY / path).write_bytes(source)
    process = multiprocessing.get_context("fork").Process(target=run_tests, args=(tests,))
    process.start()
    process.join(limit)
    late, group = process.is_alive(), process.pid
    assert group is not None
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
    process.join()
    if process.exitcode == 0:
        return None
    named = [
        line.split(" - ")[0] for line in (BUILD / "log").read_text().splitlines() if line[:6] in ("FAILED", "ERROR ")
    ]
    return "time limit" if late else (named or [f"exit status {process.exitcode}"])[-1]


def digest(*paths: str) -> str:
    return hashlib.sha256(b"".join((TREE / path).read_bytes() for path in paths)).hexdigest()[:16]


def try_module(path: str, tests: tuple[str, ...]) -> tuple[int, list[Fault]]:
    """The number of mutants of a module, and the survivors."""
    results = BUILD / f"{path.removesuffix('.py').replace('/', '.')}.jsonl"
    lines = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    module, suite = digest(path), digest(path, *tests)
    known = {
        one["fault"]: one["by"] for one in lines if one["module"] == module and (one["by"] or one["suite"] == suite)
    }
    source, limit = (TREE / path).read_bytes(), 0.0
    chosen = sample(path, source)
    for fault in chosen:
        if str(fault) in known:
            continue
        begin = time.monotonic()
        if not limit:
            if by := failure(path, source, tests, 600):
                sys.exit(f"without a mutant of {path}: {by}")
            limit = 20 + 3 * (time.monotonic() - begin)
        by = known[str(fault)] = failure(path, fault.apply(source), tests, limit)
        with open(results, "a") as file:
            file.write(json.dumps({"fault": str(fault), "by": by, "module": module, "suite": suite}) + "\n")
    return len(chosen), [fault for fault in chosen if not known[str(fault)]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="WORD", help="a part of a module's path")
    words = parser.parse_args().words
    BUILD.mkdir(parents=True, exist_ok=True)
    lock = open(BUILD / "lock", "w")  # noqa: SIM115 - until the process ends
    fcntl.flock(lock, fcntl.LOCK_EX)  # a second one waits: there is one copy of the tree
    shutil.rmtree(TREE, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "ablate", "conf", "slurm", "tests", "pyproject.toml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for name in listed:
        if (ROOT / name).is_file():
            (TREE / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, TREE / name)
    for name in PRELOADED.split():
        importlib.import_module(name)
    modules = {path: tests for path, tests in MODULES.items() if not words or any(word in path for word in words)}
    if not modules:
        parser.error(f"no module of tests/mutants/modules.py has {' or '.join(words)} in its path")
    total, alive = 0, 0
    print(f"{'module':32}{'mutants':>8}{'caught':>8}{'survivors':>11}", flush=True)
    for path, tests in modules.items():
        count, survivors = try_module(path, tests)
        total, alive = total + count, alive + len(survivors)
        print(f"{path:32}{count:8}{count - len(survivors):8}{len(survivors):11}", flush=True)
        for fault in survivors:
            print(f"    {fault}", flush=True)
    share = 1 - alive / total
    print(
        f"{'all':32}{total:8}{total - alive:8}{alive:11}   {100 * share:.1f} % caught; {100 * CAUGHT:.0f} % are needed"
    )
    return int(share < CAUGHT)


if __name__ == "__main__":
    sys.exit(main())
