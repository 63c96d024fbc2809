"""Everything that is unknown without a GPU, in one call of minutes: tests, speed, packing, and a small Table 1.

ablate bench gpu
ablate bench gpu --rehearse          # all of it on the CPU, with tiny sizes

Each part has a process of its own and a share of the time (`ablate.bench.parts`). The most valuable come first.
"""

import os
import re
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ablate.base.errors import AblateError, ConfigError
from ablate.base.terminal import say
from ablate.bench import parts
from ablate.bench.parts import Part, Results

VARIABLE, CPU = "ABLATE_GPU", "cpu"
"""ABLATE_GPU=cpu: a rehearsal, in the tests too."""
ON_A_CPU = {VARIABLE: CPU, "CUDA_VISIBLE_DEVICES": "", "TORCHDYNAMO_DISABLE": "1", "OMP_NUM_THREADS": "1"}
"""The environment of a rehearsal. Without dynamo compiled units stay eager: a CPU compiles for minutes."""
TESTS = ("training", "compile", "processes")
"""The files tests/gpu/test_*.py, the most valuable first."""
WORK = "ablate.bench.gpu_parts"
"""The module of the parts' functions."""


@dataclass(frozen=True)
class Sizes:
    """How much is measured: `rounds` of `seconds` at each of `depths`, and at most `packed` runs at once.

    Random `images` are trained on. `table` are the overrides of the small Table 1, whose runs have at most so many
    `iterations`.
    """

    device: str = "cuda"
    depths: tuple[int, ...] = (110, 20, 56)
    rounds: int = 2
    seconds: float = 0.7
    images: int = 2560
    batch: int = 128
    packed: int = 16
    iterations: int = 64_000
    table: tuple[str, ...] = ("+experiment=table1",)


REHEARSAL = Sizes("cpu", (8,), 1, 0.01, 64, 16, 1, 4, ("shortcut=identity,none", "depth=8"))


def gpu(minutes: float, names: list[str], data: Path | None, out: Path | None, *, rehearse: bool) -> int:
    """Carry out all parts, or those of these names, within so many minutes. The exit status: 0 if none failed.

    The results are in `out`, or in results/bench/gpu-NAME. Raises ConfigError if there is no such part, AblateError if
    there is no GPU.
    """
    whole = 60 * minutes
    end = time.monotonic() + whole
    rehearse = rehearse or os.environ.get(VARIABLE) == CPU
    environment = ON_A_CPU if rehearse else {}
    machine = _machine(whole, end, environment)
    if "GPU" not in machine and not rehearse:
        raise AblateError("torch finds no GPU; ablate bench gpu --rehearse does the same on the CPU, with tiny sizes")
    name = re.sub(r"\W+", "-", machine.get("GPU", "").lower()).strip("-")
    results = Results(out or Path("build/gpu-rehearsal" if rehearse else f"results/bench/gpu-{name}"), "gpu")
    every = planned(REHEARSAL if rehearse else Sizes(), data, results.folder)
    known = [part.name for part in every]
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(f"there is no part '{unknown[0]}'; parts: {', '.join(known)}")
    results.folder.mkdir(parents=True, exist_ok=True)
    results.write(results.read() | {"machine": machine})
    states = []
    for part in every:
        if not names or part.name in names:
            ended = parts.carry_out(part, results, whole, end, environment)
            states.append(ended["state"])
            say(parts.line(part.name, ended))
    say(f"written: {results.folder / 'gpu.md'}, and beside it gpu.json and {parts.LOG}")
    return int(parts.FAILED in states or parts.CUT in states)


def planned(sizes: Sizes, data: Path | None, folder: Path) -> list[Part]:
    """All parts in their order. Their shares are limits: they are seldom used up, and together are more than 1."""
    deepest, *others = sizes.depths
    where = {"data": str(data.resolve()) if data else None, "folder": str(folder.resolve())}

    def of(what: str, share: float, depth: int, **more: Any) -> Part:
        return Part(f"{what}-{depth}", f"{WORK}:{what}", share, {"sizes": asdict(sizes), "depth": depth} | more)

    return [
        *(Part(f"tests-{name}", f"{WORK}:tests", 0.2, {"file": f"test_{name}.py"}) for name in TESTS),
        of("speed", 0.2, deepest),
        of("packed", 0.2, deepest),
        *(of("speed", 0.15, depth) for depth in others),
        of("compiled", 0.25, deepest),
        *(of("compiled", 0.15, depth) for depth in others),
        *(of("packed", 0.15, depth) for depth in others),
        of("table1", 1.0, deepest, **where),
    ]


def _machine(whole: float, end: float, environment: dict[str, str]) -> dict[str, str]:
    """This machine, asked in a process of its own, because a driver may hang. Raises AblateError if torch fails."""
    with tempfile.TemporaryDirectory() as folder:
        part = Part("machine", f"{WORK}:machine", 0.5)
        ended = parts.carry_out(part, Results(Path(folder), "gpu"), whole, end, environment)
        if ended["state"] != parts.OK:
            log = (Path(folder) / parts.LOG).read_text(errors="replace") if (Path(folder) / parts.LOG).exists() else ""
            why = "".join(f": {text}" for text in log.splitlines()[-1:])
            raise AblateError(f"torch cannot be asked for a GPU: {ended['sentence']}{why}")
        found: dict[str, str] = ended["found"]["machine"]
        return found
