"""Training loops as one writes them by hand in plain PyTorch: `torch.nn`, `torch.optim`, eager.

The data is one tensor in memory and a batch is an `index_select`, which is faster than any `DataLoader`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import nn

from benchmarks.workloads import BLOCKS, CLASSES, HEADS, HIDDEN, VOCABULARY, WIDTH, WORKLOADS

FORMULATIONS = {
    "cnn": ("plain", "channels last"),
    "mlp": ("plain",),
    "bncnn": ("plain", "channels last"),
    "lstm": ("plain",),
    "transformer": ("plain",),
}


class LastStep(nn.Module):
    """The two recurrent layers; their output at the last step."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(32, 80, num_layers=2, batch_first=True)
        for layer in range(2):  # one bias per gate, as everywhere else
            getattr(self.lstm, f"bias_hh_l{layer}").requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.lstm(x)[0][:, -1]


class Block(nn.Module):
    """Attention and a feed-forward part, each followed by its residual connection and normalization."""

    def __init__(self, dropout: bool) -> None:
        super().__init__()
        self.project = nn.Linear(WIDTH, 3 * WIDTH)
        self.output = nn.Linear(WIDTH, WIDTH)
        self.norm1 = nn.LayerNorm(WIDTH, eps=1e-3)
        self.up = nn.Linear(WIDTH, HIDDEN)
        self.down = nn.Linear(HIDDEN, WIDTH)
        self.norm2 = nn.LayerNorm(WIDTH, eps=1e-3)
        self.dropout = nn.Dropout(0.1 if dropout else 0.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        split = self.project(x).unflatten(-1, (3, HEADS, WIDTH // HEADS)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(*split.unbind(0))
        attended = self.output(attended.transpose(1, 2).flatten(2))
        x = self.norm1(x + self.dropout(attended))
        return self.norm2(x + self.dropout(self.down(F.relu(self.up(x)))))


class Encoder(nn.Module):
    """Embedding, blocks, mean over the tokens."""

    def __init__(self, dropout: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.blocks = nn.Sequential(*(Block(dropout) for _ in range(BLOCKS)))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.blocks(self.embedding(tokens)).mean(1)


def model(name: str, dropout: bool = True) -> nn.Module:
    """The network up to its logits."""
    if name == "mlp":
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, CLASSES))
    if name == "lstm":
        return nn.Sequential(LastStep(), nn.Linear(80, CLASSES))
    if name == "transformer":
        return nn.Sequential(Encoder(dropout), nn.Linear(WIDTH, CLASSES))
    stages: list[nn.Module] = []
    for channels, filters in ((1, 32), (32, 64)):
        stages.append(nn.Conv2d(channels, filters, 3, padding=1))
        if name == "bncnn":
            stages.append(nn.BatchNorm2d(filters, eps=1e-3, momentum=0.01))
        stages += [nn.ReLU(inplace=True), nn.MaxPool2d(2)]
    if name == "cnn" and dropout:
        stages.append(nn.Dropout(0.25))
    head = [nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(inplace=True)]
    return nn.Sequential(*stages, *head, nn.Dropout(0.5 if dropout else 0.0), nn.Linear(128, CLASSES))


def load(net: nn.Module, name: str, values: dict[str, np.ndarray]) -> None:
    """Give the network the weights of `workloads.weights`, whose kernels lie the other way around."""
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
        parameters = iter(p for p in net.parameters() if p.requires_grad)

        def fill(value: np.ndarray) -> None:
            next(parameters).copy_(torch.from_numpy(np.ascontiguousarray(value)))

        if name == "transformer":
            fill(values["embedding"])
            for block in range(BLOCKS):
                w = {path[2:]: value for path, value in values.items() if path.startswith(f"{block}/")}
                parts = ("query", "key", "value")
                fill(np.concatenate([w[f"{part}/kernel"].reshape(WIDTH, WIDTH).T for part in parts]))
                fill(np.concatenate([w[f"{part}/bias"].reshape(-1) for part in parts]))
                fill(w["output/kernel"].reshape(WIDTH, WIDTH).T)
                for path in list(w)[7:]:
                    fill(w[path].T)
            fill(values["head/kernel"].T)
            fill(values["head/bias"])
            return
        for path, value in values.items():
            if path == "hidden/kernel" and name != "mlp":  # flattened with channels first
                value = value.reshape(7, 7, 64, 128).transpose(2, 0, 1, 3).reshape(3136, 128)
            if not path.endswith(("/mean", "/variance")):
                fill(value.transpose(3, 2, 0, 1) if value.ndim == 4 else value.T)


def loop(
    name: str,
    formulation: str,
    x: np.ndarray,
    labels: np.ndarray,
    values: dict[str, np.ndarray],
    dropout: bool = True,
    shuffle: bool = True,
) -> Callable[[int], tuple[float, float]]:
    """A function that trains for some epochs and returns loss and accuracy of the last."""
    net = model(name, dropout).train()
    load(net, name, values)
    inputs, wanted = torch.from_numpy(x), torch.from_numpy(labels).long()
    if name in ("cnn", "bncnn"):
        inputs = inputs.permute(0, 3, 1, 2).contiguous()
    if formulation == "channels last":
        net = net.to(memory_format=torch.channels_last)
        inputs = inputs.contiguous(memory_format=torch.channels_last)
    trained = [p for p in net.parameters() if p.requires_grad]
    if name == "cnn":
        optimizer: torch.optim.Optimizer = torch.optim.SGD(trained, lr=0.01, fused=True)
    else:
        optimizer = torch.optim.Adam(trained, lr=0.001, eps=1e-7, fused=True)
    batch, steps = WORKLOADS[name].batch, len(x) // WORKLOADS[name].batch

    def train(epochs: int) -> tuple[float, float]:
        for _ in range(epochs):
            order = torch.randperm(len(x)) if shuffle else torch.arange(len(x))
            total, right = torch.zeros(()), torch.zeros((), dtype=torch.int64)
            for rows in order.view(steps, batch):
                truth = wanted[rows]
                logits = net(inputs[rows])
                loss = F.cross_entropy(logits, truth)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                total += loss.detach()
                right += (logits.argmax(1) == truth).sum()
            found = total.item() / steps, right.item() / len(x)
        return found

    return train
