"""Asking for a tracker: what is refused, in a sentence, and that a run is the same run with it."""

from dataclasses import asdict

import pytest

from ablate.runs.identity import signature


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("tracker=foo", "tracker 'foo' is unknown. Known: none, wandb"),
        ("tracker=wand", "tracker 'wand' is unknown; did you mean 'wandb'? Known: none, wandb"),
        ("tracker.name=x", "tracker.name=x is not one of none, wandb"),
        ("tracker.project=a/b", "tracker.project=a/b is no name for W&B: 1 to 128 letters, none of them / \\ # ? % :"),
        ("tracker.project=''", "tracker.project= is no name for W&B: 1 to 128 letters, none of them / \\ # ? % :"),
        ("tracker.entity='a?'", "tracker.entity=a? is no name for W&B: 1 to 128 letters, none of them / \\ # ? % :"),
        ("tracker.projekt=a", "there is no key 'tracker.projekt'; did you mean 'tracker.project'?"),
        ("tracker.project=[a]", None),
        ("probes=perhaps", None),
    ],
)
def test_what_cannot_be_is_one_sentence(ask, word, said):
    done = ask("depth=8", "tracker=wandb", word)
    assert done.status == 2
    (line,) = done.err.splitlines()
    assert line.startswith("ablate: ")
    assert said is None or line == f"ablate: {said}"


def test_a_run_is_the_same_run_whoever_is_shown_it(resolve):
    plain = signature(asdict(resolve("depth=8")))
    for words in (("tracker=wandb",), ("tracker=wandb", "tracker.project=other", "tracker.run=name")):
        assert signature(asdict(resolve("depth=8", *words))) == plain


def test_probes_make_another_run_and_none_the_run_of_before_there_were_any(resolve):
    tree = asdict(resolve("depth=8", "probes=false"))
    assert signature(asdict(resolve("depth=8", "probes=true"))) != signature(tree)
    del tree["probes"]
    assert signature(tree) == signature(asdict(resolve("depth=8", "probes=false")))
    # Worked out by the code of before that key: records of that time are found again.
    older = asdict(resolve("depth=8", "shortcut=gate", "seed=1"))
    assert signature(older) == "a0bfd0c798ef113c"
