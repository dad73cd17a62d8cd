"""Whether a contestant leaves the race itself alone: what it replaces, and whose frames it reads.

A kernel and its clock share a process, so a kernel might put a clock of its own in the race's
place, or look up in its caller's variables what will be judged. Both are noticed here. What is
out of reach is compiled code that asks the interpreter, or writes into its memory by address.
"""

from __future__ import annotations

import builtins
import gc
import json
import os
import sys
import sysconfig
import time
from importlib import import_module
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

FRAMES = ("tb_frame", "gi_frame", "cr_frame", "ag_frame")
INSIDES = ("__code__", "__defaults__", "__kwdefaults__")
#: what only a debugger needs
NEVER = ("gc.get_objects", "gc.get_referrers", "gc.get_referents", "sys._current_frames",
         "sys._current_exceptions", "sys.settrace", "sys.setprofile", "sys.addaudithook",
         "sys.monitoring.register_callback")  # fmt: skip
HANDS_OUT = ("traceback.py", "inspect.py")  # libraries that give frames to anybody
FOUND = ("PyEval_Get", "PyFrame_", "PyThreadState_GetFrame")  # functions of C that give frames
LIBRARIES = tuple({sysconfig.get_path(p) for p in ("stdlib", "platstdlib", "purelib", "platlib")})
OURS = str(Path(__file__).parents[1])  # installed, it lies among the libraries
#: what modules and classes come by without anybody's doing: a warning, a look at annotations
GROWN = ("__warningregistry__", "__annotations__", "__annotations_cache__", "__annotate_func__")
# Compiled, as `signal` is not; of the interpreter's own list, whatever takes its name.
handler, signals = (getattr(import_module("_signal"), f) for f in ("getsignal", "valid_signals"))
signals, collecting = tuple(signals()), gc.callbacks.copy


def parts(modules: tuple[ModuleType, ...]) -> dict[str, Any]:
    """All that a race consists of by name: values of its modules, members of its classes."""
    found: dict[str, Any] = {}
    for module in modules:
        ours = module.__name__.startswith("minivae.racing")
        for name, value in list(vars(module).items()):
            if ours or callable(value):
                found[f"{module.__name__}.{name}"] = value
            if ours and isinstance(value, type) and value.__module__.startswith("minivae.racing"):
                found |= {f"{module.__name__}.{name}.{key}": v for key, v in vars(value).items()}
    return found


def ours(name: str) -> bool:
    """Whether a part is of the race itself, where nothing may be added either."""
    return name.startswith("minivae.racing") and not name.endswith(GROWN)


def listeners() -> list[Any]:
    """What the interpreter calls by itself, in whatever frame: at signals, at collections.

    A library's own, in a file of its own, is the library's business.
    """
    found = [handler(number) for number in signals] + collecting()
    return [f for f in found if callable(f) and not (
        isinstance(f, FunctionType) and f.__code__.co_filename.startswith(LIBRARIES))]  # fmt: skip


def hold(thing: Any) -> None:
    """Give an object its methods for good: what is put into its class later is not called."""
    for name, value in vars(type(thing)).items():
        if isinstance(value, FunctionType) and not name.startswith("__"):
            setattr(thing, name, getattr(thing, name))


class Audit:
    """Hears what a process asks of its interpreter from now on, and forbids what is not fair.

    Made once in a process, and known to nobody but the one who made it. strict: while calls are
    timed, frames are nobody's business.
    """

    def __init__(self) -> None:
        self.seen, self.strict = "", False
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if event in EVENTS and (why := forbidden(event, args, self.strict)):
            self.seen = why
            raise RuntimeError(why)


class Watch:
    """Notes what the race consists of when it is made; `changed` names what was replaced since."""

    def __init__(self, *modules: ModuleType) -> None:
        self.modules = (*modules, builtins, json, time, np, np.random)
        self.before, self.parts, self.ours = parts(self.modules), parts, ours
        self.listening, self.listeners = listeners(), listeners
        hold(self)

    def changed(self) -> str:
        """The first part that is another object than it was, or is new in the race, in words.

        A new name counts, for it hides a builtin one; '' where nothing was changed.
        """
        before, now = self.before, self.parts(self.modules)
        for name, value in now.items():
            if name not in before:
                if self.ours(name):
                    return f"it adds {name}"
            elif before[name] is not value:
                return f"it replaces {name}"
        for name in before:
            if name not in now and self.ours(name):
                return f"it removes {name}"
        if self.listeners() != self.listening:
            return "it has the interpreter call it between calls: a signal, a collection"
        return ""


EVENTS = frozenset((*NEVER, "sys._getframe", "object.__getattr__", "object.__setattr__",
                    "os.kill", "os.killpg", "ctypes.dlsym"))  # fmt: skip


def forbidden(event: str, args: tuple[Any, ...], strict: bool) -> str:
    """Why this may not be done, or ''; frames are nobody's business while calls are timed."""
    if event in NEVER:
        return f"it looks into the race: {event}"
    if event == "sys._getframe" and strict:
        free = _file(*args).startswith(LIBRARIES) and not _file(*args).startswith(OURS)
        return "" if free else "it looks into its caller: sys._getframe"
    if event == "ctypes.dlsym" and str(args[1]).startswith(FOUND):
        return f"it looks into its caller: {args[1]}"
    if event == "object.__getattr__" and strict and args[1] in FRAMES:
        return f"it looks into its caller: {args[1]}"
    if event == "object.__setattr__" and args[1] in INSIDES and _ours(args[0]):
        return f"it rewrites {args[0].__qualname__}"
    if event in ("os.kill", "os.killpg") and _stranger(event, args[0]):
        return f"it sends signals to other processes: {event}"
    return ""


def _file(frame: Any = None) -> str:
    """Where the code of a frame stands; of one that is handed on, the code that asked for it."""
    file = ""
    while frame is not None and (not file or file.endswith(HANDS_OUT)):
        file, frame = frame.f_code.co_filename, frame.f_back
    return file


def _ours(value: Any) -> bool:
    return isinstance(value, FunctionType) and value.__module__.startswith(("minivae.", "numpy"))


def _stranger(event: str, process: int) -> bool:
    try:
        group = process if event == "os.killpg" and process else os.getpgid(abs(process))
    except (OSError, OverflowError):
        return False
    return group != os.getpgid(0)
