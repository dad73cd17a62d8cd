"""One checkpoint: a safetensors file of the state and a JSON manifest of its sha256 sums.

Both are written under a temporary name, flushed to the disk, read back and compared, and only
then renamed; the manifest goes last, so a checkpoint without one never counts. Nothing in either
file depends on the clock, the threads or the place, so the same command writes the same bytes.

The manifest is for people and tools. What it says stands in the safetensors file as well, under
that file's own sha256, and the two must agree: no number of a run lies outside a checksum.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minivae.data.whole import sync_directory
from minivae.messages import shown
from minivae.runs import files
from minivae.runs.errors import CheckpointError, RunError, describe_os_error
from minivae.runs.schema import MANIFEST
from minivae.runs.strict_json import JsonFault, parse

FORMAT = 1
MOMENTS = "optimiser.moments"
OUTSIDE = ("file", "bytes", "sha256")  # of a manifest: what is said of the tensors file itself

Tensors = dict[str, NDArray[Any]]


class Checkpoint(NamedTuple):
    """A checkpoint read back and verified: its manifest and its tensors."""

    path: Path
    manifest: dict[str, Any]
    tensors: Tensors


def digest(data: bytes | memoryview) -> str:
    """sha256 of ``data`` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def sum_of(facts: Mapping[str, Any]) -> str:
    """sha256 of JSON facts but for their own sum, which stands under "sha256"."""
    return digest(encode_json({key: value for key, value in facts.items() if key != "sha256"}))


def tensor_digest(tensor: NDArray[Any]) -> str:
    """sha256 of a tensor's values in C order (its shape and dtype stand in the manifest)."""
    return digest(raw(tensor).data)


def raw(tensor: NDArray[Any]) -> NDArray[np.uint8]:
    """A tensor's bytes in C order: NaN compares equal to itself there, and -0 differs from 0."""
    return np.ascontiguousarray(tensor).reshape(-1).view(np.uint8)


def encode_json(value: Any) -> bytes:
    """JSON with sorted keys, so that equal contents are equal bytes; NaN is refused."""
    return (json.dumps(value, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()


def contiguous(tensor: NDArray[Any]) -> NDArray[Any]:
    """A C-contiguous host copy of the same shape.

    safetensors takes the memory as it lies: a transposed view would be stored scrambled.
    """
    return np.array(tensor, order="C", copy=True).reshape(np.shape(tensor))


def manifest_path(tensors_path: Path) -> Path:
    """The manifest that belongs to a tensors file."""
    return tensors_path.with_suffix(".json")


def write_checkpoint(path: Path, tensors: Tensors, facts: dict[str, Any]) -> dict[str, Any]:
    """Write ``tensors`` to ``path`` and the manifest beside it; returns the manifest.

    ``facts`` (configurations, counters) must hold JSON values that do not depend on time.
    Raises RunError if the disk refuses, CheckpointError if what was read back differs.
    """
    safetensors = _import_safetensors()
    tensors = {name: contiguous(tensor) for name, tensor in tensors.items()}
    sums = {
        name: {"shape": list(t.shape), "dtype": str(t.dtype), "sha256": tensor_digest(t)}
        for name, t in tensors.items()
    }
    manifest: dict[str, Any] = {"format": FORMAT, **facts, "tensors": sums}
    # One metadata key: the library writes several in no fixed order, and bytes must not vary.
    data = safetensors.save(tensors, metadata={"minivae": encode_json(manifest).decode()})
    _require_kept(path, data, tensors)
    manifest = {**manifest, "file": path.name, "bytes": len(data), "sha256": digest(data)}
    pairs = [(path, data), (manifest_path(path), encode_json(manifest))]
    try:
        for target, content in pairs:
            files.write_synced(files.temporary(target), content)
            if _read(files.temporary(target), len(content)) != content:
                raise CheckpointError(f"{target.name} read back differs from what was written")
        for target, _ in pairs:  # tensors first: a manifest never vouches for what is not there
            os.replace(files.temporary(target), target)
            sync_directory(path.parent)  # else the disk may keep the second name alone
    except OSError as error:
        raise RunError(f"cannot write {path}: {describe_os_error(error)}") from error
    finally:
        for target, _ in pairs:
            files.remove_quietly(files.temporary(target))
    return manifest


def _require_kept(path: Path, data: bytes, tensors: Tensors) -> None:
    """CheckpointError unless what the library made of the tensors is the tensors, to the bit."""
    kept: Tensors = _import_safetensors().load(data)
    if set(kept) != set(tensors):
        raise CheckpointError(f"{path.name} read back with other tensors than were written")
    for name, tensor in tensors.items():
        same = kept[name].dtype == tensor.dtype and kept[name].shape == tensor.shape
        if not (same and np.array_equal(raw(kept[name]), raw(tensor))):
            raise CheckpointError(f"{path.name}: {name} read back differs from what was written")


def read_checkpoint(path: Path) -> Checkpoint:
    """Read and verify the checkpoint whose tensors file is ``path``.

    Raises CheckpointError naming what is missing or damaged.
    """
    manifest = read_manifest(manifest_path(path))
    return Checkpoint(path, manifest, _verified(path, manifest))


def read_manifest(path: Path) -> dict[str, Any]:
    """Read a manifest; CheckpointError if it is missing, damaged or of a later format."""
    try:
        manifest: dict[str, Any] = parse(_read(path, files.MOST_OF_TEXT))
        if isinstance(manifest, dict) and manifest.get("format", FORMAT) != FORMAT:
            raise CheckpointError(
                f"{path.name} has format {shown(manifest['format'])}; this version reads {FORMAT}"
            )
        MANIFEST(manifest, "")
    except JsonFault as fault:
        raise CheckpointError(f"{path.name} is damaged ({fault})") from None
    return manifest


def _read(path: Path, most: int) -> bytes:
    try:
        return files.read_file(path, most)
    except FileNotFoundError:
        raise CheckpointError(f"{path.name} is missing") from None
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {describe_os_error(error)}") from error


def _verified(path: Path, manifest: dict[str, Any]) -> Tensors:
    """The tensors of a file that is, to the last bit, the one of which the manifest speaks."""
    try:
        size = path.stat().st_size  # asked first: what is far too large is not read
    except OSError:
        size = manifest["bytes"]  # _read says what is wrong
    if size != manifest["bytes"]:
        raise CheckpointError(
            f"{path.name} is damaged: {size} bytes, its manifest says {manifest['bytes']}"
        )
    data = _read(path, size)
    if digest(data) != manifest["sha256"]:
        raise CheckpointError(f"{path.name} is damaged: its sha256 differs from its manifest's")
    _require_agreement(path, manifest, data)
    return _tensors_of(path, data, manifest["tensors"])


def _require_agreement(path: Path, manifest: dict[str, Any], data: bytes) -> None:
    """CheckpointError where the manifest says anything else than the tensors file does."""
    there = embedded_facts(path, data)
    here = {key: value for key, value in manifest.items() if key not in OUTSIDE}
    if not same(here, there):
        raise CheckpointError(
            f"{manifest_path(path).name} is damaged: {first_difference(here, there)} in "
            f"{path.name}, which is whole"
        )


def same(here: Any, there: Any) -> bool:
    """Whether two JSON values are written alike: 1 is not 1.0, nor True."""
    return json.dumps(here, sort_keys=True) == json.dumps(there, sort_keys=True)


def embedded_facts(path: Path, data: bytes) -> dict[str, Any]:
    """What a tensors file says of itself: the manifest without the sums of the file."""
    size = int.from_bytes(data[:8], "little")  # the format: a length, then so much JSON
    try:
        header = parse(data[8 : 8 + size])
        facts = parse(header["__metadata__"]["minivae"])
    except (JsonFault, KeyError, TypeError):
        raise CheckpointError(f"{path.name} was not written by minivae") from None
    if not isinstance(facts, dict):
        raise CheckpointError(f"{path.name} was not written by minivae")
    return facts


def first_difference(here: Any, there: Any, place: str = "") -> str:
    """Where two JSON values first differ, in words: "progress.t is 147, but 141"."""
    if isinstance(here, dict) and isinstance(there, dict):
        for key in sorted({*here, *there}):
            name = f"{place}.{key}" if place else key
            if key not in here or key not in there:
                return f"{name} is {'there, but not' if key in here else 'missing, but'}"
            if not same(here[key], there[key]):
                return first_difference(here[key], there[key], name)
    return f"{place or 'it'} is {shown(here, 40)}, but {shown(there, 40)}"


def _tensors_of(path: Path, data: bytes, sums: dict[str, Any]) -> Tensors:
    try:
        tensors: Tensors = _import_safetensors().load(data)
    except Exception as error:  # the library has its own exception class; importing it is lazy
        raise CheckpointError(f"{path.name} is no safetensors file: {error}") from None
    for name in sorted({*sums, *tensors}):
        expected, tensor = sums.get(name), tensors.get(name)
        if (
            expected is None
            or tensor is None
            or expected["shape"] != list(tensor.shape)
            or expected["dtype"] != str(tensor.dtype)
            or expected["sha256"] != tensor_digest(tensor)
        ):
            raise CheckpointError(f"{path.name} is damaged: tensor {name}")
    return tensors


def _import_safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise RunError(
            "checkpoints need the package safetensors; install it with: pip install safetensors"
        ) from error
    return safetensors.numpy
