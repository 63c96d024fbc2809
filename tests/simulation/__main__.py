"""Coverage of the report's intervals and error rates of its tests, from 10,000 simulated studies.

    python -m tests.simulation --out results/statistics.md

Takes about four minutes on two cores; exits with 1 if a bound is broken. Each section names its bounds.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy

from tests.simulation import images, methods, rows, rules, seeds, stopping

SECTIONS = [
    seeds.intervals_section,
    seeds.alarms_section,
    seeds.power_section,
    methods.section,
    *(partial(section, m=m) for m in images.IMAGES for section in images.SECTIONS),
    images.noise_section,
    rows.looks_section,
    rows.ranks_section,
    *stopping.SECTIONS,
    rules.rules_section,
]


def simulate(studies: int, number: int) -> tuple[list[str], list[str]]:
    """The lines of a section, and a sentence for each bound that is broken."""
    broken: list[str] = []
    return list(SECTIONS[number](studies, numpy.random.default_rng([20161, number]), broken)), broken


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the tables there as Markdown")
    parser.add_argument("--studies", type=int, default=10_000)
    options = parser.parse_args()
    error = 100 * numpy.sqrt(0.05 * 0.95 / options.studies)
    lines = [
        "# Coverage and error rates of the report's statistics",
        "",
        f"Made by `make simulate`: {options.studies:,} simulated studies for each number if no other is named. The "
        f"standard error of a percentage near 5 or 95 is {error:.2f} points.",
    ]
    broken = []
    with ProcessPoolExecutor() as pool:
        for section, sentences in pool.map(partial(simulate, options.studies), range(len(SECTIONS))):
            print(*section, sep="\n", end="\n\n", flush=True)
            lines += ["", *section]
            broken += sentences
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")
    for sentence in broken:
        print(f"broken: {sentence}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
