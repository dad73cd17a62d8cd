"""`minivae explain-loss`: the exact objective of a configuration, in every convention."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from minivae.cli import options
from minivae.cli.command import ObjectiveOptions, command


@command(short_help="Print the exact loss, in every convention.")
def explain_loss(
    asked: ObjectiveOptions,
    target: str = typer.Argument("digits", help="A run's directory, or a data set's name."),
    data_dim: int = typer.Option(None, help="Features of a datum, where no data set says."),
    as_json: bool = options.JSON,
) -> None:
    """Print the exact loss of a configuration and its value in every convention."""
    from minivae import explain
    from minivae.cli.console import Console
    from minivae.cli.options import choose
    from minivae.cli.train_options import parse_options
    from minivae.parts import LIKELIHOODS

    if asked.likelihood is not None:
        choose("--likelihood", asked.likelihood, tuple(LIKELIHOODS))
    if asked.binarise is not None:
        choose("--binarise", asked.binarise, ("none", "dynamic", "fixed"))
    given = parse_options({**asked._asdict(), "data_dim": data_dim})
    values = settings_of(target) | given
    if "c" in given and "likelihood" not in given:
        values["likelihood"] = LIKELIHOODS.first(lambda part: part.scale is not None)
    explanation = explain.explain(explain.ObjectiveSettings(**values))
    shown = {"target": target, **explanation}
    Console(as_json=as_json).result(shown, explain.text(explanation))


def settings_of(target: str) -> dict[str, Any]:
    """What a run's directory or a data set's name settles of the objective."""
    if Path(target).is_dir():
        return settings_of_run(Path(target))
    from minivae.cli.defaults import defaults_for
    from minivae.cli.options import UsageError
    from minivae.data.registry import BY_NAME, known_name

    name = known_name(target)
    if name is None:
        from minivae.cli.options import suggestion

        raise UsageError(
            f"{target!r} is neither a run's directory nor a data set{suggestion(target, BY_NAME)}"
        )
    defaults = defaults_for(name)
    binarise = "fixed" if name == "binarized-mnist" else "none"
    return {
        "data_dim": BY_NAME[name].features,
        "latent_dim": defaults["latent_dim"],
        "likelihood": defaults["likelihood"],
        "c": defaults["c"],
        "binarise": binarise,
    }


def settings_of_run(path: Path) -> dict[str, Any]:
    """A trained run's settings, and the value a learned c has come to."""
    from minivae.cli.trained_run import open_run

    run = open_run(path, "last")
    model, training = run.model, run.training
    return {
        "data_dim": model.data_dim,
        "latent_dim": model.latent_dim,
        "likelihood": model.likelihood,
        "c": model.c,
        "beta": model.beta,
        "free_bits": model.free_bits,
        "draws": model.draws,
        "objective": model.objective,
        "warmup": training.warmup,
        "binarise": training.binarise,
        "learned_c": run.learned_c,
    }
