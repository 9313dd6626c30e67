"""The command ``batch``: a folder of images, one model, results that survive whatever happens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .support import drive, guarded, parse_pairs

if TYPE_CHECKING:
    from ..batch import BatchReport, Executor
    from ..core.progress import Work


def _pairs(what: str) -> Any:
    return typer.Option(metavar="KEY=VALUE", help=f"Change a setting of the {what} (repeatable).", show_default=False)


def _pem(what: str) -> Any:
    return typer.Option(metavar="FILE", help=f"{what}, PEM.  [default: of Dask's configuration]", show_default=False)


@guarded
def batch(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model file.", show_default=False)],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of images.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the results.", show_default=False)],
    recursive: Annotated[bool, typer.Option("--recursive", help="Also the images in folders below.")] = False,
    pattern: Annotated[str, typer.Option(help="Only images whose names match.")] = "*",
    outputs: Annotated[
        str, typer.Option(help="Of probability, mask, refined, instances, measurements; parted by commas.")
    ] = "probability,mask",
    refine: Annotated[bool, typer.Option("--refine", help="Also write a mask refined by the dense CRF.")] = False,
    form: Annotated[str, typer.Option("--format", help="tiff or ome-zarr.")] = "tiff",
    threshold: Annotated[float | None, typer.Option(help="Instead of the model's own, 0 to 1.")] = None,
    crf: Annotated[list[str] | None, _pairs("refinement")] = None,
    objects: Annotated[list[str] | None, _pairs("objects")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace results of other models, other settings or from elsewhere.")
    ] = False,
    threads: Annotated[
        int, typer.Option(help="Of the model in each process; results depend on it, in the last bits.", min=1, max=256)
    ] = 1,
    workers: Annotated[int, typer.Option(help="So many processes of this computer.", min=0, show_default=False)] = 0,
    scheduler: Annotated[
        str, typer.Option(metavar="tls://HOST:PORT", help="Dask scheduler whose workers do it.", show_default=False)
    ] = "",
    certificate: Annotated[Path | None, _pem("Certificate that the scheduler wants to see")] = None,
    key: Annotated[Path | None, _pem("Key of that certificate")] = None,
    ca: Annotated[Path | None, _pem("Authority that signed the scheduler's certificate")] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Allow a scheduler at tcp://, which anybody in the network can abuse.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done, and how long.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Segment all images of a folder. Run it again after a crash or a cancel: it goes on where it was."""
    from ..batch import BatchSettings, planning, run_batch
    from ..core.crf import CrfSettings
    from ..core.objects import ObjectSettings

    wanted = [*(word.strip() for word in outputs.split(",")), *(["refined"] if refine else [])]
    settings = BatchSettings(
        model=model,
        folder=folder,
        out=out,
        recursive=recursive,
        pattern=pattern,
        outputs=tuple(dict.fromkeys(wanted)),
        format=form,
        threshold=threshold,
        crf=CrfSettings().changed(parse_pairs(crf or [], CrfSettings)),
        objects=ObjectSettings().changed(parse_pairs(objects or [], ObjectSettings)),
        overwrite=overwrite,
        threads=threads,
    )
    plan = drive(planning(settings), folder.name)
    if dry_run:
        typer.echo(json.dumps(plan.to_dict()) if as_json else plan.in_words())
        return
    with _executor(workers, scheduler, insecure, certificate=certificate, key=key, ca=ca) as executor:
        report = _driven(run_batch(plan, executor), folder.name)
    for file in report.files:
        if file.state in ("refused", "failed"):
            typer.echo(f"{file.state}: {file.reason}", err=True)
    counts = ", ".join(f"{count} {state}" for state, count in report.counts.items())
    typer.echo(json.dumps(report.to_dict()) if as_json else f"{out / 'report.html'}: {counts}, {report.seconds:.1f} s")
    if not report.all_good:
        raise typer.Exit(3)


def _driven(work: Work[BatchReport], title: str) -> BatchReport:
    """Drive a batch; Ctrl-C ends it in good order."""
    try:
        return drive(work, title)
    except KeyboardInterrupt:
        work.close()
        typer.echo("Stopped. Run the same command again to go on from there.", err=True)
        raise typer.Exit(130) from None


@contextmanager
def _executor(workers: int, scheduler: str, insecure: bool, **certificates: Path | None) -> Iterator[Executor | None]:
    """What runs the files: this process, others of this computer, or the workers of a scheduler."""
    if not workers and not scheduler:
        if insecure or any(certificates.values()):
            raise typer.BadParameter("--certificate, --key, --ca and --insecure are for --scheduler.")
        yield None
        return
    if workers and scheduler:
        raise typer.BadParameter("Give --workers or --scheduler, not both.")
    from ..cluster import executor, local, remote

    with local(workers) if workers else remote(scheduler, insecure=insecure, **certificates) as pool:
        yield executor(pool)
