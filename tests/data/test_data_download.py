"""Downloads, from a server on this machine: mirrors, checksums, interruptions, conversion."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minivae.data import DataError, registry
from minivae.data.download import download, download_entry, fetch
from minivae.data.named import content_sha256
from minivae.data.registry import BY_NAME, ENTRIES, Entry, RemoteFile

pytest.importorskip("pooch")

GOOD = np.random.default_rng(1).bytes(100_003)
SUM = hashlib.sha256(GOOD).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `pages`; a path under /cut/ breaks off half-way, under /endless/ it never ends."""

    pages: dict[str, bytes]
    asked: list[str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        name = self.path.rsplit("/", 1)[1]
        content = self.server.pages.get(name)
        if content is None or self.path.startswith("/dead/"):
            self.send_error(404)
            return
        self.send_response(200)
        if not self.path.startswith("/endless/"):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        try:
            if self.path.startswith("/cut/"):
                self.wfile.write(content[: len(content) // 2])
            elif self.path.startswith("/wrong/"):
                self.wfile.write(content[:-1] + bytes([content[-1] ^ 1]))
            else:
                self.wfile.write(content)
                while self.path.startswith("/endless/"):
                    self.wfile.write(bytes(1 << 16))
        except (BrokenPipeError, ConnectionResetError):
            pass

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "MINIVAE_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("MINIVAE_CACHE", str(tmp_path / "cache"))
    with Server(("127.0.0.1", 0), Handler) as running:
        running.pages, running.asked = {"file.gz": GOOD}, []
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running
        running.shutdown()


def remote(server: Server, *kinds: str, **changes: Any) -> RemoteFile:
    urls = tuple(f"{server.url}/{kind}/file.gz" for kind in kinds)
    return replace(RemoteFile("file.gz", len(GOOD), urls, SUM), **changes)


def test_a_good_file_and_its_progress(server: Server, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    path = fetch(remote(server, "good"), tmp_path, lambda *step: told.append(step))
    assert path == tmp_path / "file.gz" and path.read_bytes() == GOOD
    assert told[-1] == ("file.gz", len(GOOD), len(GOOD)) and len(told) > 2


@pytest.mark.parametrize("first", ["dead", "wrong", "cut", "endless"])
def test_the_next_mirror_is_tried(server: Server, tmp_path: Path, first: str) -> None:
    path = fetch(remote(server, first, "good", "never"), tmp_path)
    assert path.read_bytes() == GOOD
    assert server.asked == [f"/{first}/file.gz", "/good/file.gz"]
    assert [entry.name for entry in tmp_path.iterdir() if entry.is_file()] == ["file.gz"]


@pytest.mark.parametrize(
    ("kind", "word"),
    [("dead", "HTTP 404"), ("wrong", "sha256 is wrong"), ("cut", ""), ("endless", "far more")],
)
def test_when_no_mirror_gives_it(server: Server, tmp_path: Path, kind: str, word: str) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    with pytest.raises(DataError) as caught:
        fetch(remote(server, kind, "dead"), folder)
    message = str(caught.value)
    assert "\n" not in message and "file.gz" in message and "by hand" in message
    assert f"/{kind}/file.gz: " in message and word in message and "HTTP 404" in message
    assert list(folder.iterdir()) == []  # no half file, under any name


def test_nobody_listens(server: Server, tmp_path: Path) -> None:
    closed = RemoteFile("file.gz", 3, ("http://127.0.0.1:9/file.gz",), SUM)
    with pytest.raises(DataError, match="no connection"):
        fetch(closed, tmp_path)


def test_an_interruption_keeps_what_was_there(server: Server, tmp_path: Path) -> None:
    """Ctrl-C in the second file: the first is kept and not fetched again."""
    folder = tmp_path / "set"
    server.pages["two.gz"] = GOOD[::-1]
    two = RemoteFile(
        "two.gz",
        len(GOOD),
        (f"{server.url}/good/two.gz",),
        hashlib.sha256(GOOD[::-1]).hexdigest(),
    )
    entry = replace(BY_NAME["mnist"], files=(remote(server, "good"), two))

    def stop(name: str, done: int, total: int) -> None:
        if name == "two.gz":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download_entry(entry, folder, stop)
    assert [path.name for path in folder.iterdir()] == ["file.gz"]
    server.asked.clear()
    download_entry(entry, folder)
    assert server.asked == ["/good/two.gz"]


def test_a_damaged_file_is_replaced_only_by_a_good_one(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.gz").write_bytes(GOOD[:50])
    with pytest.raises(DataError):
        fetch(remote(server, "wrong"), tmp_path)
    assert (tmp_path / "file.gz").read_bytes() == GOOD[:50]
    fetch(remote(server, "good"), tmp_path)
    assert (tmp_path / "file.gz").read_bytes() == GOOD


def test_a_folder_that_cannot_be_written(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(DataError, match="cannot be made"):
        download("mnist", tmp_path / "taken")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pooch.retrieve", full)
    with pytest.raises(DataError, match=r"cannot be written.*[Nn]o space"):
        fetch(remote(server, "good", "good"), tmp_path)


def test_names_that_cannot_be_downloaded(server: Server) -> None:
    with pytest.raises(DataError, match="did you mean mnist"):
        download("minst")
    with pytest.raises(DataError, match="built in"):
        download("shapes")


def test_without_pooch(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pooch", None)
    with pytest.raises(DataError, match=r'pip install "minivae\[download\]"'):
        fetch(remote(server, "good"), tmp_path)


def test_every_mirror_is_an_address_of_the_file() -> None:
    for entry in ENTRIES:
        files = [*entry.files, *(file for _, group in entry.recipes for file in group)]
        for file in files:
            made = entry.recipes and file in entry.files
            assert made or file.urls
            for url in file.urls:
                assert url.startswith(("https://", "http://")) and url.endswith("/" + file.name)
    for name in ("mnist", "fashion-mnist"):
        assert all(len(file.urls) >= 2 for file in BY_NAME[name].files)


# --- data that is converted from its originals ---------------------------------------------------

FRAMES = np.arange(6 * 560, dtype=np.uint8).reshape(6, 560)
BITS = {
    part: np.random.default_rng(rows).integers(0, 2, (rows, 784), dtype=np.uint8)
    for part, rows in (("train", 11), ("valid", 5), ("test", 7))
}


def frey_entry(server: Server) -> Entry:
    scipy_io = pytest.importorskip("scipy.io")
    stream = io.BytesIO()
    scipy_io.savemat(stream, {"ff": FRAMES.T})
    server.pages["frey_rawface.mat"] = stream.getvalue()
    mat = RemoteFile("frey_rawface.mat", 4000, (f"{server.url}/good/frey_rawface.mat",))
    return replace(
        BY_NAME["frey"], recipes=(("frey_mat", (mat,)),), arrays={"": content_sha256(FRAMES)}
    )


def test_frey_from_its_matlab_file(server: Server, tmp_path: Path) -> None:
    entry = frey_entry(server)
    folder = download_entry(entry, tmp_path / "frey")
    assert [path.name for path in folder.iterdir()] == ["freyfaces_uint8.npy"]
    np.testing.assert_array_equal(np.load(folder / "freyfaces_uint8.npy"), FRAMES)
    server.asked.clear()
    download_entry(entry, folder)
    assert server.asked == []  # whole already
    (folder / "freyfaces_uint8.npy").write_bytes(b"damaged")
    download_entry(entry, folder)
    np.testing.assert_array_equal(np.load(folder / "freyfaces_uint8.npy"), FRAMES)


def test_an_original_fetched_by_hand_will_do(server: Server, tmp_path: Path) -> None:
    entry = frey_entry(server)
    (tmp_path / "frey_rawface.mat").write_bytes(server.pages.pop("frey_rawface.mat"))
    download_entry(entry, tmp_path)
    assert server.asked == [] and (tmp_path / "freyfaces_uint8.npy").is_file()


@pytest.mark.parametrize("content", [b"<html>moved</html>", b"", b"MATLAB 5.0 MAT-file" * 40])
def test_an_original_that_is_something_else(server: Server, tmp_path: Path, content: bytes) -> None:
    entry = frey_entry(server)
    server.pages["frey_rawface.mat"] = content
    with pytest.raises(DataError, match="frey_rawface"):
        download_entry(entry, tmp_path)
    assert list(tmp_path.glob("*")) in ([], [tmp_path / "cache"])


def test_values_that_are_not_the_published_ones(server: Server, tmp_path: Path) -> None:
    entry = replace(frey_entry(server), arrays={"": content_sha256(FRAMES + 1)})
    with pytest.raises(DataError, match="not the published ones"):
        download_entry(entry, tmp_path / "frey")
    assert list((tmp_path / "frey").iterdir()) == []


def amat(bits: np.ndarray) -> bytes:
    return b"".join(b" ".join(b"%d" % v for v in row) + b" \n" for row in bits)


def binarized_entry(server: Server, *recipes: str) -> Entry:
    for part, bits in BITS.items():
        server.pages[f"binarized_mnist_{part}.amat"] = amat(bits)
    stream = io.BytesIO()
    np.savez(stream, **{f"{part}_data": bits.astype(np.float32) for part, bits in BITS.items()})
    server.pages["binarized_mnist.npz"] = stream.getvalue()
    known = BY_NAME["binarized-mnist"]
    here = tuple(
        (name, tuple(replace(f, urls=(f"{server.url}/good/{f.name}",)) for f in files))
        for name, files in known.recipes
        if name in recipes
    )
    sums = {part: content_sha256(np.packbits(bits, axis=1)) for part, bits in BITS.items()}
    return replace(known, recipes=here, arrays=sums)


@pytest.mark.parametrize("recipe", ["binarized_amat", "binarized_made"])
def test_binarized_mnist_from_its_originals(server: Server, tmp_path: Path, recipe: str) -> None:
    folder = download_entry(binarized_entry(server, recipe), tmp_path / "b")
    with np.load(folder / "binarized_mnist_packbits.npz") as found:
        for part, bits in BITS.items():
            np.testing.assert_array_equal(np.unpackbits(found[part], axis=1), bits)


@pytest.mark.parametrize(
    "spoil", [lambda text: text[:-3], lambda text: text.replace(b"1", b"2", 1), lambda text: b""]
)
def test_a_bad_original_leads_to_the_next_recipe(
    server: Server, tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    entry = binarized_entry(server, "binarized_amat", "binarized_made")
    server.pages["binarized_mnist_valid.amat"] = spoil(server.pages["binarized_mnist_valid.amat"])
    folder = download_entry(entry, tmp_path / "b")
    assert (folder / "binarized_mnist_packbits.npz").is_file()
    assert server.asked[-1] == "/good/binarized_mnist.npz"
    server.pages["binarized_mnist.npz"] = b"PK nothing"
    (folder / "binarized_mnist_packbits.npz").unlink()
    with pytest.raises(DataError, match=r"valid.amat.*binarized_mnist.npz"):
        download_entry(entry, folder)
    assert list(folder.iterdir()) == []


# --- the command ---------------------------------------------------------------------------------


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    from minivae.cli.main import run as command

    code = command(["data", *words])
    out, err = capsys.readouterr()
    return code, out, err


def serve_mnist(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_the_list(capsys: pytest.CaptureFixture[str], server: Server, tmp_path: Path) -> None:
    code, out, _ = run(capsys)
    assert code == 0 and "built in" in out and "not downloaded" in out and "11.6 MB" in out
    code, out, err = run(capsys, "--json")
    listed = json.loads(out)
    assert code == 0 and err == "" and listed["cache"] == str(tmp_path / "cache")
    assert [row["name"] for row in listed["datasets"]] == [entry.name for entry in ENTRIES]
    assert listed["datasets"][2]["where"] is None


def test_downloading_by_the_command(
    capsys: pytest.CaptureFixture[str],
    server: Server,
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
    capsys: pytest.CaptureFixture[str], server: Server, tmp_path: Path
) -> None:
    code, out, err = run(capsys, "minst")
    assert code == 2 and out == "" and err.count("\n") == 1 and "did you mean mnist?" in err
    code, out, err = run(capsys, "--data-dir", str(tmp_path / "nowhere"))
    assert code == 2 and "no such folder" in err
    code, out, err = run(capsys, "digits")
    assert code == 0 and "built in" in out and not (tmp_path / "cache").exists()
