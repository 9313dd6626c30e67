"""What the axes of an image layer are: told by their names, chosen by the user, or as is usual."""

from __future__ import annotations

from typing import Literal, TypeAlias

from napari.layers import Image

from napari_pu_segment.core.errors import InputError

Third: TypeAlias = Literal["Z", "T"]
THIRD: dict[Third, str] = {"Z": "Planes", "T": "Time points"}  # what the axis before rows may be

# Names of axes, in any case, as readers give them.
CHANNEL_LABELS = ("c", "ch", "channel", "channels")
_LETTERS = {
    **dict.fromkeys(("t", "time", "times", "timepoint", "timepoints", "frame", "frames"), "T"),
    **dict.fromkeys(("z", "plane", "planes", "depth", "slice", "slices", "section", "sections"), "Z"),
    **dict.fromkeys(("y", "row", "rows"), "Y"),
    **dict.fromkeys(("x", "column", "columns", "col"), "X"),
    **dict.fromkeys(CHANNEL_LABELS, "C"),
}


def has_channel_label(image: Image) -> bool:
    """Whether the first of an image's axes is named as one of channels."""
    return image.ndim > 2 and _letter(image, 0) == "C"


def lead_axes(image: Image, first: int, third: Third | None) -> str:
    """The axes before rows and columns: "", "Z", "T" or "TZ".

    Parameters
    ----------
    image : Image
    first : int
        Where they begin: 1 where the first axis holds channels.
    third : {"Z", "T"} or None
        What the user chose the one axis to be; None: as its name tells, else planes.

    Raises
    ------
    InputError
        If there are other axes.
    """
    told = [_letter(image, axis) for axis in range(first, image.ndim - 2)]
    if not told:
        letters = ""
    elif len(told) == 1:
        letters = third or (told[0] if told[0] in ("T", "Z") else "Z")
    else:
        time, plane = told[:2]
        time = time or ("Z" if plane == "T" else "T")
        letters = "".join([time, plane or ("T" if time == "Z" else "Z"), *("?" for _ in told[2:])])
    if letters not in ("", "Z", "T", "TZ"):
        raise _refusal(image, letters)
    return letters


def _letter(image: Image, axis: int) -> str:
    return _LETTERS.get(str(image.axis_labels[axis]).lower(), "")


def _refusal(image: Image, letters: str) -> InputError:
    labels = [str(label).lower() for label in image.axis_labels]
    names = "" if labels[0].startswith("-") else f" ({', '.join(labels)})"  # napari numbers those without a name
    if letters == "ZT":
        remedy = "Put time before planes."
    elif "C" in letters:
        remedy = "Put the channels first, or split them with Layers > Data > Split Stack."
    else:
        remedy = (
            "Choose an image with rows and columns, planes and time points if need be, and channels as the first axis; "
            "split the others with Layers > Data > Split Stack."
        )
    return InputError(f"The image {image.name!r} has {image.ndim} axes{names}. {remedy}")
