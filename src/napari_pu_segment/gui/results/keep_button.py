"""Keep the result of a large image, which lies in temporary files, in a folder of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QFileDialog, QPushButton, QWidget

from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.progress import Progress, Ticker, Work
from napari_pu_segment.io import create_output, sanitise_name

from ..session import Result, Session
from ..viewer.boxes import chunk_box, pieces
from ..viewer.layers import RESULTS

KINDS = {"OME-Zarr (*.ome.zarr)": ".ome.zarr", "TIFF (*.tif)": ".tif"}


class KeepButton(QPushButton):
    """Writes probability, mask and refined mask of a large result; not seen while the result is a small one.

    Parameters
    ----------
    session : Session
    parent : QWidget, optional
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__("Keep result …", parent)
        self._session = session
        self.setToolTip(
            "Writes probability, mask and refined mask to files of their own, as OME-Zarr with a pyramid or as TIFF. "
            "The result of a large image lies in temporary files, which are gone when napari is closed."
        )
        self.clicked.connect(self.ask)
        session.result_changed.connect(self._refresh)
        self.hide()

    def ask(self) -> None:
        """Ask where, and write the files there."""
        result = self._session.result
        if result is None:
            return
        name = f"{sanitise_name(result.layer.name)}.ome.zarr"
        path, kind = QFileDialog.getSaveFileName(self, "Keep the result", name, ";;".join(KINDS))
        if path:
            self.keep(Path(path), KINDS.get(kind, ".ome.zarr"))

    def keep(self, path: Path, suffix: str) -> None:
        """Write the files in the background: what is not predicted yet is 0.

        Parameters
        ----------
        path : Path
            The folder, and the beginning of the names, of the files.
        suffix : {".ome.zarr", ".tif"}
        """
        result = self._session.result
        if result is None:
            return
        stem = path.name.removesuffix(suffix)
        paths = {role: path.with_name(f"{stem}_{role}{suffix}") for role in RESULTS}
        there = [str(one) for one in paths.values() if one.exists()]
        if there:
            self._session.said.emit(f"{there[0]!r} is there already. Choose another name.", True)
            return
        said = f"The result was written to {path.with_name(f'{stem}_*{suffix}')}."
        self._session.aside(
            _written(result, paths), "Keeping the result", lambda _: self._session.said.emit(said, False)
        )

    def _refresh(self, result: Result) -> None:
        self.setVisible(result.large)


def _written(result: Result, paths: dict[str, Path]) -> Work[None]:
    sample = result.sample
    for role, path in paths.items():
        array = getattr(result.segmentation, role)
        if array is None:
            continue
        place: dict[str, Any] = {"pixel_size": sample.pixel_size, "pixel_unit": sample.pixel_unit, "axes": sample.axes}
        if array.ndim == len(sample.axes):  # an axis of classes
            place["channel_names"] = result.sample.classes
        output = create_output(path, array.shape, array.dtype, labels=role != "probability", **place)
        try:
            yield from _copied(array, output)
            yield from output.finishing()
        except (InputError, GeneratorExit):
            output.discard()
            raise


def _copied(array: Any, output: Any) -> Work[None]:
    ticker = Ticker()
    indices = [index for index, _, _ in pieces(tuple(slice(0, n) for n in array.shape), output.block_px)]
    for step, index in enumerate(indices):
        box = chunk_box(index, output.block_px, array.shape)
        output[box] = array[box]
        if ticker.due():
            yield Progress(step + 1, len(indices), "Keeping the result")
