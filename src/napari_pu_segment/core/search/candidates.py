"""Candidates of the pixel search: a pipeline, what it sees, and what it makes of pixels that nobody painted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import InputError
from ..filters import FILTERS, count
from ..networks import NetworkSpec
from ..settings import OneOf
from .pipelines import PIPELINES
from .unlabelled import UNLABELLED


class Candidate(BaseModel):
    """One pipeline with its parameters, the filters and scales that it sees, and its way with unlabelled pixels.

    Parameters
    ----------
    pipeline : str
        Row of `PIPELINES`.
    parameters : dict
        Of that row.
    filters : tuple of str
        Rows of `FILTERS`.
    sigmas_px : tuple of float
    unlabelled : str
        Row of `UNLABELLED`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    pipeline: Annotated[str, OneOf(PIPELINES)]
    parameters: dict[str, int | float]
    filters: Annotated[tuple[Annotated[str, OneOf(FILTERS)], ...], Field(min_length=1, max_length=64)]
    sigmas_px: Annotated[tuple[Annotated[float, Field(ge=0.3, le=64)], ...], Field(min_length=1, max_length=16)]
    unlabelled: Annotated[str, OneOf(UNLABELLED)]

    @property
    def words(self) -> str:
        """A sentence."""
        parameters = ", ".join(f"{name} {value:.3g}" for name, value in self.parameters.items())
        scales = ", ".join(f"{sigma:g}" for sigma in self.sigmas_px)
        return (
            f"{PIPELINES[self.pipeline].title} ({parameters}); filters {', '.join(self.filters)}; scales {scales} px; "
            f"unlabelled pixels: {UNLABELLED[self.unlabelled].title.lower()}."
        )

    def make(self, seed: int) -> list[Any]:
        """The classifiers, not fitted.

        Raises
        ------
        InputError
            If the parameters are not those of the pipeline.
        """
        row = PIPELINES[self.pipeline]
        if set(self.parameters) != set(row.default):
            raise InputError(f"{row.title} has the parameters {', '.join(row.default)}.")
        for name, value in self.parameters.items():
            span, usual = row.varies.get(name), row.default[name]
            fits = value == usual if span is None else span.low <= value <= span.high
            if not fits or isinstance(value, int) != isinstance(usual, int):
                raise InputError(f"{row.title} cannot have {name} = {value}.")
        return row.make(self.parameters, seed)


class Tried(BaseModel):
    """A row of the search's table.

    Parameters
    ----------
    members : tuple of Candidate
        One, or several whose log odds are averaged.
    score : float in 0..1
        See `search.score_of`.
    s_per_mpx : float
        Seconds of computing for each megapixel of prediction.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    members: Annotated[tuple[Candidate, ...], Field(min_length=1, max_length=16)]
    score: Annotated[float, Field(ge=0, le=1)]
    s_per_mpx: Annotated[float, Field(ge=0)]

    @property
    def title(self) -> str:
        """A few words."""
        names = [PIPELINES[one.pipeline].title for one in self.members]
        if len(names) == 1:
            return names[0]
        told = [f"{n} x {name}" if (n := names.count(name)) > 1 else name for name in dict.fromkeys(names)]
        return f"Mean of {len(names)}: {', '.join(told)}"


def parse_chosen(text: str) -> Tried:
    """A row of the table from JSON.

    Raises
    ------
    InputError
        If it is none.
    """
    try:
        found = Tried.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"])) or "the text"
        raise InputError(f"The chosen pipeline cannot be read: {where}: {problem['msg']}.") from None
    for one in found.members:
        one.make(0)
    return found


def bank_of(members: Sequence[Candidate], spec: NetworkSpec) -> NetworkSpec:
    """The filter bank that all of some candidates together see, in the order of a larger one."""
    sigmas = sorted({sigma for one in members for sigma in one.sigmas_px})
    names = [name for name in FILTERS if any(name in one.filters for one in members)]
    return spec.model_copy(update={"filters": tuple(names), "sigmas_px": tuple(sigmas)})


def columns_of(bank: NetworkSpec, one: Candidate | NetworkSpec) -> np.ndarray:
    """Which features of a filter bank a candidate sees, or a smaller bank holds, in the bank's own order."""
    found, at = list(range(bank.in_channels)), bank.in_channels
    for sigma in bank.sigmas_px:
        for name in bank.filters:
            n = bank.in_channels * FILTERS[name].n_maps(bank.ndim)
            if name in one.filters and sigma in one.sigmas_px:
                found += range(at, at + n)
            at += n
    assert len(found) == count(bank.in_channels, bank.ndim, one.filters, one.sigmas_px)
    return np.array(found)
