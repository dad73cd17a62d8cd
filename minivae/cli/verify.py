"""`minivae verify`: proof that every hand-written gradient is right, or the entry that is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from minivae.cli import options
from minivae.cli.command import command

NO_NAMES = ("--figures", "--full-size")
ON_PAGE = ("--figures", "--mutants")
PLANTS, EXAMPLES = 20, 10_000


@command(short_help="Check every hand-written gradient.")
def verify(
    names: list[str] = typer.Argument(None, help="Ops, layers, models or parts; all by default."),
    backend: str = typer.Option(None, help="Hold this backend's kernels against the reference."),
    threads: int = options.THREADS,
    tf32: bool = options.TF32,
    bf16: bool = options.BF16,
    full_size: bool = typer.Option(False, "--full-size", help="A 784-400-20 model, batch 128."),
    plants: int = typer.Option(
        None, help="Errors to plant and locate by --full-size or --figures (20)."
    ),
    mutants: bool = typer.Option(False, "--mutants", help="Plant bugs; are they all found?"),
    figures: bool = typer.Option(False, "--figures", help="Measure every figure (minutes)."),
    examples: int = typer.Option(None, help="Random right passes tried by --figures (10,000)."),
    json_output: bool = options.JSON,
    html: Path = typer.Option(None, help="Write one self-contained page."),
) -> None:
    """Check every hand-written gradient; exit status 1 if one is wrong."""
    from minivae.cli.options import check_file

    kernels = tf32 or bf16 or (backend is not None and backend != "numpy")
    modes = {
        "--tf32": tf32, "--bf16": bf16, "--backend": kernels and not (tf32 or bf16),
        "--figures": figures, "--full-size": full_size, "--mutants": mutants,
    }  # fmt: skip
    asked = [mode for mode, wanted in modes.items() if wanted]
    require_one(asked, names)
    require_in(asked, "--threads", threads, ("--backend", "--tf32", "--bf16"))
    require_in(asked, "--plants", plants, ("--full-size", "--figures"))
    require_in(asked, "--examples", examples, ("--figures",))
    if html is not None:
        require_on_page(asked)
        check_file("--html", html)
    from minivae.cli import proofs

    console = proofs.ColourConsole(quiet=json_output)
    result: dict[str, Any] = {}
    if kernels:
        result["kernels"] = proofs.run_kernels(
            console, backend or "auto", threads, names, tf32=tf32, bf16=bf16
        )
    elif figures:
        result["figures"] = proofs.run_figures(console, plants or PLANTS, examples or EXAMPLES)
    elif full_size:
        result["full_size"] = proofs.run_full_size(console, plants or PLANTS)
    elif mutants:
        result["mutants"] = proofs.run_mutants(console, names)
    else:
        result["passes"] = proofs.run_table(console, names)
    ok = all(part["ok"] for part in result.values())
    if html is not None:
        ok = proofs.write_page(html, result) and ok
        console.line(f"page written to {html}")
    if json_output:
        typer.echo(as_json(ok, result))
    else:
        console.line("all right" if ok else "WRONG: see above", "green" if ok else "red")
    if not ok:
        raise typer.Exit(1)


def require_one(modes: list[str], names: list[str] | None) -> None:
    """Raise UsageError where two proofs were asked for at once, or names for one without."""
    from minivae.cli.options import UsageError

    if len(modes) > 1 and modes != ["--tf32", "--bf16"]:
        raise UsageError(f"{' and '.join(modes)} are proofs of their own: give one at a time")
    if names and modes and modes[0] in NO_NAMES:
        raise UsageError(f"{modes[0]} takes no names ({' '.join(names)}): leave them out")


def require_in(asked: list[str], option: str, value: int | None, modes: tuple[str, ...]) -> None:
    """Raise UsageError for a number below 1, or one that none of the proofs asked for takes."""
    from minivae.cli.options import UsageError, check_least

    check_least(option, value)
    if value is not None and not set(asked) & set(modes):
        raise UsageError(f"{option} belongs to {' or '.join(modes)}: add that, or leave it out")


def require_on_page(asked: list[str]) -> None:
    """Raise UsageError for a proof that the page does not show."""
    from minivae.cli.options import UsageError

    for mode in asked:
        if mode not in ON_PAGE:
            raise UsageError(
                f"--html shows the passes, planted bugs and figures: leave it out beside {mode}"
            )


def as_json(ok: bool, result: dict[str, Any]) -> str:
    """What was found, without what only the page shows."""
    import json

    from minivae.cli import proofs
    from minivae.verify.report import plain

    parts = {name: proofs.public(part) for name, part in result.items()}
    return json.dumps(plain({"ok": ok, **parts}), indent=2)
