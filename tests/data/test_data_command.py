"""`minivae data`: the list, a download, and its faults."""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minivae.data import registry
from minivae.data.registry import BY_NAME, ENTRIES, RemoteFile

pytest.importorskip("pooch")


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    from minivae.cli.main import run as command

    code = command(["data", *words])
    out, err = capsys.readouterr()
    return code, out, err


def serve_mnist(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three pictures for training and two for test in the place of MNIST."""
    files = []
    for file, shape in zip(
        BY_NAME["mnist"].files, [(3, 28, 28), (3,), (2, 28, 28), (2,)], strict=True
    ):
        array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
        header = bytes([0, 0, 8, len(shape)]) + np.array(shape, dtype=">u4").tobytes()
        content = gzip.compress(header + array.tobytes(), mtime=0)
        server.pages[file.name] = content
        urls = (f"{server.url}/good/{file.name}",)
        digest = hashlib.sha256(content).hexdigest()
        files.append(RemoteFile(file.name, len(content), urls, digest))
    monkeypatch.setitem(registry.BY_NAME, "mnist", replace(BY_NAME["mnist"], files=tuple(files)))


def test_the_list(capsys: pytest.CaptureFixture[str], server: Any, tmp_path: Path) -> None:
    code, out, _ = run(capsys)
    assert code == 0 and "built in" in out and "not downloaded" in out and "11.6 MB" in out
    code, out, err = run(capsys, "--json")
    listed = json.loads(out)
    assert code == 0 and err == "" and listed["cache"] == str(tmp_path / "cache")
    assert [row["name"] for row in listed["datasets"]] == [entry.name for entry in ENTRIES]
    assert listed["datasets"][2]["where"] is None


def test_downloading_by_the_command(
    capsys: pytest.CaptureFixture[str],
    server: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    serve_mnist(server, monkeypatch)
    code, out, err = run(capsys, "mnist")
    assert code == 0 and "downloaded to" in out and "minivae train mnist" in out
    assert err.count("fetching") == 4
    server.asked.clear()
    code, out, err = run(capsys, "mnist", "--json")
    said = json.loads(out)
    assert said == {
        "name": "mnist",
        "where": str(tmp_path / "cache" / "mnist"),
        "downloaded": False,
    }
    labels = tmp_path / "cache" / "mnist" / "t10k-labels-idx1-ubyte.gz"
    labels.write_bytes(labels.read_bytes()[:-2])
    code, out, err = run(capsys, "mnist", "-q")
    assert code == 0 and "fetching it anew" in err
    assert server.asked == ["/good/t10k-labels-idx1-ubyte.gz"]
    code, out, err = run(capsys, "mnist", "--data-dir", str(tmp_path / "new"))
    assert code == 0 and (tmp_path / "new" / "mnist" / labels.name).is_file()


def test_the_commands_faults(
    capsys: pytest.CaptureFixture[str], server: Any, tmp_path: Path
) -> None:
    code, out, err = run(capsys, "minst")
    assert code == 2 and out == "" and err.count("\n") == 1 and "did you mean mnist?" in err
    code, out, err = run(capsys, "--data-dir", str(tmp_path / "nowhere"))
    assert code == 2 and "no such folder" in err
    code, out, err = run(capsys, "digits")
    assert code == 0 and "built in" in out and not (tmp_path / "cache").exists()


@pytest.mark.parametrize("width", [40, 200])
def test_a_folders_name_is_shown_as_it_stands(monkeypatch, capsys, width: int) -> None:
    """Brackets and words between colons are rich's markup, and a name all the same."""
    pytest.importorskip("rich")
    from minivae.cli import data as command
    from minivae.data import catalogue

    names = ("/[old]", "/[/x]", "/:smile:", "/a\x1b[2J")
    rows = [row._replace(where=name) for row, name in zip(catalogue(), names, strict=False)]
    monkeypatch.setattr(sys.modules["minivae.data.load"], "catalogue", lambda folder: rows)
    monkeypatch.setattr(command, "WIDE", 100 if width == 200 else 1000)
    command._list(None, False)
    said = capsys.readouterr().out
    assert all(name in said for name in names[:3]) and "/a\\x1b[2J" in said and "\x1b" not in said
