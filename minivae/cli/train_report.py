"""What a training run came to: its figures as plain values, and as text for a person."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minivae.cli.run_data import default_split
from minivae.cli.train_settings import TrainRequest
from minivae.data.standard import scale_advice
from minivae.metrics.likelihood import ShareOut, one_by_one
from minivae.parts import LIKELIHOODS, OBJECTIVES
from minivae.runs.hints import command_line
from minivae.training.loop import TrainResult
from minivae.types import Array

FEW, MANY = 200, 1000  # updates


def describe(
    request: TrainRequest, result: TrainResult, seconds: float, test: dict[str, Any]
) -> dict[str, Any]:
    """What training came to, as plain values; losses in nats per datum. test: of `measure_test`."""
    trained = sum(record["seconds"] for record in result.history)
    speeds = [record["samples_per_second"] for record in result.history]
    last = result.history[-1] if result.history else None
    return {
        "run": str(request.path),
        "model": request.model.to_dict(),
        "train_config": request.config.to_dict(),
        "resumed": request.resumed,
        "epochs": result.epochs,
        "updates": result.updates,
        "reason": result.reason,
        "message": result.message,
        "best_epoch": result.best_epoch,
        "monitor": result.monitor,
        "train": None if last is None else losses(last["train"]),
        **test,
        "seconds": round(seconds, 3),
        "seconds_training": round(trained, 3),
        "samples_per_second": sorted(speeds)[len(speeds) // 2] if speeds else None,
        "backend": request.K.name,
        "tf32": request.K.tf32,
        "bf16": request.K.bf16,
        "threads": request.config.threads,
        "checkpoints": checkpoints(request.path),
    }


def losses(figures: dict[str, Any]) -> dict[str, float]:
    """The four figures of an epoch's record."""
    return {key: figures[key] for key in ("reconstruction", "kl", "elbo", "loss")}


def measure_test(
    request: TrainRequest, theta: Array, share_out: ShareOut = one_by_one
) -> dict[str, Any]:
    """One draw per datum on the whole test split (the training split where there is none)."""
    from minivae.data.targets import binarise_fixed
    from minivae.metrics.latent import latent_report
    from minivae.metrics.likelihood import evaluate
    from minivae.models.vae import layout_of
    from minivae.training.heldout import figures

    K, model, config = request.K, request.model, request.config
    dataset = request.dataset
    if config.binarise == "fixed":
        dataset = binarise_fixed(dataset, config.seed)
    split = default_split(dataset)
    dynamic = config.binarise == "dynamic"
    p = layout_of(model).views(K.to_device(theta))
    draws = model.draws if OBJECTIVES[model.objective].by_draws else 1
    e = evaluate(K, p, getattr(dataset, split), model, samples=draws, seed=config.seed,
                 scale=dataset.scale, binarise=dynamic, share_out=share_out)  # fmt: skip
    e = e.in_user_units(dataset.log_volume)
    n = len(e.reconstruction)
    bound = {"loss": -float(e.log_p.mean())} if OBJECTIVES[model.objective].by_draws else {}
    report = latent_report(e.mu, e.kl)
    grey = LIKELIHOODS[model.likelihood].binary and not dynamic and not dataset.fixed_binary
    return {
        split: losses(figures(float(e.reconstruction.sum()), e.kl.sum(axis=0), n, model) | bound),
        "measured_on": split,
        "targets": "binarised" if dynamic else "grey" if grey else "as given",
        "active_units": report.active_units,
        "kl_per_dimension": report.kl_per_dimension,
        "diagnosis": report.diagnosis,
    }


def checkpoints(path: Path) -> dict[str, Any]:
    """Where `last` and `best` lie, and the sha256 of each one's tensors; None where one is lost."""
    from minivae.runs.checkpoint import read_checkpoint
    from minivae.runs.errors import CheckpointError
    from minivae.runs.store import CheckpointStore

    found: dict[str, Any] = {"last": None, "best": None}
    for which in found:
        try:
            checkpoint = CheckpointStore(path / "checkpoints").load(which)
        except CheckpointError:  # said when the run was resumed
            continue
        sums = read_checkpoint(checkpoint.path).manifest["tensors"]
        found[which] = {
            "path": str(checkpoint.path),
            "sha256": checkpoint.manifest["sha256"],
            "tensors": {name: entry["sha256"] for name, entry in sums.items()},
        }
    return found


def as_text(request: TrainRequest, facts: dict[str, Any], quiet: bool) -> str:
    """The end of a run for a person: figures, pictures, and what to try next."""
    lines = [facts["message"] if quiet else ""]
    for part in ("train", facts["measured_on"]):
        f = facts.get(part)
        if f is not None and (part != "train" or facts["measured_on"] != "train"):
            name = f"{part:<8}"
            lines.append(
                f"{name} reconstruction {f['reconstruction']:.3f} + KL {f['kl']:.3f} "
                f"= -ELBO {-f['elbo']:.3f} nats per datum"
            )
    speed = facts["samples_per_second"]
    lines.append(
        f"time     {facts['seconds']:.1f} s"
        + (f", {speed:,.0f} samples/s" if speed else "")
        + f" ({request.K.label})"
    )
    lines += ["", facts["diagnosis"], *(unlike_columns(request) or few_updates(facts)), ""]
    for name, path in facts.get("pictures", {}).items():
        lines.append(f"{name:<16} {path}")
    return "\n".join([*lines, "", "next", *next_commands(request, facts["reason"])])


def unlike_columns(request: TrainRequest) -> list[str]:
    """A line where the columns' scales spoil all figures: no longer training mends that."""
    data = request.dataset
    if data.standard is not None or LIKELIHOODS[request.model.likelihood].scale is None:
        return []
    if scale_advice(data.train, data.scale, data.columns) is None:
        return []
    return ["These figures suffer from unscaled columns: the same command with --standardise."]


def few_updates(facts: dict[str, Any]) -> list[str]:
    """A line where the training was too short to tell much: ten epochs of a small file, say."""
    updates, epochs = facts["updates"], facts["epochs"]
    if updates >= FEW or epochs == 0:
        return []
    more = -(-MANY * epochs // updates)
    return [f"Only {updates} updates, which tell little yet: --epochs {more} makes some {MANY:,}."]


def next_commands(request: TrainRequest, reason: str) -> list[str]:
    """What to try next, as lines that a shell takes as they are."""
    run = request.path
    commands = [
        command_line("evaluate", run),
        command_line("generate", run, "--n", 64),
        command_line("interpolate", run),
        command_line("explain-loss", run),
    ]
    if reason == "finished":
        epochs = 2 * request.config.epochs
        commands.append(command_line("train", "--resume", run, "--epochs", epochs))
    return [f"  {command}" for command in commands]
