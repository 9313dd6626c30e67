"""Units of length as one short word."""

from __future__ import annotations

_UNITS = {
    **dict.fromkeys(("micron", "microns", "micrometer", "micrometre", "µm", "μm", "\\u00b5m", "um"), "um"),
    **dict.fromkeys(("nanometer", "nanometre"), "nm"),
    **dict.fromkeys(("millimeter", "millimetre"), "mm"),
    **dict.fromkeys(("centimeter", "centimetre"), "cm"),
    "meter": "m",
    "pixel": "px",
}
_OME_NAMES = {"um": "micrometer", "nm": "nanometer", "mm": "millimeter", "cm": "centimeter", "m": "meter"}


def clean_unit(unit: object) -> str:
    """A unit of length as one short printable word; the many spellings of micrometre become "um"."""
    text = "".join(filter(str.isprintable, str(unit).strip()))[:20]
    return _UNITS.get(text.lower(), text) or "px"


def ome_unit(unit: str) -> str:
    """The name of a unit in OME-Zarr, or "" if it has none there."""
    return _OME_NAMES.get(clean_unit(unit), "")
