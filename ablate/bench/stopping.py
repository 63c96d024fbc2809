"""What stop_at_chance would have done to finished runs: how many it would have stopped, and how many of them wrongly.

ablate bench stopping results/*/records.tar.gz
"""

import functools
import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablate.base.errors import AblateError
from ablate.config.schema import Data
from ablate.data.load import load
from ablate.runs.archive import unpack
from ablate.runs.naming import title
from ablate.runs.reading import NOT_A_RECORD, Run, read_runs
from ablate.runs.record import read_metrics
from ablate.training.chance import ERROR, LOSS, Chance, chance_of, check_at

SHARES = (0.1, 0.2, 0.3, 0.5, 0.7)
BETTER = 0.9
"""Share of the error of guessing below which a test error is clearly better."""
HEADINGS = ("stop_at_chance", "stopped", "of them not at chance at the end", "wrongly stopped", "lowest error", "saved")


@dataclass(frozen=True)
class Trained:
    """A run that was trained to its end: its row's name, the chance of its training labels, and of each epoch the steps
    done and whether it was at chance. `error`: on the test images at the end, in percent.
    """

    name: str
    chance: Chance
    epochs: list[tuple[int, bool]]
    error: float

    @property
    def steps(self) -> int:
        return self.epochs[-1][0]

    @property
    def ended_at_chance(self) -> bool:
        return self.epochs[-1][1]

    @property
    def clearly_better(self) -> bool:
        """Whether to stop it was wrong."""
        return not self.ended_at_chance and self.error < BETTER * self.chance.error

    def stopped_at(self, share: float) -> int | None:
        """The step at which stop_at_chance=share would have stopped it, or None."""
        check = check_at(share, self.steps, self.chance)
        done, at_chance = next(epoch for epoch in self.epochs if epoch[0] >= check.step)
        return done if at_chance and done < self.steps else None


def stopping(sources: Sequence[Path]) -> dict[str, Any]:
    """The counts at each of SHARES over the finished runs in folders of runs and in archives, equal runs once.

    Raises AblateError if there are none, or a source is neither.
    """
    runs: dict[str, Trained] = {}
    left_out: list[str] = []
    for source in sources:
        with _folder(source) as (folder, refused):
            found = read_runs(folder)
            left_out += [*refused, *found.unread]
            for run in (run for run in found.runs if run.state == "finished"):
                # A run that was repeated with probes, or with its threads given, has the same weights: it counts once.
                weights = run.result.get("weights_sha256", run.folder.name)
                if weights in runs:
                    continue
                try:
                    runs[weights] = trained(run)
                except (AblateError, *NOT_A_RECORD) as error:
                    left_out.append(f"{run.folder.name} left out: {error}")
    if not runs:
        none = f"no finished run in {', '.join(map(str, sources))}: name folders of runs, or archives"
        raise AblateError(left_out[0] if left_out else none)
    return {
        "benchmark": "stopping",
        "rule": {"loss": LOSS, "error": ERROR, "clearly_better": BETTER},
        "runs": len(runs),
        "ended_at_chance": sum(run.ended_at_chance for run in runs.values()),
        "left_out": left_out,
        "shares": {f"{share:g}": counts([*runs.values()], share) for share in SHARES},
    }


def counts(runs: Sequence[Trained], share: float) -> dict[str, Any]:
    """How many of `runs` stop_at_chance=share would have stopped, how they ended, and the steps saved in percent."""
    stopped = [(run, at) for run in runs if (at := run.stopped_at(share)) is not None]
    wrongly = [run for run, _ in stopped if run.clearly_better]
    return {
        "stopped": len(stopped),
        "not_at_chance_at_the_end": sum(not run.ended_at_chance for run, _ in stopped),
        "wrongly_stopped": len(wrongly),
        "lowest_error": min((run.error for run in wrongly), default=None),
        "saved_percent": 100 * sum(run.steps - at for run, at in stopped) / sum(run.steps for run in runs),
        "wrongly_stopped_rows": dict(sorted(Counter(run.name for run in wrongly).items())),
    }


def trained(run: Run) -> Trained:
    """What counts here of a finished run. Raises ValueError if its evaluations are not whole, AblateError if its labels
    are neither recorded nor to be had.
    """
    lines, _ = read_metrics(run.folder)
    if not lines or lines[-1]["step"] != run.result["steps"]:
        raise ValueError("its evaluations are not whole")
    noted = run.result.get("chance")
    chance = Chance(**noted) if noted else _chance(json.dumps(run.config["data"]))
    epochs = [(line["step"], chance.holds(line["train_loss"], line["train_error"])) for line in lines]
    return Trained(f"{title(run.config)}, depth {run.config['depth']}", chance, epochs, run.result["test_error"])


@functools.cache
def _chance(data: str) -> Chance:
    """The chance of a dataset, of which `data` is the configuration as JSON: early records do not have it."""
    return chance_of(load(Data(**json.loads(data))).train_y)


@contextmanager
def _folder(source: Path) -> Iterator[tuple[Path, list[str]]]:
    """A folder of runs, the source itself or what is in an archive, and a sentence for each record that was refused.

    Raises AblateError if all were.
    """
    if source.is_dir():
        yield source, []
        return
    with tempfile.TemporaryDirectory(prefix="ablate-stopping-") as folder:
        taken, refused = unpack(source, Path(folder))
        if refused and not taken:
            raise AblateError(f"{source}: {refused[0]}")
        yield Path(folder), refused


def markdown(found: dict[str, Any]) -> str:
    """The counts as a table, and which rows were wrongly stopped."""
    rule, runs = found["rule"], found["runs"]
    rows = [HEADINGS, ("--:",) * len(HEADINGS)]
    for share, one in found["shares"].items():
        lowest = "–" if one["lowest_error"] is None else f"{one['lowest_error']:.1f} %"
        saved = f"{one['saved_percent']:.1f} %"
        numbers = (one["stopped"], one["not_at_chance_at_the_end"], one["wrongly_stopped"])
        rows.append((share, f"{numbers[0]} of {runs}", *map(str, numbers[1:]), lowest, saved))
    loss, error, better = (f"{100 * rule[key]:.0f} %" for key in ("loss", "error", "clearly_better"))
    meaning = (
        f"At chance: a training loss from {loss} of the labels' entropy, and a training error from {error} of that of "
        "guessing the most frequent class. Wrongly stopped: not at chance at the end, and with a test error below "
        f"{better} of that of guessing; the lowest of these errors is shown. Saved: of the steps of all runs."
    )
    parts = [
        "# stopping",
        f"{runs} finished runs, of which {found['ended_at_chance']} ended at chance. {meaning}",
        "\n".join(f"| {' | '.join(row)} |" for row in rows),
    ]
    for share, one in found["shares"].items():
        if wrongly := one["wrongly_stopped_rows"]:
            named = "; ".join(f"{name} ({count})" for name, count in wrongly.items())
            parts.append(f"Wrongly stopped at {share}: {named}.")
    return "\n\n".join(parts)
