"""A second process that compiles beside this one, into the same disk cache.

Numba compiles one function at a time in a process. What a run needs later is compiled meanwhile by
a helper; who comes to one of its functions too early waits for the file rather than compile it too.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from minivae_kernels.cores import allowed_cores

_IS_HELPER = "MINIVAE_KERNELS_HELPER"  # set in a helper, which must not start one itself
_POLL = 0.01  # seconds
_LIMIT = 300.0  # seconds that a function is waited for; to compile it here takes a few
_helper: list[subprocess.Popen[bytes]] = []
_names: set[str] = set()


def start(module: str, arguments: Sequence[str], names: Collection[str]) -> None:
    """Run `python -m module arguments` beside this process, once; it compiles entries `names`.

    Where no process can be started, or only one core is there, everything is compiled here.
    """
    if _helper or os.environ.get(_IS_HELPER) or allowed_cores() < 2 or not sys.executable:
        return
    paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
    # else -m puts the current folder before all of them, and a queue.py of the user's is run
    env = {**os.environ, _IS_HELPER: "1", "PYTHONPATH": paths, "PYTHONSAFEPATH": "1"}
    with contextlib.suppress(OSError):
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments], env=env,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        _helper.append(process)
        _names.update(names)
        atexit.register(_stop, process)


def at_work() -> bool:
    """Whether a helper was started and has not ended."""
    return bool(_helper) and _helper[0].poll() is None


def _stop(process: subprocess.Popen[bytes]) -> None:
    """A helper does not outlive the process that it helps."""
    process.terminate()
    try:
        process.wait(1)
    except subprocess.TimeoutExpired:
        process.kill()


def _after_fork() -> None:
    """The helper is the parent's; a forked child neither waits for it nor stops it."""
    for process in _helper:
        atexit.unregister(_stop)
        process.returncode = 0
    _names.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def waited_for(name: str, look: Callable[[], Any]) -> Any:
    """What `look` finds while the helper has the entry `name` to compile; None if it gives up.

    A helper that takes longer than the limit is ended, and one line says so.
    """
    until = time.monotonic() + _LIMIT
    while name in _names:
        running = _helper[0].poll() is None
        if (found := look()) is not None:
            return found
        if running and time.monotonic() > until:
            said = f"note: the process that compiles beside this one made no {name!r}"
            print(f"{said} in {_LIMIT:g} s: all is compiled here", file=sys.stderr, flush=True)
            _helper[0].kill()
            running = False
        if not running:
            _names.clear()
        time.sleep(_POLL)
    return None
