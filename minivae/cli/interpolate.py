"""`minivae interpolate`: a walk between two codes, given or those of two data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from minivae.cli import options
from minivae.cli.command import DataPlace, OpenedRun, command
from minivae.cli.run_view import RunView

if TYPE_CHECKING:
    from minivae.types import Array


@command()
def interpolate(
    opened: OpenedRun,
    place: DataPlace,
    first: int = typer.Option(None, "--from", help="A row of the split."),
    last: int = typer.Option(None, "--to", help="Another row."),
    first_code: str = typer.Option(None, "--from-code", help="A code, such as 0.5,-1; no data."),
    last_code: str = typer.Option(None, "--to-code", help="Another code."),
    steps: int = typer.Option(11, help="Pictures in a row."),
    split: str = options.SPLIT,
    out: Path = options.PICTURE_OUT,
    backend: str = options.PICTURE_BACKEND,
) -> None:
    """Walk between the codes of two data, or between two codes."""
    from minivae.cli.options import UsageError, check_least, picture_path

    check_least("--steps", steps, 3)  # fewer have no middle
    codes = [code is not None for code in (first_code, last_code)]
    rows = [row is not None for row in (first, last)]
    if any(codes) and (not all(codes) or any(rows)):
        raise UsageError("--from-code and --to-code belong together, without --from and --to")
    view = RunView(opened, place, backend, split)
    latent_dim = view.run.model.latent_dim
    if first_code is not None and last_code is not None:
        a = options.parse_code("--from-code", first_code, latent_dim)
        b = options.parse_code("--to-code", last_code, latent_dim)
        ends = Ends(a, b, f"codes {first_code} and {last_code}", {})
    else:
        ends = ends_in_data(view, first, last)
    path = picture_path(out, view.default("interpolation.png"))
    caption, facts = draw_walks(view, ends, steps, path)
    view.done(path, facts, caption.split(". ", 1)[1])


class Ends(NamedTuple):
    """The two ends of a walk: codes (J,), and the data (D,) whose codes they are, if any."""

    a: Array
    b: Array
    words: str
    facts: dict[str, Any]
    x_a: Array | None = None
    x_b: Array | None = None


def ends_in_data(view: RunView, first: int | None, last: int | None) -> Ends:
    """The codes of two rows: those given, or row 0 and the first row with another label.

    Where the data are not to be found and no row was asked for, two codes from the prior.
    """
    from minivae.cli.run_view import choose_pair
    from minivae.sampling import prior_codes

    given = first is not None or last is not None
    shown = view.shown if given else view.shown_if_found()
    if shown is None:
        z_a, z_b = prior_codes(2, view.run.model.latent_dim, seed=0)
        return Ends(z_a, z_b, "two codes from the prior", {})
    for name, row in (("--from", first), ("--to", last)):
        if row is not None:
            options.check_number(name, row, len(shown.x), f"rows of the {shown.split} split")
    a, b = choose_pair(shown.labels, len(shown.x), first, last)
    (z_a, z_b), _ = view.scene.encode(shown.x[[a, b]])
    words = f"{shown.split} rows {a} and {b}"
    return Ends(z_a, z_b, words, {"from": a, "to": b}, shown.x[a], shown.x[b])


def draw_walks(view: RunView, ends: Ends, steps: int, path: Path) -> tuple[str, dict[str, Any]]:
    """The walks as strips of pictures into `path`; the caption, and the facts for JSON."""
    import numpy as np

    from minivae import plots
    from minivae.sampling import linear_path, spherical_path

    scene = view.scene
    walks = {
        "straight": linear_path(ends.a, ends.b, steps),
        "arc": spherical_path(ends.a, ends.b, steps),
    }
    strips = {name: scene.decode(codes) for name, codes in walks.items()}
    distance = float(np.linalg.norm(ends.a - ends.b))
    facts = {**ends.facts, "steps": steps, "distance": distance}
    caption = f"{scene.name}, {ends.words}. Decoded codes on a straight line and on an arc"
    if ends.x_a is None or ends.x_b is None:
        caption += f"; the codes are {distance:.2f} apart."
    else:
        t = np.linspace(0, 1, steps)[:, None]
        what = "values" if scene.shape is None else "pixels"
        strips[what] = (1 - t) * ends.x_a + t * ends.x_b
        facts["middle_distance"] = middle = middle_distances(view, strips)
        caption += (
            f", and the {what} merely faded. Distance of the middle to the nearest training "
            f"datum: straight {middle['straight']:.2f}, arc {middle['arc']:.2f}, "
            f"faded {middle[what]:.2f}."
        )
    plots.interpolations(path, [*strips.items()], scene.shape, scene.look, caption, scene.columns)
    return caption, facts


def middle_distances(view: RunView, strips: dict[str, Array]) -> dict[str, float]:
    """How far each strip's middle lies from the nearest training datum, in the model's units."""
    from minivae.cli.run_view import nearest_distance

    to_model = view.scene.to_model
    train = to_model(view.dataset.user_values("train"))
    middles = {name: to_model(x[len(x) // 2][None])[0] for name, x in strips.items()}
    return {name: nearest_distance(x, train) for name, x in middles.items()}
