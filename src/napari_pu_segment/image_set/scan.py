"""Looking through a folder: every image once, with its mask and a model where they are given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from ..batch.folder import find
from ..core.compute.runtime import set_threads
from ..core.curation import CurateSettings, Look, Masked, doubt_of, looking, looking_at_mask
from ..core.errors import InputError, PuSegmentError, is_out_of_memory
from ..core.model import Model, load_model
from ..core.progress import Progress, Ticker, Work, shifted
from ..core.samples import Array
from ..io import IMAGE_SUFFIXES, ImageFile, probe, read_image, stem_of


@dataclass(frozen=True)
class ScanSettings:
    """Which images to look at, and with what.

    Parameters
    ----------
    folder : Path
    recursive : bool
        Also the images in folders below.
    pattern : str
        Only images whose names match; see `batch.folder.find`.
    masks : Path or None
        A folder of masks: of `a/x.tif` that with the path `a/x` or `a/x_mask`, whatever its suffix.
    strokes : Path or None
        A folder of strokes: images with a file of the path `a/x` or `a/x_strokes`, whatever its suffix, are annotated.
    model : Path or None
        The file of a model that is asked how uncertain it is about each image.
    encoder : Path or None
        The file of an encoder that images are compared by, instead of the embedder; images that it cannot see are
        refused.
    """

    folder: Path
    recursive: bool = False
    pattern: str = "*"
    masks: Path | None = None
    strokes: Path | None = None
    model: Path | None = None
    encoder: Path | None = None

    def painted_stems(self) -> set[str]:
        """Paths of the images with strokes, without their suffixes.

        Raises
        ------
        InputError
            If the folder is none.
        """
        if self.strokes is None:
            return set()
        if not self.strokes.is_dir():
            raise InputError(f"There is no folder {str(self.strokes)!r}.")
        files = self.strokes.rglob("*") if self.recursive else self.strokes.iterdir()
        return {path_stem(one.relative_to(self.strokes).as_posix()).removesuffix("_strokes") for one in files}

    def masks_by_stem(self) -> dict[str, str]:
        """Paths of the masks, below their folder, by the path of their image without its suffix.

        Raises
        ------
        InputError
            If the folder cannot be read, or two masks are those of one image.
        """
        if self.masks is None:
            return {}
        found: dict[str, str] = {}
        for one in find(self.masks, recursive=self.recursive)[0]:
            stem = path_stem(one.name).removesuffix("_mask")
            if stem in found:
                raise InputError(f"{found[stem]!r} and {one.name!r} are both masks of {stem!r}. Remove one of them.")
            found[stem] = one.name
        return found

    def models(self) -> tuple[Model | None, Model | None]:
        """The model and the encoder, read from their files.

        Raises
        ------
        InputError
            If a file is none of them, or the encoder is none for planes.
        """
        model = None if self.model is None else load_model(self.model)
        encoder = None if self.encoder is None else load_model(self.encoder)
        if model is not None and model.is_encoder:
            raise InputError(f"Model file {str(self.model)!r} is an encoder. It can compare images: give it as that.")
        if encoder is not None and (not encoder.is_encoder or encoder.card.network.ndim == 3):
            raise InputError(
                f"Images are compared by an encoder for planes; {str(self.encoder)!r} is another model. "
                "Make one by pretraining."
            )
        return model, encoder


@dataclass(frozen=True)
class Refused:
    """A file that cannot be used, and why; of an image that can be used, its mask."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class Scan:
    """What was seen of a folder.

    Parameters
    ----------
    settings : ScanSettings
    looks : tuple of Look
        Of the images that can be used, by name.
    refused : tuple of Refused
    masked : tuple of Masked or None
        Of each look; empty where no masks were asked for.
    masks : dict of str to str
        The masks that could be used, below their folder, by the name of their image.
    annotated : tuple of int
        Numbers of the looks whose images have strokes.
    doubt : ndarray, (N,), or None
        How uncertain the model is about each; NaN where it cannot see it; None without a model.
    n_others : int
        Files that are no images.
    encoder : str
        sha256 of the tensors of the encoder that images were compared by, or "".
    """

    settings: ScanSettings
    looks: tuple[Look, ...]
    refused: tuple[Refused, ...]
    masked: tuple[Masked | None, ...]
    masks: dict[str, str]
    annotated: tuple[int, ...]
    doubt: np.ndarray | None
    n_others: int
    encoder: str = ""

    def path(self, name: str) -> Path:
        """The file of an image."""
        return self.settings.folder / name

    def mask_path(self, name: str) -> Path | None:
        """The file of its mask, if it has one that can be used."""
        mask = self.masks.get(name)
        return None if mask is None or self.settings.masks is None else self.settings.masks / mask


def path_stem(name: str) -> str:
    """A path below a folder, with slashes, without the suffix of its file."""
    return str(PurePosixPath(name).with_name(stem_of(name)))


def scanning(settings: ScanSettings, curate: CurateSettings) -> Work[Scan]:
    """Look at every image of a folder. Nothing is written.

    What cannot be used, from its header or when it is read, is refused with the reason, and all others are looked at.

    Parameters
    ----------
    settings : ScanSettings
    curate : CurateSettings
        Its embedder, seed and what the values of masks mean.

    Raises
    ------
    InputError
        If the folder cannot be read, or has no image that can be used, or a model is not what it is given as.
    """
    yield Progress(0, 0, "Reading names")
    model, encoder = settings.models()
    found, n_others = find(settings.folder, settings.pattern, settings.recursive)
    masks, painted, ticker = settings.masks_by_stem(), settings.painted_stems(), Ticker()
    set_threads(1)  # as in a batch: the last bits do not depend on the computer
    seen: list[_Seen] = []
    refused: list[Refused] = []
    for step, one in enumerate(found):
        if ticker.due():
            yield Progress(step, len(found), f"Looking at {one.name}")
        try:
            work = _look(settings, one.name, one.fault, masks.get(path_stem(one.name), ""), curate, (model, encoder))
            seen.append((yield from shifted(work, step, len(found))))
        except (PuSegmentError, MemoryError, RuntimeError) as error:
            refused.append(Refused(one.name, _reason(error)))
            continue
        refused += [Refused(one.name, seen[-1].fault)] if seen[-1].fault else []
    if not seen:
        raise InputError(_nothing(settings, len(found), n_others, refused))
    return Scan(
        settings,
        tuple(one.look for one in seen),
        tuple(refused),
        tuple(one.masked for one in seen) if settings.masks is not None else (),
        {one.look.name: one.mask for one in seen if one.masked is not None},
        tuple(i for i, one in enumerate(seen) if path_stem(one.look.name) in painted),
        np.array([one.doubt for one in seen]) if model is not None else None,
        n_others,
        "" if encoder is None else encoder.card.tensors_sha256,
    )


@dataclass(frozen=True, eq=False)
class _Seen:
    """An image, its mask and what is wrong with that, and the doubt of the model."""

    look: Look
    masked: Masked | None
    mask: str
    fault: str
    doubt: float


def _look(
    settings: ScanSettings,
    name: str,
    fault: str,
    mask: str,
    curate: CurateSettings,
    models: tuple[Model | None, Model | None],
) -> Work[_Seen]:
    if fault:
        raise InputError(fault)
    probe(settings.folder / name)  # refuses what no image is, whatever its size, in no time
    file = read_image(settings.folder / name)
    model, encoder = models
    look = yield from looking(file.image, file.axes, name, curate.embedder, encoder)
    masked, wrong = None, ""
    if mask and settings.masks is not None:
        try:
            values = read_values(settings.masks / mask)
            classes = curate.mask_values == "classes"
            masked = looking_at_mask(file.image, values, as_classes=classes, seed=curate.seed)
        except PuSegmentError as error:
            wrong = f"Mask file {mask!r} cannot be used. {error}"
    doubt = (yield from _doubt(model, file, name)) if model is not None else np.nan
    return _Seen(look, masked, mask, wrong, doubt)


def read_values(path: Path) -> Array:
    """The values of a mask, ([T,] [Z,] Y, X): whole numbers of one channel; of more channels, where any is not 0."""
    image = read_image(path).image
    if image.shape[0] == 1:
        return image[0]
    return (np.asarray(image) != 0).any(axis=0)


def _doubt(model: Model, file: ImageFile, name: str) -> Work[float]:
    try:
        model.check_image(tuple(file.image.shape), name, file.channel_names, file.axes)
    except InputError:
        return float("nan")
    return (yield from doubt_of(model, file.image, file.axes, name))


def _reason(error: Exception) -> str:
    if isinstance(error, PuSegmentError):
        return str(error)
    if is_out_of_memory(error):
        return "The computer's memory ran out while the image was looked at."
    raise error


def _nothing(settings: ScanSettings, n_found: int, n_others: int, refused: list[Refused]) -> str:
    where = f"Folder {str(settings.folder)!r} has no image"
    if n_found:
        return f"{where} that can be used; {n_found} cannot. The first: {refused[0].reason}"
    return (
        f"{where} that matches {settings.pattern!r} ({', '.join(IMAGE_SUFFIXES)}), {n_others} other file(s) or "
        "folder(s). Give another one, or --recursive."
    )
