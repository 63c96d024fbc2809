"""The classes given to the test images: which of them each run got wrong."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy
from numpy.typing import NDArray
from pandas import DataFrame

from ablate.report.records import rows_of
from ablate.report.stats import GRAIN
from ablate.runs import layout
from ablate.runs.reading import EVALUATED, NOT_A_RECORD, READERS, read_predictions


class Wrong(NamedTuple):
    """Which of a run's test images got a wrong class: a bit for each of `images`; `truth` is a hash of the classes."""

    bits: NDArray[numpy.uint8]
    images: int
    truth: bytes


def read_wrong(runs: DataFrame) -> tuple[dict[str, Wrong], list[str]]:
    """What each run in `runs` with an error got wrong, by folder name, and a sentence for each file that is not used.

    A run whose predictions do not give its test error has none, nor has a cell whose runs differ in the true classes.
    """
    chosen = rows_of(runs[runs.predictions & runs.state.isin(EVALUATED)])
    with ThreadPoolExecutor(READERS) as pool:  # for cold disks and NFS
        read = list(pool.map(_read, chosen))
    found = {run.folder: wrong for run, wrong in zip(chosen, read, strict=True) if isinstance(wrong, Wrong)}
    sentences = [wrong for wrong in read if isinstance(wrong, str)]
    first: dict[str, Any] = {}
    for run in [run for run in chosen if run.folder in found]:
        other = first.setdefault(run.cell, run)
        if found[run.folder].truth != found[other.folder].truth:
            sentences.append(f"{run.path / layout.PREDICTIONS} has other true classes than {other.folder}'s: not used")
            del found[run.folder]
    return found, sentences


def stack(wrong: list[Wrong | None]) -> NDArray[numpy.float64] | None:
    """Whether each run got each test image wrong, 0 or 1: (n runs, m images); None if that is not known of all runs."""
    known = [one for one in wrong if one is not None]
    if not known or len(known) < len(wrong) or len({one.truth for one in known}) > 1:
        return None
    return numpy.array([numpy.unpackbits(one.bits, count=one.images) for one in known], float)


def _read(run: Any) -> Wrong | str:
    file: Path = run.path / layout.PREDICTIONS
    try:
        predicted, true = read_predictions(run.path)
    except NOT_A_RECORD as error:
        return f"{file} cannot be read ({type(error).__name__}: {error}): not used"
    wrong = predicted != true
    percent = 100 * wrong.mean() if len(wrong) else numpy.nan
    if not abs(percent - run.test_error) < GRAIN:
        return f"{file} has an error of {percent:g} % and {layout.RESULT} one of {run.test_error:g} %: not used"
    return Wrong(numpy.packbits(wrong), len(wrong), hashlib.sha256(true.tobytes()).digest())
