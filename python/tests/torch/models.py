"""Tiny models of the families that users have."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draws(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def classes(*shape: int, count: int, seed: int = 0) -> Tensor:
    return torch.randint(count, shape, generator=seeded(seed))


def build(make: type[nn.Module], *args: object, seed: int = 0, **kwargs: object) -> nn.Module:
    """Make a float64 model with weights that depend on the seed only."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make(*args, **kwargs).double()


class Mlp(nn.Module):
    def __init__(self, inputs: int = 3, hidden: int = 4, outputs: int = 3) -> None:
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.drop = nn.Dropout(0.5)
        self.last = nn.Linear(hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.drop(torch.tanh(self.first(x))))


class ConvNet(nn.Module):
    """Convolution, batch norm, ReLU, max pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Linear(12, 3)
        with torch.no_grad():
            self.norm.running_mean.uniform_(-0.5, 0.5)
            self.norm.running_var.uniform_(0.5, 1.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(torch.relu(self.norm(self.conv(x)))).flatten(1))


class Encoder(nn.Module):
    """A transformer encoder that predicts a token at each position; token 0 is padding."""

    def __init__(self, tokens: int = 5, width: int = 4, tied: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, width)
        self.layer = nn.TransformerEncoderLayer(width, 2, 6, dropout=0.3, batch_first=True)
        self.head = nn.Linear(width, tokens, bias=False)
        if tied:
            self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        hidden = self.layer(self.embedding(tokens), src_key_padding_mask=tokens == 0)
        return self.head(hidden)


class Attention(nn.Module):
    """One call of the fused attention kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(4, 12)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, 1, 4)).transpose(1, 3).unbind(2)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.head(mixed.flatten(1, 2).mean(1))


class Hard(nn.Module):
    """Ends in hardsigmoid, which PyTorch cannot differentiate twice."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Linear(3, 4), nn.Hardsigmoid())
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


class LossModel(nn.Module):
    """Returns its own loss."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Mlp()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return nn.functional.cross_entropy(self.body(x), y)


class Named(nn.Module):
    """Takes its inputs by name."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Mlp()

    def forward(self, *, x: Tensor, scale: Tensor) -> Tensor:
        return self.body(x) * scale[:, None]


class Checkpointed(nn.Module):
    """Evaluates its first layer again during the backward."""

    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        self.first, self.last, self.reentrant = nn.Linear(3, 4), nn.Linear(4, 3), reentrant

    def forward(self, x: Tensor, plain: bool = False) -> Tensor:
        if plain:
            return self.last(self.first(x).tanh())
        return self.last(checkpoint(lambda z: self.first(z).tanh(), x, use_reentrant=self.reentrant))
