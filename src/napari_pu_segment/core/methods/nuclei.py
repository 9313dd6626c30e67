"""Proposals of nuclei without strokes and without training: blobs of haematoxylin, or of intensity; LOOKS."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from ..compute.child_process import Child
from ..errors import InputError
from ..images.intensity import measure, normalise
from ..progress import Progress, Work, shifted
from ..samples import IGNORE, Sample, alone
from ..seeded import Seeded
from ..settings import OneOf, Settings

LOOKS = {"haematoxylin": "Blue in stained tissue", "bright": "Bright, as in fluorescence", "dark": "Dark"}
MAX_PX = 2**23
"""Eight sizes of blobs are held at once, 8 bytes each for a pixel, and copies of them."""


class NucleiSettings(Settings):
    """Settings of the proposals of nuclei."""

    method: Literal["nuclei"] = Field("nuclei", title="Method", description="Tag of these settings.")
    smallest_px: float = Field(
        8.0, ge=2, le=200, title="Smallest nucleus (px)", description="Diameter of the smallest nuclei."
    )
    largest_px: float = Field(
        24.0, ge=2, le=200, title="Largest nucleus (px)", description="Diameter of the largest nuclei."
    )
    looks: Annotated[str, OneOf(LOOKS)] = Field(
        "haematoxylin", title="Nuclei are", description="The first wants an image in red, green and blue."
    )
    contrast: float = Field(
        0.1,
        gt=0,
        le=3,
        title="Contrast",
        description="By how much a nucleus stands out from what is around it: haematoxylin in optical density "
        "(decades), else of the image's range of intensities. Less finds fainter nuclei.",
    )

    @model_validator(mode="after")
    def _in_order(self) -> NucleiSettings:
        if self.largest_px < self.smallest_px:
            raise ValueError("The largest nucleus must not be smaller than the smallest")
        return self


def nuclei(sample: Sample, settings: NucleiSettings) -> Work[Seeded]:
    """Maxima, over places and sizes, of the scale-normalised Laplacian of Gaussian of haematoxylin, or of intensity.

    ``-s^2 (d2/dx2 + d2/dy2) G_s * h`` (Lindeberg 1998; scikit-image), where h is the optical density of haematoxylin
    after colour deconvolution (Ruifrok & Johnston 2001), or the mean of the channels, each from its 1st to its 99.5th
    percentile in the whole image, negative for dark nuclei. A maximum at s is a disc of the radius ``s sqrt(2)``.
    Planes and time points are each on their own.

    Parameters
    ----------
    sample : Sample
        RGB for haematoxylin. Strokes have no effect; what is ignored gets nothing.
    settings : NucleiSettings

    Raises
    ------
    InputError
        If the image is to be RGB and is not, or a plane has more than `MAX_PX`.
    """
    windows = alone(sample.axes[1:], sample.spatial_shape, True)
    yield Progress(0, 0, "Looking for nuclei")
    stained = settings.looks == "haematoxylin"
    if stained and sample.image.shape[0] != 3:
        raise InputError(
            f"Nuclei are looked for in stained tissue, in red, green and blue; {sample.name!r} has "
            f"{sample.image.shape[0]} channel(s). Say that nuclei are bright, or dark: looks=bright."
        )
    if math.prod(sample.spatial_shape[-2:]) > MAX_PX:
        raise InputError(f"Nuclei are looked for in at most {MAX_PX / 1e6:.0f} million pixels at once. Crop the image.")
    stats = () if stained else (yield from measure([sample]))
    probability = np.zeros(sample.spatial_shape, np.float32)
    asked = {key: value for key, value in settings.to_dict().items() if key != "method"}
    with Child("napari_pu_segment.core.seeded.nuclei_compute") as child:
        for i, window in enumerate(windows):
            image = np.asarray(sample.image[(slice(None), *window)])
            image = image if stained else normalise(image, stats)
            ignored = np.zeros(image.shape[1:], bool) if sample.labels is None else sample.labels[window] == IGNORE
            work = child.ask({"image": image, "ignored": ignored}, {**asked, "name": f"The image {sample.name!r}"})
            probability[window] = yield from shifted(work, i, len(windows))
    return Seeded(probability, () if probability.any() else (f"No nuclei were found in {sample.name!r}.",))
