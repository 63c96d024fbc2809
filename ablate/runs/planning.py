"""What a grid would cost, before it is begun."""

from ablate.config import Config
from ablate.data.facts import FACTS
from ablate.runs.holder import living
from ablate.runs.naming import variants
from ablate.runs.record import Record, wanted
from ablate.runs.signature import cell
from ablate.terminal import say

STEP = 3
"""Forward passes that a training step is worth: one forward, two for the gradients of inputs and of weights."""


def dry_run(records: list[Record]) -> None:
    """Print each run with its signature, its state and its cost, one line a run; changes nothing."""
    left, unknown = 0.0, 0
    costs: dict[str, float | None] = {}  # seeds of a cell cost alike
    for record, variant in zip(records, variants([record.tree for record in records]), strict=True):
        state = {"skip": record.status(), "afresh": "would train afresh", "on": "would train"}[wanted(record)]
        if living(record.folder):
            state = "running"
        elif state == "would train" and (record.folder / "checkpoint.pt").exists():
            state = "would go on from its checkpoint"
        which = cell(record.tree)
        if which not in costs:
            costs[which] = training_operations(record.config)
        cost = costs[which]
        left += (cost or 0.0) * state.startswith("would")
        unknown += cost is None and state.startswith("would")
        amount = f"{cost:.2e} multiply-adds" if cost else "cost unknown before its pictures are read"
        config = record.config
        name = f"{variant}, depth {config.depth}, {config.data.name}, seed {config.seed}"
        say(f"{record.folder.name.rpartition('-')[2]}  {state:<18}  {amount}  {name}")
    rest = f" and {unknown} runs of unknown cost" if unknown else ""
    say(f"{len(records)} runs; {left:.2e} multiply-adds{rest} to train")


def training_operations(config: Config) -> float | None:
    """Multiply-adds of a whole training: steps, pictures a step, and what a step costs; None where data is unread."""
    facts, recipe = FACTS.get(config.data.name), config.recipe
    if facts is None:
        return None
    from ablate.models import build
    from ablate.models.cost import multiply_adds

    net = build(config, channels=facts.shape[0], classes=facts.classes)
    per_epoch = (facts.train - config.data.validation) // recipe.batch
    steps = recipe.iterations or (recipe.epochs or 0) * per_epoch
    return float(STEP * multiply_adds(net, facts.shape) * steps * recipe.batch)
