"""The axis of time that plots and keograms share: where frames lie on it, its gaps, and its ticks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..objects.measure import Table

GAP = 3.0  # a frame stands for the time until the next one, but for no longer than so many usual intervals
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
_ROUND_S = (1.0, 2.0, 5.0, 10.0, 15.0, 30.0, *(_MINUTE * n for n in (1, 2, 5, 10, 15, 30)))
_ROUND_S += (*(_HOUR * n for n in (1, 2, 3, 6, 12)), *(_DAY * n for n in (1, 2, 5, 10, 30, 90, 365)))


@dataclass(frozen=True, eq=False)
class TimeAxis:
    """Where frames lie in time; without times, by their number.

    Parameters
    ----------
    places : ndarray of float, (n,)
        Seconds since the first frame, or frame numbers; never falling.
    start : datetime64 or None
        When the first frame was taken.
    in_s : bool
        Whether places are seconds.
    counts : str
        What is counted where there are no times.
    """

    places: np.ndarray
    start: np.datetime64 | None = None
    in_s: bool = False
    counts: str = "frame"

    @property
    def step(self) -> float:
        """The usual interval: the median of those that are not 0; 1 where there is none."""
        steps = np.diff(self.places)
        steps = steps[steps > 0]
        return float(np.median(steps)) if steps.size else 1.0

    @property
    def end(self) -> float:
        """Where the axis ends: an interval after the last frame begins. It starts at 0."""
        return float(self.places[-1]) + self.step

    def share_of(self, frame: int) -> float:
        """Where along the axis the middle of a frame lies, 0..1; the last of those taken at once."""
        return (float(self.places[frame]) + self.step / 2) / self.end

    def frame_at(self, share: float) -> int:
        """The frame whose middle is nearest to a place along the axis, 0..1."""
        return int(np.argmin(np.abs(self.places + self.step / 2 - share * self.end)))

    def columns(self, n: int) -> np.ndarray:
        """Which frame each of n equal parts of the axis shows (n,); -1 where there is none for long."""
        middles = (np.arange(n) + 0.5) / n * self.end
        frames = np.searchsorted(self.places, middles, side="right") - 1
        late = middles - self.places[np.maximum(frames, 0)] > GAP * self.step
        return np.where(late, -1, frames)

    def ticks(self, most: int) -> list[tuple[float, str]]:
        """At most so many round places along the axis, 0..1, and their texts."""
        step = self._round_step(self.end / max(1, most))
        offset = 0.0
        if self.start is not None:
            midnight = self.start.astype("datetime64[D]")
            offset = float((self.start - midnight) / np.timedelta64(1, "s"))  # ticks at round times of day
        first = math.ceil(offset / step - 1e-9) * step - offset
        places = np.arange(first, self.end, step)
        return [(float(place) / self.end, self._text(float(place), step)) for place in places[: most + 1]]

    def text_of(self, frame: int) -> str:
        """When a frame was taken, in full."""
        if self.start is not None:
            when = self.start + np.timedelta64(round(1000 * float(self.places[frame])), "ms")
            text = str(when.astype("datetime64[ms]")).replace("T", " ")
            return text.removesuffix(".000")
        return f"frame {frame}, {_duration(float(self.places[frame]))}" if self.in_s else f"{self.counts} {frame}"

    def _round_step(self, least: float) -> float:
        if self.in_s and least > _ROUND_S[0] / 2:
            return next((step for step in _ROUND_S if step >= least), math.ceil(least / (365 * _DAY)) * 365 * _DAY)
        decade = 10.0 ** math.floor(math.log10(max(least, 1e-9)))
        step = next(decade * n for n in (1, 2, 5, 10) if decade * n >= least * (1 - 1e-9))
        return step if self.in_s else max(1.0, step)

    def _text(self, place: float, step: float) -> str:
        if not self.in_s:
            return str(round(place)) if place else f"{self.counts} 0"
        if self.start is None:
            return _duration(place, step)
        when = (self.start + np.timedelta64(round(1000 * place), "ms")).astype("datetime64[ms]")
        date, _, time = str(when).partition("T")
        return date[5:] if step >= _DAY else time[: 5 if step >= _MINUTE else 8 if step >= 1 else 12]


def axis_of(table: Table) -> TimeAxis:
    """The axis of a table of `core.timeseries.measure_series`."""
    if "elapsed_s" not in table.columns:
        return TimeAxis(table.columns["frame"].astype(np.float64))
    start = table.columns["time"][0] if "time" in table.columns else None
    return TimeAxis(table.columns["elapsed_s"], start, in_s=True)


def _duration(seconds: float, step: float = 0.0) -> str:
    """Seconds in the largest unit in which the step is whole."""
    units = ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min"))
    size, unit = next((one for one in units if step >= one[0]), (1.0, "s"))
    return f"{round(seconds / size, 3):g} {unit}"
