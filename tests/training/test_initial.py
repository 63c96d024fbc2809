"""Reading files of weights, whole and broken, without executing anything."""

import os
import pickle
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from ablate.base.errors import ConfigError
from ablate.base.files import fingerprint
from ablate.models.shortcuts import Identity
from ablate.training.initial import load_weights
from tests.models.networks import resnet


@pytest.fixture
def state():
    torch.manual_seed(1)
    return resnet(8, Identity).state_dict()


def loaded(path, **how):
    network = resnet(8, Identity)
    load_weights(network, path, str(path.name), **how)
    return network.state_dict()


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def test_formats_of_torch_and_safetensors_are_read(state, tmp_path):
    torch.save(state, tmp_path / "new.pt")
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    torch.save({"state_dict": state, "epoch": 3, "best": 0.5}, tmp_path / "checkpoint.th")
    save_file(state, tmp_path / "new.safetensors")
    for path in tmp_path.iterdir():
        assert same(loaded(path), state), path


class Code:
    """Pickled, it is a command that makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("how", ["torch", "pickle", "inside"])
def test_pickled_code_is_not_run(how, state, tmp_path):
    ran, file = tmp_path / "ran", tmp_path / "evil.pt"
    if how == "pickle":
        file.write_bytes(pickle.dumps(Code(ran), protocol=2))
    else:
        torch.save(Code(ran) if how == "torch" else state | {"more": Code(ran)}, file)
    with pytest.raises(ConfigError, match=r"^evil.pt holds a pickled posix.system, and pickled code is not run: save "):
        loaded(file)
    assert not ran.exists()
    pickle.loads(pickle.dumps(Code(ran)))  # so the file would be there
    assert ran.exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (lambda whole: whole[: len(whole) // 2], "x.pt is not a whole checkpoint of torch: save the state_dict again"),
        (lambda whole: whole[:-1000], "x.pt is not a whole checkpoint of torch"),
        (lambda whole: b"", "x.pt is not a whole checkpoint of torch"),
        (lambda whole: b"<html>404</html>", "x.pt is not a whole checkpoint of torch"),
        (lambda whole: None, "x.pt cannot be read: No such file or directory"),
    ],
)
def test_broken_file_is_one_sentence(content, sentence, state, tmp_path):
    torch.save(state, tmp_path / "whole.pt")
    made = content((tmp_path / "whole.pt").read_bytes())
    if made is not None:
        (tmp_path / "x.pt").write_bytes(made)
    with pytest.raises(ConfigError, match=f"^{sentence}") as caught:
        loaded(tmp_path / "x.pt")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("cut", [0, 4, 100, -1000])
def test_broken_safetensors_file_is_one_sentence(cut, state, tmp_path):
    file = tmp_path / "x.safetensors"
    save_file(state, file)
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(ConfigError, match=r"^x.safetensors is not a whole safetensors file: write it again$"):
        loaded(file)


@pytest.mark.parametrize("content", [nn.Linear(2, 2), {"args": SimpleNamespace(depth=8)}])
def test_class_in_a_checkpoint_is_named(content, tmp_path):
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(ConfigError, match=r"^x.pt holds a pickled (torch.nn.modules.linear.Linear|types.SimpleName)"):
        loaded(tmp_path / "x.pt")


@pytest.mark.parametrize("content", [[1, 2], torch.zeros(3), {"a": 1}])
def test_file_without_a_state_dict_is_one_sentence(content, tmp_path):
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(ConfigError, match=r"^x.pt holds no state_dict: "):
        loaded(tmp_path / "x.pt")


def test_content_is_compared_with_its_fingerprint(state, tmp_path):
    torch.save(state, tmp_path / "x.pt")
    print_of = fingerprint(tmp_path / "x.pt")
    assert len(print_of) == 16
    assert same(loaded(tmp_path / "x.pt", fingerprint=print_of), state)
    torch.save({"head.weight": torch.zeros(1)}, tmp_path / "x.pt")
    with pytest.raises(ConfigError, match=r"^x.pt changed after it was read: run the command again$"):
        loaded(tmp_path / "x.pt", fingerprint=print_of)


def test_fingerprint_is_of_the_content(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    for path in (one, other):
        path.write_bytes(b"abc")
    assert fingerprint(one) == fingerprint(other) == "ba7816bf8f01cfea"  # FIPS 180-2, appendix B.1
    other.write_bytes(b"abd")
    os.utime(other, ns=(0, Path(one).stat().st_mtime_ns + 1))
    assert fingerprint(other) != fingerprint(one)
