"""Batch normalisation over the images of all processes of a group."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed import all_reduce, get_world_size
from torch.nn.modules.batchnorm import _BatchNorm

from ablate.base.errors import AblateError
from ablate.config.schema import Config


def synchronise(network: nn.Module, device: torch.device) -> None:
    """Make every batch normalisation of `network` take mean and variance over the images of all processes.

    In place, with the same parameters, buffers and names. Raises AblateError for a class that computes otherwise.
    """
    for module in network.modules():
        if isinstance(module, _BatchNorm) and type(module).forward is not _BatchNorm.forward:
            name = type(module).__name__
            raise AblateError(f"{name} has its own forward, which sync_batch_norm=true would replace: leave it out")
    if device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.__class__ = _Synchronised  # torch's own is for GPUs only


def normalised_over(network: nn.Module, config: Config, processes: int) -> int | None:
    """Images over which batch normalisation takes mean and variance in training; None without batch normalisation."""
    if not any(isinstance(module, _BatchNorm) for module in network.modules()):
        return None
    return config.recipe.batch // (1 if config.sync_batch_norm else processes)


class _Total(torch.autograd.Function):
    """The sum of a tensor over all processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(_context: Any, tensor: Tensor) -> Tensor:
        tensor = tensor.clone()
        all_reduce(tensor)
        return tensor

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:
        return _Total.forward(None, gradient)


def _total(tensor: Tensor) -> Any:
    return _Total.apply(tensor)


class _Synchronised(_BatchNorm):
    """y = (x − mean) / √(variance + ε) · γ + β, with mean and variance over all axes of x but the channels, and over
    all processes, which have as many images each.
    """

    def _check_input_dim(self, x: Tensor) -> None:
        """Any number of axes from two."""

    def forward(self, x: Tensor) -> Any:
        if not self.training:
            return super().forward(x)
        axes, shape = [0, *range(2, x.ndim)], [1, -1, *[1] * (x.ndim - 2)]
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        count = x.numel() // x.shape[1] * get_world_size()
        mean = _total(wide.sum(axes)) / count
        centred = wide - mean.reshape(shape)
        variance = _total(centred.square().sum(axes)) / count
        if self.track_running_stats:
            self._track(mean.detach(), variance.detach() * count / (count - 1))
        y = centred * torch.rsqrt(variance + self.eps).reshape(shape)
        if self.affine:
            y = y * self.weight.reshape(shape) + self.bias.reshape(shape)
        return y.to(x.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor) -> None:
        assert self.num_batches_tracked is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        self.num_batches_tracked += 1
        share = self.momentum if self.momentum is not None else 1.0 / self.num_batches_tracked.item()
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(variance.to(self.running_var.dtype), share)
