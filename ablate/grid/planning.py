"""The runs of a grid and their cost, without training any."""

from ablate.base.errors import ConfigError
from ablate.base.terminal import say
from ablate.config.schema import Config
from ablate.data.facts import check, facts
from ablate.runs import layout
from ablate.runs.lock import active_lock
from ablate.runs.naming import describe, variants
from ablate.runs.record import OtherCode, Record

PASSES = 3
"""Cost of a training step in forward passes: one forward, and two for the gradients of inputs and of weights."""


def dry_run(records: list[Record]) -> None:
    """Print each run with its signature, state and cost. Changes nothing. Raises ConfigError as a run of it would."""
    left, unknown = 0.0, 0
    costs: dict[str, float | None] = {}  # by cell: its seeds cost the same
    for record in records:
        check(record.config)
    for record, variant in zip(records, variants([record.tree for record in records]), strict=True):
        state = _state(record)
        if record.cell not in costs:
            costs[record.cell] = multiply_adds_to_train(record.config)
        cost = costs[record.cell]
        if state.startswith("would"):
            left += cost or 0.0
            unknown += cost is None
        amount = f"{cost:.2e} multiply-adds" if cost else "cost unknown: images not read yet"
        say(f"{record.signature}  {state:<18}  {amount}  {describe(record.tree, variant)}")
    rest = f" and {unknown} runs of unknown cost" if unknown else ""
    say(f"{len(records)} runs; {left:.2e} multiply-adds{rest} to train")


def _state(record: Record) -> str:
    if active_lock(record.folder):
        return "running"
    try:
        action = record.action()
    except OtherCode:
        return f"{record.status()}, other code"
    if action == "skip":
        return record.status()
    if action == "train" and (record.folder / layout.CHECKPOINT).exists():
        return "would resume"
    return f"would {action}"


def multiply_adds_to_train(config: Config) -> float | None:
    """Multiply-adds of a whole training, or None if they depend on images that are not read yet."""
    known, recipe = facts(config.data), config.recipe
    if known is None:
        return None
    from ablate.models.build import build
    from ablate.models.cost import multiply_adds
    from ablate.training.schedule import total_steps

    network = build(config, shape=known.shape, classes=known.classes)
    per_epoch = (known.train - config.data.validation) // recipe.batch
    if per_epoch < 1:
        raise ConfigError(f"data.validation and recipe.batch={recipe.batch} leave no batch of {known.train} images")
    return float(PASSES * multiply_adds(network, known.shape) * total_steps(recipe, per_epoch) * recipe.batch)
