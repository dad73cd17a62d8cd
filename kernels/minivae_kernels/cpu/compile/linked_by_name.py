"""The functions that this process can link by name, and the moment at which one is needed."""

from __future__ import annotations

from typing import Any

from llvmlite import binding

from minivae_kernels.cpu.compile.by_address import address_of

_OFFERED: dict[str, tuple[Any, tuple[Any, ...]]] = {}


def offer(symbol: str, function: Any, kinds: tuple[Any, ...]) -> None:
    """Have `function`, for arguments of these Numba types, be what `symbol` stands for."""
    _OFFERED[symbol] = function, kinds


def provide(symbol: str) -> None:
    """Have this process know a shared function by its name; any other name is left alone."""
    if symbol in _OFFERED and binding.address_of_symbol(symbol) is None:
        function, kinds = _OFFERED[symbol]
        binding.add_symbol(symbol, address_of(function, *kinds))
