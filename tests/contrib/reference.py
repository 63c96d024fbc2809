"""Networks whose connections have a state, written from the papers' equations with loops over streams and outputs.

It knows the names of the parameters, and none of the program's modules.
"""

import torch
from torch.nn import functional

STREAMS = ("hyper_connections", "hyper_connections_unmixed", "mhc")


class Reference:
    """The forward pass in training mode, by the parameters of a network."""

    def __init__(self, built, name, option="A", streams=4):
        self.p = {key: value.detach().clone().requires_grad_() for key, value in built.named_parameters()}
        self.name, self.option, self.n = name, option, streams
        self.stages = [len(stage) for stage in built.stages]

    def bn(self, name, x):
        mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), unbiased=False, keepdim=True)
        weight, bias = (self.p[f"{name}.{key}"][:, None, None] for key in ("weight", "bias"))
        return (x - mean) / (variance + 1e-5).sqrt() * weight + bias

    def conv(self, name, x, stride=1, padding=0):
        return functional.conv2d(x, self.p[f"{name}.weight"], None, stride, padding)

    def residual(self, unit, x, stride, first):
        if not first:
            x = self.bn(f"{unit}.before.0", x).relu()
        x = self.bn(f"{unit}.residual.1", self.conv(f"{unit}.residual.0", x, stride, 1)).relu()
        return self.conv(f"{unit}.residual.3", x, 1, 1)

    def matched(self, unit, tensors, channels, stride):
        """Every tensor by option A, B or C; batch normalisation sees them as one batch."""
        if self.option == "C" or (self.option == "B" and (tensors[0].shape[1] != channels or stride != 1)):
            projected = [self.conv(f"{unit}.shortcut.match.0", x, stride) for x in tensors]
            return [*self.bn(f"{unit}.shortcut.match.1", torch.cat(projected)).split(len(tensors[0]))]
        found = []
        for x in tensors:
            x = x[:, :, ::stride, ::stride]
            found.append(torch.cat([x, x.new_zeros(len(x), channels - x.shape[1], *x.shape[2:])], 1))
        return found

    def tanh(self, unit, x, weight, column, scale):
        """The part of a coefficient that depends on x, of one column of W: (N, H, W)."""
        if f"{unit}.shortcut.{weight}" not in self.p:
            return 0
        normed = x / (x.pow(2).mean(1, keepdim=True) + 1e-6).sqrt()
        w = self.p[f"{unit}.shortcut.{weight}"][:, column]
        total = sum(normed[:, c] * w[c] for c in range(x.shape[1]))
        return self.p[f"{unit}.shortcut.{scale}"] * torch.tanh(total)

    def logits(self, unit, streams, weight, column, scale):
        """α norm(X) W of one column of W, of all streams: (N, H, W)."""
        square = sum(x.pow(2).mean(1) for x in streams) / self.n
        w = self.p[f"{unit}.shortcut.{weight}"][..., column]
        total = sum(x[:, c] * w[i, c] for i, x in enumerate(streams) for c in range(x.shape[1]))
        return self.p[f"{unit}.shortcut.{scale}"] * total / (square + 1e-6).sqrt()

    def reading(self, unit, streams):
        own = f"{unit}.shortcut"
        if self.name == "mhc":
            columns = [self.p[f"{own}.m"][i] + self.logits(unit, streams, "w_m", i, "alpha_m") for i in range(self.n)]
            return [1 / (1 + torch.exp(-one)) for one in columns]
        return [self.p[f"{own}.a_m"][i] + self.tanh(unit, x, "w_m", 0, "s_alpha") for i, x in enumerate(streams)]

    def giving(self, unit, streams):
        own = f"{unit}.shortcut"
        if self.name == "mhc":
            columns = [self.p[f"{own}.b"][i] + self.logits(unit, streams, "w_b", i, "alpha_b") for i in range(self.n)]
            return [2 / (1 + torch.exp(-one)) for one in columns]
        return [self.p[f"{own}.b"][i] + self.tanh(unit, x, "w_b", 0, "s_beta") for i, x in enumerate(streams)]

    def mixing(self, unit, streams):
        """A_r[j][i], from stream j to stream i."""
        own, n = f"{unit}.shortcut", range(self.n)
        if self.name == "hyper_connections_unmixed":
            return [[float(i == j) for i in n] for j in n]
        if self.name == "hyper_connections":
            a_r = self.p[f"{own}.a_r"]
            return [[a_r[j, i] + self.tanh(unit, streams[j], "w_r", i, "s_alpha") for i in n] for j in n]
        r = [
            [self.p[f"{own}.r"][j, i] + self.logits(unit, streams, "w_r", j * self.n + i, "alpha_r") for i in n]
            for j in n
        ]
        m = [[torch.exp(one) for one in row] for row in r]
        for _ in range(20):
            m = [[one / sum(row) for one in row] for row in m]
            m = [[m[j][i] / sum(m[k][i] for k in n) for i in n] for j in n]
        return m

    def streams(self, unit, streams, channels, stride, first):
        weights = self.reading(unit, streams)
        x = sum(torch.as_tensor(w)[..., None, :, :] * x if torch.as_tensor(w).dim() else w * x
                for w, x in zip(weights, streams, strict=True))  # fmt: skip
        f = self.residual(unit, x, stride, first)
        streams = self.matched(unit, streams, channels, stride)
        mixing, giving = self.mixing(unit, streams), self.giving(unit, streams)

        def times(w, x):
            return w[:, None] * x if torch.is_tensor(w) and w.dim() else w * x

        return [
            sum(times(mixing[j][i], streams[j]) for j in range(self.n)) + times(giving[i], f) for i in range(self.n)
        ]

    def attended(self, query, sources):
        keys = [s / (s.pow(2).mean(1, keepdim=True) + 1e-6).sqrt() for s in sources]
        powers = [torch.exp(sum(query[c] * key[:, c] for c in range(len(query)))) for key in keys]
        return sum((power / sum(powers))[:, None] * s for power, s in zip(powers, sources, strict=True))

    def __call__(self, x):
        x = self.bn("stem.1", self.conv("stem.0", x, 1, 1)).relu()
        state = [x] * self.n if self.name in STREAMS else [x]
        y = x  # of DenseFormer
        units = [(stage, index) for stage, count in enumerate(self.stages) for index in range(count)]
        for l, (stage, index) in enumerate(units, 1):  # noqa: E741
            unit, stride, channels = f"stages.{stage}.{index}", 2 if stage and not index else 1, 16 * 2**stage
            after = f"stages.{units[l][0]}.{units[l][1]}.shortcut.here" if l < len(units) else f"{unit}.shortcut.last"
            if self.name in STREAMS:
                state = self.streams(unit, state, channels, stride, l == 1)
            elif self.name == "attention_residuals":
                read = x if l == 1 else self.attended(self.p[f"{unit}.shortcut.here"], state)
                f = self.residual(unit, read, stride, l == 1)
                state = [*self.matched(unit, state, channels, stride), f]
            else:
                f = self.residual(unit, y, stride, l == 1)
                state = self.matched(unit, state, channels, stride)
                before = [1.0] if l == 1 else self.p[f"{unit}.shortcut.here"]
                state.append(sum(w * s for w, s in zip(before, state, strict=True)) + f)
                y = sum(w * s for w, s in zip(self.p[after], state, strict=True))
        if self.name in STREAMS:
            y = sum(state)
        elif self.name == "attention_residuals":
            y = self.attended(self.p[after], state)
        y = self.bn("last.0", y).relu()
        return functional.linear(y.mean((2, 3)), self.p["head.weight"], self.p["head.bias"])
