"""A checkpoint is read back as it was written, and a broken one is recognised."""

import hashlib
import io
import random
from types import SimpleNamespace

import numpy
import pytest
import torch

from ablate.models import generators
from ablate.training import checkpoint

CPU = torch.device("cpu")


@pytest.fixture
def paths(tmp_path):
    return tmp_path / "checkpoint.pt", tmp_path / "checkpoint-old.pt"


def save(paths, step):
    checkpoint.save(*paths, {"step": step, "network": {"w": torch.full((1000,), float(step))}})


def test_checkpoint_is_read_back_and_is_a_file_of_torch(paths):
    save(paths, 1)
    state, warnings = checkpoint.load(paths)
    assert warnings == []
    assert state["step"] == 1
    assert torch.equal(state["network"]["w"], torch.ones(1000))
    assert torch.load(paths[0], weights_only=True)["step"] == 1


def test_checkpoint_of_this_version_by_hand_is_loaded_and_of_another_is_not(paths):
    """Whatever is changed in the format, interrupted runs of the previous version are not resumed: raise SCHEMA."""
    for schema in (8, 7):
        buffer = io.BytesIO()
        torch.save({"schema": schema, "step": 5}, buffer)
        content = buffer.getvalue()
        paths[0].write_bytes(content + b"\nablate-sha256:" + hashlib.sha256(content).hexdigest().encode())
        state, warnings = checkpoint.load(paths)
        assert state == ({"schema": 8, "step": 5} if schema == 8 else None)
        assert [warning.partition(" is broken ")[2] for warning in warnings] == (
            [] if schema == 8 else ["(schema 7, where this version reads 8): renamed to checkpoint.pt.broken"]
        )


def test_saved_weights_are_those_of_the_network(tmp_path):
    network = torch.nn.Linear(3, 2)
    checkpoint.save_weights(tmp_path / "weights.pt", network)
    stored = torch.load(tmp_path / "weights.pt", weights_only=True)
    assert stored.keys() == {"weight", "bias"}
    assert stored["weight"].equal(network.weight)
    assert stored["bias"].equal(network.bias)


def test_two_newest_are_kept(paths, tmp_path):
    for step in (1, 2, 3):
        save(paths, step)
    assert set(tmp_path.iterdir()) == set(paths)
    paths[0].unlink()  # killed between the two renames
    assert checkpoint.load(paths)[0]["step"] == 2


@pytest.mark.parametrize("place", [0, 100, 2000, -1, -70])
def test_flipped_bit_is_found_and_the_previous_checkpoint_used(paths, place):
    for step in (1, 2):
        save(paths, step)
    content = bytearray(paths[0].read_bytes())
    content[place] ^= 1
    paths[0].write_bytes(content)
    state, (warning,) = checkpoint.load(paths)
    assert state["step"] == 1
    assert "checksum" in warning
    assert paths[0].with_name("checkpoint.pt.broken").exists()
    assert not paths[0].exists()


@pytest.mark.parametrize("content", [b"", b"no checkpoint", None])
def test_torn_and_foreign_files_are_not_loaded(paths, content):
    save(paths, 1)
    whole = paths[0].read_bytes()
    paths[0].write_bytes(whole[: len(whole) // 2] if content is None else content)
    state, warnings = checkpoint.load(paths)
    assert state is None
    assert len(warnings) == 1


def test_code_in_a_checkpoint_is_not_run(paths, tmp_path):
    class Harmful:
        def __reduce__(self):
            return (open, (str(tmp_path / "harm"), "w"))

    checkpoint.save(*paths, {"step": 1, "network": Harmful()})
    state, warnings = checkpoint.load(paths)
    assert state is None
    assert len(warnings) == 1
    assert not (tmp_path / "harm").exists()


def test_failed_write_leaves_the_newest_checkpoint(paths, tmp_path, monkeypatch):
    for step in (1, 2):
        save(paths, step)

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    for _ in range(2):
        with pytest.raises(OSError, match="No space"):
            save(paths, 3)
    monkeypatch.undo()
    assert checkpoint.load(paths)[0]["step"] == 2
    assert set(tmp_path.iterdir()) == {paths[1]}
    save(paths, 3)
    assert [checkpoint.load([path])[0]["step"] for path in paths] == [3, 2]


def test_generators_continue_from_their_saved_state():
    def draws():
        return [torch.rand(3).tolist(), random.random(), random.gauss(0, 1), numpy.random.normal(size=3).tolist()]

    generators.seed_generators(5)
    draws()
    states = generators.generators(CPU)
    expected = draws()
    generators.seed_generators(6)
    generators.restore_generators(states, CPU)
    assert draws() == expected
    generators.seed_generators(5)
    assert draws() != expected


def test_seed_is_that_of_each_generator():
    generators.seed_generators(5)
    own = torch.Generator().manual_seed(5)
    assert torch.rand(3).equal(torch.rand(3, generator=own))
    assert random.random() == random.Random(5).random()
    assert numpy.random.normal() == numpy.random.RandomState(5).normal()


def test_generator_of_the_device_is_saved_and_restored_too(monkeypatch):
    device = torch.Generator().manual_seed(1)  # in the place of a GPU's
    module = SimpleNamespace(get_rng_state=device.get_state, set_rng_state=device.set_state)
    monkeypatch.setattr(torch, "get_device_module", lambda _: module)
    states = generators.generators(torch.device("cuda"))
    expected = torch.rand(3, generator=device)
    generators.restore_generators(states, torch.device("cuda"))
    assert torch.rand(3, generator=device).equal(expected)
    assert "device" not in generators.generators(CPU)


def test_hash_of_weights_changes_with_one_bit():
    network = torch.nn.Linear(3, 2)
    before = checkpoint.weights_sha256(network)
    assert checkpoint.weights_sha256(network) == before
    with torch.no_grad():
        network.weight.view(torch.int32)[0, 0] ^= 1
    assert checkpoint.weights_sha256(network) != before


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


def test_hash_is_of_names_and_bytes_in_order():
    network = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 2), torch.nn.BatchNorm2d(3)).to(
        memory_format=torch.channels_last
    )
    expected = hashlib.sha256()
    for name, tensor in network.state_dict().items():  # what the hashes in records were taken of
        expected.update(name.encode() + tensor.contiguous().numpy().tobytes())
    assert checkpoint.weights_sha256(network) == expected.hexdigest()


def test_hash_covers_every_kind_of_state():
    hashes = [checkpoint.weights_sha256(Counting(extra)) for extra in ({"n": [1]}, {"n": [2]}, {"n": torch.ones(2)})]
    network = Counting({"n": [1]})
    checkpoint.check(network)
    assert checkpoint.weights_sha256(network) == hashes[0]
    network.coarse[1] += 2**-6
    hashes.append(checkpoint.weights_sha256(network))
    network.one += 1
    hashes.append(checkpoint.weights_sha256(network))
    assert len(set(hashes)) == 5


class Bare(torch.nn.Module):
    """Has an extra state and cannot load it."""

    def get_extra_state(self):
        return 1


@pytest.mark.parametrize("network", [Counting(object()), Counting({"device": CPU}), Bare()])
def test_state_that_cannot_be_saved_is_refused_before_training(network):
    with pytest.raises((TypeError, RuntimeError)):
        checkpoint.check(network)
