"""Writes public_hyper_connections.json: what hyper-connections of PyPI (lucidrains, MIT) makes of streams.

Three layers on four streams of three channels, with random parameters, through its file for convolutions; F multiplies
by a number. The package is no dependency of this one:

    pip install --target FOLDER --no-deps hyper-connections==0.4.11 einops torch_einops_utils
    PYTHONPATH=FOLDER python tests/contrib/public_hyper_connections.py
"""

import json
from pathlib import Path

import torch

N, CHANNELS, SCALES = 4, 3, (0.5, -1.25, 2.0)


def main() -> None:
    from hyper_connections.hyper_connections_channel_first import HyperConnections

    torch.manual_seed(0)
    layers = [HyperConnections(N, dim=CHANNELS, layer_index=index).double() for index in range(3)]
    for layer in layers:
        for name, parameter in layer.named_parameters():
            if name != "norm.gamma":  # a learned scale of the normalisation, which W has too
                parameter.data += 0.7 * torch.randn_like(parameter)
    x = torch.randn(2, CHANNELS, 3, 2, dtype=torch.float64, requires_grad=True)
    expand, reduce = HyperConnections.get_expand_reduce_stream_functions(N)
    state, states = expand(x), []
    for layer, scale in zip(layers, SCALES, strict=True):
        given, add = layer(state)
        state = add(scale * given)
        states.append(state.reshape(2, N, *state.shape[1:]).tolist())
    y = reduce(state)
    (gradient,) = torch.autograd.grad(y.square().sum(), x)
    values = [{name: one.tolist() for name, one in layer.named_parameters()} for layer in layers]
    found = {"layers": values, "x": x.tolist(), "states": states, "y": y.tolist(), "gradient": gradient.tolist()}
    Path(__file__).with_suffix(".json").write_text(json.dumps(_rounded(found)) + "\n")


def _rounded(value):
    if isinstance(value, float):
        return float(f"{value:.10g}")
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value]


if __name__ == "__main__":
    main()
