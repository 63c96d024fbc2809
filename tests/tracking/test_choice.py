"""Choosing a tracker: wrong choices are refused in one sentence, and the choice does not affect a run's identity."""

from dataclasses import asdict

import pytest

from ablate.runs.identity import signature

RULE = "is invalid: use 1 to 128 characters without / \\ # ? % :"


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("tracker=foo", "tracker 'foo' is unknown. Known: none, wandb"),
        ("tracker=wand", "tracker 'wand' is unknown; did you mean 'wandb'? Known: none, wandb"),
        ("tracker.name=x", "tracker.name=x is invalid: use none or wandb"),
        ("tracker.project=a/b", f"tracker.project='a/b' {RULE}"),
        ("tracker.project=''", f"tracker.project='' {RULE}"),
        ("tracker.entity='a?'", f"tracker.entity='a?' {RULE}"),
        ("tracker.projekt=a", "there is no key 'tracker.projekt'; did you mean 'tracker.project'?"),
        ("tracker.project=[a]", None),
        ("probes=perhaps", None),
    ],
)
def test_wrong_value_is_refused_in_one_sentence(ask, word, said):
    done = ask("depth=8", "tracker=wandb", word)
    assert done.status == 2
    (line,) = done.err.splitlines()
    assert line.startswith("ablate: ")
    assert said is None or line == f"ablate: {said}"


def test_tracker_is_not_part_of_the_signature(resolve):
    plain = signature(asdict(resolve("depth=8")))
    for words in (("tracker=wandb",), ("tracker=wandb", "tracker.project=other", "tracker.run=name")):
        assert signature(asdict(resolve("depth=8", *words))) == plain
