"""Segmentation by classifying 32 px patches, as published for aurora images: a comparison, not a method of the plugin.

After https://github.com/RxstydnR/PUlearning_segmentation, written anew: a ResNet-18 sees a 32 x 32 px patch and says
which class its middle pixel has; Adam at 1e-4, batches of 2, 30 epochs, sigmoid loss, class prior 0.4, nnPU with beta
0.05 and gamma 1; where there are negatives, PNU with eta 0. It is slid over the image pixel by pixel.

Published form: patches of the other class are masked by multiplying their score with zero, so each of them still adds
sigmoid(0) = 1/2 to every mean (which is divided by the number of the right ones), and eta 0 means plain PN. Corrected
form: means over the patches of a class alone, the prior of the case, eta 1/2, and batches of 32 in which no class is
missing, since the estimated negative risk means nothing without its positive or its unlabelled part. In both, the
clipped branch follows -gamma r.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from napari_pu_segment.core.samples import NEGATIVE, POSITIVE

SIDE_PX = 32
PUBLISHED_PRIOR = 0.4
N_LABELLED, N_UNLABELLED = 200, 400  # patches of each kind
EPOCHS, BATCH, CORRECTED_BATCH, RATE = 30, 2, 32, 1e-4
BETA, GAMMA = 0.05, 1.0
_CHUNK = 256


class Block(nn.Module):
    """Two 3 x 3 convolutions and a short cut."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(n_in, n_out, 3, stride, 1),
            nn.BatchNorm2d(n_out, momentum=0.01),
            nn.ReLU(),
            nn.Conv2d(n_out, n_out, 3, 1, 1),
            nn.BatchNorm2d(n_out, momentum=0.01),
        )
        self.short = nn.Conv2d(n_in, n_out, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, n_in, Y, X) to (N, n_out, Y / stride, X / stride)."""
        return functional.relu(self.short(x) + self.body(x))


def build(n_channels: int) -> nn.Sequential:
    """ResNet-18 (He et al. 2015) with a head of 256 tanh units: patches (N, C, 32, 32) to scores (N, 1)."""
    widths = (64, 64, 128, 256, 512)
    blocks = []
    for i, (before, after) in enumerate(pairwise(widths)):
        blocks += [Block(before, after, 2 if i else 1), Block(after, after, 1)]
    network = nn.Sequential(
        nn.Conv2d(n_channels, 64, 7, 2, 3),
        nn.BatchNorm2d(64, momentum=0.01),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
        *blocks,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(512, 256),
        nn.Tanh(),
        nn.Linear(256, 1),
    )
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    return network


def masked_mean(values: torch.Tensor, chosen: torch.Tensor, published: bool) -> torch.Tensor:
    """Mean of sigmoid(-margin) (n,) over the chosen patches; as published the others' margins become 0, and count."""
    count = chosen.sum().clamp_min(1)
    if published:
        return torch.sigmoid(-values * chosen).sum() / count
    return (torch.sigmoid(-values) * chosen).sum() / count


def loss(scores: torch.Tensor, codes: torch.Tensor, prior: float, published: bool) -> torch.Tensor:
    """The objective of a batch: scores (n,), codes (n,) 0 unlabelled, 1 positive, 2 negative."""
    positive, negative, unlabelled = ((codes == code).float() for code in (POSITIVE, NEGATIVE, 0))
    p_plus = masked_mean(scores, positive, published)
    eta = 1.0
    if bool((codes == NEGATIVE).any()):
        eta = 0.0 if published else 0.5
    total = torch.zeros(())
    if eta < 1:
        pn = prior * p_plus + (1 - prior) * masked_mean(-scores, negative, published)
        total = total + (1 - eta) * pn
    if eta > 0:
        rest = masked_mean(-scores, unlabelled, published) - prior * masked_mean(-scores, positive, published)
        total = total + eta * (-GAMMA * rest if float(rest.detach()) < -BETA else prior * p_plus + rest)
    return total


def train(image: np.ndarray, labels: np.ndarray, prior: float, published: bool, epochs: int = EPOCHS) -> nn.Sequential:
    """Train on patches around stroke pixels and from anywhere, of an image (C, Y, X) with strokes (Y, X)."""
    rng, x = np.random.default_rng(0), _padded(image)
    places, codes = [], []
    for code, n in ((POSITIVE, N_LABELLED), (NEGATIVE, N_LABELLED), (0, N_UNLABELLED)):
        candidates = np.flatnonzero(labels == code) if code else np.arange(labels.size)
        if len(candidates) and not (code == 0 and published and (labels == NEGATIVE).any()):  # eta 0 looks at no other
            chosen = rng.choice(candidates, min(n, len(candidates)), replace=False)
            places.append(np.stack(np.unravel_index(chosen, labels.shape), 1))
            codes.append(np.full(len(chosen), code))
    where, what = np.concatenate(places), torch.from_numpy(np.concatenate(codes))
    patches = torch.stack([x[:, i : i + SIDE_PX, j : j + SIDE_PX] for i, j in where])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build(len(image))
    optimiser = torch.optim.Adam(network.parameters(), RATE)
    network.train()
    for _ in range(epochs):
        for batch in batches(what.numpy(), rng, published):
            optimiser.zero_grad()
            loss(network(patches[batch])[:, 0], what[batch], prior, published).backward()
            optimiser.step()
    return network.eval()


def batches(codes: np.ndarray, rng: np.random.Generator, published: bool) -> list[np.ndarray]:
    """Indices of the patches of each step of an epoch; in the corrected form every class in every batch."""
    if published:
        return np.array_split(rng.permutation(len(codes)), max(1, len(codes) // BATCH))
    kinds = [rng.permutation(np.flatnonzero(codes == code)) for code in np.unique(codes)]
    n = max(1, min(len(codes) // CORRECTED_BATCH, *map(len, kinds)))
    return [np.concatenate(parts) for parts in zip(*(np.array_split(kind, n) for kind in kinds), strict=True)]


def predict(network: nn.Module, image: np.ndarray) -> np.ndarray:
    """Probability (Y, X) of an image (C, Y, X): one patch for each pixel."""
    x = _padded(image)
    rows = []
    with torch.inference_mode():
        for i in range(image.shape[1]):
            strip = x[:, i : i + SIDE_PX].unfold(2, SIDE_PX, 1)[:, :, : image.shape[2]]  # (C, 32, X, 32)
            patches = strip.permute(2, 0, 1, 3)
            rows.append(torch.cat([torch.sigmoid(network(part))[:, 0] for part in patches.split(_CHUNK)]))
    return torch.stack(rows).numpy()


def _padded(image: np.ndarray) -> torch.Tensor:
    """Image (C, Y + 32, X + 32) scaled to 0..1, mirrored at its borders: patch (i, j) is around pixel (i, j)."""
    values = image.astype(np.float32)
    values = (values - values.min()) / max(float(np.ptp(values)), 1e-12)
    half = SIDE_PX // 2
    return torch.from_numpy(np.pad(values, ((0, 0), (half, half), (half, half)), "reflect"))
