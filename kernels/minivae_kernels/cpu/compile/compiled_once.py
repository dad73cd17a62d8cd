"""Functions that several entries call and that are compiled once: linked by name, as C's are.

An inner function becomes part of every entry that calls it, and is compiled as often. What is large
and called from many is an entry of its own in the disk cache; others hold its name, which the
process knows from the moment on at which one of them is compiled or loaded.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minivae_kernels.cpu.compile.decorators import addressed
from minivae_kernels.cpu.compile.linked_by_name import offer, provide

PREFIX = "minivae_kernels."


def compiled_once(*kinds: Any) -> Callable[[Callable[..., None]], Any]:
    """Make a function of arguments of these Numba types, without a result, one that others share.

    What it makes is called in compiled code alone. Function names must differ.
    """

    def make(function: Callable[..., None]) -> Any:
        symbol = PREFIX + function.__name__
        offer(symbol, addressed(function), kinds)
        return _call_of(function, symbol, kinds)

    return make


def _call_of(function: Callable[..., None], symbol: str, kinds: tuple[Any, ...]) -> Any:
    def call(typingctx: Any, *arguments: Any) -> Any:
        provide(symbol)  # while types are inferred, as Numba itself compiles what is called

        def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            convention = context.call_conv
            kind = convention.get_function_type(types.none, kinds)
            function = cgutils.get_or_insert_function(builder.module, kind, symbol)
            convention.call_function(builder, function, types.none, kinds, values)
            return context.get_dummy_value()

        return types.void(*kinds), emit

    given = inspect.signature(function)  # an intrinsic takes what its own says after the context
    context = inspect.Parameter("typingctx", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    signature = given.replace(parameters=[context, *given.parameters.values()])
    call.__signature__ = signature  # type: ignore[attr-defined]
    return intrinsic(functools.update_wrapper(call, function, ("__name__", "__doc__"), ()))
