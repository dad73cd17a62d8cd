"""`minivae evaluate`: ELBO, importance-sampled log p(x), KL per dimension, active units."""

from __future__ import annotations

from typing import Any

import typer

from minivae.cli import options
from minivae.cli.command import DataPlace, OpenedRun, command

SHOWN_COLUMNS = 5


@command()
def evaluate(
    opened: OpenedRun,
    place: DataPlace,
    samples: int = typer.Option(500, help="Importance samples per datum (E37)."),
    split: str = options.SPLIT,
    limit: int = typer.Option(None, help="Only the first so many data."),
    seed: int = typer.Option(None, help="Seed of the draws; the run's by default."),
    backend: str = typer.Option("auto", help=options.BACKENDS),
    threads: int = options.THREADS,
    tf32: bool = options.TF32,
    bf16: bool = options.BF16,
    quiet: bool = options.QUIET,
) -> None:
    """Measure a trained run on held-out data."""
    from minivae.cli import train_processes as ranks
    from minivae.cli.console import Console, counting
    from minivae.cli.options import check_least, check_seed
    from minivae.metrics.likelihood import one_by_one
    from minivae.processes import own_rank

    console = Console(as_json=opened.as_json, quiet=quiet or own_rank() > 0)
    check_least("--samples", samples)
    check_least("--limit", limit)
    check_seed(seed)
    rounded = {"tf32": tf32, "bf16": bf16}
    threads = ranks.own_threads({"threads": threads})["threads"]
    world = ranks.world_here(None)
    with ranks.together(world):
        loaded, dataset, split, K = ranks.settled_by_all(
            world, lambda: settle(opened, place, split, (backend, threads, rounded), console)
        )
        rows = getattr(dataset, split)
        rows = rows if limit is None else rows[:limit]
        ranks.settled_by_all(world, lambda: ranks.require_same_numbers(world, loaded.theta, rows))
        share_out = one_by_one if world is None else world.share_out
        with counting(f"evaluating, {samples} samples", len(rows), console) as progress:
            result = measure(K, loaded, rows, dataset, samples, seed, progress, share_out)
    if own_rank() == 0:
        result = {"run": str(opened.run), "checkpoint": loaded.which, "data": dataset.name,
                  "split": split, **result, "backend": K.name, **rounded}  # fmt: skip
        console.result(result, as_text(result))


def settle(
    opened: OpenedRun, place: DataPlace, split: str | None, backend: tuple[Any, ...], console: Any
) -> tuple[Any, Any, str, Any]:
    """The run, its data with the split, the split's name, the backend.

    backend: its name, threads, and which of tf32 and bf16 it is to have.
    """
    from minivae.cli.backends import choose_backend
    from minivae.cli.run_data import default_split, load_run_data, take_split
    from minivae.cli.trained_run import open_run
    from minivae.data.targets import check_targets

    loaded = open_run(opened.run, opened.checkpoint)
    dataset = load_run_data(loaded, place.data, place.data_dir, console)
    dataset = take_split(dataset, split, loaded.training)
    check_targets(dataset, loaded.model.likelihood, groups=loaded.model.groups)
    name, threads, rounded = backend
    K = choose_backend(name, threads, console, **rounded)
    return loaded, dataset, split or default_split(dataset), K


def measure(
    K: Any, run: Any, rows: Any, dataset: Any, samples: int, seed: int | None, progress: Any,
    share_out: Any,
) -> dict[str, Any]:  # fmt: skip
    """The figures as plain values; nats per datum. share_out: gives rows to several processes."""
    import time

    import numpy as np

    from minivae.metrics.latent import latent_report
    from minivae.metrics.likelihood import evaluate, mean_and_error
    from minivae.models.vae import layout_of

    began = time.monotonic()
    seed = run.training.seed if seed is None else seed
    binarise = run.training.binarise == "dynamic" and not dataset.fixed_binary
    p = layout_of(run.model).views(K.to_device(run.theta))
    with np.errstate(over="ignore", invalid="ignore"):  # the check below says it better
        e = evaluate(K, p, rows, run.model, samples=samples, seed=seed, scale=dataset.scale,
                     binarise=binarise, progress=progress, share_out=share_out)  # fmt: skip
    e = e.in_user_units(dataset.log_volume)
    if not np.isfinite(e.elbo).all():
        raise RuntimeError(
            f"the ELBO of {(~np.isfinite(e.elbo)).sum()} of {len(rows)} data is not finite: the "
            f"parameters of {run.path} ({run.which}) are far too large for them; "
            "train with a lower --lr"
        )
    report = latent_report(e.mu, e.kl)
    (elbo, elbo_se), (log_p, log_p_se) = mean_and_error(e.elbo), mean_and_error(e.log_p)
    n = len(rows)
    return {
        "n": n,
        "samples": samples,
        "targets": targets_in_words(run.model.likelihood, binarise, dataset.fixed_binary),
        "elbo": elbo,
        "elbo_se": elbo_se,
        "reconstruction": float(e.reconstruction.mean()),
        "kl": float(e.kl.sum(axis=1).mean()),
        "log_p": log_p,
        "se": log_p_se,
        # one draw has no spread to judge its error by
        "monte_carlo_se": None if samples < 2 else float(e.log_p_variance.sum()) ** 0.5 / n,
        "sampled_elbo": float(e.sampled_elbo.mean()),
        "effective_samples": float(e.effective_draws.mean()),
        "kl_per_dimension": report.kl_per_dimension,
        "active_units": report.active_units,
        "active": report.active,
        "collapsed_dimensions": [j for j, active in enumerate(report.active) if not active],
        "diagnosis": report.diagnosis,
        "c": run.c,
        "log_volume": dataset.log_volume,
        **columns_explained(K, p, run.model, dataset, rows, e.mu),
        "seconds": round(time.monotonic() - began, 3),
    }


def columns_explained(
    K: Any, p: Any, model: Any, dataset: Any, rows: Any, mu: Any
) -> dict[str, dict[str, float]]:
    """R² of each named column as decoded from the posterior means; nothing where none is named."""
    from minivae.plots.columns import explained
    from minivae.sampling import decode_all

    if dataset.columns is None:
        return {}
    decoded = decode_all(K, p, mu, model)
    share = explained(rows * dataset.scale, decoded)
    return {"r2": dict(zip(dataset.columns, share.tolist(), strict=True))}


def targets_in_words(likelihood: str, binarised: bool, binary: bool) -> str:
    """What log p is the likelihood of."""
    from minivae.parts import LIKELIHOODS

    if not LIKELIHOODS[likelihood].binary:
        return LIKELIHOODS[likelihood].targets
    if binarised:
        return "binarised, one fixed draw per datum"
    return "binary, as given" if binary else "grey, as given (a cross-entropy, not a likelihood)"


def as_text(r: dict[str, Any]) -> str:
    """The figures as lines."""
    kl = " ".join(f"{value:.3f}" for value in r["kl_per_dimension"])
    found = r["monte_carlo_se"]
    error = "unknown from one draw" if found is None else f"{found:.3f}"
    return "\n".join(
        [
            f"run               {r['run']} ({r['checkpoint']} checkpoint)",
            f"data              {r['data']}, {r['split']} split, {r['n']} data",
            f"targets           {r['targets']}",
            *(["products          TF32, not float32"] if r["tf32"] else []),
            *(["products          bfloat16, not float32"] if r["bf16"] else []),
            "",
            "nats per datum",
            f"-log p(x)         {-r['log_p']:.3f} ± {r['se']:.3f} over the data "
            f"(importance-sampled, {r['samples']} draws, {r['effective_samples']:.0f} effective; "
            f"sampling error {error})",
            f"-ELBO             {-r['elbo']:.3f} ± {r['elbo_se']:.3f}",
            f"  reconstruction  {r['reconstruction']:.3f}",
            f"  KL              {r['kl']:.3f}",
            f"KL per dimension  {kl}",
            f"active units      {r['active_units']} of {len(r['kl_per_dimension'])}",
            "",
            r["diagnosis"],
            *units_and_columns(r),
            *few_effective(r),
        ]
    )


def units_and_columns(r: dict[str, Any]) -> list[str]:
    """What standardising did to log p, and which columns are explained worst."""
    lines = []
    if r["log_volume"]:
        lines.append(
            "The columns were standardised; log p is given in their own units (the sum of their "
            f"log deviations, {r['log_volume']:.3f} nats, is in -log p)."
        )
    known = {name: share for name, share in r.get("r2", {}).items() if share == share}
    if known:
        worst = sorted(known, key=lambda name: known[name])[:SHOWN_COLUMNS]
        named = ", ".join(f"{name} {known[name]:.2f}" for name in worst)
        best = max(known, key=lambda name: known[name])
        lines.append(
            f"Columns by R² of their reconstruction, worst first: {named}; best {best} "
            f"{known[best]:.2f}."
        )
    return lines


def few_effective(r: dict[str, Any]) -> list[str]:
    """A warning where a handful of draws carries the estimate of log p(x)."""
    if r["samples"] == 1 or r["effective_samples"] > 10:
        return []
    return [
        f"Only {r['effective_samples']:.1f} of {r['samples']} draws count: -log p(x) above is an "
        "upper bound that more --samples would lower."
    ]
