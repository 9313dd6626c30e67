"""The command ``train``: from images with strokes or masks to a model file."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import InputError
from ..core.progress import Progress
from .support import FILES, NAMED_FILES, check_forms, check_output, drive, guarded, make_folder, settings_of

if TYPE_CHECKING:
    from ..core.card import Card
    from ..core.methods import Method
    from ..core.model import Model
    from ..core.samples import Sample


def _masks(what: str) -> Any:
    return typer.Option(metavar=FILES, help=f"{what}, one file for each image.", show_default=False)


def _folder(what: str) -> Any:
    return typer.Option(metavar="DIR", help=f"Folder of patches {what}, instead of images and strokes.")


@guarded
def train(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="File to write.", show_default=False)],
    images: Annotated[
        list[Path] | None, typer.Argument(metavar="IMAGE...", help="Image files, or folders of images and strokes.")
    ] = None,
    positive: Annotated[list[Path] | None, _masks("Strokes on objects (non-zero)")] = None,
    negative: Annotated[list[Path] | None, _masks("Strokes on background (non-zero)")] = None,
    ignore: Annotated[list[Path] | None, _masks("Pixels to leave out (non-zero)")] = None,
    class_: Annotated[
        list[str] | None,
        typer.Option("--class", metavar=NAMED_FILES, help="Strokes of a class, instead of --positive (repeatable)."),
    ] = None,
    scribbles: Annotated[
        list[Path] | None, _masks("Codes: 1 positive, 2 negative, 3 ignore, 4... further classes; or GeoJSON")
    ] = None,
    noisy_mask: Annotated[
        list[Path] | None,
        typer.Option(metavar=FILES, help="Unreliable masks (non-zero) of the first images.", show_default=False),
    ] = None,
    clean_mask: Annotated[list[Path] | None, _masks("Reliable masks (non-zero)")] = None,
    positive_patches: Annotated[Path | None, _folder("that are positive all over")] = None,
    negative_patches: Annotated[Path | None, _folder("that are negative all over")] = None,
    unlabelled_patches: Annotated[Path | None, _folder("of which nothing is known")] = None,
    method: Annotated[
        str | None, typer.Option(help="Method; see `methods`.  [default: pu]", show_default=False)
    ] = None,
    prior: Annotated[str | None, typer.Option(help="Positive fraction: auto, or a number such as 0.2.")] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting (repeatable).")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="JSON or TOML file of settings.", metavar="FILE")] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same result.  [default: 0]", show_default=False)] = None,
    start: Annotated[
        Path | None, typer.Option(metavar="MODEL", help="Go on from this model, in a third of the steps.")
    ] = None,
    encoder: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Look through this encoder; see `pretrain`.")
    ] = None,
    images_from: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Of the images, only the balanced sample that `curate` draws."),
    ] = None,
) -> None:
    """Train a model on images with strokes or masks, or on folders of patches."""
    from ..core.classes import recoded, united
    from ..core.methods import METHODS
    from ..io import read_image
    from .data import CLASS, only, pairs_of, samples_of, samples_of_patches

    strokes = {"positive": positive, "negative": negative, "ignore": ignore, "scribbles": scribbles}
    strokes |= {"noisy": noisy_mask, "clean": clean_mask}
    files = {name: list(given or []) for name, given in strokes.items()}
    classes = _classes(class_ or [])
    files |= {CLASS + name: given for name, given in classes.items()}
    folders = {"positive": positive_patches, "negative": negative_patches, "unlabelled": unlabelled_patches}
    _check_classes(files, list(classes))
    check_forms(list(images or []), files, folders)
    pairs = only(pairs_of(images, files), images_from) if images else []
    inputs = [file for image, found in pairs for file in (image, *found.values())]
    check_output(out, [*inputs, *filter(None, [config, start, encoder, images_from])])
    settings = settings_of("pu", method, changes, config, prior=prior, seed=seed)
    row = METHODS[settings.to_dict()["method"]]
    if row.encodes:
        raise InputError("This method makes an encoder, which has a command of its own: pretrain.")
    if pairs and row.needs_strokes and not any(found for _, found in pairs):
        raise InputError("No strokes were given. Paint at least one stroke on an object.")
    seen = (samples_of(read_image(image), image, found) for image, found in pairs)
    samples = [sample for found in seen for sample in found] or samples_of_patches(folders)
    samples = [recoded(sample, tuple(classes)) for sample in samples] if classes else united(samples)
    from ..core.images.doubts import training_doubts
    from ..core.model import save_model

    began = time.perf_counter()
    model = _trained(row, samples, settings, _begin(start, encoder))
    for warning in drive(training_doubts(samples), "Looking at the images"):
        typer.echo(f"Warning: {warning}", err=True)
    make_folder(out.parent)
    save_model(model, out)
    _tell(model.card, out, time.perf_counter() - began)


def _tell(card: Card, out: Path, seconds: float) -> None:
    n_positive, n_negative = card.n_positive_strokes, card.n_negative_strokes
    strokes_text = f"{n_positive} positive and {n_negative} negative strokes, " if n_positive + n_negative else ""
    low, high = card.class_prior_interval
    typer.echo(
        f"{out}: {strokes_text}class prior {card.class_prior:.3f} in {low:.3f}..{high:.3f} "
        f"({card.class_prior_source}), {seconds:.1f} s"
    )
    if card.statistics == "image":
        typer.echo("  intensities are measured in each image by itself")
    for one in card.classes:
        typer.echo(f"  {one.name}: {one.n_strokes} strokes, class prior {one.class_prior:.3f}")
    if card.found is not None:
        found = card.found
        typer.echo(f"{found.pipeline}: score {found.score:.3f}, {found.s_per_mpx:.2f} s/Mpx to predict")


def _trained(method: Method, samples: Sequence[Sample], settings: Any, start: Model | None) -> Model:
    """Train; what a search has found until it is interrupted is kept."""
    last: list[object] = [None]

    def seen(progress: Progress) -> None:
        last[0] = last[0] if progress.preview is None else progress.preview

    try:
        return drive(method.train(samples, settings, start=start), "Training", seen)
    except KeyboardInterrupt:
        found = method.cut_short(last[0])
        if not found:
            raise
        typer.echo("Interrupted: the best that was found so far is kept.", err=True)
        return drive(method.train(samples, settings.changed(found)), "Fitting")


def _classes(words: Sequence[str]) -> dict[str, list[Path]]:
    """Files by class of ``NAME=FILE``, each followed by the further files of that class.

    Raises
    ------
    typer.BadParameter
        If the first word has no name, or a name comes twice.
    InputError
        If a name cannot be that of a class.
    """
    from ..core.samples import check_classes

    found: dict[str, list[Path]] = {}
    name = ""
    for word in words:
        before, equals, file = word.partition("=")
        if equals:
            name = before.strip()
            if name in found:
                raise typer.BadParameter(f"The class {name!r} is given twice.", param_hint="--class")
            check_classes([name])
        elif not name:
            raise typer.BadParameter(f"{word!r} is not of the form NAME=FILE.", param_hint="--class")
        found.setdefault(name, []).append(Path(file if equals else word))
    return found


def _check_classes(files: dict[str, list[Path]], classes: list[str]) -> None:
    """Refuse strokes of classes beside what holds strokes, or masks, of one class or of all."""
    masks = files["noisy"] or files["clean"]
    if classes and masks:
        raise typer.BadParameter("Masks tell objects from background, but no classes. Give strokes of each by --class.")
    if classes and (files["positive"] or files["scribbles"]):
        raise typer.BadParameter("Give strokes by --positive or --scribbles, or those of each class by --class.")


def _begin(start: Path | None, encoder: Path | None) -> Model | None:
    """The model to go on from, or the encoder to look through."""
    from ..core.model import load_model

    if start and encoder:
        raise typer.BadParameter("A model that is gone on from has its own encoder, or none.", param_hint="--encoder")
    found = load_model(start or encoder) if start or encoder else None  # type: ignore[arg-type]
    if found is not None and found.is_encoder != bool(encoder):
        named, wanted = (encoder, "no encoder") if encoder else (start, "an encoder: give it as --encoder")
        raise InputError(f"Model file {str(named)!r} is {wanted}.")
    return found
