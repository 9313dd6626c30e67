"""Names of files: which of a folder are images, and names that every system accepts."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from ..core.errors import InputError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".npy")
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(1, 10))}
_MAX_NAME_BYTES = 150


def list_images(folder: str | Path) -> list[Path]:
    """The image files of a folder (not of its folders), by name; links that lead out of the folder are left out.

    Raises
    ------
    InputError
        If the folder cannot be read or has no image.
    """
    folder = Path(folder)
    try:
        root = folder.resolve()
        found = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in IMAGE_SUFFIXES]
        found = [path for path in found if not path.name.startswith(".") and path.is_file()]
        found = [path for path in found if path.resolve().is_relative_to(root)]
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"Folder {str(folder)!r} cannot be read: {reason}. Check the path.") from None
    if not found:
        raise InputError(f"Folder {str(folder)!r} has no images ({', '.join(IMAGE_SUFFIXES)}).")
    return found


def sanitise_name(name: str) -> str:
    """A file name without suffix that every system accepts and that stays in its folder.

    Separators, control characters and characters that Windows forbids become "_"; reserved names get a "_" in front;
    a name of more than 150 bytes is cut and ends with a hash of the whole, so that different names stay different.
    """
    clean = re.sub(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]', "_", name).strip(" ").rstrip(". ").lstrip(".")
    if clean.split(".")[0].lower() in _RESERVED:
        clean = "_" + clean
    if len(clean.encode()) > _MAX_NAME_BYTES:
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        clean = clean.encode()[:_MAX_NAME_BYTES].decode("utf-8", "ignore") + "-" + digest
    return clean or "unnamed"
