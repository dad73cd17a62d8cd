"""Records of arrays that compiled functions hand on as one address.

To the compiler an array is seven numbers or more, and a NamedTuple of fourteen is a hundred: every
call takes them apart and puts them together again, which was a third of what there was to compile.
A Record lies in memory as Numba itself would lay the arrays out; `record.field` reads one of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.typing.templates import AttributeTemplate
from numba.extending import infer_getattr, intrinsic, lower_getattr_generic, models, register_model
from numba.np.numpy_support import as_dtype

from minivae_kernels.cpu.compile.simd import INT64, const

_OWNER, _SHAPE = 2, 5  # words of an array before its length: who owns it; before its shape


class Record(types.Type):
    """A kind of record: the name and the Numba array type of each field."""

    def __init__(self, name: str, fields: Mapping[str, types.Array]) -> None:
        super().__init__(name=f"Record({name})")
        self.fields, self.starts, self.size = dict(fields), {}, 0
        for field, kind in fields.items():
            self.starts[field] = self.size
            self.size += _SHAPE + 2 * kind.ndim

    def words(self, values: Any) -> np.ndarray:
        """What such a record of arrays is in memory; whoever asks keeps the arrays alive.

        values: an object whose attributes are the fields. Raises TypeError where one of them is
        not of its type.
        """
        out = np.zeros(self.size, dtype=np.int64)
        for field, kind in self.fields.items():
            a = getattr(values, field)
            if a.ndim != kind.ndim or a.dtype != as_dtype(kind.dtype) or not a.flags.c_contiguous:
                raise TypeError(f"{field}: {a.dtype} of shape {a.shape} is not {kind}")
            at = self.starts[field] + _OWNER
            address = a.__array_interface__["data"][0]
            out[at : at + 3 + 2 * a.ndim] = (a.size, a.itemsize, address, *a.shape, *a.strides)
        return out


@register_model(Record)
class _Address(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, INT64)


@infer_getattr
class _Fields(AttributeTemplate):
    key = Record

    def generic_resolve(self, kind: Any, field: str) -> Any:
        return kind.fields.get(field)


@lower_getattr_generic(Record)
def _read(context: Any, builder: Any, kind: Any, record: Any, field: str) -> Any:
    array = ir.PointerType(context.get_value_type(kind.fields[field]))
    address = builder.add(record, const(8 * kind.starts[field]))
    return builder.load(builder.inttoptr(address, array))


def at_address(kind: Record) -> Any:
    """A function for compiled code: the record of this kind whose words begin at an address."""

    @intrinsic
    def record(typingctx: Any, address: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return args[0]

        return kind(types.int64), emit

    return record
