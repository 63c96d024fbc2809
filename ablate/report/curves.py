"""Learning curves from metrics.jsonl: what was read of each run, and the band of a cell's runs."""

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas

ERRORS = ("train_error", "test_error")


def read_curves(folders: Iterable[Path]) -> tuple[pandas.DataFrame, list[str]]:
    """Every evaluation of the runs in `folders`: columns folder, step, epoch, train_error, test_error in percent.

    And a sentence for each file of which something is left out: a line cut short, a number that is none. A folder
    without metrics gives no rows.
    """
    rows, sentences = [], []
    for folder in folders:
        try:
            lines = (folder / "metrics.jsonl").read_bytes().splitlines()
        except FileNotFoundError:
            continue
        except OSError as error:
            sentences.append(f"{folder / 'metrics.jsonl'} cannot be read: {error.strerror}; its curve is not drawn")
            continue
        left = []
        for number, line in enumerate(lines, 1):
            try:
                rows.append({"folder": folder.name, **_evaluation(line)})
            except (ValueError, KeyError, TypeError, AttributeError):
                left.append(number)
        if left:
            which = f"line {left[0]} is" if len(left) == 1 else f"{len(left)} lines, the first {left[0]}, are"
            sentences.append(f"{folder / 'metrics.jsonl'}: {which} cut or not a number, and left out of its curve")
    return pandas.DataFrame(rows, columns=["folder", "step", "epoch", *ERRORS]), sentences


def _evaluation(line: bytes) -> dict[str, float]:
    read = json.loads(line)
    found = {"step": int(read["step"]), "epoch": int(read["epoch"]), **{key: float(read[key]) for key in ERRORS}}
    if not all(math.isfinite(value) and 0 <= value <= 100 for key, value in found.items() if key in ERRORS):
        raise ValueError(line)
    return found


def band(curves: pandas.DataFrame, folders: Iterable[str]) -> pandas.DataFrame:
    """Of the runs in `folders`, step by step: median, low and high (the extremes) of each error, and n.

    Columns step, n, then train_error, train_error_low, train_error_high and so on. It ends where the first run ended:
    beyond it would be the median of the runs that went well.
    """
    names = set(folders)
    grouped = curves[curves.folder.isin(names)].groupby("step")
    out = pandas.DataFrame({"n": grouped.folder.nunique()})
    for key in ERRORS:
        out[key], out[f"{key}_low"], out[f"{key}_high"] = grouped[key].median(), grouped[key].min(), grouped[key].max()
    return out[out.n == len(names)].reset_index()


def thin(frame: pandas.DataFrame, most: int) -> Iterator[int]:
    """Positions of at most `most` rows, evenly spread, the last among them."""
    count = len(frame)
    step = max(1, math.ceil(count / most))
    return reversed(range(count - 1, -1, -step))
