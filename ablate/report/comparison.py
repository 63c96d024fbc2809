"""Each cell compared with its baseline: paired differences over common seeds, corrected p-values, a verdict.

Rows are compared only if the same code, kind of device, precision and minor version of torch computed them.
"""

import math
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy
from pandas import DataFrame

from ablate.base.errors import AblateError
from ablate.report import settled, stats
from ablate.report.keys import NOT_OF_A_CELL, check_key, is_value, typed, without
from ablate.report.predictions import Wrong, stack
from ablate.report.records import rows_of
from ablate.runs.code import OWN, differences
from ablate.runs.naming import differing, flatten

Baseline = Sequence[tuple[str, str]]
"""Keys and values that select the rows to compare with."""
IDENTITY: Baseline = (("shortcut", "identity"),)
DIFFERENCE = ("difference", "difference_low", "difference_high", "p")
OVER_SEEDS = ("difference_low_seeds", "difference_high_seeds", "p_seeds")
SEEDS, SEEDS_AND_IMAGES = "seeds", "seeds and test images"
MOST_NAMES = 3


class Computed(NamedTuple):
    """What computed a run, as far as runs can be compared only if it is the same."""

    code: tuple[tuple[str, str], ...]
    device: str
    precision: str
    torch: str
    parts: str  # of a batch, each normalised by itself


class Seeds(NamedTuple):
    """The runs of a cell that ended: their errors by seed, infinite where a run diverged; what each got wrong, None if
    that is not known; and what computed them.
    """

    errors: dict[int, float]
    wrong: dict[int, Wrong | None]
    computed: set[Computed]


def computed_by(run: Any) -> set[Computed]:
    """What computed a row of `records.load`: one for each session that differs."""
    found = set()
    for session in run.sessions:
        versions, code = session.get("versions") or run.versions, session.get("code") or run.code
        torch = ".".join(versions.get("torch", "unknown").split(".")[:2])
        device = session.get("device_type") or run.device_type or "an unknown device"
        precision = session.get("precision") or run.precision or "an unknown precision"
        found.add(Computed(tuple(code.items()), device, precision, torch, run.parts))
    return found


def compare(
    frame: DataFrame, seeds: dict[str, Seeds], baseline: Baseline, *, mixed: bool = False, most: int | None = None
) -> DataFrame:
    """`frame`, one row for each cell, with columns that compare it with the cell that has the baseline's values.

    All other keys of the two are equal. If there are several such cells, as for options A and B of the identity, it
    is the one that shares most parameters. `mixed`: also what different code, devices, precisions or versions computed.
    `most`: that of a study with seeds=auto, whose verdicts are those of its looks.
    """
    keys = [key for key, _ in baseline]
    for key in keys:
        check_key("--baseline", key)
    configs = list(frame.config)
    found, pairs = [], {}
    for row, base in enumerate(bases(configs, baseline)):
        ours = seeds[frame.cell[row]]
        facts: dict[str, Any] = {"baseline": "", "baseline_cell": "", "is_baseline": base == row, "common": 0}
        facts |= dict.fromkeys((*DIFFERENCE, *OVER_SEEDS), math.nan) | {"difference_over": "", "reversed": False}
        facts["differs"] = differs([ours.computed], keys)
        if base is not None:
            facts |= {"baseline": frame.label[base], "baseline_cell": frame.cell[base]}
            if base != row:
                theirs = seeds[frame.cell[base]]
                different = [group for group in OWN if _class(configs[row], group) != _class(configs[base], group)]
                facts["differs"] = differs([ours.computed, theirs.computed], keys, different)
                facts["common"] = len(ours.errors.keys() & theirs.errors.keys())
                if mixed or not facts["differs"]:
                    facts |= _paired(ours, theirs)
                    pairs[row] = (ours, theirs)
        found.append(facts)
    at: dict[int, settled.Settled] = {}
    if most is not None:
        looks = settled.settle([partial(_look, *pair) for pair in pairs.values()], most)
        at = dict(zip(pairs, looks, strict=True))
    for row, one in at.items():
        if one.why != settled.SEPARABLE:
            continue
        look = _paired(*(_first(of, one.seeds) for of in pairs[row]))
        if math.isnan(found[row]["difference"]):  # a later seed diverged
            found[row] |= look
        found[row]["reversed"] = look["difference"] * found[row]["difference"] < 0
    frame = frame.join(DataFrame(found))
    frame.attrs |= {"baseline": baseline, "mixed": mixed, "most": most}
    frame["p_holm"] = stats.holm(frame.p.to_numpy(float))
    if most is not None:
        p = [at[row].p if row in at else math.nan for row in range(len(frame))]
        frame["p_holm"] = numpy.where(frame.difference.notna(), p, math.nan)
    frame["looked"] = [at[row].seeds if row in at else 0 for row in range(len(frame))]
    frame["settled"] = [at[row].why if row in at else "" for row in range(len(frame))]
    frame["verdict"] = [_verdict(row, mixed) for row in rows_of(frame)]
    return frame


def _look(ours: Seeds, theirs: Seeds, n: int) -> settled.Look | None:
    """A row beside its baseline with the seeds below `n`."""
    first = [_first(one, n) for one in (ours, theirs)]
    if any(len(one.errors) < n for one in first):
        return None
    p = float(_paired(*first).get("p", math.nan))
    return settled.Look(p, any({*one.errors.values()} == {math.inf} for one in first))


def _first(one: Seeds, n: int) -> Seeds:
    """With the seeds below `n` alone."""
    return one._replace(
        errors={seed: one.errors[seed] for seed in range(n) if seed in one.errors},
        wrong={seed: one.wrong[seed] for seed in range(n) if seed in one.wrong},
    )


def check_baseline(cells: DataFrame, baseline: Baseline) -> None:
    """Raise AblateError if `cells` has no baseline, or several for one row that differ in more than their option."""
    words = " ".join(f"--baseline {key}={value}" for key, value in baseline)
    if not cells.is_baseline.any():
        raise AblateError(f"{words}: no row has this value, so there is nothing to compare with")
    configs = list(cells.config)
    for bases in _candidates(configs, baseline).values():
        keys = differing([flatten(configs[base]) for base in bases], *NOT_OF_A_CELL, "shortcut.option")
        if keys:
            names = ", ".join(cells.label[base] for base in bases)
            choice = f"{keys[0]}={typed(configs[bases[0]], keys[0])}"
            raise AblateError(f"{words} matches several rows: {names}; choose one by adding --baseline {choice}")


def differs(rows: Sequence[set[Computed]], keys: Iterable[str] = (), groups: Iterable[str] = ()) -> str:
    """In words, what differs among the runs of rows although it must not, as 'torch 2.6, 2.7'; empty if nothing does.

    `keys` of the configuration and `groups` of code are what the rows differ in on purpose.
    """
    computed = set().union(*rows)
    names = sorted(_code(computed) - {*groups} | set().union(*map(_code, rows)))
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    found = [f"code differs in {', '.join(names[:MOST_NAMES])}{more}"] if names else []
    parts = "parts of a batch for normalisation: "
    for key, prefix in (("device", ""), ("precision", ""), ("torch", "torch "), ("parts", parts)):
        values = sorted({getattr(one, key) for one in computed})
        if len(values) > 1 and key not in keys:
            found.append(prefix + ", ".join(values))
    return "; ".join(found)


def _code(computed: set[Computed]) -> set[str]:
    """The names of the code that differs."""
    codes = [dict(one.code) for one in computed]
    return {name for other in codes[1:] for name in differences(codes[0], other, own=True)}


def _paired(ours: Seeds, theirs: Seeds) -> dict[str, Any]:
    seeds = sorted(ours.errors.keys() & theirs.errors.keys())
    # Also if the run that diverged has no partner: the seeds that are left were selected by their outcome.
    if not seeds or math.inf in (*ours.errors.values(), *theirs.errors.values()):
        return {}
    one, other = (numpy.array([of.errors[seed] for seed in seeds]) for of in (ours, theirs))
    found = list(map(float, stats.paired_difference(one, other)))
    facts = {**dict(zip(DIFFERENCE, found, strict=True)), **dict(zip(OVER_SEEDS, found[1:], strict=True))}
    if len(seeds) < stats.STUDENT_FROM:
        return facts
    wrong = stack([of.wrong[seed] for of in (ours, theirs) for seed in seeds])
    if wrong is None:
        return facts | {"difference_over": SEEDS}
    crossed = map(float, stats.crossed_difference(wrong[: len(seeds)] - wrong[len(seeds) :]))
    return facts | dict(zip(DIFFERENCE, crossed, strict=True)) | {"difference_over": SEEDS_AND_IMAGES}


def _candidates(configs: list[dict[str, Any]], baseline: Baseline) -> dict[str, list[int]]:
    """The rows that have the baseline's values, in the papers' order, by all other keys."""
    found: dict[str, list[int]] = {}
    for row, config in enumerate(configs):
        if all(is_value(config, key, value) for key, value in baseline):
            found.setdefault(without(config, *(key for key, _ in baseline)), []).append(row)
    return found


def bases(configs: list[dict[str, Any]], baseline: Baseline) -> list[int | None]:
    """For each row, the candidate that shares most parameters below the baseline's first key.

    A row that is itself a candidate gets the first, so that option B of the identity is compared with option A.
    """
    keys, candidates = [key for key, _ in baseline], _candidates(configs, baseline)
    found: list[int | None] = []
    for row, config in enumerate(configs):
        equal, own = candidates.get(without(config, *keys), []), config.get(keys[0])
        if row in equal or not isinstance(own, dict):
            found.append(next(iter(equal), None))
        else:
            shared = {base: sum(item in own.items() for item in configs[base][keys[0]].items()) for base in equal}
            found.append(max(equal, key=shared.__getitem__, default=None))
    return found


def _class(config: dict[str, Any], group: str) -> tuple[Any, Any]:
    node = config.get(group, {})
    return node.get("_target_"), node.get("source")


def _verdict(row: Any, mixed: bool) -> str:
    """The result of the comparison in words."""
    if row.is_baseline:
        return f"baseline; its runs differ: {row.differs}" if row.differs else "baseline"
    if not row.baseline or not row.n:
        return f"its runs differ: {row.differs}" if row.differs else ""
    if row.differs and not mixed:
        return f"not compared: {row.differs}"
    if not row.common:
        return "no seed in common with the baseline"
    if math.isnan(row.difference):
        return "not tested: diverged" if row.diverged else "not tested: the baseline diverged"
    if row.common < stats.STUDENT_FROM:
        return f"not tested: {row.common} seed{'s' * (row.common > 1)}"
    if row.settled == settled.OPEN:
        return f"open after {row.looked} seeds"
    if math.isnan(row.p_holm):
        return "not tested: no spread over seeds"
    if row.p_holm >= 1 - stats.CONFIDENCE:
        return f"not separable with {row.common} seeds"
    verdict = "worse" if row.difference > 0 else "better"
    return f"{verdict}, but not after {row.looked} seeds, where it was settled" if row.reversed else verdict
