"""Coverage and false alarms over seeds and test images, of simulated predictions.

A seed misclassifies an image if skill + difficulty + a normal residual is above a threshold (a probit model). The true
error is that over all seeds and all images: the chance that a new seed misclassifies a new image.
"""

from collections.abc import Iterator
from functools import partial

import numpy
from scipy import special

from ablate.report import stats
from tests.simulation.methods import squares

SEEDS = (3, 5, 10)
IMAGES = (500, 10_000)
ROWS = 10
ERRORS = (3.0, 6.6, 25.0)
COVERAGE = (0.94, 0.96)
NOISE = ((2.0, 0.0), (2.0, 0.05), (2.0, 0.2), (1.0, 0.2))
"""Standard deviations of images' difficulties and of seeds' skills, in those of the residual."""
EACH_CELL = f"Each cell is for {SEEDS[0]} / {SEEDS[1]} / {SEEDS[2]} seeds."
BOUND = (
    "`make simulate` fails if the coverage as reported is out of 94 to 96 % by more than three standard errors of this "
    "simulation."
)
DIFFERENCES = ((6.6, 6.6), (8.0, 6.6), (3.0, 3.0), (25.0, 25.0))


def misclassified(rng, shape, errors, difficulty, skill, shared=1.0) -> Iterator[numpy.ndarray]:
    """Batches of int8 (studies, rows, n, m), 1 where a seed misclassifies an image, for shape (studies, n, m).

    errors: of each row, percent. shared: the share of the variance of difficulties that the rows have in common; their
    seeds have nothing in common but the number.
    """
    (studies, n, m), rows = shape, len(errors)
    thresholds = special.ndtri(numpy.array(errors) / 100)[:, None, None] * numpy.sqrt(1 + difficulty**2 + skill**2)
    normal = partial(rng.standard_normal, dtype=numpy.float32)
    batch = max(1, 1_000_000 // (rows * n * m))
    for start in range(0, studies, batch):
        size = min(batch, studies - start)
        images = numpy.float32(shared**0.5) * normal((size, 1, 1, m))
        if shared < 1:
            images = images + numpy.float32((1 - shared) ** 0.5) * normal((size, rows, 1, m))
        latent = normal((size, rows, n, m))
        latent += numpy.float32(difficulty) * images
        latent += numpy.float32(skill) * normal((size, rows, n, 1)) + thresholds.astype(numpy.float32)
        yield (latent > 0).view(numpy.int8)


def spread(error, own, other) -> float:
    """The standard deviation of the error given the seed or the image, points.

    own, other: standard deviations of skills and difficulties for seeds, of difficulties and skills for images.
    """
    effects = own * special.ndtri((numpy.arange(10_000) + 0.5) / 10_000)
    threshold = special.ndtri(error / 100) * numpy.sqrt(1 + own**2 + other**2)
    return float(100 * special.ndtr((threshold + effects) / numpy.sqrt(1 + other**2)).std())


def two_way_bootstrap(wrong, rng, draws=400):
    """Percentiles of the mean, seeds and images drawn again with replacement; wrong (studies, n, m)."""
    n, m = wrong.shape[-2:]
    seeds = rng.multinomial(n, numpy.full(n, 1 / n), draws) / n
    images = rng.multinomial(m, numpy.full(m, 1 / m), draws) / m
    means = wrong.astype(numpy.float32) @ images.T.astype(numpy.float32)
    return 100 * numpy.percentile(numpy.einsum("dn,snd->sd", seeds, means), [2.5, 97.5], axis=-1)


def in_percent(wrong, rng):
    """As reported, but symmetric in percent instead of log-odds."""
    _, low, high, _ = stats.crossed_difference(wrong)
    return low, high


def squares_added(wrong, rng):
    """As reported, but with exponent 2."""
    mean, seeds, images = stats._crossed(wrong)
    with numpy.errstate(divide="ignore", invalid="ignore"):
        half = squares(seeds, images, wrong.shape[-2], 0.05) / (mean * (1 - mean))
    return 100 * special.expit(special.logit(mean) - half), 100 * special.expit(special.logit(mean) + half)


METHODS = {
    "seeds alone": lambda wrong, rng: stats.student_interval(100 * wrong.mean(-1)),
    "as reported": lambda wrong, rng: stats.crossed_interval(wrong),
}
OTHERS = {
    "symmetric in percent": in_percent,
    "squares added": squares_added,
    "two-way bootstrap": two_way_bootstrap,
}


def coverage(methods, rng, shape, error, difficulty, skill) -> list[float]:
    """For each method, the share of studies whose interval holds the error; studies without one are not counted."""
    held = []
    for wrong in misclassified(rng, shape, [error], difficulty, skill):
        ends = [method(wrong[:, 0], rng) for method in methods.values()]
        held.append([numpy.where(numpy.isnan(low), numpy.nan, (low <= error) & (error <= high)) for low, high in ends])
    return list(numpy.nanmean(numpy.concatenate(held, -1), -1))


def check(found, studies, what, broken) -> None:
    """Whether the coverage is in its bounds, with three standard errors of this simulation."""
    margin = 3 * numpy.sqrt(0.05 * 0.95 / studies)
    if not COVERAGE[0] - margin <= found <= COVERAGE[1] + margin:
        broken.append(f"{what}: the coverage is {100 * found:.1f} %")


def errors_section(studies: int, rng: numpy.random.Generator, broken: list[str], m: int) -> Iterator[str]:
    few = m < 1000
    studies = studies if few else studies // 5
    methods = METHODS | (OTHERS if few else {})
    of_others = f" ({studies // 20:,} for the last three columns)" if few else ""
    yield from (
        f"## Coverage of the 95 % interval of an error over seeds and images, percent: {m:,} test images",
        "",
        f"{studies:,} studies{of_others}. {EACH_CELL} The spread is the standard deviation over seeds of the error "
        f"over all images, in points; the difficulty's is that over images, in units of the residual. {BOUND}",
        "",
        f"| error | difficulty | spread | {' | '.join(methods)} |",
        "|---" * (len(methods) + 3) + "|",
    )
    for error in ERRORS:
        for difficulty, skill in NOISE if few else NOISE[:3]:
            found = [
                coverage(METHODS, rng, (studies, n, m), error, difficulty, skill)
                + (coverage(OTHERS, rng, (studies // 20, n, m), error, difficulty, skill) if few else [])
                for n in SEEDS
            ]
            seeds = spread(error, skill, difficulty)
            yield f"| {error:g} | {difficulty:g} | {seeds:.2f} | {cells(found)} |"
            for n, shares in zip(SEEDS, found, strict=True):
                check(shares[1], studies, f"error {error}, {n} seeds, {m} images, spread {seeds:.2f}", broken)


def cells(found) -> str:
    """found: a list for each number of seeds, of the share that each method has."""
    return " | ".join(" / ".join(f"{100 * share:.1f}" for share in shares) for shares in zip(*found, strict=True))


def differences_section(studies: int, rng: numpy.random.Generator, broken: list[str], m: int) -> Iterator[str]:
    few = m < 1000
    studies = studies // (4 if few else 5)
    yield from (
        f"## Coverage of the 95 % interval of a difference over seeds and images, percent: {m:,} test images",
        "",
        f"{studies:,} studies of two rows. {EACH_CELL} *Common* is the share of the variance of difficulties that both "
        "rows have in common. At 100 % the same images are hard for both; below, each row has hard images of its own. "
        f"If the errors are equal, the false alarms of the test at 5 % are what is missing to 100. {BOUND}",
        "",
        "| errors | common, % | spread | seeds alone | as reported |",
        "|---|---|---|---|---|",
    )
    for errors in DIFFERENCES if few else DIFFERENCES[:1]:
        for shared, skill in ((1.0, 0.05), (0.5, 0.05), (1.0, 0.2)):
            found = [difference_coverage(rng, (studies, n, m), errors, skill, shared) for n in SEEDS]
            seeds = spread(errors[1], skill, 2.0)
            yield f"| {errors[0]:g} − {errors[1]:g} | {100 * shared:g} | {seeds:.2f} | {cells(found)} |"
            for n, shares in zip(SEEDS, found, strict=True):
                check(shares[1], studies, f"{errors[0]} - {errors[1]}, common {shared}, {n} seeds, {m} images", broken)


def difference_coverage(rng, shape, errors, skill, shared) -> list[float]:
    """Of the interval over seeds alone, and of the crossed one."""
    truth, held = errors[0] - errors[1], []
    for wrong in misclassified(rng, shape, errors, 2.0, skill, shared):
        _, low, high, _ = stats.paired_difference(100 * wrong[:, 0].mean(-1), 100 * wrong[:, 1].mean(-1))
        _, crossed_low, crossed_high, _ = stats.crossed_difference(wrong[:, 0] - wrong[:, 1])
        held.append([(low <= truth) & (truth <= high), (crossed_low <= truth) & (truth <= crossed_high)])
    return list(numpy.concatenate(held, -1).mean(-1))


def false_alarms(rng, shape, error, skill, shared) -> list[float]:
    """The share of studies of ten rows in which one is found to differ from the baseline: seeds alone, crossed."""
    found = []
    for wrong in misclassified(rng, shape, [error] * (ROWS + 1), 2.0, skill, shared):
        *_, p = stats.paired_difference(100 * wrong[:, 1:].mean(-1), 100 * wrong[:, :1].mean(-1))
        *_, crossed_p = stats.crossed_difference(wrong[:, 1:] - wrong[:, :1])
        found.append([(stats.holm(each) < 0.05).any(-1) for each in (p, crossed_p)])
    return list(numpy.concatenate(found, -1).mean(-1))


def alarms_section(studies: int, rng: numpy.random.Generator, broken: list[str], m: int) -> Iterator[str]:
    few = m < 1000
    studies = studies // (4 if few else 10)
    yield from (
        "## False alarms over seeds and images: studies of ten equal rows in which a row is found to differ, percent: "
        f"{m:,} test images",
        "",
        f"{studies:,} studies, corrected by Holm's method. {EACH_CELL} `make simulate` fails above 5 % and three "
        "standard errors of this simulation.",
        "",
        "| error | common, % | seeds alone | as reported |",
        "|---|---|---|---|",
    )
    for error in ERRORS[:2] if few else ERRORS[1:2]:
        for shared in (1.0, 0.5):
            found = [false_alarms(rng, (studies, n, m), error, 0.05, shared) for n in SEEDS]
            yield f"| {error:g} | {100 * shared:g} | {cells(found)} |"
            for n, (_, alarms) in zip(SEEDS, found, strict=True):
                if alarms > 0.05 + 3 * numpy.sqrt(0.05 * 0.95 / studies):
                    broken.append(f"{100 * alarms:.1f} % false alarms at error {error}, {n} seeds, {m} images")


def noise_section(studies: int, rng: numpy.random.Generator, broken: list[str]) -> Iterator[str]:
    studies, m, error, difficulty, few, many = studies // 10, 500, 6.6, 2.0, 5, 20
    yield from (
        f"## Share of the variance over seeds that is noise of the test set, percent: {m} test images",
        "",
        f"{studies:,} studies at an error of {error}: the median of the share that is reported, and in brackets the "
        "range of the middle 90 %. `make simulate` fails if the median of 20 seeds is off by more than 10 points.",
        "",
        f"| spread | true share | {few} seeds | {many} seeds |",
        "|---|---|---|---|",
    )
    for skill in (0.0, 0.05, 0.1, 0.2):
        seeds, images = spread(error, skill, difficulty), spread(error, difficulty, skill)
        noise = (error * (100 - error) - seeds**2 - images**2) / m
        true, cells = 100 * noise / (seeds**2 + noise), []
        for n in (few, many):
            batches = misclassified(rng, (studies, n, m), [error], difficulty, skill)
            low, middle, high = numpy.nanpercentile(
                [100 * stats.seed_noise_share(study[0]) for batch in batches for study in batch], [5, 50, 95]
            )
            cells.append(f"{middle:.0f} ({low:.0f} to {high:.0f})")
        yield f"| {seeds:.2f} | {true:.0f} | {' | '.join(cells)} |"
        if abs(middle - true) > 10:
            broken.append(f"the noise share of {many} seeds is {middle:.0f} %, not {true:.0f} %")


SECTIONS = (errors_section, differences_section, alarms_section)
