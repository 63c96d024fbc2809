import pytest
import torch
from torch import nn

from ablate.training.sgd import SGD


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_steps_are_those_of_torchs_optimizer_to_the_bit(momentum, resolve):
    recipe = resolve(f"recipe.momentum={momentum}", "recipe.weight_decay=0.01").recipe
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 3))
    reference = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 3))
    reference.load_state_dict(network.state_dict())
    rate = torch.tensor(0.1)
    ours = SGD(network, rate, recipe)
    theirs = torch.optim.SGD(reference.parameters(), rate, momentum=momentum, weight_decay=0.01, fused=True)
    for step in range(5):
        rate.fill_(0.1 / (step + 1))
        x = torch.randn(8, 1, 4, 4)
        for model, optimizer in ((network, ours), (reference, theirs)):
            model.zero_grad()
            model(x).square().sum().backward()
            optimizer.step()
    for one, other in zip(network.parameters(), reference.parameters(), strict=True):
        assert torch.equal(one, other)
