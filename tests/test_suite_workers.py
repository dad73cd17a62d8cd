"""The suite itself: whole folders of tests are shared among the cores, single files are not."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests import conftest

POOLS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")


def workers(config: Any) -> Any:
    conftest.pytest_cmdline_main(config)
    return getattr(config.option, "numprocesses", "no xdist")


def asked_for(*args: str, **more: Any) -> Any:
    options = {"numprocesses": None, "dist": "no", "capture": "fd"}
    options |= {"usepdb": False, "collectonly": False, **more}
    return SimpleNamespace(args=list(args), option=SimpleNamespace(**options))


@pytest.fixture(autouse=True)
def three_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conftest, "usable_cores", lambda: 3)
    for pool in POOLS:
        monkeypatch.setenv(pool, "")  # to be put back as it was
        del os.environ[pool]


def test_workers_have_one_thread_of_blas_each_unless_told_otherwise() -> None:
    assert workers(asked_for(__file__)) is None and not set(POOLS) & set(os.environ)
    os.environ[POOLS[0]] = "2"
    assert workers(asked_for(".")) == 3
    assert [os.environ[pool] for pool in POOLS] == ["2", "1"]


def test_folders_are_shared_and_single_files_are_not() -> None:
    folder, file = str(Path(__file__).parent), __file__
    assert workers(asked_for(folder)) == workers(asked_for(file, folder)) == 3
    assert workers(asked_for(file)) is workers(asked_for(f"{file}::test_x", file)) is None


def test_many_cores_are_not_all_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conftest, "usable_cores", lambda: 64)
    assert workers(asked_for(".")) == conftest.MOST_WORKERS


def test_one_core_starts_no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conftest, "usable_cores", lambda: 1)
    assert workers(asked_for(".")) is None


@pytest.mark.parametrize("more", [{"capture": "no"}, {"usepdb": True}, {"collectonly": True}])
def test_a_session_that_is_watched_stays_in_one_process(more: dict[str, Any]) -> None:
    assert workers(asked_for(".", **more)) is None


def test_own_wishes_count() -> None:
    assert workers(asked_for(".", numprocesses=0)) == 0
    config = asked_for(".", dist="loadfile")
    assert (workers(config), config.option.dist) == (3, "loadfile")


def test_a_worker_starts_no_workers_and_xdist_may_be_missing() -> None:
    config = asked_for(".")
    config.workerinput = {}
    assert workers(config) is None
    bare = asked_for(".")
    del bare.option.numprocesses
    assert workers(bare) == "no xdist"
