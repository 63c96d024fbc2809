"""A checkpoint comes back as it was, and a broken one is known for broken."""

import hashlib
import random

import numpy
import pytest
import torch

from ablate.training import checkpoint

CPU = torch.device("cpu")


def saved(folder, step):
    checkpoint.save(folder, {"step": step, "net": {"w": torch.full((1000,), float(step))}})


def test_it_comes_back_as_it_was_and_torch_reads_it_too(tmp_path):
    saved(tmp_path, 1)
    state, warnings = checkpoint.load(tmp_path)
    assert warnings == []
    assert state["step"] == 1
    assert torch.equal(state["net"]["w"], torch.ones(1000))
    assert torch.load(tmp_path / checkpoint.NEW, weights_only=True)["step"] == 1


def test_two_are_kept(tmp_path):
    for step in (1, 2, 3):
        saved(tmp_path, step)
    assert sorted(path.name for path in tmp_path.iterdir()) == [checkpoint.OLD, checkpoint.NEW]
    (tmp_path / checkpoint.NEW).unlink()  # killed between the two renames
    assert checkpoint.load(tmp_path)[0]["step"] == 2


@pytest.mark.parametrize("place", [0, 100, 2000, -1, -70])
def test_one_flipped_bit_is_found_and_the_one_before_is_used(tmp_path, place):
    for step in (1, 2):
        saved(tmp_path, step)
    content = bytearray((tmp_path / checkpoint.NEW).read_bytes())
    content[place] ^= 1
    (tmp_path / checkpoint.NEW).write_bytes(content)
    state, (warning,) = checkpoint.load(tmp_path)
    assert state["step"] == 1
    assert "checksum" in warning
    assert (tmp_path / "checkpoint.pt.broken").exists()
    assert not (tmp_path / checkpoint.NEW).exists()


@pytest.mark.parametrize("content", [b"", b"no checkpoint", None])
def test_torn_and_foreign_files_are_no_checkpoints(tmp_path, content):
    saved(tmp_path, 1)
    whole = (tmp_path / checkpoint.NEW).read_bytes()
    (tmp_path / checkpoint.NEW).write_bytes(whole[: len(whole) // 2] if content is None else content)
    state, warnings = checkpoint.load(tmp_path)
    assert state is None
    assert len(warnings) == 1


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    class Harmful:
        def __reduce__(self):
            return (open, (str(tmp_path / "harm"), "w"))

    checkpoint.save(tmp_path, {"step": 1, "net": Harmful()})
    state, warnings = checkpoint.load(tmp_path)
    assert state is None
    assert len(warnings) == 1
    assert not (tmp_path / "harm").exists()


def test_a_write_that_fails_leaves_both_as_they_were(tmp_path, monkeypatch):
    for step in (1, 2):
        saved(tmp_path, step)

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        saved(tmp_path, 3)
    monkeypatch.undo()
    assert checkpoint.load(tmp_path)[0]["step"] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [checkpoint.OLD, checkpoint.NEW]


def test_every_generator_goes_on_where_it_was():
    def draws():
        return [torch.rand(3).tolist(), random.random(), random.gauss(0, 1), numpy.random.normal(size=3).tolist()]

    checkpoint.seed_generators(5)
    draws()
    states = checkpoint.generators(CPU)
    expected = draws()
    checkpoint.seed_generators(6)
    checkpoint.restore_generators(states, CPU)
    assert draws() == expected
    checkpoint.seed_generators(5)
    assert draws() != expected


def test_a_weights_hash_tells_one_bit():
    net = torch.nn.Linear(3, 2)
    before = checkpoint.weights_sha256(net)
    assert checkpoint.weights_sha256(net) == before
    with torch.no_grad():
        net.weight.view(torch.int32)[0, 0] ^= 1
    assert checkpoint.weights_sha256(net) != before


class Counting(torch.nn.Module):
    """Every kind of state that a shortcut may keep beside float32."""

    def __init__(self, extra):
        super().__init__()
        self.extra = extra
        self.register_buffer("coarse", torch.tensor([1.0, 2.0], dtype=torch.bfloat16))
        self.register_buffer("one", torch.tensor(3, dtype=torch.bfloat16))
        self.register_buffer("turned", torch.tensor([1 + 2j]).conj())
        self.register_buffer("empty", torch.zeros(0))

    def get_extra_state(self):
        return self.extra

    def set_extra_state(self, extra):
        self.extra = extra


def test_a_hash_is_of_the_bytes_in_order_of_their_names():
    net = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 2), torch.nn.BatchNorm2d(3)).to(memory_format=torch.channels_last)
    expected = hashlib.sha256()
    for name, tensor in net.state_dict().items():  # what the hashes in records were taken of
        expected.update(name.encode() + tensor.contiguous().numpy().tobytes())
    assert checkpoint.weights_sha256(net) == expected.hexdigest()


def test_any_state_is_hashed_and_one_bit_of_it_tells():
    hashes = [checkpoint.weights_sha256(Counting(extra)) for extra in ({"n": [1]}, {"n": [2]}, {"n": torch.ones(2)})]
    net = Counting({"n": [1]})
    checkpoint.check(net)
    assert checkpoint.weights_sha256(net) == hashes[0]
    net.coarse[1] += 2**-6
    hashes.append(checkpoint.weights_sha256(net))
    net.one += 1
    hashes.append(checkpoint.weights_sha256(net))
    assert len(set(hashes)) == 5


class Bare(torch.nn.Module):
    """Gives a state that it does not take back."""

    def get_extra_state(self):
        return 1


@pytest.mark.parametrize("net", [Counting(object()), Counting({"device": CPU}), Bare()])
def test_a_state_that_cannot_be_kept_is_found_before_the_training(net):
    with pytest.raises((TypeError, RuntimeError)):
        checkpoint.check(net)
