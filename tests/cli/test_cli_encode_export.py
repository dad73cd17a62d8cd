"""encode and export on a small run: what they write, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from minivae import VAE, load_data


def test_encode_writes_codes_and_variances(command, trained: Path) -> None:
    x = load_data("digits").values("train")[:20]
    np.save("x.npy", x)
    mu, sd = VAE.load(trained).posterior(x)
    r = command("encode", trained, "x.npy", "-o", "z.npy", "--json").json
    assert r["n"] == 20 and [Path(p).name for p in r["paths"]] == ["z.npy", "z-variances.npy"]
    np.testing.assert_allclose(np.load("z.npy"), mu, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(np.load("z-variances.npy"), sd**2, rtol=1e-3)
    assert command("encode", trained, "--data", "x.npy", "-o", "z.npz").code == 0
    with np.load("z.npz") as file:
        np.testing.assert_array_equal(file["codes"], np.load("z.npy"))
        np.testing.assert_array_equal(file["variances"], np.load("z-variances.npy"))
    r = command("encode", trained, "-o", "all.npz", "--json").json  # the run's own, all of them
    with np.load("all.npz") as file:
        assert len(file["codes"]) == len(file["labels"]) == r["n"] == 1797


@pytest.mark.parametrize("form", ["onnx", "torch", "npz"])
def test_export_says_what_it_wrote(command, trained: Path, form: str) -> None:
    if form == "onnx":
        pytest.importorskip("onnx")
    done = command("export", trained, "--to", form, "--out", "for others")
    assert done.code == 0, done.err
    names = {p.name for p in Path("for others").iterdir()}
    expected = {
        "onnx": {"encoder.onnx", "decoder.onnx"},
        "torch": {"model.safetensors", "load_model.py"},
        "npz": {"model.npz"},
    }
    assert names == expected[form]
    assert all(f"for others/{name}" in done.out for name in names)


def test_without_the_package_onnx_it_is_named(command, trained: Path, monkeypatch) -> None:
    import sys

    for name in ("onnx", "onnx.defs"):
        monkeypatch.setitem(sys.modules, name, None)
    done = command("export", trained, "--to", "onnx", "--out", "out")
    assert done.code == 2 and "pip install 'minivae[export]'" in done.err
    assert not Path("out").exists()


BAD = [
    (("encode", "RUN", "gone.npy", "-o", "z.npy"), "gone.npy"),
    (("encode", "RUN", "digits", "--data", "digits", "-o", "z.npy"), "give one data set"),
    (("encode", "RUN", "shapes", "-o", "z.npy"), "784 features"),
    (("encode", "RUN", "-o", "z.txt"), ".npz or .npy"),
    (("encode", "RUN", "-o", "no/z.npy"), "no folder no"),
    (("encode", "RUN", "-o", f"{__file__}/z.npy"), "is no folder; choose another place"),
    (("encode", "RUN"), "--out"),
    (("export", "RUN", "--to", "onxn", "--out", "x"), "did you mean 'onnx'"),
    (("export", "RUN", "--to", "torch", "--out", "x", "--opset", "17"), "belongs to --to onnx"),
    (("export", "RUN", "--to", "npz", "--out", __file__), "choose another --out"),
    (("export", "nowhere", "--to", "npz", "--out", "x"), "nowhere"),
    (("import", "gone.safetensors", "--out", "x.safetensors"), "gone.safetensors"),
    (("import", "gone.safetensors", "--out", "x.pt"), "must end in .safetensors"),
]


@pytest.mark.parametrize(("args", "words"), BAD, ids=[" ".join(a) for a, _ in BAD])
def test_bad_input_is_one_line_and_writes_nothing(command, trained, args, words: str) -> None:
    done = command(*(trained if a == "RUN" else a for a in args))
    assert done.code == 2 and done.out == "" and words in done.err
    assert done.err.count("\n") == 1 and not list(Path().iterdir())


@pytest.mark.parametrize("opset", ["7", "999"])
def test_an_opset_that_cannot_be_is_refused(command, trained: Path, opset: str) -> None:
    pytest.importorskip("onnx")
    done = command("export", trained, "--to", "onnx", "--out", "x", "--opset", opset)
    assert done.code == 2 and f"--opset {opset}: must be from 13" in done.err
    assert not list(Path().iterdir())


WRITERS = [
    ("encode", "RUN", "--out", "PLACE/z.npz"),
    ("encode", "RUN", "--out", "PLACE/z.npy"),
    ("generate", "RUN", "--out", "PLACE/z.png"),
    ("reconstruct", "RUN", "--out", "PLACE/x.npy"),
    ("interpolate", "RUN", "--out", "PLACE/x.png"),
    ("manifold", "RUN", "--dims", "0,1", "--out", "PLACE/x.png"),
    ("explore", "RUN", "--dims", "auto", "--no-beside", "--out", "PLACE/x.html"),
    ("play", "--out", "PLACE/x.html"),
    ("export", "RUN", "--to", "npz", "--out", "PLACE/x"),
    ("import", "gone.safetensors", "--out", "PLACE/m.safetensors"),
    ("verify", "relu", "--html", "PLACE/v.html"),
    ("train", "digits", "--backend", "numpy", "--out", "PLACE/run"),
    ("sweep", "digits", "--grid", "beta=1,2", "--out", "PLACE/s"),
]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a place that none can write")
@pytest.mark.parametrize("words", WRITERS, ids=[w[0] + w[-1][5:] for w in WRITERS])
def test_what_nobody_can_write_into_is_refused_before_the_work(command, trained, words) -> None:
    done = command(*(str(trained) if w == "RUN" else w.replace("PLACE", "/proc") for w in words))
    assert done.code == 2 and "/proc" in done.err.splitlines()[-1], done.err
    assert "choose another" in done.err and not list(Path().iterdir())


@pytest.mark.parametrize("words", WRITERS[:3] + WRITERS[7:9], ids=lambda w: w[0] + w[-1][5:])
def test_a_disk_that_fills_leaves_nothing_half_written(
    command, trained, words, monkeypatch
) -> None:
    import errno
    import os

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    Path("place").mkdir()
    command_line = [str(trained) if w == "RUN" else w.replace("PLACE", "place") for w in words]
    with monkeypatch.context() as patched:
        for module in (Path, os):  # how a file that is written whole takes its name
            patched.setattr(module, "replace", full)
        done = command(*command_line)
    assert done.code in (1, 2) and "no space left on device" in done.err, done.err
    assert "choose another" in done.err and "place/" in done.err
    assert not list(Path("place").iterdir())


@pytest.mark.parametrize("name", ["codes.npz", "codes.NPZ"])
def test_an_npz_holds_the_labels_and_what_they_mean(command, trained: Path, name: str) -> None:
    command("encode", trained, "-o", name, "--json").json  # noqa: B018 - its exit code
    with np.load(name) as file:
        assert set(file) == {"codes", "variances", "labels", "label_names"}
        assert file["label_names"].tolist() == [str(digit) for digit in range(10)]
        assert file["label_names"][file["labels"][0]] == str(file["labels"][0])


@pytest.mark.parametrize("words", [("encode",), ("generate", "-n", "5"), ("reconstruct",)])
def test_an_ending_in_capitals_is_the_same_ending(command, trained: Path, words) -> None:
    r = command(words[0], trained, *words[1:], "-o", "x.NPY", "--json").json
    assert Path(r["path"]).name == "x.NPY"
    assert np.load("x.NPY").ndim == 2
    if words[0] != "encode":
        assert command(words[0], trained, *words[1:], "-o", "x.PNG").code == 0
        assert Path("x.PNG").read_bytes().startswith(b"\x89PNG")
