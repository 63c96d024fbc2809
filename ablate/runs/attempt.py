"""One run of a grid, whose failure does not end the grid."""

import os
import traceback
from dataclasses import dataclass

from ablate.base.errors import AblateError, one_line
from ablate.runs.record import Record
from ablate.runs.tracker import NullTracker


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `status` is its exit status as a run of its own; `message` says what went wrong."""

    status: int = 0
    message: str = ""
    interrupted: bool = False
    busy: bool = False  # another process is training it


def attempt(record: Record, tracker: NullTracker, *, label: str, workers: int, bar: bool) -> Outcome:
    """Carry out one run and return how it ended. Raises no Exception."""
    from ablate.runs.progress import Progress
    from ablate.runs.run import run
    from ablate.runs.stopping import Interrupted

    progress = Progress(label, bar=bar, every=30.0 if workers > 1 else 0.0)
    try:
        done = run(record, progress, tracker, workers=workers)
    except Interrupted as error:
        return Outcome(error.exit_status, str(error), interrupted=True)
    except KeyboardInterrupt:
        return Outcome(130, "stopped in the middle of a step", interrupted=True)
    except AblateError as error:
        return Outcome(error.exit_status, str(error))
    except (Exception, SystemExit) as error:  # custom code may end the process
        if os.environ.get("ABLATE_TRACEBACK"):
            traceback.print_exc()
        return Outcome(1, one_line(error))
    return Outcome(busy=not done)
