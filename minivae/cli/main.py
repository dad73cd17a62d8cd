"""The command line's entry point: gathers the commands and turns every fault into one line.

A command lives in `minivae/cli/<name>.py`, as the function of that name. Those files import only
typer and the standard library at the top; whatever is slow (NumPy, Numba, Matplotlib, rich,
safetensors) is imported inside the command, so that `minivae --help` answers at once.

Exit codes: 0 done, 2 wrong usage or bad input, 1 any other fault, 130 / 143 stopped by Ctrl-C /
SIGTERM, 141 stopped because nobody reads the output. A fault is one line on stderr;
MINIVAE_DEBUG=1 shows the traceback as well.
"""

from __future__ import annotations

import gc
import importlib
import io
import os
import sys
from collections.abc import Sequence

import typer

from minivae.cli import options
from minivae.cli.command import add_command
from minivae.cli.faults import complain, report_fault
from minivae.cli.rank_watcher import stand_by
from minivae.processes import processes, work_apart

# When Python looks for rubbish: imports make 100,000 objects that stay.
SELDOM = (20_000, 20, 20)
TOGETHER = (["train"], ["evaluate"])  # commands that the processes of an mpiexec do as one
# In the order in which `minivae --help` lists them.
COMMANDS = (
    "train",
    "sweep",
    "reproduce",
    "evaluate",
    "generate",
    "reconstruct",
    "interpolate",
    "manifold",
    "encode",
    "export",
    "import_model",
    "data",
    "explain_loss",
    "fsck",
    "info",
    "verify",
    "check",
    "study",
    "trace",
    "explore",
    "race",
    "play",
)


def build_app(commands: Sequence[str] = COMMANDS) -> typer.Typer:
    """The Typer application with these commands, every one of them by default."""
    app = typer.Typer(
        name="minivae",
        help="A variational autoencoder to read, verify and race.",
        epilog="First steps: minivae train   then   minivae evaluate runs/digits-1",
        rich_markup_mode=None,  # rich takes longer to import than the rest of --help together
        pretty_exceptions_enable=False,
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(top)
    for name in commands:
        add_command(app, getattr(importlib.import_module(f"minivae.cli.{name}"), name))
    return app


def commands_for(argv: Sequence[str]) -> Sequence[str]:
    """The one command that a command line names; all, where it names none or has a slip."""
    named = [name for name in COMMANDS if argv[:1] == [name.replace("_", "-")]]
    return named or COMMANDS


def show_version(wanted: bool) -> None:
    """Print the version and stop, where it is wanted."""
    if wanted:
        from minivae.cli.console import version_text

        typer.echo(version_text())
        raise typer.Exit


def top(
    version: bool = typer.Option(
        False, "--version", is_eager=True, callback=show_version, help="Print the version."
    ),
    parts: str = options.PARTS,  # taken before Typer sees it, wherever it stands: for the help
) -> None:
    """A variational autoencoder to read, verify and race."""


def main(argv: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code (raises SystemExit)."""
    words = sys.argv[1:] if argv is None else argv
    if take_parts(words)[0][:1] in TOGETHER:
        stand_by()
    else:
        work_apart()
    gc.set_threshold(*SELDOM)
    code = run(words)
    gc.freeze()  # to look through all that was imported, as Python ends, takes 0.2 s
    raise SystemExit(code)


def run(argv: list[str]) -> int:
    """Run one command line and return its exit code; faults become one line on stderr."""
    from minivae.cli.console import UNREAD

    open_closed_streams()
    try:
        return answer(argv)
    except BrokenPipeError:  # the reader (head, less) went away: end quietly, as other tools do
        return UNREAD
    finally:
        drop_unread()


def answer(argv: list[str]) -> int:
    """The exit code of a command line; BrokenPipeError where nobody reads what it prints."""
    try:
        argv, files = take_parts(argv)
        for file in files:
            register_parts(file)
        app = build_app(commands_for(argv))
        result = app(args=argv, prog_name="minivae", standalone_mode=False)
        return int(result) if isinstance(result, int) else 0
    except KeyboardInterrupt:
        complain("stopped by Ctrl-C")
        return 130
    except SystemExit as stop:
        if isinstance(stop.__context__, BrokenPipeError):  # Typer turns it into an exit
            raise stop.__context__ from None
        return stop.code if isinstance(stop.code, int) else 1
    except Exception as fault:
        if processes() > 1 and argv[:1] in TOGETHER:
            from minivae.cli.train_processes import fault_at_once

            fault_at_once(fault)
        return report_fault(fault)


def open_closed_streams() -> None:
    """Give a process that came without some of its three streams the null device for them.

    Daemons and cron close them, as ``2>&-`` does. Python then has None, and the next file that is
    opened, a checkpoint say, takes the stream's number: what a library prints would land in it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # takes the lowest number that is free, this one; a sweep's workers have it too
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - kept
    if isinstance(sys.stdout, io.TextIOWrapper):  # an old locale writes σ as its escape
        sys.stdout.reconfigure(errors="backslashreplace")


def take_parts(argv: list[str]) -> tuple[list[str], list[str]]:
    """The command line without its `--parts FILE`, which any command takes, and those files."""
    rest, files = [], []
    words = iter(argv)
    for word in words:
        if word == "--parts":
            files.append(next(words, ""))
        elif word.startswith("--parts="):
            files.append(word.removeprefix("--parts="))
        else:
            rest.append(word)
    return rest, files


def register_parts(file: str) -> None:
    """Run a file that registers parts of the user's own, and say so."""
    from minivae.cli.console import Console
    from minivae.parts import load_parts

    Console().warn(f"ran {file}: registered {', '.join(load_parts(file))}")


def drop_unread() -> None:
    """Let go of what can no longer be printed, of which Python would complain as it ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
