"""What the user prefers: napari's File > Preferences has a page for each plugin that asks for one in its manifest."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from napari_pu_segment.core.settings import SettingsT

PLUGIN = "napari-pu-segment"


@dataclass(frozen=True)
class Preferences:
    """The preferences, and what holds where the user chose nothing; the manifest says the same.

    Parameters
    ----------
    network : str
        A row of `NETWORKS`.
    n_steps, threads : int
        Of training; what was not changed here is each method's own.
    live : bool
        Whether live mode is on when the widget opens.
    refine : bool
        Whether results are refined by the CRF.
    brush_percent : float
        Diameter of the brush, in percent of the image's shorter side.
    autosave : bool
        Whether strokes are saved while the user paints.
    autosave_folder : str
        Where to; empty for the usual place.
    batch_outputs : str
        Of a batch, parted by commas; keys of `batch.OUTPUTS`.
    batch_format : str
        A key of `batch.FORMATS`.
    batch_workers : int
        How many processes do a batch.
    """

    network: str = "pixel"
    n_steps: int = 150
    threads: int = 0
    live: bool = False
    refine: bool = True
    brush_percent: float = 1.0
    autosave: bool = True
    autosave_folder: str = ""
    batch_outputs: str = "probability,mask"
    batch_format: str = "tiff"
    batch_workers: int = 1

    def settings(self, kind: type[SettingsT]) -> SettingsT:
        """Settings of a method as they are preferred."""
        wanted: dict[str, Any] = {"network": self.network, "n_steps": self.n_steps, "threads": self.threads}
        chosen = {name: value for name, value in wanted.items() if value != getattr(Preferences, name)}
        return kind().changed({name: value for name, value in chosen.items() if name in kind.model_fields})

    @property
    def autosave_path(self) -> Path | None:
        """The folder chosen for autosaved strokes, or None."""
        return Path(self.autosave_folder).expanduser() if self.autosave_folder else None


def preferences() -> Preferences:
    """The present preferences; those of a napari without a page for them, or of a plugin it does not know, are ours."""
    try:
        from napari.settings import get_plugin_settings

        page = get_plugin_settings(PLUGIN).preferences
    except (ImportError, KeyError, AttributeError):
        return Preferences()
    return Preferences(**{field.name: getattr(page, field.name) for field in fields(Preferences)})
