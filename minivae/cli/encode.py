"""`minivae encode`: the codes of data, as arrays for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from minivae.cli import options
from minivae.cli.command import AS_RECORDED, OpenedRun, command


@command(short_help="Write the codes of data, as arrays.")
def encode(
    opened: OpenedRun,
    data: str = typer.Argument(None, help="A file or a name; the run's own data by default."),
    out: Path = typer.Option(..., "--out", "-o", help="A .npz, or a .npy for the codes."),
    data_option: str = options.DATA,
    data_dir: Path = options.DATA_DIR,
    backend: str = options.PICTURE_BACKEND,
) -> None:
    """Encode data: the mean and the variance of each row's posterior q(z|x)."""
    import numpy as np

    from minivae.cli.options import UsageError, picture_path
    from minivae.cli.run_data import load_rows
    from minivae.cli.run_view import RunView

    if data is not None and data_option is not None:
        raise UsageError(f"{data} and --data {data_option}: give one data set")
    path = picture_path(out, out, (".npz", ".npy"))
    view = RunView(opened, AS_RECORDED, backend)
    rows = load_rows(view.run, data or data_option, data_dir)
    mu, logvar = encode_all_rows(view.scene, rows)
    arrays = {"codes": mu, "variances": np.exp(logvar)}
    if rows.train_labels is not None:
        arrays["labels"] = rows.train_labels
        if rows.label_names is not None:  # what the numbers mean
            arrays["label_names"] = np.array(rows.label_names)
    written = save_codes(path, arrays)
    facts = {"data": rows.name, "n": len(mu), "paths": written}
    view.done(path, facts, f"{len(mu)} codes of {rows.name}, {mu.shape[1]} numbers each")


def encode_all_rows(scene: Any, rows: Any) -> tuple[Any, Any]:
    """Means and log-variances (N, J) of all training rows, wherever they lie, piece by piece."""
    import numpy as np

    from minivae.data.stream import chunks
    from minivae.sampling import encode_all

    scale = np.float32(rows.scale)
    parts = [
        encode_all(scene.K, scene.p, chunk.astype(np.float32) * scale, scene.model)
        for chunk in chunks(rows.train)
    ]
    return np.concatenate([mu for mu, _ in parts]), np.concatenate([var for _, var in parts])


def save_codes(path: Path, arrays: dict[str, Any]) -> list[Path]:
    """All in one .npz; of a .npy, the codes there and the variances in another one beside it."""
    from minivae.cli.options import UsageError
    from minivae.cli.run_view import save_array, save_arrays

    if path.suffix.lower() == ".npz":
        save_arrays(path, arrays)
        return [path]
    beside = path.with_name(f"{path.stem}-variances.npy")
    save_array(beside, arrays["variances"])
    try:
        save_array(path, arrays["codes"])
    except UsageError:  # both, or neither
        beside.unlink()
        raise
    return [path, beside]
