"""The main table of a study as text, one row for each cell, and the notes under it."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pandas import DataFrame

from ablate.base.errors import ConfigError
from ablate.report import sequential, settled, stats, wording
from ablate.report.comparison import SEEDS, SEEDS_AND_IMAGES
from ablate.report.keys import SETTINGS, labels
from ablate.report.papers import orders
from ablate.report.records import rows_of
from ablate.report.wording import FROM_PUBLISHED, INTERVAL, NONE
from ablate.runs.identity import identity

LAST = "error, last epoch (mean)"
COLUMNS = {
    "error": LAST,
    "verdict": "verdict",
    "difference": "Δ vs {}",
    "interval": INTERVAL,
    "p": "p (Holm)",
    "n": "n",
    "settled": "stopped because",
    "best": "best epoch (optimistic)",
    "gain": "path keeps",
    "published": "published",
    "from_published": FROM_PUBLISHED,
    "parameters": "parameters",
    "seconds": "seconds",
    "state": "state",
}
"""What --columns chooses from, with its heading; each row's name and the settings that differ are always shown."""
DETAILS = [COLUMNS[key] for key in ("seconds", "parameters", "best", "p", "from_published")]
"""Columns that a narrow terminal omits."""


def columns(words: str) -> list[str]:
    """The names in a comma-separated list of columns. Raises ConfigError if there is no such column."""
    names = [name.strip() for name in words.split(",")]
    for name in names:
        if name not in COLUMNS:
            raise ConfigError(f"--columns: there is no column {name!r}; there are {', '.join(COLUMNS)}")
    return names


def headings(cells: DataFrame) -> dict[str, str]:
    """The headings of COLUMNS for these rows."""
    images = sorted(set(cells.evaluated_on))
    return COLUMNS | {
        "error": LAST if len(images) > 1 else f"{images[0]} {LAST}",
        "difference": COLUMNS["difference"].format(_baseline(cells)),
        "p": "p (rows and looks)" if cells.attrs.get("most") else COLUMNS["p"],
    }


def words(cells: DataFrame, chosen: Sequence[str] = ()) -> DataFrame:
    """The main table as text, without settings that all rows share. The columns are the `chosen` of COLUMNS, in their
    order; without them, all that have something to show.
    """
    rows, named = rows_of(cells), headings(cells)
    values = {
        "error": [wording.error(cell) for cell in rows],
        "verdict": cells.verdict,
        "difference": [wording.difference(cell) for cell in rows],
        "interval": [wording.interval(cell.low, cell.high) for cell in rows],
        "p": cells.p_holm.map(wording.p_value),
        "n": [str(cell.n) if cell.n == cell.seeds else f"{cell.n} of {cell.seeds}" for cell in rows],
        "settled": [_stopped_because(cell) for cell in rows],
        "best": cells.best_epoch.map(wording.number),
        "gain": cells.get("gain", ""),
        "published": cells.published.map(wording.published),
        "from_published": cells.from_published.map(wording.signed),
        "parameters": cells.parameters.map(wording.whole),
        "seconds": cells.seconds.map(wording.whole),
        "state": cells.state,
    }
    first = {
        "shortcut": cells.label,
        **{setting: cells[setting].astype(str) for setting in SETTINGS if cells[setting].nunique() > 1},
        "evaluated on": cells.evaluated_on if cells.evaluated_on.nunique() > 1 else "",
    }
    table = DataFrame(first | {named[key]: values[key] for key in chosen or COLUMNS})
    if not chosen and (cells.common <= 1).all():
        table = table.drop(columns=[named["difference"], *([] if cells.differs.any() else ["verdict"])])
    shown = [named[key] for key in chosen]
    empty = table.isin(["", NONE]).all()
    return table.loc[:, [name in shown or not empty[name] for name in table.columns]]


def _stopped_because(cell: Any) -> str:
    """Why a row got no more seeds, and the number of seeds at its last look."""
    return cell.settled if cell.settled in ("", settled.OPEN) else f"{cell.settled}: {cell.looked}"


def notes(cells: DataFrame) -> list[str]:
    """What a reader has to know to read the table correctly; docs/reports.md explains it."""
    lines = [heading(cells), *statistics(cells)]
    if len(several := sorted(set(cells.baseline) - {""})) > 1:
        lines.append(f"Rows have different baselines, equal in all other settings: {', '.join(several)}; see the CSV.")
    if len(cells) > 1 and (alone := int((cells.baseline == "").sum())):
        lines.append(
            f"No baseline for {alone} of {len(cells)} rows: no row has {_baseline(cells, '=')} with all other settings "
            "equal; --baseline KEY=VALUE chooses another."
        )
    known = cells[cells.published.notna()]
    if len(known):
        lines.append(published(cells))
    if not known.same_setting.all():
        stopped = ", or runs that were stopped" if known.stopped.any() else ""
        lines.append(f"Rows without {FROM_PUBLISHED} have another depth or recipe than the paper's{stopped}.")
    lines += orders(cells)
    if "gain" in cells and (cells.gain != "").any():
        lines.append(
            "Path keeps: the factor by which shortcuts alone multiply the gradient from the last unit to the first, "
            "at the first and the last step that was measured (probes=signal); geometric mean over seeds, "
            "– if it is 0 or infinite."
        )
    if how := "; ".join(sorted(set(cells.computed) - {""})):
        lines.append(f"Computed on {how}.")
    if len(set("; ".join(filter(None, cells.machines)).split("; "))) > 1:
        lines.append("Runs differ in CPU or threads: the same run may have other bits on another.")
    return lines


def heading(cells: DataFrame) -> str:
    """What the numbers of the table are, and the settings that all rows share."""
    shared = ", ".join(_shared(cells, key) for key in SETTINGS if cells[key].nunique() == 1)
    images = f"{cells.evaluated_on.iloc[0]} error" if cells.evaluated_on.nunique() == 1 else "error"
    seeds = f"{cells.n.iloc[0]} seeds" if same_seeds(cells) else "seeds"
    spread = f": mean ± standard deviation over {seeds}" if cells["std"].notna().any() else ""
    rows = f" All rows: {shared}." if shared else ""
    return f"{images.capitalize()} of the last epoch in percent{spread}.{rows}"


def same_seeds(cells: DataFrame) -> bool:
    """Whether all rows have the same number of runs, and none is missing."""
    return cells.n.nunique() == 1 and bool((cells.n == cells.seeds).all())


def statistics(cells: DataFrame, *, intervals: bool = True, verdicts: bool = True) -> list[str]:
    """What the intervals and verdicts are worth."""
    cells = cells.assign(name=labels(cells, settings=True))
    lines = [*(_intervals(cells) if intervals else []), *(_verdicts(cells) if verdicts else []), *_at_chance(cells)]
    if (cells.n <= 1).all():
        lines.append("One seed per row: single runs vary, so small differences mean nothing.")
    if (cells.evaluated_on != "test").any():
        lines.append("Some rows were evaluated on images held out of the training set, not on the test set.")
    return lines


def published(cells: DataFrame) -> str:
    """The sources of the published errors."""
    return f"Published: {'; '.join(sorted(set(cells.source[cells.published.notna()])))}."


def _intervals(cells: DataFrame) -> list[str]:
    """Of which populations the intervals and tests speak."""
    alone = (cells.over == SEEDS) | (cells.difference_over == SEEDS)
    both = (cells.over == SEEDS_AND_IMAGES) | (cells.difference_over == SEEDS_AND_IMAGES)
    if not both.any():
        return [f"Intervals: 95 %, over {SEEDS} alone; other test images are not covered."] if alone.any() else []
    rows = "; ".join(cells.name[alone])
    shares = cells.noise_share.dropna()
    line = f"Intervals: 95 %, over {SEEDS_AND_IMAGES}{f', but over {SEEDS} alone for {rows}' if rows else ''}."
    if len(shares):
        line += f" Of the variance over seeds, {100 * shares.median():.0f} % (median of rows) is noise of the test set."
    return [line]


def _verdicts(cells: DataFrame) -> list[str]:
    """How the verdicts were reached, and what weakens them."""
    tested, lines = cells[cells.p_holm.notna()], []
    if most := cells.attrs.get("most"):
        lines.append(
            f"Seeds until settled: rows were compared at {_listed(sequential.looks(most))} seeds, and got no more once "
            f"they were separable; p is corrected for rows and looks together, {_held(cells, len(tested))}. "
            f"'Not separable' means with {most} seeds, not equal. Intervals have no such correction, and where a row "
            "stopped early the difference is on average a little too large."
        )
    elif n := len(tested):
        rows = f"{n} row{'s' * (n > 1)}"
        lines.append(
            f"Verdict: paired test over common seeds, p corrected for {rows} (Holm). "
            "'Not separable' does not mean equal."
        )
        if (whole := cells.attrs.get("of", n)) != n:
            lines.append(f"p is corrected for the {rows} shown; with all rows of the study it would be {whole}.")
    if len(unlike := cells[(cells.differs != "") & cells.p.notna()]):
        rows = "; ".join(f"{cell.name} ({cell.differs})" for cell in rows_of(unlike))
        lines.append(f"Compared in spite of differences: {rows}.")
    for steps, count in Counter(tested.looks).items():
        if len(steps) > 1 and not most:
            lines.append(
                f"The seeds of {count} row{'s' * (count > 1)} were requested in steps ({', '.join(map(str, steps))}). "
                "If the report was read between them, 5 % false alarms become "
                f"{100 * stats.false_alarms_of_looks(steps):.0f} %."
            )
    return lines


def _held(cells: DataFrame, tested: int) -> str:
    whole = cells.attrs.get("of", tested)
    if whole == tested:
        return "so that 5 % hold for the whole study"
    return f"for the {tested} shown; with all rows of the study it would be {whole}"


def _listed(numbers: Sequence[int]) -> str:
    return " and ".join(filter(None, [", ".join(map(str, numbers[:-1])), str(numbers[-1])]))


def _at_chance(cells: DataFrame) -> list[str]:
    """Which rows count runs that were stopped at chance, or were at chance at the end."""
    lines = {
        "stopped": "Runs that were stopped at chance count with the error that they had there: {}.",
        "at_chance": "At chance in the last epoch, in training and in evaluation no better than guessing: {}.",
    }
    rows = {
        key: "; ".join(f"{cell.name} ({count} of {cell.n})" for cell in rows_of(cells) if (count := getattr(cell, key)))
        for key in lines
    }
    return [line.format(rows[key]) for key, line in lines.items() if rows[key]]


def _baseline(cells: DataFrame, equals: str = "") -> str:
    """The baseline as typed; a shortcut by its name alone unless `equals` is given."""
    pairs = cells.attrs["baseline"]
    words = ", ".join(value if key == "shortcut" and not equals else f"{key}={value}" for key, value in pairs)
    return words if equals else str(cells.attrs.get("names", {}).get(words, words))


def _shared(cells: DataFrame, key: str) -> str:
    """A setting with the same name in all rows, and whether all that it contains is the same too."""
    contents = {json.dumps(identity(config).get(key), sort_keys=True) for config in cells.config}
    return f"{key} {cells[key].iloc[0]}" + (" (except as a row's name says)" if len(contents) > 1 else "")
