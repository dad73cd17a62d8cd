"""Exports, each read back by the tool that it is for, and the way in from PyTorch."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from minivae import VAE
from minivae.backend import load_backend
from minivae.cli.main import run as run_command_line
from minivae.data.standard import Standard
from minivae.exports import onnx_files, torch_files
from minivae.exports.files import write_all
from minivae.exports.from_torch import NAMES
from minivae.exports.network import ExportError, network_of
from minivae.exports.npz_files import npz_files
from minivae.models import vae
from minivae.models.config import ModelConfig
from minivae.models.initialise import initialise
from minivae.models.units import in_user_units
from minivae.parts import ACTIVATIONS, LIKELIHOODS

K = load_backend("numpy")
rng = np.random.default_rng(0)


def likelihood_of(name: str) -> dict:
    groups = {"groups": (4, 5)} if LIKELIHOODS[name].grouped else {}
    return {"likelihood": name, **groups}


SIZES = [
    {"hidden": ()},
    {"hidden": (7, 5), "c": "learned", "likelihood": "gaussian"},
    *({"activation": name} for name in onnx_files.ACTIVATIONS),
    *(likelihood_of(name) for name, part in LIKELIHOODS.items() if part.link in onnx_files.LINKS),
]


def model_of(settings: dict) -> tuple[ModelConfig, np.ndarray]:
    config = ModelConfig(**{"data_dim": 9, "latent_dim": 3, "hidden": (7,), **settings})
    theta = initialise(config, 1, "float32")
    return config, (3 * theta + 0.1 * rng.normal(size=theta.size)).astype(np.float32)


def expected(config: ModelConfig, theta: np.ndarray, x: np.ndarray, z: np.ndarray) -> list:
    p = vae.layout_of(config).views(theta)
    return [*vae.encode(K, p, x, config), vae.decode_mean(K, p, z, config)]


def near(found: np.ndarray, ours: np.ndarray) -> None:
    error = np.abs(found - ours).max() / max(1.0, float(np.abs(ours).max()))
    assert error <= 1e-5, error


@pytest.mark.parametrize("settings", SIZES, ids=str)
def test_onnxruntime_computes_the_same(settings: dict, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    config, theta = model_of(settings)
    x = rng.normal(size=(6, 9)).astype(np.float32)
    z = rng.normal(size=(6, 3)).astype(np.float32)
    write_all(tmp_path, onnx_files.onnx_files(network_of(config, theta)))
    mu, logvar, mean = expected(config, theta, x, z)
    encoder = runtime.InferenceSession(tmp_path / "encoder.onnx")
    found = dict(zip(["mu", "logvar"], encoder.run(["mu", "logvar"], {"x": x}), strict=True))
    decoder = runtime.InferenceSession(tmp_path / "decoder.onnx")
    near(found["mu"], mu)
    near(found["logvar"], logvar)
    near(decoder.run(["mean"], {"z": z})[0], mean)
    assert encoder.run(["mu"], {"x": x[:1]})[0].shape == (1, 3)


@pytest.mark.parametrize("opset", [onnx_files.OLDEST_OPSET, None])
def test_older_and_newest_operators(opset: int | None, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    config, theta = model_of({})
    newest = min(onnx.defs.onnx_opset_version(), 21)  # the runtime lags behind
    write_all(tmp_path, onnx_files.onnx_files(network_of(config, theta), opset or newest))
    x = rng.normal(size=(6, 9)).astype(np.float32)
    session = runtime.InferenceSession(tmp_path / "encoder.onnx")
    near(session.run(["mu"], {"x": x})[0], expected(config, theta, x, x[:, :3])[0])


@pytest.mark.parametrize("settings", SIZES, ids=str)
def test_pytorch_computes_the_same(settings: dict, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    config, theta = model_of(settings)
    write_all(tmp_path, torch_files.torch_files(network_of(config, theta)))
    model = runpy.run_path(str(tmp_path / "load_model.py"))["vae"]
    x = rng.normal(size=(6, 9)).astype(np.float32)
    z = rng.normal(size=(6, 3)).astype(np.float32)
    mu, logvar, mean = expected(config, theta, x, z)
    with torch.no_grad():
        found = [*model.encode(torch.from_numpy(x)), model.decode(torch.from_numpy(z))]
    for ours, theirs in zip((mu, logvar, mean), found, strict=True):
        near(theirs.numpy(), ours)


def test_arrays_by_name(tmp_path: Path) -> None:
    config, theta = model_of({"likelihood": "gaussian", "c": "learned"})
    write_all(tmp_path, npz_files(config, theta))
    with np.load(tmp_path / "model.npz", allow_pickle=False) as file:
        assert ModelConfig.from_dict(json.loads(str(file["config"]))) == config
        views = vae.layout_of(config).views(theta)
        for name, tensor in views.items():
            np.testing.assert_array_equal(file[name], tensor)


def test_what_standardising_did_goes_with_the_arrays(tmp_path: Path) -> None:
    """x in the user's units, c of the standardised columns: the file is enough for -log p."""
    config, theta = model_of({"likelihood": "gaussian", "c": 0.3})
    x = rng.normal(size=(6, 9)) * np.geomspace(0.01, 200, 9) + 1e9
    standard = Standard.of(x - 1e9, origin=np.full(9, 1e9))
    layout = vae.layout_of(config)
    ours = in_user_units(layout.views(theta), config, standard.without_origin())
    theta_out = layout.flatten(ours, np.empty_like(theta))
    write_all(tmp_path, npz_files(config, theta_out, standard))
    with np.load(tmp_path / "model.npz", allow_pickle=False) as file:
        found = dict(file)
    y = standard.apply(x)
    p = {name: t.astype(np.float64) for name, t in layout.views(theta).items()}
    z = vae.encode(K, p, y, config)[0]
    nll = vae.nll_forward(K, p, vae.decode(K, p, z, config)[None], y, config)[0]
    h = np.maximum(z @ found["decoder.0.W"] + found["decoder.0.b"], 0)
    decoded = h @ found["decoder.out.W"] + found["decoder.out.b"] + found["origin"]
    s, c = found["deviation"], json.loads(str(found["config"]))["c"]
    by_hand = 0.5 * (np.log(2 * np.pi * c * s**2) + (x - decoded) ** 2 / (c * s**2)).sum(axis=1)
    np.testing.assert_allclose(by_hand, nll + standard.log_volume, rtol=1e-4)


def test_an_origin_is_in_every_form(tmp_path: Path) -> None:
    """Columns far from 0, each of which is to lose a number of its own, to the last digit."""
    config, theta = model_of({})
    origin = 1e9 + rng.normal(size=9)
    network = network_of(config, theta, origin)
    write_all(tmp_path, torch_files.torch_files(network))
    with safetensors.safe_open(tmp_path / "model.safetensors", "np") as file:
        assert json.loads(file.metadata()["origin"]) == origin.tolist()
    onnx = pytest.importorskip("onnx")
    write_all(tmp_path / "onnx", onnx_files.onnx_files(network))
    for name in ("encoder.onnx", "decoder.onnx"):
        (said,) = onnx.load(tmp_path / "onnx" / name).metadata_props
        assert said.key == "origin" and json.loads(said.value) == origin.tolist()


def test_the_parts_with_a_counterpart_are_the_same_in_both_forms() -> None:
    """A part without one is refused by name; those that there are, are compared below."""
    assert set(onnx_files.ACTIVATIONS) == set(torch_files.ACTIVATIONS)
    assert set(onnx_files.LINKS) == set(torch_files.LINKS)
    assert set(onnx_files.ACTIVATIONS) <= set(ACTIVATIONS)
    assert set(onnx_files.LINKS) <= {part.link for part in LIKELIHOODS.values()}


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_the_continuous_bernoullis_mean_near_and_far_from_a_half(scale, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    config, theta = model_of({"likelihood": "continuous-bernoulli", "hidden": ()})
    theta = (theta * scale).astype(np.float32)
    z = rng.normal(size=(50, 3)).astype(np.float32)
    write_all(tmp_path, onnx_files.onnx_files(network_of(config, theta)))
    session = runtime.InferenceSession(tmp_path / "decoder.onnx")
    near(session.run(["mean"], {"z": z})[0], expected(config, theta, np.zeros((1, 9), "f"), z)[2])


def test_a_part_without_one_is_refused() -> None:
    pytest.importorskip("onnx")
    network = network_of(*model_of({}))
    for strange in (network._replace(activation="mystery"), network._replace(link="mystery")):
        for write in (onnx_files.onnx_files, torch_files.torch_files):
            with pytest.raises(ExportError, match=r"cannot be exported to .*: .*--to npz"):
                write(strange)


def test_nothing_is_left_half_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="choose another --out folder"):
        write_all(tmp_path / "file" / "out", {"a": b"1"})
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "b.tmp").mkdir()  # the second file cannot be written
    with pytest.raises(ExportError, match="cannot write into"):
        write_all(tmp_path / "half", {"a": b"1", "b": b"2"})
    assert [p.name for p in (tmp_path / "half").iterdir()] == ["b.tmp"]
    write_all(tmp_path / "out", {"a": b"1"})
    with pytest.raises(ExportError, match="exists already"):
        write_all(tmp_path / "out", {"a": b"2"})
    assert (tmp_path / "out" / "a").read_bytes() == b"1"


def example_state() -> dict[str, np.ndarray]:
    """A state_dict with the names and shapes of PyTorch's example, 16 pixels and 2 codes."""
    shapes = {"fc1": (12, 16), "fc21": (2, 12), "fc22": (2, 12), "fc3": (12, 2), "fc4": (16, 12)}
    draw = np.random.default_rng(3).normal
    state = {f"{k}.weight": draw(size=s).astype(np.float32) for k, s in shapes.items()}
    return state | {f"{k}.bias": draw(size=s[0]).astype(np.float32) for k, s in shapes.items()}


def test_the_pytorch_example_comes_in(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    state = example_state()
    safetensors.numpy.save_file(state, "state.safetensors")
    assert run_command_line(["import", "state.safetensors", "--out", "model.safetensors"]) == 0
    assert f"next: minivae generate {tmp_path / 'model.safetensors'}" in capsys.readouterr().out
    model = VAE.load("model.safetensors")
    x = rng.random((5, 16)).astype(np.float32)
    h = np.maximum(x @ state["fc1.weight"].T + state["fc1.bias"], 0)
    near(model.transform(x), h @ state["fc21.weight"].T + state["fc21.bias"])
    z = rng.normal(size=(5, 2)).astype(np.float32)
    h = np.maximum(z @ state["fc3.weight"].T + state["fc3.bias"], 0)
    logits = h @ state["fc4.weight"].T + state["fc4.bias"]
    near(model.inverse_transform(z), 1 / (1 + np.exp(-logits)))
    assert run_command_line(["generate", "model.safetensors", "--out", "generated.png"]) == 0
    assert run_command_line(["manifold", "model.safetensors", "--out", "grid.png"]) == 0
    np.save("x.npy", x)
    done = ["evaluate", "model.safetensors", "--data", "x.npy", "--samples", "2"]
    assert run_command_line([*done, "--backend", "numpy"]) == 0
    assert run_command_line(["evaluate", "model.safetensors"]) == 2
    assert "--data FILE" in capsys.readouterr().err


def spoiled(change: str) -> bytes:
    state = example_state()
    if change == "a tensor lost":
        del state[NAMES[4]]
    if change == "another size":
        state["fc3.weight"] = state["fc3.weight"][:, :1]
    if change == "a number lost":
        state["fc4.bias"][3] = np.nan
    return safetensors.numpy.save({k: np.ascontiguousarray(v) for k, v in state.items()})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (spoiled("a tensor lost"), "has no fc22.weight"),
        (spoiled("another size"), "fc3 has the shape"),
        (spoiled("a number lost"), "NaN"),
        (b"PK\x03\x04 a zip", "a pickle of PyTorch's, which minivae never loads; save"),
        (b"\x80\x02 a pickle", "a pickle"),
        (b"", "no safetensors file"),
        (b"anything", "no safetensors file"),
    ],
)
def test_what_is_no_such_state_dict_is_named(content, words, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("state.safetensors").write_bytes(content)
    assert run_command_line(["import", "state.safetensors", "--out", "model.safetensors"]) == 2
    err = capsys.readouterr().err
    assert words in err and err.count("\n") == 1
    assert [p.name for p in Path().iterdir()] == ["state.safetensors"]


@pytest.mark.parametrize("name", ["fc1.weight", "fc21.weight"])
def test_an_empty_layer_is_refused_by_the_name_of_the_file(name, tmp_path) -> None:
    from safetensors.numpy import save_file

    from minivae.exports.from_torch import import_state_dict
    from minivae.exports.network import ExportError

    tensors = {other: np.ones((2, 2), np.float32) for other in NAMES}
    save_file({**tensors, name: np.ones((0, 2), np.float32)}, tmp_path / "empty.safetensors")
    with pytest.raises(ExportError, match=r"empty\.safetensors: .* not empty"):
        import_state_dict(tmp_path / "empty.safetensors", tmp_path / "m.safetensors")
