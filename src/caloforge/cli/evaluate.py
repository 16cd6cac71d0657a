"""``caloforge evaluate``: a sample judged against Geant4, in numbers, pictures and one page."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["evaluate"]


def evaluate(
    generated: Annotated[str, typer.Argument(help="File of showers to judge; also FILE[START:STOP].")],
    *,
    reference: Annotated[
        str, typer.Option(metavar="G4.h5", help="Showers that are right, usually Geant4's.")
    ],
    second_reference: Annotated[
        str | None,
        typer.Option(
            metavar="G4B.h5", help="More of them: Geant4 against Geant4 is the floor of each number."
        ),
    ] = None,
    training: Annotated[
        str | None,
        typer.Option(
            metavar="TRAIN.h5",
            help="Showers that trained the model; FILE[START:STOP], too. Copies are looked for among them.",
        ),
    ] = None,
    level: Annotated[
        str, typer.Option(help="fast (minutes) or full (the neural classifiers; hours on a CPU).")
    ] = "fast",
    output: Annotated[Path, typer.Option("-o", "--output", metavar="REPORT", help="Folder to write.")],
    seed: Annotated[int, typer.Option(min=0, help="Of splits, trainings and draws.")] = 0,
    trainings: Annotated[int, typer.Option(min=2, help="Trainings of each classifier.")] = 5,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="MEV",
            help="Softer voxels count as empty; by default the CaloChallenge's, else 0.001.",
        ),
    ] = None,
    start: Annotated[int, typer.Option(min=0, help="First shower of the reference.")] = 0,
    stop: Annotated[int | None, typer.Option(min=0, help="Behind its last shower.")] = None,
    geometry: Annotated[
        str | None, typer.Option(help="Name in the catalogue, or a TOML or XML file; by default found out.")
    ] = None,
    device: Annotated[str, typer.Option(help="Of the neural classifiers: cpu, cuda, cuda:1 ...")] = "cpu",
    overlap: Annotated[
        bool, typer.Option("--overlap", help="Use only incident energies that all samples have.")
    ] = False,
    allow_leakage: Annotated[
        bool, typer.Option("--allow-leakage", help="Go on although reference showers were in training.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier report.")] = False,
) -> None:
    """Judge showers against Geant4: classifier test, distances, histograms, pictures, one page."""
    from rich.console import Console

    from caloforge import report
    from caloforge.cli.progress import progress_bar

    settings = report.EvaluationSettings(
        level=level,  # type: ignore[arg-type]  # checked by the class
        seed=seed,
        trainings=trainings,
        device=device,
        overlap=overlap,
        allow_leakage=allow_leakage,
    )
    console = Console(stderr=True)
    with progress_bar(console) as bar:
        task = bar.add_task("reading", total=None, note="")
        try:
            found = report.evaluate(
                generated,
                reference,
                output,
                second_reference=second_reference,
                training=training,
                settings=settings,
                threshold=threshold,
                geometry=geometry,
                start=start,
                stop=stop,
                overwrite=overwrite,
                on_step=lambda title, done, total: bar.update(
                    task, description=title, completed=done, total=total
                ),
            )
        except KeyboardInterrupt:
            parts = output.with_name(f"{output.name}.parts")
            if parts.is_dir():
                console.print(
                    f"Finished pieces are in {parts}; the same command goes on from there.", highlight=False
                )
            raise
    for line in (found["verdict"]["headline"], *found["verdict"]["sentences"], *found["notes"]):
        typer.echo(line)
    typer.echo(f"Written: {output / 'report.html'}, {output / 'report.json'}, {output / 'plots'}")
