"""What the stand-in offers of CuPy: names and parameters, each held against the real CuPy.

`test_gpu_stand_in_is_cupy.py` does that where CuPy can be imported (no card is needed), and holds
the stand-in to this list everywhere.
"""

from __future__ import annotations

UFUNCS = frozenset(
    "add subtract multiply divide true_divide floor_divide power remainder negative absolute "
    "invert bitwise_and bitwise_or bitwise_xor equal not_equal less less_equal greater "
    "greater_equal exp expm1 log log1p tanh sqrt square maximum minimum isfinite isnan".split()
)

# Function -> the parameters that the stand-in takes.
FUNCTIONS = {
    "empty": ("shape", "dtype"),
    "zeros": ("shape", "dtype"),
    "ascontiguousarray": ("a", "dtype"),
    "broadcast_to": ("array", "shape"),
    "full_like": ("a", "fill_value", "dtype", "shape"),
    "zeros_like": ("a", "dtype"),
    "ones_like": ("a", "dtype"),
    "fill_diagonal": ("a", "val"),
    "where": ("condition", "x", "y"),
    "shape": ("a",),
    "ndim": ("a",),
    "get_default_memory_pool": (),
}
MATMUL = {"matmul": ("x1", "x2")}

# Method -> parameters, of cupy.ndarray.
METHODS = {
    "transpose": ("axes",),
    "reshape": ("shape", "order"),
    "ravel": ("order",),
    "fill": ("value",),
    "set": ("arr", "stream"),
    "get": ("stream", "order"),
    "item": (),
    "tolist": (),
    "copy": ("order",),
    "astype": ("dtype", "order", "copy"),
    "sum": ("axis", "dtype", "out", "keepdims"),
    "mean": ("axis", "dtype", "out", "keepdims"),
    "max": ("axis", "out", "keepdims"),
    "min": ("axis", "out", "keepdims"),
}
POOL = ("free_bytes", "used_bytes")
ATTRIBUTES = "shape ndim size dtype itemsize nbytes strides flags data base T real".split()

STREAM = {
    "synchronize": (),
    "record": ("event",),
    "wait_event": ("event",),
    "begin_capture": ("mode",),
    "end_capture": (),
    "is_capturing": (),
}
EVENT_STATE = ("done",)
EVENT = {"record": ("stream",), "synchronize": ()}
POINTER = {"copy_from_device_async": ("src", "size", "stream")}
GRAPH = {"launch": ("stream",)}
CUDA = ("runtime", "driver", "memory", "Stream", "Event", "get_current_stream", "get_elapsed_time")
CUDA += ("MemoryPool", "using_allocator")
RUNTIME = (
    "driverGetVersion getDeviceCount getDevice runtimeGetVersion getDeviceProperties memGetInfo"
).split()
