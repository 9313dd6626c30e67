"""What the commands share: errors and exit codes, progress bars, settings given as text, and where outputs may go."""

from __future__ import annotations

import functools
import json
import os
import sys
import tomllib
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, get_origin, get_type_hints

import typer
from typer.core import TyperCommand

from ..core.errors import InputError, OutOfMemoryError, PuSegmentError, pick
from ..core.progress import Progress, Work, run
from ..core.settings import Settings

Result = TypeVar("Result")
P = ParamSpec("P")
SettingsT = TypeVar("SettingsT", bound=Settings)

FILES = "FILE..."  # metavar of the options that take several files
NAMED_FILES = "NAME=FILE..."  # the same, of a class
DEBUG = "NAPARI_PU_SEGMENT_DEBUG"


class ManyValues(TyperCommand):
    """A command whose options for several files take them in one go: ``--positive a.png b.png``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Write every file of such an option behind an option of its own."""
        several = {
            name
            for param in self.params
            if getattr(param, "metavar", "") in (FILES, NAMED_FILES)
            for name in param.opts
        }
        spread: list[str] = []
        option = ""
        for place, arg in enumerate(args):
            if arg == "--":
                spread += args[place:]
                break
            if option and not arg.startswith("-") and spread[-1] != option:
                spread.append(option)
            elif arg.startswith("-"):
                option = arg if arg in several else ""
            spread.append(arg)
        return super().parse_args(ctx, spread)


def guarded(command: Callable[P, Result]) -> Callable[P, Result]:
    """Turn every error of a command into one line on the error output and exit code 1, without a traceback.

    A file that cannot be read is such an error; Typer would take it for a mistake of usage.
    """
    command.__annotations__ = get_type_hints(command, include_extras=True)
    for annotation in command.__annotations__.values():
        for info in getattr(annotation, "__metadata__", ()):
            info.readable = False  # do not look whether it is

    @functools.wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Result:
        try:
            with warnings.catch_warnings():
                if not sys.warnoptions:
                    warnings.simplefilter("ignore")
                return command(*args, **kwargs)
        except (typer.BadParameter, typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if os.environ.get(DEBUG):
                raise
            typer.echo(" ".join(_sentence(error).split()), err=True)
            raise typer.Exit(1) from None

    return wrapper


def _sentence(error: Exception) -> str:
    if isinstance(error, MemoryError):
        error = OutOfMemoryError("The computer's memory ran out. Use a smaller image.")
    if isinstance(error, PuSegmentError):
        return str(error)
    return f"Something unforeseen failed ({type(error).__name__}: {error}). Set {DEBUG}=1 to see where, and report it."


def drive(work: Work[Result], title: str, seen: Callable[[Progress], None] = lambda progress: None) -> Result:
    """Run long work; with a progress bar where the error output is a terminal. `seen` is told every report."""
    if not sys.stderr.isatty():
        return run(work, seen)
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn()
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)

        def show(progress: Progress) -> None:
            seen(progress)
            risk = "" if progress.risk is None else f", risk {progress.risk:.3f}"
            text = f"{title}: {progress.message}{risk}"
            bar.update(task, completed=progress.step, total=progress.total or None, description=text)

        return run(work, show)


def read_config(path: Path) -> dict[str, Any]:
    """Settings of a JSON or TOML file.

    Raises
    ------
    InputError
        If the file cannot be read or holds no table of settings.
    """
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except OSError as error:
        raise InputError(f"Settings file {str(path)!r} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"Settings file {str(path)!r} is not valid JSON or TOML: {error}.") from None
    if not isinstance(values, dict):
        raise InputError(f"Settings file {str(path)!r} must hold names and values.")
    return values


def parse_pairs(pairs: Iterable[str], kind: type[Settings]) -> dict[str, Any]:
    """Settings of class `kind` given as ``name=value``; several values of one setting are parted by commas.

    Raises
    ------
    typer.BadParameter
        If there is no equals sign.
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise typer.BadParameter(f"{pair!r} is not of the form name=value.", param_hint="--set")
        field = kind.model_fields.get(name.strip())
        many = field is not None and get_origin(field.annotation) is tuple
        values[name.strip()] = [part.strip() for part in value.split(",")] if many else value.strip()
    return values


def settings_of(
    default: str,
    method: str | None,
    changes: Iterable[str] | None,
    config: Path | None,
    *,
    prior: str | None = None,
    seed: int | None = None,
) -> Any:
    """Settings of a method, `default` unless one is told: of a file, then prior and seed, then ``name=value``.

    Raises
    ------
    InputError
        If a name is unknown or a value cannot be used.
    """
    from ..core.methods import METHODS

    values = read_config(config) if config else {}
    method = method or str(values.get("method", default))
    kind = pick(METHODS, method, "method").settings
    values |= parse_prior(prior) if prior else {}
    values |= {"seed": seed} if seed is not None else {}
    return kind().changed({**values, "method": method, **parse_pairs(changes or [], kind)})


def parse_prior(text: str) -> dict[str, Any]:
    """The settings `prior` and `class_prior` of ``auto``, the name of an estimator, or a fraction.

    Raises
    ------
    InputError
        If it is neither.
    """
    from ..core.training.prior import PRIORS

    if text in PRIORS:
        return {"prior": text}
    try:
        fraction = float(text)
    except ValueError:
        fraction = 0.0
    if not 0 < fraction < 1:
        raise InputError(f"The prior {text!r} cannot be used. Give {', '.join(PRIORS)}, or a fraction such as 0.2.")
    return {"prior": "fixed", "class_prior": fraction}


def check_counts(images: Sequence[Path], files: Mapping[str, Sequence[Path]]) -> None:
    """Files are matched to images by order: there must be as many.

    Raises
    ------
    typer.BadParameter
        If an option has files, but not one for each image.
    """
    for option, given in files.items():
        if given and len(given) != len(images):
            text = f"{len(given)} file(s) for {len(images)} image(s); give one for each image, in the same order."
            raise typer.BadParameter(text, param_hint=option)


def check_forms(images: list[Path], files: dict[str, list[Path]], folders: dict[str, Path | None]) -> None:
    """Refuse a mixture of the two forms of ``train``, or half of one.

    Unreliable masks are those of the first images, and all other files of the images after these; or both are of all.

    Raises
    ------
    typer.BadParameter
        Whose text says what goes together.
    """
    if any(folders.values()):
        if images or any(files.values()):
            raise typer.BadParameter("Give images with strokes, or folders of patches, not both.")
        if not (folders["positive"] and folders["unlabelled"]):
            raise typer.BadParameter("Patches need --positive-patches and --unlabelled-patches.")
    elif not images:
        raise typer.BadParameter("Give the images first, then their strokes, or give folders of patches.")
    if files["scribbles"] and (files["positive"] or files["negative"] or files["ignore"]):
        raise typer.BadParameter("--scribbles holds all strokes; give it without --positive, --negative and --ignore.")
    rough, masks = files["noisy"], ("noisy", "clean")
    if len(rough) > len(images):
        check_counts(images, {"--noisy-mask": rough})
    others = images if len(rough) == len(images) else images[len(rough) :]
    names = {name: f"--{name}-mask" if name in masks else f"--{name}" for name in files}
    check_counts(others, {names[name]: given for name, given in files.items() if name != "noisy"})


def check_output(path: Path, inputs: Iterable[Path]) -> None:
    """Refuse an output, before any work is done, that could not be written or would replace an input.

    Raises
    ------
    InputError
        If it is a folder, replaces an input or lies in one, or its folder cannot be made or written to.
    """
    from ..io import is_zarr

    inputs, where = list(inputs), f"Cannot write {str(path)!r}"
    try:
        if path.is_dir() and not (path.name.endswith(".zarr") and (path / "zarr.json").is_file()):
            raise InputError(f"{where}: it is a folder. Give the name of a file.")
        if path.exists() and any(file.exists() and path.samefile(file) for file in inputs):
            raise InputError(f"{where}: it would replace an input. Choose another name or folder.")
        if any(is_zarr(file) and path.resolve().is_relative_to(file.resolve()) for file in inputs):
            raise InputError(f"{where}: it would lie in an image. Choose another folder.")
        folder = next(parent for parent in path.absolute().parents if parent.exists())
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            raise InputError(f"{where}: {str(folder)!r} is not a folder that can be written to. Choose another one.")
    except (OSError, ValueError) as error:
        raise InputError(f"{where}: {getattr(error, 'strerror', None) or error}. Choose another name.") from None


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, where they are missing.

    Raises
    ------
    InputError
        If that fails.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"Cannot make the folder {str(folder)!r}: {error.strerror}. Choose another one.") from None


def output_stems(images: Sequence[Path]) -> list[str]:
    """Names of the outputs of each image: its name without suffix, made safe.

    Raises
    ------
    InputError
        If two images would write the same files.
    """
    from ..io import ZARR_SUFFIX, sanitise_name, stem_of

    bare = [image.is_dir() and image.suffix.lower() != ZARR_SUFFIX for image in images]  # a folder with a dot: "v1.2"
    stems = [sanitise_name(image.name if b else stem_of(image.name)) for image, b in zip(images, bare, strict=True)]
    owners: dict[str, Path] = {}
    for stem, image in zip(stems, images, strict=True):
        other = owners.setdefault(stem.casefold(), image)  # some disks do not tell cases apart
        if other is not image:
            raise InputError(
                f"{str(other)!r} and {str(image)!r} would write the same files {stem + '_mask.tif'!r}. "
                "Predict them into different folders, or rename one."
            )
    return stems
