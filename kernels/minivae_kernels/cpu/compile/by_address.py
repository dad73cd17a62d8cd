"""Calling one compiled function from another by its address.

The training step is compiled once. The activation, the likelihood and the optimiser of a plan are
small functions of their own, handed to it as addresses: a new one is compiled by itself, in a
fraction of a second, and the step does not know how many there are.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

ARRAY = types.float32[::1]  # what such functions take, besides numbers


@intrinsic
def call(typingctx: Any, address: Any, arguments: Any) -> Any:
    """Call the function at `address` with a tuple of arguments; it returns nothing.

    The argument types must be exactly those it was compiled for.
    """
    kinds = tuple(arguments)

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        convention = context.call_conv
        kind = convention.get_function_type(types.none, kinds)
        function = builder.inttoptr(values[0], kind.as_pointer())
        given = cgutils.unpack_tuple(builder, values[1])
        convention.call_function(builder, function, types.none, kinds, given)
        return context.get_dummy_value()

    return types.void(types.int64, arguments), emit


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """Compiling makes many objects and no rubbish; to look for some takes a tenth of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def address_of(function: Any, *kinds: Any) -> int:
    """The address of an `entry` compiled for arguments of these Numba types.

    It is compiled, or loaded from the disk, where that has not happened yet; the code stays where
    it is as long as the process runs.
    """
    with _without_collector():
        function.compile(kinds)
    compiled = function.overloads[kinds]
    return int(compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name))
