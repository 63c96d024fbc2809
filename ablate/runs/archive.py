"""Records in one file: packed without weights, and taken into another folder of runs.

The file is a tar archive compressed by gzip, with NAME-SIGNATURE/FILE for each run and _grids/EXPERIMENT/FILE for each
plan. The same records give the same bytes.
"""

import gzip
import io
import re
import tarfile
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ablate.base.errors import AblateError
from ablate.base.files import write_whole, writing
from ablate.runs import layout
from ablate.runs.reading import ENDED, NOT_A_RECORD, read_run, read_runs

FILES = (layout.CONFIG, layout.METRICS, layout.SIGNAL, layout.RESULT, layout.PREDICTIONS, layout.MEAN, layout.LOG)
MEMBER = re.compile(r"(?!\.)[^/]+/([^/]+|source(/\w+)*/\w+\.py)|_grids/(?!\.)[^/]+/[0-9a-f]+\.json")
"""Names that an archive may hold, none of them above its own folder."""


def pack(runs: Path, file: Path, experiment: str | None = None, *, checkpoints: bool = False) -> list[str]:
    """Write the ended runs in a folder, or those of one experiment, into `file`. Returns sentences of what is left out.

    An experiment with values of its own for each row is packed with its trials. `checkpoints` adds those of unfinished
    runs, which can then be resumed from the unpacked archive.

    Raises AblateError if there is no such run, or the file cannot be written.
    """
    found = read_runs(runs, experiment)
    trials = found.design.get("tuning", {}).get("trials")
    parts = [found, *([read_runs(runs, trials)] if trials else [])]
    ended = {run.folder for part in parts for run in part.runs if run.state in ENDED}
    plans = [
        plan for name in (experiment or "*", trials) if name for plan in (runs / layout.PLANS).glob(f"{name}/*.json")
    ]
    if not ended:
        raise AblateError(f"{runs}: no run has ended, so there is nothing to pack")
    buffer = io.BytesIO()
    # Neither gzip's time nor a file's time or owner is in it, but the order of the plans: a later one counts.
    with gzip.GzipFile("", "wb", fileobj=buffer, mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as archive:
        ordered = sorted(plans, key=lambda plan: (plan.stat().st_mtime_ns, plan))
        for place, path in enumerate((*_files(ended, checkpoints), *ordered)):
            content = path.read_bytes()
            member = tarfile.TarInfo(path.relative_to(runs).as_posix())
            member.size, member.mtime = len(content), place
            archive.addfile(member, io.BytesIO(content))
    with writing(file, "use another file"):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, buffer.getvalue())
    left = len({run.folder for part in parts for run in part.runs}) - len(ended)
    return [
        *dict.fromkeys(sentence for part in parts for sentence in part.unread),
        *([f"{left} runs that have not ended were left out"] if left else []),
    ]


def _files(folders: Iterable[Path], checkpoints: bool) -> Iterator[Path]:
    names = (*FILES, layout.CHECKPOINT) if checkpoints else FILES
    for folder in sorted(folders):
        yield from (path for name in names if (path := folder / name).is_file())
        yield from sorted(folder.glob(layout.source_diff(1).replace(".", "*.")))
        yield from sorted((folder / layout.SOURCE).rglob("*.py"))


def unpack(file: Path, runs: Path) -> tuple[int, list[str]]:
    """Take the records in an archive into a folder of runs. Returns how many are new, and a sentence for each refused.

    A record is taken as a whole if it can be read and has the signature in its name. One that is there is not replaced.
    Raises AblateError if the file is not such an archive; nothing is then changed.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise AblateError(
            f"{file} is not an archive of records ({error.strerror}): make one with ablate archive"
        ) from error
    with writing(runs, "use another folder"):
        runs.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=runs, prefix=".unpack-") as there:
            _extract(file, content, Path(there))
            return _take(Path(there), runs)


def _extract(file: Path, content: bytes, into: Path) -> None:
    try:
        whole = gzip.decompress(content)  # at once: tarfile takes damage between two members for the end
        with tarfile.open(fileobj=io.BytesIO(whole), mode="r:") as archive:
            for member in archive:
                if not member.isfile() or not MEMBER.fullmatch(member.name):
                    raise AblateError(f"{file} holds {member.name!r}, which is not a record's: nothing was taken")
                archive.extract(member, into, filter="data")
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise AblateError(f"{file} is not an archive of records ({error}): make one with ablate archive") from error


def _take(there: Path, runs: Path) -> tuple[int, list[str]]:
    new, refused = 0, []
    for folder in sorted(path for path in there.iterdir() if layout.is_run(path.name)):
        target = runs / folder.name
        try:
            run = read_run(folder)
        except NOT_A_RECORD as error:
            refused.append(f"{folder.name} was not taken: incomplete or damaged record ({error})")
            continue
        if target.exists():
            refused += _differs(target, run.result)
            continue
        folder.rename(target)
        new += 1
    for plan in there.glob(f"{layout.PLANS}/*/*.json"):
        target = runs / plan.relative_to(there)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            plan.rename(target)
    return new, refused


def _differs(target: Path, result: dict[str, Any]) -> list[str]:
    """A sentence if the record that is there has not this result."""
    try:
        there = read_run(target).result if (target / layout.RESULT).is_file() else {}
    except NOT_A_RECORD as error:
        return [f"{target} is there, incomplete or damaged ({error}): it was not replaced"]
    if there == result:
        return []
    return [f"{target} is there with {'another' if there else 'no'} result: it was not replaced"]
