"""`minivae trace`: one datum's walk through the VAE, equation by equation, with the numbers."""

from __future__ import annotations

from typing import Any

import typer

from minivae.cli import options
from minivae.cli.command import DataPlace, OpenedRun, command

WHOLE, A_LINE = 48, 6  # numbers that are printed one and all, and so many in a line
CONTINUED = 61  # where the numbers of a further line begin, below the first line's

WORDS = {
    "bound_logvar": "bound the log-variance",
    "reparameterise": "draw z = mu + sigma * eps",
    "kl": "KL of each latent dimension, nats",
    "free_bits": "KL paid for, nats",
    "bernoulli_nll": "-log p(x | z), nats",
    "gaussian_nll": "-log p(x | z), nats",
    "relu": "ReLU",
    "tanh": "tanh",
}


@command(short_help="One datum through the model, every number.")
def trace(
    opened: OpenedRun,
    place: DataPlace,
    row: int = typer.Option(0, help="Which datum of the split."),
    split: str = options.SPLIT,
    entries: int = typer.Option(3, help="How many entries of each gradient to print."),
) -> None:
    """Send one datum forward and back; print every number beside its equation."""
    import numpy as np

    from minivae.cli.options import check_least, check_number
    from minivae.cli.run_view import RunView
    from minivae.ops.philox import EVALUATE
    from minivae.trace import walk

    check_least("--entries", entries)
    view = RunView(opened, place, "numpy", split)
    scene, shown, model = view.scene, view.shown, view.run.model
    check_number("--row", row, len(shown.x), f"rows of the {shown.split} split")
    draws = model.draws * model.latent_dim
    eps = scene.K.normals(view.run.training.seed, EVALUATE, 0, np.array([row]), draws)
    eps = eps.reshape(1, model.draws, model.latent_dim).transpose(1, 0, 2)
    walked = walk(scene.K, scene.p, scene.to_model(shown.x[row : row + 1]), eps, model.beta, model)
    label = None if shown.labels is None else int(shown.labels[row])
    head = f"{shown.name}, {shown.split} row {row}" + ("" if label is None else f", label {label}")
    view.console.result(
        {
            "run": str(opened.run),
            "data": shown.name,
            "split": shown.split,
            "row": row,
            "label": label,
        }
        | facts(walked),
        f"{head}\n\n{text(walked, scene, shown.x[row], entries)}",
    )


def text(walked: Any, scene: Any, x: Any, entries: int) -> str:
    """The walk in plain lines: the datum, forward, the loss, and back."""
    lines = [picture(x, scene.shape), "", "Forward"] if scene.shape else ["Forward"]
    lines += forward_lines(walked)
    loss = f"Loss (E28), with beta = {walked.beta:g} before the KL: {walked.loss:.6f} nats"
    lines += ["", loss, ""]
    lines += meeting_lines(walked)
    lines.append("Back: each gradient by hand, its complex step, and the worst difference")
    for gradient in walked.gradients:
        name = f"d{gradient.argument}"
        place = gradient.layer or gradient.op.removesuffix("_backward")
        tag = ", ".join(gradient.equations)
        lines.append(
            f"  {tag:9} {place + ' ' + name:34} {shape(gradient.hand):13} "
            f"worst {gradient.worst:.1e} of the largest, {len(gradient.entries)} entries checked"
        )
        lines += [f"  {'':9} {line}" for line in pairs(gradient, entries)]
    worst = max(walked.gradients, key=lambda g: g.worst if g.worst == g.worst else float("inf"))
    lines += [
        "",
        f"The worst of all: {worst.worst:.1e} of the tensor's largest entry, in "
        f"{worst.layer or worst.op} d{worst.argument}.",
    ]
    return "\n".join(lines)


def forward_lines(walked: Any) -> list[str]:
    """Every op's result, and before it what it is made of."""
    from minivae.trace import inside

    lines = []
    for call in walked.forward:
        name = call.op.removesuffix("_forward")
        rows = [(part.equation, f"  {part.words}", part.value) for part in inside(call)]
        tag, what = ", ".join(call.equations), call.layer or WORDS.get(name, name)
        rows += [(tag, what, result) for result in call.results]
        for equation, words, value in rows:
            first, *more = summary(value)
            lines.append(f"  {equation:9} {words:34} {shape(value):13} {first}")
            lines += [" " * CONTINUED + line for line in more]
    return lines


def meeting_lines(walked: Any) -> list[str]:
    """The sums that no op computes: two gradients meet in mu, and two in log sigma^2."""
    import numpy as np

    lines = []
    for meeting in walked.meetings():
        columns = zip(*(np.ravel(v) for v in (meeting.by_draw, meeting.by_kl, meeting.total)))
        for j, (draw, kl, total) in enumerate(columns):
            lines.append(
                f"  {'E29':9} {f'd{meeting.argument}[{j}]':12} {draw:+.6f} from the "
                f"reconstruction (E27) {kl:+.6f} from the KL (E16) = {total:+.6f}"
            )
    head = "Two paths meet in mu and in logvar, and their gradients are added"
    return [head, *lines, ""] if lines else []


def pairs(gradient: Any, entries: int) -> list[str]:
    """The largest entries of a gradient: by hand, and by complex step."""
    order = sorted(
        range(len(gradient.entries)), key=lambda i: -abs(gradient.hand[gradient.entries[i]])
    )
    return [
        f"{list(gradient.entries[i])!s:>14}  {float(gradient.hand[gradient.entries[i]]):+.15e}  "
        f"{gradient.complex_step[i]:+.15e}"
        for i in order[:entries]
    ]


def picture(x: Any, size: tuple[int, ...]) -> str:
    """A datum as characters, dark where its values are high."""
    import numpy as np

    shades = " .:-=+*#%@"
    low, high = float(x.min()), float(x.max())
    grey = x.reshape(*size[:2], -1).mean(axis=-1)  # of colours, the mean
    level = np.round((grey - low) / (high - low or 1.0) * (len(shades) - 1)).astype(int)
    return "\n".join("  " + "".join(2 * shades[v] for v in line) for line in level)


def shape(value: Any) -> str:
    """ "(1, 256)"."""
    import numpy as np

    return str(np.shape(value))


def summary(value: Any) -> list[str]:
    """All of what is no larger than a latent space, so that it can be recomputed by hand, in lines
    of a few; the first numbers and the range of what is larger."""
    import numpy as np

    flat = np.ravel(value)
    if flat.size <= WHOLE:
        said = [f"{v:+.7g}" for v in flat]
        return [" ".join(said[i : i + A_LINE]) for i in range(0, max(len(said), 1), A_LINE)]
    start = " ".join(f"{v:+.4f}" for v in flat[:3])
    ends = f"from {flat.min():+.4f} to {flat.max():+.4f}"
    return [f"{start} … {ends}, {np.mean(flat == 0):.0%} zero"]


def facts(walked: Any) -> dict[str, Any]:
    """The walk as plain values."""
    from minivae.trace import inside

    return {
        "loss": walked.loss,
        "beta": walked.beta,
        "forward": [
            {
                "op": c.op,
                "layer": c.layer,
                "equations": c.equations,
                "inside": {part.words: part.value for part in inside(c)},
                "results": c.results,
            }
            for c in walked.forward
        ],
        "meetings": [
            {"argument": m.argument, "by_draw": m.by_draw, "by_kl": m.by_kl, "total": m.total}
            for m in walked.meetings()
        ],
        "gradients": [
            {
                "op": g.op,
                "layer": g.layer,
                "argument": g.argument,
                "equations": g.equations,
                "shape": g.hand.shape,
                "entries": g.entries,
                "hand": [float(g.hand[e]) for e in g.entries],
                "complex_step": g.complex_step,
                "worst": g.worst,
            }
            for g in walked.gradients
        ],
    }
