"""Every point at which writing a file can fail, for all that is written beside a run.

Each writer puts a second version over a first one. Whatever fails, the first or the second is there
afterwards, whole; writing again ends in the second, and leaves nothing else behind. After a power
cut at any moment it is the same.
"""

from __future__ import annotations

import functools
import itertools
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

from minivae.cli.encode import save_codes
from minivae.cli.run_view import save_text
from minivae.data import read_idx, write_idx
from minivae.data.convert import keep
from minivae.data.named import content_sha256
from minivae.exports.files import write_all
from minivae.runs.files import write_atomically
from minivae.sweeps.plan import write_json
from minivae.sweeps.results_table import write as write_table
from tests.reliability.faulty_disk import Died, FaultyDisk
from tests.reliability.test_fault_points import points
from tests.reliability.test_power_cut import Disk

pytestmark = pytest.mark.usefixtures("swift_disk")  # what the shim lets through needs no flush
FAULTS = (RuntimeError, ValueError, OSError)  # UsageError, RunError, ExportError and the system's


def rows(version: int) -> np.ndarray:
    return np.arange(60, dtype=np.float32).reshape(20, 3) * version


class Writer(NamedTuple):
    """Writes a version into a folder, and reads there what the files say, None where nothing is."""

    write: Callable[[Path, int], object]
    read: Callable[[Path], Any]


def reader(name: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).read_bytes() if (folder / name).exists() else None


@functools.cache
def fitted(version: int) -> Any:
    from minivae import PCA

    return PCA(latent_dim=2).fit(rows(1) ** 2 + version)


def estimator(folder: Path, version: int) -> None:
    fitted(version).save(folder / "pca")


def saved_estimator(folder: Path) -> Any:
    """What a person comes to: who is told of the one before loads that."""
    from minivae import PCA
    from minivae.runs.errors import RunError

    try:
        return PCA.load(folder / "pca").mean_.tobytes()
    except RunError as fault:
        assert "\n" not in str(fault)
        if "before.safetensors" in str(fault):
            return PCA.load(folder / ".pca.before").mean_.tobytes()
        assert not (folder / "pca.json").exists()  # the first of all: never written to its end
        return None


def is_between(folder: Path) -> bool:
    """Whether one of an estimator's two files is new and one old: the copies are all there is."""
    from minivae import PCA
    from minivae.runs.errors import RunError

    try:
        PCA.load(folder / "pca")
    except RunError:
        return True
    return False


def kept_set(folder: Path, version: int) -> None:
    arrays = {"": rows(version)}
    entry = SimpleNamespace(arrays={"": content_sha256(arrays[""])}, name="set",
                            files=[SimpleNamespace(name="set.npy")])  # fmt: skip
    keep(arrays, entry, folder)  # type: ignore[arg-type]


def export(folder: Path, version: int) -> None:
    write_all(folder / f"{version}", {"a.bin": bytes(9) * version, "b.json": b"{}"})


WRITERS = {
    "codes": Writer(
        lambda d, v: save_codes(d / "codes.npz", {"codes": rows(v)}), reader("codes.npz")
    ),
    "a page": Writer(lambda d, v: save_text(d / "page.html", "page " * v), reader("page.html")),
    "an idx file": Writer(
        lambda d, v: write_idx(d / "x-idx2.gz", rows(v).astype(np.uint8)),
        lambda d: read_idx(d / "x-idx2.gz").tobytes() if (d / "x-idx2.gz").exists() else None,
    ),
    "a sweep's plan": Writer(
        lambda d, v: write_json(d / "sweep.json", {"v": v}), reader("sweep.json")
    ),
    "a sweep's table": Writer(
        lambda d, v: write_table(d, "runs", [{"seed": v, "loss": 1.5}]), reader("runs.csv")
    ),
    "a published result": Writer(
        lambda d, v: write_atomically(d / "result.json", b"{}" * v), reader("result.json")
    ),
    "a kept data set": Writer(kept_set, reader("set.npy")),
    "an estimator": Writer(estimator, saved_estimator),
}  # fmt: skip


def judged(writer: Writer, folder: Path, versions: list[Any], what: object) -> None:
    """One of the versions is there; writing goes on from here and leaves only what it should."""
    assert writer.read(folder) in versions, what
    writer.write(folder, 2)
    assert writer.read(folder) == versions[1], what


@pytest.fixture(params=WRITERS)
def writer(request: pytest.FixtureRequest, no_parquet: None) -> Writer:
    return WRITERS[request.param]


@pytest.fixture
def versions(writer: Writer, tmp_path: Path) -> list[Any]:
    """What is read of the first and the second version where nothing fails."""
    found = []
    for version in (1, 2):
        folder = tmp_path / f"version-{version}"
        folder.mkdir()
        writer.write(folder, version)
        found.append(writer.read(folder))
    assert found[0] is not None and found[0] != found[1]
    return found


def first_version(writer: Writer, folder: Path) -> Path:
    folder.mkdir()
    writer.write(folder, 1)
    return folder


def test_every_fault_point_of_a_file(
    writer: Writer, versions: list[Any], tmp_path: Path, count: Callable[[str, int], None]
) -> None:
    disk = FaultyDisk(first_version(writer, tmp_path / "whole"))
    with disk.below():
        writer.write(tmp_path / "whole", 2)
    assert writer.read(tmp_path / "whole") == versions[1]
    assert len(disk.log) > 2  # it was written through the calls that can be made to fail
    wanted = sorted(p.name for p in (tmp_path / "whole").iterdir())
    for number, (at, fault) in enumerate(tried := points(disk.log)):
        folder = first_version(writer, tmp_path / f"{number}")
        with FaultyDisk(folder, at, fault).below():
            try:
                writer.write(folder, 2)
            except Died:
                pass
            except FAULTS:
                if fault == "once":
                    left = {p.name for p in folder.iterdir()} - set(wanted)
                    assert not left or is_between(folder), (at, left)
        judged(writer, folder, versions, (at, fault, disk.log[at]))
        left = {p.name for p in folder.iterdir()} - set(wanted)
        assert fault in ("dies", "torn", "for good") or not left, (at, fault, left)
        shutil.rmtree(folder)
    count("fault points of single files tried, none lost", len(tried))


def test_a_power_cut_at_every_moment_of_a_file(
    writer: Writer, versions: list[Any], tmp_path: Path, count: Callable[[str, int], None]
) -> None:
    (tmp_path / "whole").mkdir()
    disk = FaultyDisk(tmp_path / "whole")
    with disk.below():
        writer.write(tmp_path / "whole", 1)
        done = len(disk.log)
        writer.write(tmp_path / "whole", 2)
    assert len(disk.log) > done + 2
    ways = ("flushed", "names only", "reordered")
    tried = list(itertools.product(range(done, len(disk.log) + 1), ways))
    for number, (moment, how) in enumerate(tried):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        Disk(disk.log[:moment]).left(folder, how, random.Random(number))
        judged(writer, folder, versions, (moment, how))
    count("power cuts while a single file is written tried, none lost", len(tried))


@pytest.fixture
def no_parquet(monkeypatch: pytest.MonkeyPatch) -> None:
    """pyarrow writes by itself, past Python's calls."""
    monkeypatch.setattr("minivae.sweeps.results_table.importlib.util.find_spec", lambda name: None)


def test_an_export_is_whole_or_can_be_made_elsewhere(tmp_path: Path) -> None:
    disk = FaultyDisk(tmp_path / "whole")
    (tmp_path / "whole").mkdir()
    with disk.below():
        export(tmp_path / "whole", 1)
    assert len(disk.log) > 4
    for number, (at, fault) in enumerate(points(disk.log)):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        with FaultyDisk(folder, at, fault).below():
            try:
                export(folder, 1)
            except Died:
                pass
            except FAULTS:
                assert not (folder / "1").exists() or fault == "for good", (at, fault)
        whole = [reader(f"1/{name}")(folder) for name in ("a.bin", "b.json")]
        assert all(
            data in (None, each) for data, each in zip(whole, (bytes(9), b"{}"), strict=True)
        )
        export(folder, 2)
        assert reader("2/b.json")(folder) == b"{}"
