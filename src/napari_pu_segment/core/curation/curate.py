"""All that is told of a set of images, from one look at each: the whole of curation as one generator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from ..errors import InputError
from ..progress import Progress, Work
from ..robust import modified_z
from ..settings import OneOf, Settings, advanced
from .duplicates import Pair, joined, near_pairs, same
from .embed import EMBEDDERS, Box, Embeddings, embed
from .groups import GROUPERS, Group, balancing, class_weights, drawn, grouping, groups_of
from .look import Look
from .order import ORDERS, next_images
from .quality import Drift, drifts, findings, oddity
from .suspects import Masked, standing_out, suspects

UNLIKE = "unlike the others"
_UNFIT = {"empty", "saturated", "blurred", "other channels", UNLIKE}  # findings of images not worth a person's time


class CurateSettings(Settings):
    """Settings of `curate`."""

    alike: float = Field(
        0.7,
        ge=0.3,
        le=1,
        title="Near duplicates from",
        description="Correlation of the details of two pictures. Frames of a slow series reach 0.6 to 0.9, too.",
    )
    odd_from: float = Field(
        3.5, ge=1, le=100, title="Odd from", description="How many robust deviations from the median are odd."
    )
    n_next: int = Field(20, ge=0, le=10_000, title="Next to annotate", description="How many images to name.")
    order: Annotated[str, OneOf(ORDERS)] = Field(
        "typical", title="Order", description="What makes an image worth annotating next."
    )
    n_groups: int = Field(0, ge=0, le=100, title="Groups", description="0: as many as can be told apart best.")
    n_balanced: int = Field(
        0, ge=0, le=100_000, title="Balanced sample", description="How many images to draw with their weights; 0: none."
    )
    balance: Literal["groups", "classes"] = advanced(
        default="groups",
        title="Balance of",
        description="groups: all come up equally often in the sample. classes: those of the masks do.",
    )
    grouper: Annotated[str, OneOf(GROUPERS)] = advanced(
        default="kmeans", title="Grouping", description="How groups of images are found."
    )
    embedder: Annotated[str, OneOf(EMBEDDERS)] = advanced(
        default="filters", title="Embedding", description="What makes images comparable."
    )
    n_similar: int = advanced(default=5, ge=0, le=100, title="Similar images", description="To name for each image.")
    mask_values: Literal["objects", "classes"] = advanced(
        default="objects",
        title="Values of masks",
        description="objects: what is not 0 is an object. classes: each number is a class of its own.",
    )
    seed: int = advanced(default=0, ge=0, le=2**31 - 1, title="Seed", description="Same seed, same report.")


@dataclass(frozen=True, eq=False)
class Curation:
    """What was found out about a set of N images, in the order in which they were given.

    Parameters
    ----------
    settings : CurateSettings
    looks : tuple of Look
    embeddings : Embeddings
    exact, near : list of list of int
        Groups of images with the same pixels; and of all that are exact or near duplicates.
    pairs : list of Pair
        The pairs that make near duplicates.
    findings : list of list of str
        What is odd about each image.
    oddity : ndarray, (N,), 0..1
        See `quality.oddity`; NaN for fewer than eight images.
    drifts : list of Drift
    labels : ndarray of int, (N,)
        The group of each image.
    groups : list of Group
    weights : ndarray, (N,)
        See `groups.balancing`.
    next : list of int
        Images to annotate next, in order.
    doubt : ndarray, (N,), or None
        See `order.doubt_of`.
    fractions : ndarray, (N, C), or None
        Of each class in each mask; NaN without a mask.
    classes : tuple of int
        Their numbers.
    class_weights : ndarray, (N,), or None
    suspicion : ndarray, (N,), or None
        See `suspects.suspects`.
    """

    settings: CurateSettings
    looks: tuple[Look, ...]
    embeddings: Embeddings
    exact: list[list[int]]
    near: list[list[int]]
    pairs: list[Pair]
    findings: list[list[str]]
    oddity: np.ndarray
    drifts: list[Drift]
    labels: np.ndarray
    groups: list[Group]
    weights: np.ndarray
    next: list[int]
    doubt: np.ndarray | None = None
    fractions: np.ndarray | None = None
    classes: tuple[int, ...] = ()
    class_weights: np.ndarray | None = None
    suspicion: np.ndarray | None = None

    def balanced(self) -> list[int]:
        """A sample of the images in which groups, or classes of masks, are in balance as far as there are images."""
        weights = self.weights if self.settings.balance == "groups" else self.class_weights
        return [] if weights is None else drawn(weights, self.settings.n_balanced, self.settings.seed)

    def suspected(self) -> list[int]:
        """Images whose masks stand apart from the others in their suspicion, the most suspect first.

        See `suspects.standing_out`.
        """
        return [] if self.suspicion is None else standing_out(self.suspicion, self.settings.odd_from)


def curate(
    looks: Sequence[Look],
    settings: CurateSettings | None = None,
    *,
    masked: Sequence[Masked | None] = (),
    annotated: Sequence[int] = (),
    doubt: np.ndarray | None = None,
) -> Work[Curation]:
    """Find out about a set of images.

    Parameters
    ----------
    looks : sequence of Look
        One of each image; names differ.
    settings : CurateSettings, optional
    masked : sequence of Masked or None
        Of each image, or empty. Images with a mask count as annotated.
    annotated : sequence of int
        Others that do.
    doubt : ndarray, (N,), 0..1, optional
        How uncertain a model is about each image; NaN where it cannot see it.

    Raises
    ------
    InputError
        If there is no image.
    """
    if not looks:
        raise InputError("There is no image to look at.")
    settings = settings or CurateSettings()
    embeddings = embed(np.array([look.row for look in looks]), [Box(look.name) for look in looks])
    exact = same([look.digest for look in looks])
    pairs, near = yield from _near(looks, exact, settings.alike)
    labels = yield from grouping(embeddings.vectors, settings.grouper, settings.n_groups, settings.seed)
    groups = groups_of(embeddings.vectors, labels)
    yield Progress(0, 1, "Looking for what is odd")
    odd, strange = _odd(looks, groups, settings)
    with_mask = [i for i, one in enumerate(masked) if one is not None]
    annotated = sorted({*annotated, *with_mask})
    left_out, order, n, seed = unfit(odd, near, annotated), settings.order, settings.n_next, settings.seed
    chosen = yield from next_images(
        embeddings.vectors, order, n, annotated=annotated, left_out=left_out, doubt=doubt, seed=seed
    )
    classes, fractions = _fractions(masked)
    return Curation(
        settings=settings,
        looks=tuple(looks),
        embeddings=embeddings,
        exact=exact,
        near=near,
        pairs=pairs,
        findings=odd,
        oddity=strange,
        drifts=drifts(looks),
        labels=labels,
        groups=groups,
        weights=balancing(labels, near),
        next=chosen,
        doubt=doubt,
        fractions=fractions,
        classes=classes,
        class_weights=None if fractions is None else class_weights(fractions),
        suspicion=(yield from suspects(_of_one_kind(masked), near, settings.seed)) if with_mask else None,
    )


def _odd(
    looks: Sequence[Look], groups: Sequence[Group], settings: CurateSettings
) -> tuple[list[list[str]], np.ndarray]:
    """What is odd about each image, in words, and how unlike the others it is (N,)."""
    odd = findings(looks, [group.members for group in groups], settings.odd_from)
    strange = oddity(looks, settings.seed)
    for i in np.flatnonzero(modified_z(strange) > settings.odd_from):
        odd[i].append(UNLIKE)
    return odd, strange


def _near(
    looks: Sequence[Look], exact: Sequence[Sequence[int]], alike: float
) -> Work[tuple[list[Pair], list[list[int]]]]:
    """Near pairs among the first of all that are the same, and groups of duplicates of either kind."""
    copies = {i for group in exact for i in group[1:]}
    first = [i for i in range(len(looks)) if i not in copies]
    found = yield from near_pairs(np.stack([looks[i].small for i in first]), alike)
    pairs = [Pair(first[pair.first], first[pair.second], pair.alike, pair.symmetry) for pair in found]
    links = [(pair.first, pair.second) for pair in pairs] + [(group[0], i) for group in exact for i in group[1:]]
    return pairs, joined(len(looks), links)


def unfit(odd: Sequence[Sequence[str]], near: Sequence[Sequence[int]], annotated: Sequence[int]) -> list[int]:
    """Images not worth annotating: odd ones, and duplicates but one of each group, or all where one is annotated.

    Parameters
    ----------
    odd : sequence of sequence of str
        The findings of each image.
    near : sequence of sequence of int
        Groups of duplicates.
    annotated : sequence of int
        They are none of these.
    """
    known = set(annotated)
    copies = {i for group in near for i in (group if known & set(group) else group[1:])}
    return sorted((copies | {i for i, words in enumerate(odd) if _UNFIT & set(words)}) - known)


def _fractions(masked: Sequence[Masked | None]) -> tuple[tuple[int, ...], np.ndarray | None]:
    names = sorted({name for one in masked if one is not None for name in one.counts})
    if not names:
        return (), None
    rows = np.full((len(masked), len(names)), np.nan)
    for row, one in zip(rows, masked, strict=True):
        if one is not None:
            row[:] = np.array([one.counts.get(name, 0) for name in names]) / sum(one.counts.values())
    return tuple(names), rows


def _of_one_kind(masked: Sequence[Masked | None]) -> list[Masked | None]:
    """The masks of images that have as many channels as most: the others cannot be judged by the same forest."""
    widths = Counter(one.rows.shape[1] for one in masked if one is not None)
    common = widths.most_common(1)[0][0]
    return [one if one is not None and one.rows.shape[1] == common else None for one in masked]
