"""The ops of chance and of the batch: Philox, uniforms, normals, gather, binarise."""

from __future__ import annotations

from typing import Any

import numpy as np

from minivae_kernels import Unsupported
from minivae_kernels.cpu.compile.decorators import entry, inner
from minivae_kernels.cpu.ops.arguments import flat, float32_only, fresh, readable
from minivae_kernels.cpu.ops.philox import block, box_muller, unit
from minivae_kernels.cpu.threads.barrier import barrier, share
from minivae_kernels.cpu.threads.count import team_for
from minivae_kernels.cpu.threads.pool import run

f32, u32 = np.float32, np.uint32
WORD, PERMUTATION = 0xFFFFFFFF, 1


@inner
def scale_bytes(source, scale, out):
    """out = float32(source) · scale."""
    for i in range(len(source)):
        out[i] = f32(source[i]) * scale


@inner
def uniform_row(sample, step, stream, k0, k1, out):
    """Uniforms of one sample, as many as whole blocks of four fit into `out`."""
    for q in range(len(out) // 4):
        a, b, c, d = block(u32(q), sample, step, stream, k0, k1)
        out[4 * q], out[4 * q + 1] = unit(a), unit(b)
        out[4 * q + 2], out[4 * q + 3] = unit(c), unit(d)


@inner
def compare(u, x):
    """x = 1 where u < x, else 0."""
    for i in range(len(x)):
        x[i] = f32(1) if u[i] < x[i] else f32(0)


@entry
def philox_kernel(counters, k0, k1, out):
    """Ten rounds for every counter (n, 4)."""
    for i in range(len(counters)):
        c = counters[i]
        a0, a1, a2, a3 = block(c[0], c[1], c[2], c[3], k0, k1)
        out[i, 0], out[i, 1], out[i, 2], out[i, 3] = a0, a1, a2, a3


@entry
def uniforms_kernel(member, team, sync, samples, step, stream, k0, k1, out):
    """out (B, whole blocks of 4)."""
    if barrier(sync, team):
        low, high = share(len(samples), member, team)
        for b in range(low, high):
            uniform_row(u32(samples[b]), step, stream, k0, k1, out[b])


@entry
def normals_kernel(member, team, sync, samples, step, stream, k0, k1, out):
    """out (blocks, 4, B): the samples lie side by side, so that they are made side by side."""
    if not barrier(sync, team):
        return
    low, high = share(len(samples), member, team)
    some = samples[low:high]
    for q in range(len(out)):
        n0, n1 = out[q, 0][low:high], out[q, 1][low:high]
        n2, n3 = out[q, 2][low:high], out[q, 3][low:high]
        for b in range(len(some)):
            a0, a1, a2, a3 = block(u32(q), u32(some[b]), step, stream, k0, k1)
            n0[b], n1[b] = box_muller(a0, a1)
            n2[b], n3[b] = box_muller(a2, a3)


@entry
def gather_kernel(member, team, sync, data, rows, scale, out):
    """out = data[rows] · scale."""
    if barrier(sync, team):
        low, high = share(len(rows), member, team)
        for b in range(low, high):
            scale_bytes(data[rows[b]], scale, out[b])


@entry
def gather_binarise_kernel(
    member, team, sync, data, rows, samples, scale, step, stream, k0, k1, out
):
    """out = 1 where a sample's uniform is below data[rows] · scale, else 0."""
    if not barrier(sync, team):
        return
    low, high = share(len(rows), member, team)
    noise = np.empty((out.shape[1] + 3) // 4 * 4, dtype=np.float32)
    for b in range(low, high):
        scale_bytes(data[rows[b]], scale, out[b])
        uniform_row(u32(samples[b]), step, stream, k0, k1, noise)
        compare(noise[: out.shape[1]], out[b])


@entry
def binarise_kernel(u, out):
    """out = 1 where u < out, else 0."""
    compare(u, out)


def _key(seed: int) -> tuple[Any, Any]:
    return u32(int(seed) & WORD), u32((int(seed) >> 32) & WORD)


def _samples(samples: Any) -> np.ndarray:
    return np.asarray(samples).reshape(-1).astype(np.int64).astype(np.uint32)


def philox(counter: Any, key: Any) -> np.ndarray:
    """Ten rounds of Philox 4x32: counter (..., 4), key (2,) uint32 -> (..., 4)   (E34)"""
    counter = np.asarray(counter)
    if counter.ndim < 1 or counter.shape[-1] != 4:
        raise ValueError(f"philox: counter has shape {counter.shape}, but (…, 4) is needed")
    words = np.ascontiguousarray(counter.astype(np.uint32)).reshape(-1, 4)
    out = np.empty_like(words)
    philox_kernel(words, u32(int(key[0])), u32(int(key[1])), out)
    return out.reshape(counter.shape)


def uniforms(seed: int, stream: int, step: int, samples: Any, n: int) -> np.ndarray:
    """n uniforms in (0, 1) for each sample -> (B, n) float32             (E35)"""
    rows = _samples(samples)
    out = fresh((len(rows), (n + 3) // 4 * 4))
    args = rows, u32(step & WORD), u32(stream), *_key(seed)
    run(uniforms_kernel, team_for(2 * out.size), *args, out)
    return out if out.shape[1] == n else np.ascontiguousarray(out[:, :n])


def normals(seed: int, stream: int, step: int, samples: Any, n: int) -> np.ndarray:
    """n standard normals for each sample -> (B, n) float32               (E36)"""
    rows = _samples(samples)
    out = fresh(((n + 3) // 4, 4, len(rows)))
    if not out.size:
        return fresh((len(rows), n))
    args = rows, u32(step & WORD), u32(stream), *_key(seed)
    run(normals_kernel, team_for(4 * out.size), *args, out)
    return np.ascontiguousarray(out.reshape(-1, len(rows))[:n].T)


def permutation(seed: int, epoch: int, n: int) -> np.ndarray:
    """The order of the n data in an epoch: (n,) int64                    (E34)"""
    counters = np.zeros((n, 4), dtype=np.uint32)
    counters[:, 1], counters[:, 2], counters[:, 3] = np.arange(n), epoch & WORD, PERMUTATION
    words = philox(counters, _key(seed)).astype(np.uint64)
    return np.argsort((words[:, 0] << np.uint64(32)) | words[:, 1], kind="stable")


def _stored(op: str, data: Any) -> np.ndarray:
    """The data as the kernels read it. Raises Unsupported for float64."""
    data = np.asarray(data)
    if data.ndim != 2:
        raise ValueError(f"{op}: data has shape {data.shape}, but (N, D) is needed")
    if data.dtype == np.uint8:
        return readable(np.ascontiguousarray(data))
    if data.dtype.kind != "f":
        raise TypeError(f"{op}: data of {data.dtype} have no kernel; uint8 or float is needed")
    float32_only(op, data)
    return readable(np.require(data, f32, ["C", "A"]))


def _rows(op: str, rows: Any, n: int) -> np.ndarray:
    rows = np.asarray(rows)
    if rows.dtype.kind not in "iu" and rows.size:
        raise TypeError(f"{op}: rows are {rows.dtype}; whole numbers are needed")
    rows = readable(np.ascontiguousarray(rows.reshape(-1), dtype=np.int64))
    if rows.size and not (-n <= rows.min() and rows.max() < n):
        raise IndexError(f"{op}: a row lies outside the {n} that the data have")
    return rows


def gather(data: Any, rows: Any, scale: float) -> np.ndarray:
    """data[rows] · scale: (N, D) uint8 or float, rows (B,) -> x (B, D)   (E35)"""
    stored = _stored("gather", data)
    rows = _rows("gather", rows, len(stored))
    out = fresh((len(rows), stored.shape[1]))
    where = np.where(rows < 0, rows + len(stored), rows)
    run(gather_kernel, team_for(out.size), stored, where, f32(scale), out)
    return out


def binarise(x: Any, u: Any) -> np.ndarray:
    """1 where u < x, else 0                                              (E35)"""
    x, u = np.asarray(x), np.asarray(u)
    if x.dtype != f32 or u.dtype != f32 or x.shape != u.shape:
        raise Unsupported("binarise", "binarise: x and u are not float32 of one shape")
    out = np.array(x, dtype=np.float32, order="C")
    binarise_kernel(flat(u), out.reshape(-1))
    return out


def gather_binarise(
    data: Any, rows: Any, scale: float, seed: int, stream: int, step: int
) -> np.ndarray:
    """Rows of the data as a fresh Bernoulli draw of every pixel: (B, D)  (E35)"""
    op = "gather_binarise"
    stored = _stored(op, data)
    rows = _rows(op, rows, len(stored))
    out = fresh((len(rows), stored.shape[1]))
    where = np.where(rows < 0, rows + len(stored), rows)
    args = stored, where, _samples(rows), f32(scale), u32(step & WORD), u32(stream), *_key(seed)
    run(gather_binarise_kernel, team_for(4 * out.size), *args, out)
    return out


OPS = (philox, uniforms, normals, permutation, gather, binarise, gather_binarise)
