"""What is shipped: the wheel and the sdist are built here, and their contents are listed."""

from __future__ import annotations

import os
import re
import subprocess
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = ROOT / "pyproject.toml"
pytestmark = pytest.mark.skipif(not PROJECT.exists(), reason="no source tree beside the tests")

SOME = {  # of each kind of file beside the modules
    "minivae/py.typed",
    "minivae/MATHS.md",
    "minivae/explore/page.html",
    "minivae/play/view/main.js",
    "minivae/study/chapters/01_dimensionality_reduction.md",
    "minivae/study/results/baselines.json",
    "minivae_kernels/gpu/cuda/step.cu",
}
PACKAGES = ("minivae", "kernels/minivae_kernels")
# The CUDA sources built for the host stay in the source tree, where the tests run.
ONLY_FOR_TESTS = "minivae_kernels/gpu/host"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """The names of the files in the wheel and, without the folder at its top, in the sdist."""
    backend = pytest.importorskip("hatchling.build")
    folder = tmp_path_factory.mktemp("dist")
    before = Path.cwd()
    os.chdir(ROOT)
    try:
        wheel = folder / backend.build_wheel(str(folder))
        sdist = folder / backend.build_sdist(str(folder))
    finally:
        os.chdir(before)
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = set(archive.namelist())
    with tarfile.open(sdist) as archive:
        in_sdist = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    return {"wheel": in_wheel, "sdist": in_sdist}


def sources(folder: Path, base: Path) -> set[str]:
    return {p.relative_to(base).as_posix() for p in folder.rglob("*.py")}


def beside_the_modules() -> set[str]:
    """Pages, scripts, texts and CUDA sources of both packages: what git has or would take of them.

    Of an unpacked sdist, every file.
    """
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", *PACKAGES]
    told = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    if told.returncode == 0 and told.stdout:
        files = [ROOT / name for name in told.stdout.split("\0") if name]
    else:
        files = [path for package in PACKAGES for path in (ROOT / package).rglob("*")]
    return {
        path.relative_to(ROOT).as_posix().removeprefix("kernels/")
        for path in files
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }


def test_the_wheel_has_every_file_and_nothing_else_of_ours(built) -> None:
    wheel = built["wheel"]
    beside = beside_the_modules()
    assert beside >= SOME
    ours = (
        beside
        | sources(ROOT / "minivae", ROOT)
        | sources(ROOT / "kernels" / "minivae_kernels", ROOT / "kernels")
    )
    apparatus = {name for name in ours | wheel if name.startswith(ONLY_FOR_TESTS)}
    assert apparatus and not apparatus & wheel
    assert ours - apparatus <= wheel, ours - apparatus - wheel
    assert {name.split("/")[0] for name in wheel if ".dist-info" not in name} == {
        "minivae", "minivae_kernels",
    }  # fmt: skip
    strange = [
        n for n in wheel if re.search(r"(^|/)(tests?|conftest)[/_.]|__pycache__|\.pyc$|\.tmp$", n)
    ]
    assert strange == []


def test_the_sdist_builds_and_tests_itself(built) -> None:
    sdist = built["sdist"]
    for name in ("README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml", "PKG-INFO"):
        assert name in sdist
    assert sources(ROOT / "tests", ROOT) <= sdist
    assert sources(ROOT / "kernels", ROOT) <= sdist
    tops = {name.split("/")[0] for name in sdist}
    assert not tops & {"runs", "study", "dist", ".git", "shared"}


def test_every_bound_can_be_tried() -> None:
    """.ci/lowest.py turns each into a constraint: a name, >=, and a version."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    for requirement in [*project["dependencies"], *(each for extra in extras for each in extra)]:
        assert re.fullmatch(r"[\w.-]+(\[[\w,]+\])?>=[\w.]+", requirement), requirement


def test_it_says_that_it_is_typed() -> None:
    assert (ROOT / "minivae" / "py.typed").is_file()
