"""Small classifiers that learn from few labelled pictures: a network on pixels, a line on features.

Shapes: N pictures of S x S pixels, K classes, D features.
"""

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

SIDE_PX = 32
STEPS = 200
BATCH = 32
SHIFT_PX = 3
Labelled = tuple[Tensor, Tensor]
"""Inputs, one a row, and their classes, (N,)."""


def pixels_of(images: Sequence[Image.Image]) -> Tensor:
    """(N, 3, S, S) in [-1, 1]."""
    rows = []
    for image in images:
        small = image.convert("RGB").resize((SIDE_PX, SIDE_PX), Image.Resampling.BOX)
        flat = torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8)
        rows.append(flat.view(SIDE_PX, SIDE_PX, 3).permute(2, 0, 1).float() / 127.5 - 1)
    return torch.stack(rows)


def accuracy_on_pixels(train: Labelled, test: Labelled, num_classes: int, seed: int) -> float:
    """Share of the test pictures that a small convolutional network, from scratch, calls right."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = _network(num_classes)
        _fit(network, train, learning_rate=2e-3, is_picture=True)
    return _share_right(network, test)


def accuracy_on_features(train: Labelled, test: Labelled, num_classes: int, seed: int) -> float:
    """The same of a linear layer on (N, D) features, put on the unit sphere."""
    width = train[0].shape[1]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layer = nn.Linear(width, num_classes)
        _fit(layer, (_unit(train[0]), train[1]), learning_rate=2e-2, is_picture=False)
    return _share_right(layer, (_unit(test[0]), test[1]))


def _network(num_classes: int) -> nn.Module:
    layers: list[nn.Module] = []
    for before, after in ((3, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.GroupNorm(4, after), nn.ReLU()]
        layers += [nn.MaxPool2d(2)]
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(256, num_classes)
    )


def _fit(network: nn.Module, train: Labelled, *, learning_rate: float, is_picture: bool) -> None:
    """The same number of steps however many pictures there are."""
    inputs, classes = train
    optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=1e-2)
    network.train()
    for _ in range(STEPS):
        rows = torch.randint(len(inputs), (BATCH,))
        batch = _shaken(inputs[rows]) if is_picture else inputs[rows]
        loss = cross_entropy(network(batch), classes[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.eval()


def _shaken(batch: Tensor) -> Tensor:
    """Mirrored at random and moved by a few pixels: what costs nothing without a model."""
    flip = torch.rand(len(batch)) < 0.5
    batch = torch.where(flip[:, None, None, None], batch.flip(3), batch)
    down, right = torch.randint(-SHIFT_PX, SHIFT_PX + 1, (2,)).tolist()
    return batch.roll((down, right), dims=(2, 3))


@torch.no_grad()
def _share_right(network: nn.Module, test: Labelled) -> float:
    return float((network(test[0]).argmax(dim=1) == test[1]).float().mean())


def _unit(features: Tensor) -> Tensor:
    return normalize(features.float(), dim=1)
