"""A compiled function as bytes: its object code and the few names it is found by again.

Numba's own cache pickles what it knows of a function. A kernel needs none of that: its machine
code is complete, its argument types are those of the call, and it returns nothing. So the object
file that LLVM made is kept, and loaded into an LLVM engine of its own, where no name can meet
another's. (Within it lie the texts of Numba's exceptions, as Numba pickled them; it alone reads
them, when a kernel raises.)
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import binding
from numba import _dynfunc, types
from numba.core.compiler import compile_result
from numba.core.environment import Environment, lookup_environment
from numba.core.funcdesc import PythonFunctionDescriptor
from numba.core.runtime import rtsys
from numba.core.typing import signature

from minivae_kernels.cpu.compile.linked_by_name import provide

Names = dict[str, Any]


def take_apart(compiled: Any) -> tuple[Names, bytes] | None:
    """The names and the object code of Numba's CompileResult; None if they are not all of it."""
    library, about = compiled.library, compiled.fndesc
    _, _, (code, _) = library.serialize_using_object_code()
    module = library._final_module
    variables = list(module.global_variables)
    declared = [v.name for v in [*module.functions, *variables] if v.is_declaration]
    if missing(declared):  # some are declared and never called
        text = str(module)
        declared = [name for name in declared if text.count(f"@{name}") > 1]
    names = {
        "symbol": about.mangled_name,
        "wrapper": about.llvm_cpython_wrapper_name,
        "environment": about.env_name,
        "environments": [v.name for v in variables if v.name.startswith("_ZN08NumbaEnv")],
        "needs": [name for name in declared if not name.startswith("llvm.")],
        "returns": str(compiled.signature.return_type),
    }
    return (names, code) if _is_all(compiled, names) else None


def _is_all(compiled: Any, names: Names) -> bool:
    """Whether no Python object, and no address of this process, belongs to the function."""
    held = [lookup_environment(name) for name in names["environments"]]
    return not (
        compiled.objectmode
        or compiled.lifted
        or compiled.reload_init
        or compiled.library.has_dynamic_globals
        or any(environment is None or environment.consts for environment in held)
        or getattr(types, names["returns"], None) is not compiled.signature.return_type
        or missing(names["needs"])
    )


def missing(needs: Sequence[str]) -> list[str]:
    """What the code calls and this process does not have; LLVM would link it to nowhere."""
    return [name for name in needs if binding.address_of_symbol(name) is None]


def put_together(
    function: Callable[..., Any], arguments: tuple[Any, ...], context: Any, names: Names,
    code: bytes,
) -> Any:  # fmt: skip
    """The CompileResult again. Raises LookupError where this process lacks what the code calls."""
    rtsys.initialize(context)
    for name in names["needs"]:
        provide(name)
    if missing(names["needs"]):
        context.refresh()  # imports all of Numba, some 0.3 s; the kernels so far do without
    if lacks := missing(names["needs"]):
        raise LookupError(f"{names['symbol']} needs {', '.join(lacks)}")
    engine = _engine(code)
    environment = Environment(function.__globals__)
    environment.env_name = names["environment"]
    for name in names["environments"]:
        address = engine.get_global_value_address(name)
        ctypes.c_void_p.from_address(address).value = id(environment)
    returns = getattr(types, names["returns"])
    return compile_result(
        target_context=context,
        typing_context=context.typing_context,
        library=LoadedLibrary(engine),
        entry_point=_callable(function, engine, environment, names),
        fndesc=_description(function, arguments, returns, names),
        signature=signature(returns, *arguments),
        environment=environment,
        objectmode=False,
        lifted=(),
    )


class LoadedLibrary:
    """What Numba calls a function's library, as far as by_address.py asks it."""

    def __init__(self, engine: Any) -> None:
        self.get_pointer_to_function: Callable[[str], int] = engine.get_function_address


def _engine(code: bytes) -> Any:
    """LLVM's engine with this one object file in it, linked and executable."""
    triple = binding.get_process_triple()
    machine = binding.Target.from_triple(triple).create_target_machine()
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), machine)
    engine.add_object_file(binding.object_file.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine


def _callable(function: Callable[..., Any], engine: Any, environment: Any, names: Names) -> Any:
    """The function that Python calls: Numba's own wrapper, which unpacks arrays and numbers.

    One that only kernels call has none."""
    address = engine.get_function_address(names["wrapper"])
    about = sys.modules[function.__module__], function.__name__, function.__doc__ or ""
    return _dynfunc.make_function(*about, address, environment, (engine,))


def _description(
    function: Callable[..., Any], arguments: tuple[Any, ...], returns: Any, names: Names
) -> Any:
    code = function.__code__
    return PythonFunctionDescriptor(
        native=True, modname=function.__module__, qualname=function.__qualname__,
        unique_name=function.__qualname__, doc=function.__doc__ or "", typemap=None,
        restype=returns, calltypes=None, args=code.co_varnames[: code.co_argcount], kws=(),
        mangler=lambda *_, **__: names["symbol"], argtypes=arguments,
        env_name=names["environment"],
    )  # fmt: skip
