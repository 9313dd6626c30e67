"""The command ``classify``: classes of objects without labels, and of images by what is in them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import InputError
from .support import FILES, check_counts, check_output, drive, guarded, make_folder, output_stems, parse_pairs

if TYPE_CHECKING:
    import numpy as np

    from ..core.model import Model
    from ..core.objects.classify import Classes, ClassifySettings, Scene
    from ..io import ImageFile


def _files(what: str, option: str) -> Any:
    return typer.Option(option, metavar=FILES, help=f"{what}, one file for each image.", show_default=False)


@guarded
def classify(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the results.", show_default=False)],
    objects: Annotated[list[Path], _files("Labels of objects, or masks", "--objects")],
    truth: Annotated[
        list[Path] | None, _files("True classes, to judge by: numbers where objects lie, 0 unknown", "--truth")
    ] = None,
    image_classes: Annotated[
        int, typer.Option(help="Also put the images into so many classes, without labels.", min=0)
    ] = 0,
    image_labels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="CSV of some images' classes (image,class), to learn.", show_default=False),
    ] = None,
    encoder: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="For describe=encoder; see `pretrain`.", show_default=False),
    ] = None,
    map_: Annotated[bool, typer.Option("--map", help="Also place the objects on a plane, by t-SNE.")] = False,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting (repeatable).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same result.", min=0)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Put the objects of all images together into classes, without labels; and the images, by what is in them."""
    from ..core.objects import classify as core
    from ..core.objects.embedding_map import embedding_map
    from ..core.objects.image_classes import group_images, image_table, learn_images
    from ..io import read_image, write_image
    from ..io.image_table import classes_of_images

    check_counts(images, {"--objects": objects, "--truth": truth or []})
    settings = core.ClassifySettings().changed({"seed": seed, **parse_pairs(changes or [], core.ClassifySettings)})
    eyes = _encoder(encoder, settings)
    stems = output_stems(images)
    targets = [out / f"{stem}_classes.tif" for stem in stems]
    inputs = [*images, *objects, *(truth or []), *filter(None, [image_labels, encoder])]
    for path in (out / "objects.csv", out / "images.csv", *targets):
        check_output(path, inputs)
    labels = (
        None if image_labels is None else classes_of_images(image_labels, [(path.name, path.stem) for path in images])
    )
    files = [read_image(path) for path in images]
    scenes = [_scene(*each) for each in zip(images, files, objects, strict=True)]
    found = drive(core.classify(scenes, settings, eyes), "Classifying")
    report: dict[str, Any] = {"settings": settings.to_dict(), "n_objects": len(found.numbers)}
    if truth:
        report["against_truth"] = _judged(scenes, found, truth)
    points = drive(embedding_map(found.embedding, seed), "Map") if map_ else None
    proportions, groups = found.proportions(), None
    if image_classes:
        groups = drive(group_images(proportions, image_classes, seed), "Classes of images")
    learnt = None
    if labels is not None:
        learnt = drive(learn_images(proportions, labels, seed), "Classes of images")
        report["images_learnt"] = {"accuracy": learnt.accuracy, "folds": learnt.folds}
    make_folder(out)
    for file, scene, numbers, target in zip(files, scenes, found.of_scenes(), targets, strict=True):
        axes = file.axes[1:]
        write_image(target, core.painted(scene, numbers), file.pixel_size, file.pixel_unit, axes)
    _all_objects(stems, scenes, found, points).write_csv(out / "objects.csv")
    image_table(stems, found, groups, learnt).write_csv(out / "images.csv")
    _tell(report, found, out, as_json)


def _scene(path: Path, file: ImageFile, objects: Path) -> Scene:
    """An image and its objects, measured; a file with a single label is a mask."""
    import numpy as np

    from ..core.objects import ObjectSettings, find_objects
    from ..core.objects.classify import Scene
    from ..core.objects.measure import measure_objects
    from ..io import read_image

    labels = np.asarray(read_image(objects).image[0])
    if labels.dtype.kind == "f" or labels.shape != tuple(file.image.shape[1:]):
        raise InputError(
            f"{str(objects)!r} holds no labels of an image of {tuple(file.image.shape[1:])} pixels. "
            "Give what `measure --objects` writes, or a mask."
        )
    inside = labels[labels > 0]
    if inside.size and inside.min() == inside.max():
        work = find_objects(labels > 0, ObjectSettings(), pixel_size=file.pixel_size, axes=file.axes)
        labels = drive(work, objects.name)
    measuring = measure_objects(
        labels,
        file.image,
        pixel_size=file.pixel_size,
        pixel_unit=file.pixel_unit,
        channel_names=file.channel_names,
        axes=file.axes,
    )
    return Scene(file.image, labels, drive(measuring, objects.name), f"The image {str(path)!r}", file.axes)


def _encoder(path: Path | None, settings: ClassifySettings) -> Model | None:
    """The encoder of a file, which the settings must ask for."""
    from ..core.model import load_model

    if (path is None) == ("encoder" in settings.describe):
        raise InputError("An encoder is used if both are given: --encoder FILE, and encoder in --set describe=….")
    return None if path is None else load_model(path)


def _judged(scenes: Sequence[Scene], found: Classes, truth: Sequence[Path]) -> dict[str, Any]:
    """Scores against files of true classes."""
    import numpy as np

    from ..core.objects.class_scores import class_scores
    from ..core.objects.classify import true_classes
    from ..io import read_image

    true = np.concatenate(
        [true_classes(scene, np.asarray(read_image(path).image[0])) for scene, path in zip(scenes, truth, strict=True)]
    )
    known = true > 0
    return {"n_objects": int(known.sum()), **class_scores(found.numbers[known], found.chances[known], true[known])}


def _all_objects(stems: Sequence[str], scenes: Sequence[Scene], found: Classes, points: np.ndarray | None) -> Any:
    """The tables of all images, one below the other, with image, class, the chances of the classes, and places."""
    import numpy as np

    from ..core.objects.classify import joined, with_classes
    from ..core.table import Table

    full = [scene for scene in scenes if len(scene.table)]
    table = with_classes(Table(joined(full), full[0].table.units), found.numbers)
    columns = {"image": np.repeat(_text(stems), found.counts), **table.columns}
    columns |= {f"class_{k + 1}_chance": found.chances[:, k] for k in range(found.chances.shape[1])}
    columns |= {f"embedding_{k + 1}": found.embedding[:, k] for k in range(found.embedding.shape[1])}
    columns |= {} if points is None else {"map_x": points[:, 0], "map_y": points[:, 1]}
    return Table(columns, dict.fromkeys(columns, ""))


def _tell(report: dict[str, Any], found: Classes, out: Path, as_json: bool) -> None:
    counts = [int((found.numbers == k + 1).sum()) for k in range(found.chances.shape[1])]
    if as_json:
        more = {"fits_nowhere": len(counts)} if found.odd else {}
        typer.echo(json.dumps({**report, "class_counts": counts, **more, "out": str(out)}))
        return
    told = ", ".join(f"{n} of {title}" for n, title in zip(counts, found.titles, strict=True))
    typer.echo(f"{out / 'objects.csv'}: {len(found.numbers)} objects, {told}")
    for name in ("against_truth", "images_learnt"):
        if name in report:
            typer.echo(f"{name}: " + ", ".join(f"{key} {value:.3g}" for key, value in report[name].items()))


def _text(values: Sequence[str]) -> np.ndarray:
    import numpy as np

    return np.array(values, dtype=np.str_)
