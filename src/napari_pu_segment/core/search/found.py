"""What a search found, as a model's card tells it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, le=1)]


class Found(BaseModel):
    """What a search found.

    Parameters
    ----------
    pipeline : str
        What it is, in a few words.
    members : tuple of str
        Its parts, each in a sentence.
    score : float in 0..1
        Probability that the right class got in strokes that were held out.
    s_per_mpx : float
        Seconds of computing to predict a megapixel, where it was found.
    forest_score, forest_s_per_mpx : float or None
        The same of the default forest of other programs, in the same search.
    n_tried : int
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    pipeline: str
    members: tuple[str, ...]
    score: Fraction
    s_per_mpx: Annotated[float, Field(ge=0)]
    forest_score: Fraction | None = None
    forest_s_per_mpx: Annotated[float, Field(ge=0)] | None = None
    n_tried: Annotated[int, Field(ge=0)] = 0
