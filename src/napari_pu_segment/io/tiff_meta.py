"""What the header of a TIFF tells beside its pixels: axes, names of channels, size of a pixel."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import tifffile

Told = tuple[tuple[str, ...], dict[str, float], str]  # names of channels, size by axis, unit


def stored_axes(series: Any) -> str | None:
    """One letter for each axis, of C, S, Z, T, Y and X; "" if none were stored, None if they are not known."""
    axes = str(series.axes)
    if "C" not in axes and not _has_colour(series.keyframe):
        axes = axes.replace("S", "C")
    unknown = [axis for axis in axes if axis not in "CSZTYX"]
    if not unknown:
        return axes
    if "Q" in axes and not set(axes) - set("QYX"):
        return ""
    if len(unknown) == 1 and "Z" not in axes:
        return axes.replace(unknown[0], "Z")
    return None


def told_by(tif: tifffile.TiffFile, axes: str) -> Told:
    """What ImageJ or OME wrote into a file."""
    return _ome(tif) if tif.is_ome else _imagej(tif, axes) if tif.is_imagej else ((), {}, "px")


def _has_colour(page: Any) -> bool:
    """Whether samples are RGB(A), or grey and alpha, and not any channels."""
    return page.photometric in (2, 6) or bool(set(page.extrasamples or ()) & {1, 2})


def _imagej(tif: tifffile.TiffFile, axes: str) -> Told:
    metadata, tags = tif.imagej_metadata or {}, tif.pages.first.tags
    spacing = {}
    for axis, tag in (("X", "XResolution"), ("Y", "YResolution")):
        pixels, units = tags.valueof(tag, default=(1, 1))
        spacing[axis] = units / pixels if pixels else 0.0
    spacing["Z"] = metadata.get("spacing", 0.0)
    labels = metadata.get("Labels", [])
    names = tuple(map(str, labels)) if not set(axes) & set("ZT") else ()
    unit = str(metadata.get("unit", "px"))
    if unit in ("px", "pixel") and spacing["X"] == spacing["Y"] == 1:
        spacing = {}
    return names, spacing, unit


def _ome(tif: tifffile.TiffFile) -> Told:
    text = tif.ome_metadata or ""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError("its OME header defines entities")
    pixels = ElementTree.fromstring(text).find("{*}Image/{*}Pixels")
    if pixels is None:
        return (), {}, "px"
    spacing = {axis: float(pixels.get(f"PhysicalSize{axis}", 0)) for axis in "XYZ"}
    units = {pixels.get(f"PhysicalSize{axis}Unit", "µm") for axis in "XYZ" if spacing[axis] > 0}
    names = tuple(channel.get("Name", "") for channel in pixels.findall("{*}Channel"))
    if len(units) != 1:  # not told, or different along the axes
        return names, {}, "px"
    return names, spacing, units.pop()
