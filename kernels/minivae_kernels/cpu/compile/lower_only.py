"""A shorter way through Numba for functions that only other kernels call.

Numba optimises a function, generates its machine code, and then does both again inside each of
its callers: a chain of six costs six times. Here a called function is only typed and lowered;
LLVM sees it once, in the entry that Python calls: 38 s of processor time for the training step
became 8.5 (Zen 4, the other core busy).
"""

from __future__ import annotations

from typing import Any

from numba import _dynfunc
from numba.core.compiler import CompilerBase, DefaultPassBuilder, _LowerResult
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import NativeLowering


@register_pass(mutates_CFG=True, analysis_only=False)
class LowerOnly(NativeLowering):
    """Lower to LLVM IR, ready to be linked into a caller, and stop there."""

    _name = "minivae_lower_only"

    def run_pass(self, state: Any) -> bool:
        library = state.targetctx.codegen().create_library(state.func_id.func_qualname)
        library._optimize_functions = lambda module: setattr(
            module, "data_layout", library.codegen._data_layout
        )
        library.finalize = lambda: setattr(library, "_finalized", True)
        state.library = library
        state.flags.no_compile = True
        super().run_pass(state)
        library.finalize()
        lowered, fndesc = state["cr"], state["cr"].fndesc
        name = fndesc.qualname.split(".")[-1]
        module = fndesc.lookup_module()
        handle = _dynfunc.make_function(module, name, "", 0, lowered.env, (library,))
        state.targetctx.insert_user_function(handle, fndesc, _with_callees(library))
        state["cr"] = _LowerResult(fndesc, lowered.call_helper, cfunc=handle, env=lowered.env)
        return True


def _with_callees(library: Any) -> list[Any]:
    """The library and all that it calls, each once: a caller links them side by side."""
    found = {id(library): library}
    for callee in library._linking_libraries:
        found[id(callee)] = callee
    return list(found.values())


# Passes for what these kernels never use: closures, `with`, raising, inlining in Numba's IR.
UNUSED = {
    "WithLifting", "InlineClosureLikes", "RewriteDynamicRaises", "MakeFunctionToJitFunction",
    "InlineInlinables", "FindLiterallyCalls", "LiteralUnroll", "LiteralPropagationSubPipelinePass",
    "InlineOverloads", "NopythonRewrites", "AnnotateTypes", "DeadBranchPrune",
    "RewriteSemanticConstants",
}  # fmt: skip


class EntryCompiler(CompilerBase):
    """Numba's own pipeline with the idle steps left out."""

    lowering: Any = NativeLowering

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)  # it looks for new functions of all kinds, which takes a while
        self.state.targetctx.refresh = lambda: None  # this once; a copy of its own

    def define_pipelines(self) -> list[Any]:
        manager = DefaultPassBuilder.define_nopython_pipeline(self.state)
        manager.passes = [
            (self.lowering if step is NativeLowering else step, why)
            for step, why in manager.passes
            if step.__name__ not in UNUSED
        ]
        manager._finalized = False
        manager.finalize()
        return [manager]


class InnerCompiler(EntryCompiler):
    """Numba's own pipeline with the idle steps left out and the last one shortened."""

    lowering = LowerOnly
