"""The list of configuration keys."""

from dataclasses import asdict

from ablate.config.schema import keys

# A key that is added here belongs in ablate.runs.identity too: in NEUTRAL, with the value at which runs are what they
# were before it, or in EXCLUDED.
KEYS = """
    shortcut
    unit
    net
    data.name data.root data.validation data.shift data.flip data.size data.colour data.views data.workers
    data.download data.fingerprint
    recipe.name recipe.iterations recipe.epochs recipe.batch recipe.learning_rate recipe.schedule recipe.milestones
    recipe.warmup recipe.momentum recipe.nesterov recipe.weight_decay recipe.decay_norm
    depth width seed init_from init_fingerprint iterations epochs
    device precision threads sync_batch_norm stop_at_chance deterministic graph compile activation_checkpointing
    probes probe_every
    checkpoint.minutes checkpoint.steps
    tracker.name tracker.project tracker.entity tracker.run
    pack rerun accept_code tune.trials tune.studies tune.held_out seeds most_seeds fail_fast
    dry_run results name experiment
""".split()  # noqa: SIM905


def test_configuration_keys_are_these():
    assert [key.name for key in keys()] == KEYS


def test_every_key_is_in_a_resolved_configuration_and_has_a_meaning(resolve):
    tree = asdict(resolve())
    for key in keys():
        node = tree
        for part in key.name.split("."):
            node = node[part]
        assert key.meaning
